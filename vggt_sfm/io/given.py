"""Predictions of another network, read from an npz file and checked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggt_sfm._checks import Float32, Float64, check_shape
from vggt_sfm.errors import InputError
from vggt_sfm.io.given_cameras import check_intrinsics, checked_poses
from vggt_sfm.io.images import file_sha256
from vggt_sfm.scene import Size

_REQUIRED = ("names", "cam_from_world", "intrinsics", "depth")
_OPTIONAL = ("confidence", "tracks", "track_visibility", "track_confidence", "pixel_origin")
_FIRST_CENTER = {"corner": 0.0, "center": 0.5}
"""What is added to pixels, by where they have their origin: the corner, or the first centre."""
_MOSTLY_NEGATIVE = 0.5
_MOST_KEYS = 12  # that a message lists

Array = NDArray[Any]  # Any: whatever a file holds


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GivenPredictions:
    """What a file says about S photographs, in px of its depth maps with the origin at the corner.

    A depth map covers the whole upright photograph, each axis stretched by its own factor.
    """

    path: Path
    sha256: str
    names: tuple[str, ...]
    cam_from_world: Float64  # (S, 3, 4) OpenCV axes
    intrinsics: Float64  # (S, 3, 3) px
    depth: Float32  # (S, H, W) scene units, 0 = unknown
    confidence: Float32  # (S, H, W) higher is better
    tracks: Float64  # (S, N, 2) px, NaN where a point is not seen; N is 0 where there are none
    track_visibility: Float64  # (S, N) 0 to 1
    track_confidence: Float64  # (S, N) 0 to 1
    unused: tuple[str, ...]
    """Keys of the file that mean nothing here."""


def read_given(path: Path) -> GivenPredictions:
    """Read predictions of S photographs.

    The file holds ``names`` (S,), ``cam_from_world`` (S, 3, 4) or (S, 4, 4), ``intrinsics``
    (S, 3, 3) in px of the depth map, and ``depth`` (S, H, W) along the optical axis; what is not
    positive or not finite is unknown. It may hold ``confidence`` (S, H, W), ``tracks`` (S, N, 2) in
    px of the depth map with NaN where a point is not seen, ``track_visibility`` and
    ``track_confidence`` (S, N) from 0 to 1, and ``pixel_origin``: ``corner`` where the first
    pixel's centre is at (0.5, 0.5), or ``center`` where it is at (0, 0).

    Args:
        path: A file of ``numpy.savez``.

    Raises:
        InputError: If it cannot be read, a key is missing, or an array is not what it must be.
    """
    sha256 = file_sha256(path)
    arrays, unused = _load(path)
    with _named(path):
        names = _names(arrays["names"])
        dims = {"S": len(names)}
        shift = _shift(arrays.get("pixel_origin"))
        depth = _real("depth", arrays["depth"], np.float32)
        dims = check_shape("depth", depth, "S H W", dims)
        intrinsics = _real("intrinsics", arrays["intrinsics"], np.float64)
        check_shape("intrinsics", intrinsics, "S 3 3", dims)
        intrinsics[:, :2, 2] += shift
        check_intrinsics(names, intrinsics, Size(dims["W"], dims["H"]))
        depth, confidence = _known(depth, arrays.get("confidence"), dims)
        tracks = _real("tracks", arrays.get("tracks", np.empty((len(names), 0, 2))), np.float64)
        dims = check_shape("tracks", tracks, "S N 2", dims)
        return GivenPredictions(
            path=path,
            sha256=sha256,
            names=names,
            cam_from_world=checked_poses(
                names, _real("cam_from_world", arrays["cam_from_world"], np.float64)
            ),
            intrinsics=intrinsics,
            depth=depth,
            confidence=confidence,
            tracks=tracks + shift,
            track_visibility=_share("track_visibility", arrays, dims),
            track_confidence=_share("track_confidence", arrays, dims),
            unused=unused,
        )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what is wrong with an array into an error that names the file."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _load(path: Path) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the arrays that have a meaning, and the keys that have none."""
    with path.open("rb") as stream:  # numpy leaves a damaged file open
        try:
            file = np.load(stream, allow_pickle=False)
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: no npz file that can be read: {error}") from error
        if isinstance(file, np.ndarray):
            raise InputError(f"{path}: is one array; save all of them with numpy.savez")
        missing = [key for key in _REQUIRED if key not in file.files]
        if missing:
            held = ", ".join(file.files[:_MOST_KEYS]) or "nothing"
            more = ", …" if len(file.files) > _MOST_KEYS else ""
            raise InputError(f"{path}: no {', '.join(missing)}; it holds {held}{more}")
        known = [key for key in file.files if key in (*_REQUIRED, *_OPTIONAL)]
        arrays = {key: _one(path, key, file) for key in known}
        return arrays, tuple(key for key in file.files if key not in known)


