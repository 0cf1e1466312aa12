"""The texts and pictures beside the scene, as HTML."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from PIL import Image

from vggt_sfm._checks import Float64, UInt8
from vggt_sfm.viewer.cameras import ShownCamera
from vggt_sfm.viewer.content import Content

Facts = list[tuple[str, str]]
_STYLE = "font-size:0.85em;line-height:1.4;padding:0 0.5em;font-variant-numeric:tabular-nums"
_JPEG_QUALITY = 85


def facts_table(facts: Facts) -> str:
    """Return facts as HTML; names of files may hold anything."""
    rows = "".join(
        "<tr><td style='opacity:0.65;padding-right:1em;vertical-align:top'>"
        f"{html.escape(name)}</td>"
        f"<td style='overflow-wrap:anywhere'>{html.escape(value)}</td></tr>"
        for name, value in facts
    )
    return f"<div style='{_STYLE}'><table>{rows}</table></div>"


def picture_html(rgb: UInt8) -> str:
    """Return an (H, W, 3) picture as HTML.

    viser has pictures of its own, but takes one away while the browser still loads it, where the
    panel is docked; this one is part of the text.
    """
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=_JPEG_QUALITY)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return (
        "<div style='padding:0 0.5em'><img alt='' style='width:100%;display:block' "
        f"src='data:image/jpeg;base64,{data}'></div>"
    )


def overview(scene: Content) -> Facts:
    """Tell what the whole model is."""
    facts = [("photographs", f"{len(scene.cameras):,}"), ("points", f"{scene.sparse.total:,}")]
    error = _mean(scene.sparse.error_px)
    before = _mean(scene.before.error_px)
    if error is not None:
        said = f"{error:.2f} px"
        facts.append(
            ("mean error", said if before is None else f"{said}, before adjustment {before:.2f} px")
        )
    if scene.unit != "scene":
        facts.append(("unit", scene.unit))
    return facts


def shown_of(shown: int, kept: int, total: int) -> str:
    """Tell how many points of a set are on the page.

    Args:
        shown: On the page.
        kept: In the viewer; the others were left out for good.
        total: In the model.
    """
    if kept == total:
        return f"{shown:,} of {total:,} points"
    return f"{shown:,} of {kept:,} points, which are a random part of {total:,}"


def camera_facts(camera: ShownCamera, before: ShownCamera | None, unit: str) -> Facts:
    """Tell what is known of one photograph.

    Args:
        camera: Its camera.
        before: The same before the adjustment, if it was adjusted.
        unit: Of the model.
    """
    facts = [
        ("name", camera.name),
        ("size", f"{camera.size[0]} x {camera.size[1]} px"),
        ("points", f"{camera.num_points:,}"),
    ]
    if np.isfinite(camera.mean_error_px):
        said = f"{camera.mean_error_px:.2f} px"
        if before is not None and np.isfinite(before.mean_error_px):
            said += f", before adjustment {before.mean_error_px:.2f} px"
        facts.append(("mean error", said))
    if before is not None:
        moved = float(np.linalg.norm(camera.center - before.center))
        cosine = (np.trace(camera.world_from_cam[:, :3].T @ before.world_from_cam[:, :3]) - 1) / 2
        turned = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        length = f"{moved:.3g} m" if unit == "m" else f"{moved:.3g} scene units"
        facts.append(("adjustment", f"moved by {length}, turned by {turned:.2f}°"))
    return facts


def _mean(values: Float64) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
