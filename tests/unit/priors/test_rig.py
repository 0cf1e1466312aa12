"""What a rig_config.json, or a model, says of cameras that are fixed to each other."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rigged import rigged
from synthetic import plain_scene

from vggt_sfm.ba.knowledge import KnownRig, KnownSensor
from vggt_sfm.errors import InputError
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.priors.rig import known_rigs, rigs_of_model
from vggt_sfm.scene import Frame, Size

LEFT = {"image_prefix": "left/", "ref_sensor": True}
RIGHT = {
    "image_prefix": "right/",
    "cam_from_rig_rotation": [np.sqrt(0.5), 0, 0, -np.sqrt(0.5)],
    "cam_from_rig_translation": [0.5, 0, 0],
}


def frames(*names: str) -> tuple[Frame, ...]:
    scene = plain_scene(len(names), Size(8, 6))
    return tuple(replace(f, name=n) for f, n in zip(scene.frames, names, strict=True))


def write(path: Path, *rigs: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps([{"cameras": cameras} for cameras in rigs]))
    return path


PHOTOS = frames("left/1", "left/2", "other/1", "right/2", "right/3", "right/up/2", "up")


def test_photographs_of_equal_names_are_of_one_moment(tmp_path: Path) -> None:
    path = write(tmp_path / "rig.json", [RIGHT, LEFT, {"image_prefix": "right/up/"}])
    (rig,) = known_rigs(path, PHOTOS)
    assert [sensor.name for sensor in rig.sensors] == ["left/", "right/", "right/up/"]
    assert rig.moments == (
        ("left/1", None, None),
        ("left/2", "right/2", "right/up/2"),
        (None, "right/3", None),
    )
    pose = [[0, 1, 0, 0.5], [-1, 0, 0, 0], [0, 0, 1, 0]]
    assert rig.sensors[0].cam_from_rig is None
    np.testing.assert_allclose(rig.sensors[1].cam_from_rig, pose, atol=1e-12)
    assert rig.sensors[2].cam_from_rig is None
    assert from_plain(KnownRig, json.loads(json.dumps(to_plain(rig)))) == rig


def test_nothing_is_held_without_two_cameras_at_one_moment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert known_rigs(None, PHOTOS) == ()
    assert known_rigs(write(tmp_path / "one.json", [LEFT]), PHOTOS) == ()
    assert not caplog.records
    apart = frames("left/1", "right/2")
    with caplog.at_level(logging.WARNING):
        assert known_rigs(write(tmp_path / "two.json", [LEFT, RIGHT]), apart) == ()
    assert "no two photographs have the same name after left/ and right/" in caplog.text


@pytest.mark.parametrize(
    ("rigs", "message"),
    [
        (
            [[LEFT, {"image_prefix": "down/"}]],
            "no photograph begins with down/; the first is left/1",
        ),
        ([[LEFT], [LEFT, RIGHT]], "two of its cameras have the image_prefix 'left/'"),
        (
            [[LEFT, {**RIGHT, "cam_from_rig_rotation": [0, 0, 0, 0]}]],
            "cam_from_rig of right/ is no pose: its quaternion has length 0,",
        ),
        ([[RIGHT]], "not a COLMAP rig_config.json: .* one reference sensor"),
    ],
)
def test_a_file_that_does_not_fit_is_told_in_one_line(
    rigs: list[list[dict[str, Any]]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"^--rig .*rig\.json: .*{message}"):
        known_rigs(write(tmp_path / "rig.json", *rigs), PHOTOS)


def test_a_camera_without_images_that_are_placed_is_in_no_rig_of_a_model() -> None:
    model = rigged(moments=2, points=20)
    for frame_id in sorted(model.frames):
        model.deregister_frame(frame_id)
    assert rigs_of_model(model) == ()


def test_rigs_of_a_model_are_known_but_for_where_they_are_fixed() -> None:
    (rig,) = rigs_of_model(rigged(moments=2, points=20))
    assert rig == KnownRig(
        sensors=(KnownSensor(name="camera 7"), KnownSensor(name="camera 8")),
        moments=(("cam0/0.jpg", "cam1/0.jpg"), ("cam0/1.jpg", "cam1/1.jpg")),
    )
