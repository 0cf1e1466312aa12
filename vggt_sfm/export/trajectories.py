"""Camera trajectories in the formats of TUM and KITTI, which evo and others read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vggt_sfm._files import replacing
from vggt_sfm.geometry.rigid import invert, quat_xyzw_from_rotation
from vggt_sfm.io.opened import OpenedModel


def export_tum(opened: OpenedModel, path: Path, seconds: Mapping[str, float]) -> None:
    """Write ``time tx ty tz qx qy qz qw`` of world_from_cam, one line an image that has a pose.

    Args:
        opened: The model.
        path: File to create or replace.
        seconds: When images were taken, by name; where one is missing, all are numbered instead.
    """
    images = opened.images()
    timed = all(image.name in seconds for image in images)
    lines = ["# time_s tx ty tz qx qy qz qw: world_from_cam, unit " + opened.unit]
    if not timed:
        lines.append("# the time is the number of the image in natural order of the names")
    for number, image in enumerate(images):
        world_from_cam = invert(image.cam_from_world().matrix())
        values = [*world_from_cam[:, 3], *quat_xyzw_from_rotation(world_from_cam[:, :3])]
        time = seconds[image.name] if timed else float(number)
        lines.append(" ".join([f"{time:.6f}", *(_digits(value) for value in values)]))
    _write(path, lines)


def export_kitti(opened: OpenedModel, path: Path) -> None:
    """Write the 12 numbers of world_from_cam by rows, one line an image that has a pose.

    The format has no names: they stand in ``NAME.images.txt`` beside it, line by line.
    """
    images = opened.images()
    poses = [invert(image.cam_from_world().matrix()).ravel() for image in images]
    _write(path, [" ".join(_digits(value) for value in pose) for pose in poses])
    _write(path.with_suffix(".images.txt"), [image.name for image in images])


def _digits(value: float) -> str:
    return f"{value:.12g}"


def _write(path: Path, lines: list[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
