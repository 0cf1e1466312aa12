"""The camera that ``transforms.json`` describes for a frame."""

from __future__ import annotations

import math
from pathlib import Path

import pycolmap

from vggt_sfm.errors import InputError
from vggt_sfm.io.images import opened
from vggt_sfm.io.transforms_words import Words
from vggt_sfm.scene import Size

_PERSPECTIVE = (
    "PINHOLE",
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "OPENCV",
    "FULL_OPENCV",
    "PERSPECTIVE",
)
_FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "FISHEYE")
_DISTORTION = ("k1", "k2", "p1", "p2", "k3", "k4")


def lens(words: Words, photo: Path) -> pycolmap.Camera:
    """Build the camera of a frame, without an id.

    Whether it is a fisheye camera is said by ``camera_model``, or by instant-ngp's ``is_fisheye``;
    which perspective model it has is seen from the distortion that is not 0, because writers put
    ``OPENCV`` everywhere. Without ``fl_x``, the angle ``camera_angle_x`` tells it; without
    ``fl_y``, pixels are square; without ``cx`` and ``cy``, the principal point is the middle.
    Pixels have their origin at the corner, as in COLMAP.

    Args:
        words: What the file says.
        photo: Where the size is taken from if ``w`` and ``h`` are not there.

    Raises:
        InputError: If a key is missing or wrong, or COLMAP has no such camera.
    """
    size = _size(words, photo)
    fl_x = _focal(words, "x", size.width)
    angle_y = not words.has("fl_y") and words.has("camera_angle_y")
    fl_y = _focal(words, "y", size.height) if angle_y else words.positive("fl_y", fl_x)
    center = words.number("cx", size.width / 2), words.number("cy", size.height / 2)
    model, distortion = _model(words)
    return pycolmap.Camera(
        model=model,
        width=size.width,
        height=size.height,
        params=[fl_x, fl_y, *center, *distortion],
    )


def _size(words: Words, photo: Path) -> Size:
    if words.has("w") or words.has("h"):
        return Size(words.pixels("w"), words.pixels("h"))
    try:
        with opened(photo) as image:
            return Size(*image.size)
    except InputError as error:
        raise InputError(f"{words.where}: no w and h, and no photograph to see: {error}") from error


def _focal(words: Words, axis: str, side: int) -> float:
    """Return a focal length, px, as it is given or from the angle of view."""
    key = f"fl_{axis}"
    angle_key = f"camera_angle_{axis}"
    if words.has(key) or not words.has(angle_key):
        return words.positive(key)
    angle = words.number(angle_key)
    if not 0 < angle < math.pi:
        raise InputError(f"{words.where}: {angle_key} is {angle:g}, which must be 0 to pi, radians")
    return side / 2 / math.tan(angle / 2)


def _model(words: Words) -> tuple[str, list[float]]:
    """Return the name of COLMAP's model, and its distortion."""
    word = words.value("camera_model") if words.has("camera_model") else "OPENCV"
    if word not in (*_PERSPECTIVE, *_FISHEYE):
        known = ", ".join((*_PERSPECTIVE, *_FISHEYE))
        raise InputError(f"{words.where}: camera_model is {word!r}; known: {known}")
    fisheye = word in _FISHEYE or (words.has("is_fisheye") and words.value("is_fisheye") is True)
    k = {key: words.number(key, 0.0) for key in _DISTORTION}
    # k4 of a perspective camera is a fourth term to some and a denominator to others
    strange = [key for key in (("p1", "p2") if fisheye else ("k4",)) if k[key] != 0]
    if strange:
        kind = "fisheye" if fisheye else "perspective"
        raise InputError(
            f"{words.where}: {strange[0]} of a {kind} camera is {k[strange[0]]:g}, not 0"
        )
    if fisheye:
        return "OPENCV_FISHEYE", [k["k1"], k["k2"], k["k3"], k["k4"]]
    if k["k3"] != 0:
        return "FULL_OPENCV", [k["k1"], k["k2"], k["p1"], k["p2"], k["k3"], 0.0, 0.0, 0.0]
    return ("OPENCV", [k["k1"], k["k2"], k["p1"], k["p2"]]) if any(k.values()) else ("PINHOLE", [])
