"""Which photos and which of their pixels a point tracker is asked about."""

from __future__ import annotations

import cv2
import numpy as np

from vggt_sfm._checks import Float32, Float64, Int64

_LEAST_CONTRAST = 0.01  # a quarter of SIFT's own: a faint keypoint is better than none


def frame_similarity(descriptors: Float32) -> Float64:
    """Compare frames by what a network says about each as a whole.

    Args:
        descriptors: (S, D) one vector a frame.

    Returns:
        (S, S) cosines after the part that all frames have in common is taken away.
    """
    centred = descriptors.astype(np.float64) - descriptors.mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(length > 0, length, 1)
    return np.asarray(unit @ unit.T)


def choose_query_frames(similarity: Float64, count: int) -> Int64:
    """Choose frames that together show the most of a scene.

    The first is the one most like all others; each next one is the least like those chosen.

    Args:
        similarity: (S, S) as from ``frame_similarity``.
        count: How many; all frames if there are fewer.

    Returns:
        (Q,) frame indices in the order of choice.
    """
    chosen = [int(similarity.sum(axis=1).argmax())]
    while len(chosen) < min(count, len(similarity)):
        likeness = similarity[:, chosen].max(axis=1)
        likeness[chosen] = np.inf
        chosen.append(int(likeness.argmin()))
    return np.array(chosen, np.int64)


def frames_to_follow(similarity: Float64, query: int, most: int) -> Int64:
    """Return a frame, then the up to ``most`` others that are most like it, ascending."""
    order = np.argsort(-similarity[query], kind="stable")
    others = np.sort(order[order != query][:most])
    return np.concatenate([[query], others]).astype(np.int64)


def choose_points(
    image: Float32, box: tuple[int, int, int, int], count: int, taken: Float64
) -> Float64:
    """Choose points of an image, spread evenly, at SIFT keypoints where there are any.

    Args:
        image: (3, H, W) RGB in [0, 1].
        box: The part to choose from: x0, y0, x1, y1 px, the last two excluded.
        count: About how many; one for each cell of a grid of as many cells.
        taken: (n, 2) px of points that are known already; their cells get none.

    Returns:
        (m, 2) px, corner origin; the strongest keypoint of a cell, or its centre.
    """
    x0, y0, x1, y1 = box
    side = max(1.0, np.sqrt((x1 - x0) * (y1 - y0) / count))
    columns, rows = max(1, int((x1 - x0) / side)), max(1, int((y1 - y0) / side))
    step = np.array([(x1 - x0) / columns, (y1 - y0) / rows])
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    points = (grid + 0.5) * step + (x0, y0)

    def cells(xy: Float64) -> tuple[Float64, Int64]:
        """Return the points that lie in the box, and the number of each one's cell."""
        cell = np.floor((xy - (x0, y0)) / step)
        inside = (cell >= 0).all(axis=1) & (cell < (columns, rows)).all(axis=1)
        column, row = cell[inside].astype(np.int64).T
        return xy[inside], row * columns + column

    keypoints, cell = cells(_keypoints(image))
    points[cell] = keypoints  # strongest last, so that it is what remains
    return np.delete(points, np.unique(cells(taken)[1]), axis=0)


def _keypoints(image: Float32) -> Float64:
    """Return (n, 2) SIFT keypoints, px, corner origin, weakest first."""
    grey = cv2.cvtColor(np.ascontiguousarray(image.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    sift = cv2.SIFT.create(contrastThreshold=_LEAST_CONTRAST)
    found = sift.detect(np.rint(grey * 255).clip(0, 255).astype(np.uint8), None)
    found = sorted(found, key=lambda keypoint: (keypoint.response, keypoint.pt))
    # OpenCV has the centre of the first pixel at 0. (Its keypoints are a quarter of a pixel off,
    # which is no harm: a point is what lies where it is asked for.)
    return np.array([keypoint.pt for keypoint in found], np.float64).reshape(-1, 2) + 0.5
