"""Sub-pixel positions at the photographs' own resolution, by aligning small patches."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from vggt_sfm._checks import Bool, Float32, Float64, Int64, UInt8
from vggt_sfm._log import Progress
from vggt_sfm.scene import Scene
from vggt_sfm.tracking.guidance import Guidance
from vggt_sfm.tracking.linking import Observations
from vggt_sfm.tracking.matches import ReadImage

_PATCH = 27  # px a side of the patches that are cut out: the window and the largest shift
_WINDOW = 15  # px a side of what is aligned
_LARGEST_SHIFT = 5.0  # px of a level's patch
_LARGEST_ROUND_TRIP = 0.3  # px
_LEAST_TEXTURE = 1e-3  # OpenCV's minEigThreshold; below, a position is not defined
_REACH_PX = 6.0  # over which the change of shape between two views is measured
_MOST_STRETCH = 3.0
_CONTRAST_PX = 17  # neighbourhood whose brightness and contrast are taken out
_CACHE_BYTES = 512 * 2**20
_MOST_AT_ONCE = 900  # patches in a column: OpenCV's remap takes 32767 rows
_LARGEST_PX = 32766  # and no larger photographs


class _Shapes(NamedTuple):
    """How the surroundings of n points look in another view."""

    jacobian: Float64  # (n, 2, 2) px of the other view per px of the reference
    usable: Bool  # (n,) neither stretched nor folded too much


def refine_positions(
    observations: Observations,
    reach_px: Float64,
    scene: Scene,
    guidance: Guidance,
    read_image: ReadImage,
    progress: Progress,
) -> tuple[Float64, Int64]:
    """Align every observation's surroundings with those in its track's reference frame.

    The reference is the middle one of the track's frames; its own position stays. Patches of the
    other frames are warped as predicted depth and cameras say, so that a shift is all that is left.

    Args:
        observations: All tracks.
        reach_px: (M,) by how much each position may be wrong, original px; 0: it stays.
        scene: The frames.
        guidance: Predicted correspondence.
        read_image: Returns a frame's upright (H, W, 3) RGB pixels.
        progress: Counts pairs of frames.

    Returns:
        (M, 2) positions, original px, and the (m,) rows that were refined; where the photographs
        do not agree, the position stays.
    """
    xy = observations.xy.copy()
    reference = _reference_rows(observations)
    frames = np.stack([observations.frame_index[reference], observations.frame_index], axis=1)
    fits = np.array([max(frame.size) <= _LARGEST_PX for frame in scene.frames], bool)
    wanted = (reach_px > 0) & (reference != np.arange(len(xy))) & fits[frames].all(axis=1)
    rows = np.flatnonzero(wanted)
    pairs, group = np.unique(frames[rows], axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    limits = np.searchsorted(group.ravel()[order], np.arange(len(pairs) + 1))
    images = _Images(scene, read_image)
    refined = [np.empty(0, np.int64)]
    with progress.task("refine", len(pairs)) as task:
        for p, (i, j) in enumerate(pairs.tolist()):
            of_pair = rows[order[limits[p] : limits[p + 1]]]
            for mine in np.array_split(of_pair, -(-len(of_pair) // _MOST_AT_ONCE)):
                start, fixed = xy[mine], xy[reference[mine]]
                shapes = _shapes(guidance, (i, j), fixed)
                found, good = _align(images(i), images(j), fixed, start, shapes, reach_px[mine])
                xy[mine[good]] = found[good]
                refined.append(mine[good])
            task.advance()
    return xy, np.sort(np.concatenate(refined))


def _reference_rows(observations: Observations) -> Int64:
    """Return the (M,) row of each observation's reference."""
    first = np.searchsorted(observations.track_index, observations.track_index)
    last = np.searchsorted(observations.track_index, observations.track_index, side="right")
    return np.asarray((first + last - 1) // 2)


class _Images:
    """Grey photographs without differences of exposure, each halved a few times.

    Those used last are kept, as far as memory allows.
    """

    def __init__(self, scene: Scene, read_image: ReadImage) -> None:
        self._frames = scene.frames
        self._read_image = read_image
        self._kept: dict[int, list[UInt8]] = {}

    def __call__(self, s: int) -> list[UInt8]:
        if s in self._kept:
            self._kept[s] = self._kept.pop(s)  # to the end: used last
        else:
            levels = [_contrast(self._read_image(self._frames[s]))]
            while max(levels[-1].shape) > 1024:
                levels.append(np.asarray(cv2.pyrDown(levels[-1])))
            size = 2 * levels[0].nbytes
            while self._kept and (len(self._kept) + 1) * size > _CACHE_BYTES:
                self._kept.pop(next(iter(self._kept)))
            self._kept[s] = levels
        return self._kept[s]


def _contrast(image: UInt8) -> UInt8:
    """Return (H, W) grey values with equal mean and spread everywhere."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(np.float32)
    grey -= cv2.blur(grey, (_CONTRAST_PX, _CONTRAST_PX))
    # running sums leave a little less than nothing where all is black
    spread = np.sqrt(np.maximum(cv2.blur(grey * grey, (_CONTRAST_PX, _CONTRAST_PX)), 0))
    # a floor of a few grey values, so that noise of blank walls does not become texture
    return np.asarray(np.clip(grey / (spread + 4) * 50 + 128, 0, 255).astype(np.uint8))


def _shapes(guidance: Guidance, pair: tuple[int, int], xy: Float64) -> _Shapes:
    """Measure how (n, 2) surroundings in the first frame look in the second, as predicted."""
    i, j = pair
    around = xy + _REACH_PX * np.array([[[1.0, 0]], [[0, 1]], [[-1, 0]], [[0, -1]]])  # (4, n, 2)
    seen = guidance.locate(guidance.lift(i, around.reshape(-1, 2)), j).reshape(2, 2, -1, 2)
    jacobian: Float64 = np.moveaxis(seen[0] - seen[1], 0, -1) / (2 * _REACH_PX)
    jacobian[~np.isfinite(jacobian).all(axis=(1, 2))] = 0
    stretch = np.linalg.svd(jacobian)[1]
    usable = (stretch[:, 0] <= _MOST_STRETCH) & (stretch[:, 1] >= 1 / _MOST_STRETCH)
    usable &= np.linalg.det(jacobian) > 0
    return _Shapes(np.where(usable[:, None, None], jacobian, np.eye(2)), np.asarray(usable))


def _align(
    levels_i: list[UInt8],
    levels_j: list[UInt8],
    fixed: Float64,
    start: Float64,
    shapes: _Shapes,
    reach_px: Float64,
) -> tuple[Float64, Bool]:
    """Return (n, 2) positions in j and which of them can be trusted, coarse levels first."""
    found, good = start.copy(), shapes.usable.copy()
    straight = np.tile(np.eye(2), (len(fixed), 1, 1))
    deepest = int(np.ceil(np.log2(max(1.0, float(reach_px.max()) / _LARGEST_SHIFT))))
    for level in range(min(deepest, len(levels_i) - 1, len(levels_j) - 1), -1, -1):
        scale = 2.0**level
        reference = _cut(levels_i[level], fixed, straight, scale)
        other = _cut(levels_j[level], found, shapes.jacobian, scale)
        shift, aligned = _shift(reference, other, len(fixed))
        moved = np.einsum("nij,nj->ni", shapes.jacobian, shift * scale)
        found[aligned] += moved[aligned]
        if level == 0:
            good &= aligned
    good &= np.linalg.norm(found - start, axis=1) <= reach_px
    # beyond the border there is nothing to be compared
    good &= _window_inside(levels_i[0], fixed, straight)
    good &= _window_inside(levels_j[0], found, shapes.jacobian)
    return found, np.asarray(good)


def _window_inside(image: UInt8, xy: Float64, jacobian: Float64) -> Bool:
    """Mark the (n,) warped windows that lie inside of the photograph."""
    reach = np.abs(jacobian).sum(axis=2) * (_WINDOW / 2)
    size = np.array(image.shape[::-1])
    return np.asarray(((xy >= reach) & (xy <= size - reach)).all(axis=1))


def _cut(image: UInt8, xy: Float64, jacobian: Float64, scale: float) -> UInt8:
    """Return n warped patches around (n, 2) points, one below the other.

    Points are those of the photograph, of which the image is a reduction by ``scale``.
    """
    steps = np.arange(_PATCH) - _PATCH // 2
    offset = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2).astype(np.float64)
    # OpenCV has the centre of the first pixel at 0, at every scale
    places = ((xy - 0.5) / scale)[:, None] + offset @ jacobian.transpose(0, 2, 1)
    x, y = places.reshape(-1, _PATCH, 2).astype(np.float32).transpose(2, 0, 1).copy()
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR))


def _shift(reference: UInt8, other: UInt8, count: int) -> tuple[Float64, Bool]:
    """Return by how much (n, 2) the middle of each patch lies elsewhere in the other one."""
    middle = np.full((count, 2), _PATCH // 2, np.float32)
    middle[:, 1] += _PATCH * np.arange(count)
    there, ok = _follow(reference, other, middle, middle)
    back, ok_back = _follow(other, reference, there, middle)
    shift = (there - middle).astype(np.float64)
    good = ok & ok_back & (np.linalg.norm(back - middle, axis=1) <= _LARGEST_ROUND_TRIP)
    good &= np.abs(shift).max(axis=1) <= _LARGEST_SHIFT
    return shift, np.asarray(good)


def _follow(first: UInt8, second: UInt8, xy: Float32, guess: Float32) -> tuple[Float32, Bool]:
    """Return where (n, 2) points of the first image are in the second, and which were found."""
    there, ok, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        xy,
        guess.copy(),
        winSize=(_WINDOW, _WINDOW),
        maxLevel=0,
        minEigThreshold=_LEAST_TEXTURE,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(there, np.float32), np.asarray(ok).ravel() > 0
