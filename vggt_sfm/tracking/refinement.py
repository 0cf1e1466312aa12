"""Sub-pixel positions at the photographs' own resolution, for points found at the network's."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vggt_sfm._checks import Bool, Float32, Float64, Int64, UInt8
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Scene
from vggt_sfm.tracking.guidance import Guidance
from vggt_sfm.tracking.linking import Observations
from vggt_sfm.tracking.matches import ReadImage

_logger = get_logger(__name__)

_WINDOW_PX = 15
_LARGEST_STEP = 2.0  # network px by which a position may move; farther is another point
_LARGEST_ROUND_TRIP_PX = 0.5
_GRID_PX = 16  # spacing at which the warp is computed, original px
_SMOOTHING = 0.08  # of the longer side, over which matches correct the predicted warp
_CONTRAST_PX = 17  # neighbourhood whose brightness and contrast are taken out
_CACHE_BYTES = 512 * 2**20


def refine_positions(
    observations: Observations,
    chosen: Bool,
    scene: Scene,
    guidance: Guidance,
    read_image: ReadImage,
    progress: Progress,
) -> tuple[Float64, int]:
    """Align every chosen observation's surroundings with those in the track's reference frame.

    The other photograph is warped into the reference by predicted depth and cameras, corrected
    by where the tracks say that points are, so that what remains is a small shift.

    Args:
        observations: All tracks.
        chosen: (M,) observations whose position may move.
        scene: Frames and their maps to network pixels.
        guidance: Predicted correspondence.
        read_image: Returns a frame's upright (H, W, 3) RGB pixels.
        progress: Counts pairs of frames.

    Returns:
        (M, 2) positions, original px, and how many were refined; where the photographs do not
        agree, the position stays.
    """
    xy = observations.xy.copy()
    reference = _reference_rows(observations)
    rows = np.flatnonzero(chosen & (reference != np.arange(len(xy))))
    frames = np.stack([observations.frame_index[reference[rows]], observations.frame_index[rows]])
    pairs, group = np.unique(frames, axis=1, return_inverse=True)
    order = np.argsort(group, kind="stable")
    limits = np.searchsorted(group[order], np.arange(pairs.shape[1] + 1))
    images = _Images(scene, read_image)
    refined = 0
    with progress.task("refine", pairs.shape[1]) as task:
        for p, (i, j) in enumerate(pairs.T.tolist()):
            mine = rows[order[limits[p] : limits[p + 1]]]
            warp = _Warp(
                guidance, (i, j), images(i).shape, observations.xy[reference[mine]], xy[mine]
            )
            scale = 1 / min(scene.pixel_maps[j].scale)
            found, good = _follow(
                images(i), images(j), warp, observations.xy[reference[mine]], xy[mine], scale
            )
            xy[mine[good]] = found[good]
            refined += int(good.sum())
            task.advance()
    return xy, refined


def _reference_rows(observations: Observations) -> Int64:
    """Return the (M,) row of each observation's reference: the middle one of its track."""
    first = np.searchsorted(observations.track_index, observations.track_index)
    last = np.searchsorted(observations.track_index, observations.track_index, side="right")
    return np.asarray((first + last - 1) // 2)


class _Images:
    """Grey photographs without differences of exposure, as many as fit."""

    def __init__(self, scene: Scene, read_image: ReadImage) -> None:
        self._frames = scene.frames
        self._read_image: Callable[..., UInt8] = read_image
        self._kept: dict[int, UInt8] = {}

    def __call__(self, s: int) -> UInt8:
        if s not in self._kept:
            image = _contrast(self._read_image(self._frames[s]))
            while self._kept and sum(k.nbytes for k in self._kept.values()) > _CACHE_BYTES:
                self._kept.pop(next(iter(self._kept)))
            self._kept[s] = image
        return self._kept[s]


def _contrast(image: UInt8) -> UInt8:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.blur(grey, (_CONTRAST_PX, _CONTRAST_PX))
    grey -= mean
    spread = np.sqrt(cv2.blur(grey * grey, (_CONTRAST_PX, _CONTRAST_PX)))
    # a floor of a few grey values, so that noise of blank walls does not become texture
    result: UInt8 = np.clip(grey / (spread + 4) * 50 + 128, 0, 255).astype(np.uint8)
    return result


class _Warp:
    """A smooth map from the pixels of frame i to those of frame j."""

    def __init__(
        self,
        guidance: Guidance,
        pair: tuple[int, int],
        shape: tuple[int, ...],
        xy_i: Float64,
        xy_j: Float64,
    ) -> None:
        height, width = shape
        i, j = pair
        self._shape = (height, width)
        columns, rows = -(-width // _GRID_PX) + 1, -(-height // _GRID_PX) + 1
        axes = np.linspace(0, width, columns), np.linspace(0, height, rows)
        self._step = np.array([axes[0][1], axes[1][1]])
        nodes = np.stack(np.meshgrid(*axes), axis=-1)
        inner = np.clip(nodes, 0.5, (width - 0.5, height - 0.5)).reshape(-1, 2)
        places = guidance.locate(guidance.lift(i, inner), j).reshape(nodes.shape)
        known = np.isfinite(places).all(axis=-1)
        offset = np.where(known[..., None], places - nodes, 0.0)
        self._places = nodes + _smooth(offset, known, 1.0)
        miss = xy_j - self(xy_i)
        total = np.zeros((*nodes.shape[:2], 2))
        count = np.zeros(nodes.shape[:2])
        cell = np.rint(xy_i / self._step).astype(np.int64)
        cell = np.clip(cell, 0, (columns - 1, rows - 1))
        np.add.at(total, (cell[:, 1], cell[:, 0]), miss)
        np.add.at(count, (cell[:, 1], cell[:, 0]), 1)
        sigma = max(1.0, _SMOOTHING * max(columns, rows))
        self._places = self._places + _spread(total, count, sigma)

    def __call__(self, xy: Float64) -> Float64:
        """Return where (n, 2) pixels of i go, px of j."""
        node = np.clip(xy / self._step, 0, np.array(self._places.shape[1::-1]) - 1.000001)
        corner = np.floor(node).astype(np.int64)
        f = node - corner
        x, y = corner.T
        p = self._places
        upper = p[y, x] * (1 - f[:, :1]) + p[y, x + 1] * f[:, :1]
        lower = p[y + 1, x] * (1 - f[:, :1]) + p[y + 1, x + 1] * f[:, :1]
        return np.asarray(upper * (1 - f[:, 1:]) + lower * f[:, 1:])

    def jacobian(self, xy: Float64) -> Float64:
        """Return the (n, 2, 2) derivative at (n, 2) pixels of i."""
        h = self._step / 2
        columns = [
            (self(xy + h * axis) - self(xy - h * axis)) / (2 * h @ axis) for axis in np.eye(2)
        ]
        return np.stack(columns, axis=-1)

    def image(self, image: UInt8) -> UInt8:
        """Return frame j as it looks from i."""
        height, width = self._shape
        ys = (np.arange(height) + 0.5) / self._step[1]
        xs = (np.arange(width) + 0.5) / self._step[0]
        nodes = np.stack(np.meshgrid(xs, ys), axis=-1).astype(np.float32)
        # OpenCV has the centre of the first pixel at 0
        places: Float32 = (self._places - 0.5).astype(np.float32)
        full = cv2.remap(places, nodes, None, cv2.INTER_LINEAR)
        return np.asarray(cv2.remap(image, full, None, cv2.INTER_LINEAR))


def _follow(
    image_i: UInt8, image_j: UInt8, warp: _Warp, xy_i: Float64, xy_j: Float64, scale: float
) -> tuple[Float64, Bool]:
    """Return the (n, 2) refined positions in j and which of them can be trusted."""
    warped = warp.image(image_j)
    jacobian = warp.jacobian(xy_i)
    regular = np.abs(np.linalg.det(jacobian)) > 0.05
    jacobian[~regular] = np.eye(2)
    start = xy_i + np.linalg.solve(jacobian, (xy_j - warp(xy_i))[..., None])[..., 0]
    points = (xy_i - 0.5).astype(np.float32)
    levels = int(np.clip(np.rint(np.log2(scale)), 0, 3))
    options = {
        "winSize": (_WINDOW_PX, _WINDOW_PX),
        "maxLevel": levels,
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
        "minEigThreshold": 1e-3,
    }
    there, ok, _ = cv2.calcOpticalFlowPyrLK(
        image_i, warped, points, (start - 0.5).astype(np.float32), **options
    )
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(warped, image_i, there, points.copy(), **options)
    round_trip = np.linalg.norm(back - points, axis=1)
    found = warp(there.astype(np.float64) + 0.5)
    moved = np.linalg.norm(found - xy_j, axis=1)
    good = (ok.ravel() > 0) & (ok_back.ravel() > 0) & regular
    good &= (round_trip <= _LARGEST_ROUND_TRIP_PX) & (moved <= _LARGEST_STEP * scale)
    return found, np.asarray(good)


def _smooth(values: Float64, known: Bool, sigma: float) -> Float64:
    return _spread(values * known[..., None], known.astype(np.float64), sigma)


def _spread(total: Float64, count: Float64, sigma: float) -> Float64:
    """Return weighted means around each node; far from everything, the overall mean."""
    if not count.any():
        return np.zeros_like(total)
    mean = total.sum(axis=(0, 1)) / count.sum()
    blurred = cv2.GaussianBlur(total - mean * count[..., None], (0, 0), sigma)
    weight = cv2.GaussianBlur(count, (0, 0), sigma)[..., None]
    return np.asarray(mean + blurred / (weight + 1e-3 * weight.max()))
