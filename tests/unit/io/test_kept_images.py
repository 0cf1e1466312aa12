"""Photographs are decoded once, as far as memory allows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic import plain_scene

from vggt_sfm.io import kept_images
from vggt_sfm.io.kept_images import KeptImages
from vggt_sfm.scene import Frame, Size


@pytest.fixture
def frames(tmp_path: Path) -> list[Frame]:
    found = []
    for s, frame in enumerate(plain_scene(3, Size(8, 6)).frames):
        Image.new("RGB", (8, 6), (s, 0, 0)).save(tmp_path / f"{s}.png")
        found.append(replace(frame, path=str(tmp_path / f"{s}.png")))
    return found


def test_the_first_ones_stay(frames: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    plain = kept_images.read_upright
    monkeypatch.setattr(kept_images, "read_upright", lambda p: decoded.append(p) or plain(p))
    read = KeptImages(most_bytes=2 * 8 * 6 * 3)
    for _ in range(3):
        for s, frame in enumerate(frames):
            assert (read(frame)[..., 0] == s).all()
    assert [decoded.count(frame.path) for frame in frames] == [1, 1, 3]


def test_nobody_can_change_what_others_see(frames: list[Frame]) -> None:
    image = KeptImages()(frames[0])
    with pytest.raises(ValueError, match="read-only"):
        image[:] = 1
    assert image.dtype == np.uint8
