"""Poses that point the other way, or have other axes, are noticed by depth that does not agree."""

from __future__ import annotations

from collections.abc import Callable

import brought
import numpy as np
import photos
import pytest

from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.inference.readings import doubt
from vggt_sfm.scene import Predictions

OPENGL = np.diag([1.0, -1.0, -1.0])


def _predictions(count: int, spread: float = 0.0, **changes: np.ndarray) -> Predictions:
    """The room, with noise in its depth of this relative size."""
    said = {**brought.predicted(photos.views(count), rotation_deg=0.5), **changes}
    noise = np.random.default_rng(1).normal(0, spread, said["depth"].shape)
    return Predictions(
        cam_from_world=said["cam_from_world"],
        intrinsics=said["intrinsics"],
        depth=(said["depth"] * np.exp(noise)).astype(np.float32),
        depth_confidence=np.ones(said["depth"].shape, np.float32),
        camera_sources=("test",) * count,
    )


@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_right_poses_are_believed(count: int, spread: float) -> None:
    assert doubt(_predictions(count, spread)) is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (invert, r"world_from_cam \(camera to world\): .* invert it"),
        (lambda poses: OPENGL @ poses, r"OpenGL's axes .*multiply it .* from the left"),
        (
            lambda poses: invert(OPENGL @ poses),
            r"world_from_cam .* with OpenGL's axes .* from the right, then invert it",
        ),
    ],
)
@pytest.mark.parametrize("count", [5, 20])
def test_other_conventions_are_named(
    written: Callable[[np.ndarray], np.ndarray], words: str, count: int
) -> None:
    right = _predictions(count).cam_from_world
    wrong = _predictions(count, 0.03, cam_from_world=written(right))
    with pytest.raises(InputError, match=rf"cam_from_world looks like .*{words}") as caught:
        doubt(wrong)
    assert "\n" not in str(caught.value)


def test_the_advice_gives_the_right_poses() -> None:
    right = _predictions(5).cam_from_world
    square = np.tile(np.eye(4), (5, 1, 1))
    square[:, :3] = invert(OPENGL @ right)
    mended = np.linalg.inv(square @ np.diag([1, -1, -1, 1]))[:, :3]
    np.testing.assert_allclose(mended, right, atol=1e-12)


def test_what_agrees_under_no_reading_is_only_remarked() -> None:
    far = _predictions(5).cam_from_world * ([1.0] * 3 + [40.0])  # not of depth's units
    remark = doubt(_predictions(5, cam_from_world=far))
    assert remark is not None
    assert "may not belong together" in remark
