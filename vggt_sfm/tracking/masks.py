"""Keeps tracks off the pixels that masks forbid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Bool, Float64
from vggt_sfm.scene import Frame, Matches, Scene
from vggt_sfm.tracking.matches import VerifiedMatches

ReadMask = Callable[[Frame], Bool | None]
"""Returns a frame's upright (H, W) usable pixels; None where all of them are."""


def no_mask(frame: Frame) -> None:
    """Say that all pixels of a frame may be used."""


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
    height, width = mask.shape
    pixel = np.clip(np.floor(np.nan_to_num(xy, nan=-1.0)), 0, (width - 1, height - 1))
    column, row = pixel.astype(np.int64).T
    return np.asarray(mask[row, column])


def usable_matches(matches: Matches, scene: Scene, read_mask: ReadMask) -> Matches:
    """Drop the network's matches that have a point on a masked pixel in either image.

    They must not vote: what is masked may move in another way than what is not.

    Args:
        matches: In network pixels.
        scene: Frames and their maps to network pixels.
        read_mask: Returns a frame's usable pixels.

    Returns:
        The other matches, of the same pairs.
    """
    frames = np.repeat(matches.pairs, np.diff(matches.offsets), axis=0)
    keep = np.ones(len(frames), bool)
    for s, (frame, pixel_map) in enumerate(zip(scene.frames, scene.pixel_maps, strict=True)):
        mask = read_mask(frame) if (frames == s).any() else None
        for end in (0, 1) if mask is not None else ():
            rows = np.flatnonzero(frames[:, end] == s)
            xy = matches.xy[rows, 2 * end : 2 * end + 2].astype(np.float64)
            keep[rows] &= on_usable_pixels(pixel_map.to_original(xy), mask)
    if keep.all():
        return matches
    return Matches(
        pairs=matches.pairs,
        offsets=np.concatenate([[0], np.cumsum(keep)])[matches.offsets],
        xy=matches.xy[keep],
        confidence=matches.confidence[keep],
    )


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
