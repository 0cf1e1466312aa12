"""Comparisons of models, as a page of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vggt_sfm.pipelines.comparison import CameraDelta, Comparison, ImageDelta, Side

_MOST_ROWS = 10
_NONE = "-"
Rows = list[Sequence[str]]


def page(comparisons: Sequence[Comparison]) -> str:
    """Write what people want to see of comparisons; the first one with its images and cameras."""
    first = comparisons[0]
    parts = [_columns(_sides(comparisons)), _columns(_figures(comparisons))]
    parts += [f"{_title(each)}: {line}" for each in comparisons for line in _remarks(each)]
    if first.images:
        parts.append(_listed(f"images of {_title(first)}", _image_rows(first.images)))
    parts.append(_listed(f"cameras of {_title(first)}", _camera_rows(first.cameras)))
    return "\n\n".join(parts)


def _title(each: Comparison) -> str:
    return f"{each.model.letter} against {each.reference.letter}"


def _sides(comparisons: Sequence[Comparison]) -> Rows:
    sides: dict[str, Side] = {}
    for each in comparisons:
        sides[each.model.letter] = each.model
        sides[each.reference.letter] = each.reference
    return [
        (side.letter, side.path, f"images: {side.images}", f"cameras: {side.cameras}")
        for side in sides.values()
    ]


def _figures(comparisons: Sequence[Comparison]) -> Rows:
    thresholds = list(comparisons[0].auc_exact or {})
    lines: list[tuple[str, Callable[[Comparison], str]]] = [
        ("images in common, of the reference's", lambda c: f"{c.common} of {c.reference.images}"),
        ("pairs that failed for missing ones", lambda c: f"{c.failed_pairs} of {c.pairs}"),
        *((f"pose AUC @{t}, exact, %", _area("auc_exact", t)) for t in thresholds),
        *((f"pose AUC @{t}, histogram, %", _area("auc_histogram", t)) for t in thresholds),
        ("ATE RMSE, units of the reference", lambda c: _number(c.ate_rmse)),
        ("ATE median", lambda c: _number(c.ate_median)),
        ("extent of the reference's cameras", lambda c: _number(c.extent)),
        ("rotation median, deg", lambda c: _number(c.rotation_median_deg)),
        ("rotation worst, deg", lambda c: _number(c.rotation_worst_deg)),
        ("focal length worst, %", lambda c: f"{c.cameras[0].focal_percent:+.3g}"),
        (
            "principal point worst, px",
            lambda c: _number(max(each.principal_point_px for each in c.cameras)),
        ),
    ]
    head: Rows = [("", *map(_title, comparisons))]
    return head + [(name, *map(cell, comparisons)) for name, cell in lines]


def _area(kind: str, threshold: str) -> Callable[[Comparison], str]:
    def cell(each: Comparison) -> str:
        areas: dict[str, float] | None = getattr(each, kind)
        return _NONE if areas is None else f"{areas[threshold]:.2f}"

    return cell


def _remarks(each: Comparison) -> list[str]:
    matched = "no full name is in both; images were matched by the last part of their names"
    only = [
        f"{len(names)} images only in {side.letter}: {_some(names)}"
        for side, names in ((each.model, each.only_model), (each.reference, each.only_reference))
        if names
    ]
    return [*([matched] if each.matched_by == "file name" else []), *only, *each.remarks]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _image_rows(images: Sequence[ImageDelta]) -> Rows:
    head: Rows = [("rotation, deg", "distance", "of the extent, %", "image")]
    return head + [
        (
            _number(each.rotation_deg),
            _number(each.distance),
            _number(None if each.distance_share is None else 100 * each.distance_share),
            each.name,
        )
        for each in images
    ]


def _camera_rows(cameras: Sequence[CameraDelta]) -> Rows:
    head: Rows = [("focal length, %", "principal point, px", "camera", "reference", "images")]
    return head + [
        (
            f"{each.focal_percent:+.3g}",
            _number(each.principal_point_px),
            _camera(each.camera_id, each.model, each.size),
            _camera(each.reference_id, each.reference_model, each.reference_size),
            str(each.images),
        )
        for each in cameras
    ]


def _camera(number: int, model: str, size: tuple[int, int]) -> str:
    return f"{number} {model} {size[0]} x {size[1]}"


def _listed(title: str, rows: Rows) -> str:
    """Write a table whose first row is its head, the rest of its rows shortened."""
    left = len(rows) - 1 - _MOST_ROWS
    more = f"\n  … and {left} more" if left > 0 else ""
    return f"{title}, worst first\n{_columns(rows[: _MOST_ROWS + 1])}{more}"


def _columns(rows: Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3g}"
