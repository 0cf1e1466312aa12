"""Keeps tracks off the pixels that masks forbid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.scene import Frame
from vggt_sfm.tracking.matches import VerifiedMatches

ReadMask = Callable[[Frame], Bool | None]
"""Returns a frame's upright (H, W) usable pixels; None where all of them are."""


def on_usable_pixels(xy: Float64, mask: Bool | None) -> Bool:
    """Tell which points lie on pixels that may be used.

    Args:
        xy: (K, 2) px; a point on or beyond the border belongs to the nearest pixel.
        mask: (H, W) usable pixels; None if all are.

    Returns:
        (K,) True for usable points.
    """
    if mask is None:
        return np.ones(len(xy), bool)
    column, row = np.floor(xy).astype(np.int64).T
    height, width = mask.shape
    return np.asarray(mask[row.clip(0, height - 1), column.clip(0, width - 1)])


def without_masked(
    verified: VerifiedMatches, frames: Sequence[Frame], read_mask: ReadMask
) -> VerifiedMatches:
    """Drop the matches that have a point on a masked pixel in either image.

    Args:
        verified: Matches of one source.
        frames: The S photographs.
        read_mask: Returns a frame's usable pixels.

    Returns:
        The other matches, of the pairs that still have any; keypoints keep their rows.
    """
    usable = [
        on_usable_pixels(xy, read_mask(frame) if len(xy) else None)
        for xy, frame in zip(verified.keypoints, frames, strict=True)
    ]
    if all(points.all() for points in usable):
        return verified
    kept = [
        rows[usable[i][rows[:, 0]] & usable[j][rows[:, 1]]]
        for (i, j), rows in zip(verified.pairs.tolist(), verified.matches, strict=True)
    ]
    filled = np.array([len(rows) > 0 for rows in kept], bool)
    return replace(
        verified,
        pairs=verified.pairs[filled],
        matches=tuple(rows for rows in kept if len(rows)),
    )
