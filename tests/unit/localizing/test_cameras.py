"""Which cameras a new photograph may have been taken with."""

from __future__ import annotations

from dataclasses import replace

import foreign
import pycolmap
import pytest

from vggt_sfm.localizing.cameras import Cameras
from vggt_sfm.scene import Frame, Size

_PHONE = Frame(
    name="a.jpg",
    path="/a.jpg",
    size=Size(160, 120),
    sha256="",
    camera_key="160x120 Maker Phone 4mm",
    focal_prior_px=150.0,
)


def _unnamed(name: str, size: Size = _PHONE.size) -> Frame:
    key = f"{size.width}x{size.height}"
    return replace(_PHONE, name=name, size=size, camera_key=key, focal_prior_px=None)


def _model(cameras: int) -> pycolmap.Reconstruction:
    """Two images, of one camera or of two."""
    lenses = [foreign.camera("PINHOLE", camera_id=n + 1) for n in range(cameras)]
    return foreign.made_model(["a.jpg", "b.jpg"], lenses, foreign.poses(2), (0, 0)).model


def test_the_only_camera_of_its_kind_is_shared_and_held() -> None:
    model = _model(1)
    lenses = Cameras(model, {1: _PHONE, 2: _PHONE}, [_PHONE]).lenses(_PHONE)
    assert [lens.refine for lens in lenses] == [False, True, True]
    assert lenses[0].camera.camera_id == 1
    assert lenses[1].camera.params[0] == 150  # then what EXIF says
    assert [lens.estimate_focal for lens in lenses] == [False, False, True]


@pytest.mark.parametrize(
    "other",
    [
        replace(_PHONE, camera_key="160x120 Maker Phone 7mm"),
        replace(_PHONE, camera_key="120x160 Maker Phone 4mm", size=Size(120, 160)),
        _unnamed("x.jpg"),
    ],
)
def test_another_camera_is_not_shared(other: Frame) -> None:
    lenses = Cameras(_model(1), {1: _PHONE, 2: _PHONE}, [other]).lenses(other)
    assert all(lens.refine for lens in lenses)


def test_several_cameras_of_a_kind_tell_a_focal_length() -> None:
    model = _model(2)
    model.camera(1).params = [100, 100, 80, 60]
    model.camera(2).params = [140, 140, 80, 60]
    lenses = Cameras(model, {1: _PHONE, 2: _PHONE}, [_PHONE]).lenses(_PHONE)
    assert [lens.refine for lens in lenses] == [True, True]
    assert lenses[0].camera.params[0] == 120
    assert not model.exists_camera(lenses[0].camera.camera_id)


def test_unnamed_cameras_of_one_size_are_one_and_of_several_none() -> None:
    model, new = _model(1), _unnamed("new.jpg")
    one = {1: _unnamed("a.jpg"), 2: _unnamed("b.jpg")}
    assert not Cameras(model, one, [new]).lenses(new)[0].refine
    several = {1: _unnamed("a.jpg"), 2: _unnamed("b.jpg", Size(200, 120))}
    assert Cameras(model, several, [new]).lenses(new)[0].refine


def test_new_photographs_share_with_one_another() -> None:
    tele = replace(_PHONE, camera_key="160x120 Maker Phone 7mm")
    cameras = Cameras(_model(1), {1: _PHONE}, [tele, tele])
    own = cameras.lenses(tele)[0].camera
    own.camera_id = 2
    cameras.add(tele, own)
    again = cameras.lenses(tele)[0]
    assert again.camera.camera_id == 2
    assert not again.refine
