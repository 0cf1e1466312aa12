"""Which photographs are matched."""

from __future__ import annotations

import numpy as np
import photos
import pytest

from vggt_sfm._checks import UInt8
from vggt_sfm._log import SilentProgress
from vggt_sfm.localizing.matching import match_new
from vggt_sfm.scene import Frame, Size
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.masks import no_mask

_VIEWS = photos.views(6, 160, 120)
_FRAMES = [
    Frame(name=str(n), path=f"/{n}", size=Size(160, 120), sha256="") for n in range(len(_VIEWS))
]


@pytest.fixture(scope="module")
def pictures() -> list[UInt8]:
    """Five views of the room, and noise in place of the third."""
    found = [photos.render(view) for view in _VIEWS]
    found[2] = np.random.default_rng(0).integers(0, 255, found[2].shape, dtype=np.uint8)
    return found


def _pairs(pictures: list[UInt8], neighbors: int) -> list[list[int]]:
    found = match_new(
        _FRAMES,
        4,
        neighbors,
        TrackConfig(feature_zoom=2.0),
        read_image=lambda frame: pictures[int(frame.name)],
        read_mask=no_mask,
        progress=SilentProgress(),
    )
    return found.pairs.tolist()  # type: ignore[no-any-return]


def test_new_photographs_are_matched_with_all_where_there_are_few(pictures: list[UInt8]) -> None:
    pairs = _pairs(pictures, 20)
    assert all(second >= 4 for _, second in pairs)
    assert [3, 4] in pairs
    assert [4, 5] in pairs
    assert not any(2 in pair for pair in pairs)


def test_of_many_the_likeliest_are_matched(pictures: list[UInt8]) -> None:
    pairs = _pairs(pictures, 2)
    assert not any(2 in pair for pair in pairs)
    for new in (4, 5):
        assert len([i for i, j in pairs if j == new and i < 4]) == 2
    assert [4, 5] in pairs
    assert [3, 5] in pairs