def _one(path: Path, key: str, file: Any) -> Array:  # Any: numpy's NpzFile
    try:
        array = file[key]
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: {key} cannot be read: {error}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: {key} is no array of numpy")
    return array


def _texts(key: str, array: Array) -> list[str]:
    """Return all texts of an array."""
    if array.dtype.kind not in "US":
        raise ValueError(f"{key}: expected text, got {array.dtype} of shape {array.shape}")
    return [n.decode() if isinstance(n, bytes) else str(n) for n in array.ravel().tolist()]


def _names(array: Array) -> tuple[str, ...]:
    names = tuple(_texts("names", array))
    check_shape("names", array, "S")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"names: {twice[0]!r} is there more than once")
    if not names:
        raise ValueError("names: there is none")
    return names


def _shift(origin: Array | None) -> float:
    words = ["corner"] if origin is None else _texts("pixel_origin", origin)
    if len(words) != 1 or words[0] not in _FIRST_CENTER:
        raise ValueError(f"pixel_origin: {words} is neither 'corner' nor 'center'")
    return _FIRST_CENTER[words[0]]


def _real(key: str, array: Array, kind: type[Any], also: str = "") -> Array:
    """Return a copy of another precision; integers are numbers too."""
    if array.dtype.kind not in "fiu" + also:
        raise ValueError(f"{key}: expected numbers, got {array.dtype} of shape {array.shape}")
    with np.errstate(over="ignore"):
        return array.astype(kind)


def _known(depth: Float32, confidence: Array | None, dims: dict[str, int]) -> tuple[Array, Array]:
    """Set depth to 0 where it is unknown or its confidence no number."""
    known = np.isfinite(depth) & (depth > 0)
    negative = np.isfinite(depth) & (depth < 0)
    if negative.sum() > _MOSTLY_NEGATIVE * max((known | negative).sum(), 1):
        raise ValueError(
            "depth: most of it is negative; it is along the optical axis and positive before the "
            "camera"
        )
    if not known.any():
        raise ValueError(f"depth: no positive value in an array of shape {depth.shape}")
    if confidence is None:
        return np.where(known, depth, np.float32(0)), known.astype(np.float32)
    rank = _real("confidence", confidence, np.float32)
    check_shape("confidence", rank, "S H W", dims)
    known &= np.isfinite(rank)
    return np.where(known, depth, np.float32(0)), np.where(known, rank, np.float32(0))


def _share(key: str, arrays: dict[str, Array], dims: dict[str, int]) -> Float64:
    """Return (S, N) values from 0 to 1; 1 where the file does not tell."""
    if key not in arrays:
        return np.ones((dims["S"], dims["N"]))
    if "tracks" not in arrays:
        raise ValueError(f"{key}: there are no tracks")
    share = np.nan_to_num(_real(key, arrays[key], np.float64, also="b"))
    check_shape(key, share, "S N", dims)
    if share.size and not (share.min() >= 0 and share.max() <= 1):
        raise ValueError(
            f"{key}: expected values from 0 to 1, got {share.min():g} to {share.max():g}"
        )
    return share
