"""Positions are turned like the pixels of an image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vggt_sfm.geometry.orientation import turn_points
from vggt_sfm.io.images import turned


@pytest.mark.parametrize("orientation", range(1, 9))
def test_positions_stay_on_their_pixels(orientation: int) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    upright = np.asarray(turned(Image.fromarray(pixels), orientation))
    column, row = np.meshgrid(np.arange(4), np.arange(3))
    xy = turn_points(np.stack([column, row], axis=-1) + 0.5, (4, 3), orientation)
    assert (xy % 1 == 0.5).all()
    x, y = np.moveaxis(xy.astype(int), -1, 0)
    np.testing.assert_array_equal(upright[y, x], pixels)
