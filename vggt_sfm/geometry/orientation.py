"""Positions in a photograph as it lies in its file, and as it looks upright."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64


def turn_points(xy: Float64, size: tuple[int, int], orientation: int) -> Float64:
    """Turn positions the way an image is turned that is to be looked at.

    Args:
        xy: (…, 2) px of the image in its file, corner origin.
        size: Width and height of the image in its file, px.
        orientation: 1 to 8 as in the EXIF standard; 1 is upright.

    Returns:
        (…, 2) px of the upright image.
    """
    x, y = xy[..., 0], xy[..., 1]
    right, below = size[0] - x, size[1] - y  # distances from the other two borders
    turned = {
        1: (x, y),
        2: (right, y),
        3: (right, below),
        4: (x, below),
        5: (y, x),
        6: (below, x),
        7: (below, right),
        8: (y, right),
    }
    return np.stack(turned[orientation], axis=-1)
