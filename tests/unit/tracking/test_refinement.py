"""Positions that were disturbed come back where two photographs agree."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from synthetic import plain_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.scene import Frame, Predictions, Size
from vggt_sfm.tracking.guidance import Guidance
from vggt_sfm.tracking.linking import Observations
from vggt_sfm.tracking.refinement import refine_positions

Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Int64 = NDArray[np.int64]
DEPTH = 5.0
WARPS = {
    "shift": ((0.0, 0.0, 0.0), (0.2, -0.1, 0.0)),
    "turn": ((0.0, 0.0, 12.0), (0.1, 0.1, 0.0)),
    "zoom": ((0.0, 0.0, 0.0), (0.0, 0.0, -0.8)),
    "slant": ((4.0, 14.0, 3.0), (-1.2, 0.3, 0.0)),
}


class Wall(NamedTuple):
    """Two photographs of a flat wall, the first one straight ahead, and their cameras."""

    images: list[UInt8]
    predictions: Predictions
    size: Size

    def refine(self, xy: Float64, reach_px: Float64) -> tuple[Float64, Int64]:
        """Refine (n, 2, 2) positions in both frames."""
        scene = plain_scene(2, self.size)
        count = len(xy)
        observations = Observations(
            np.repeat(np.arange(count), 2),
            np.tile([0, 1], count),
            xy.reshape(-1, 2),
            np.zeros(2 * count, np.uint8),
        )
        guidance = Guidance(scene, self.predictions)

        def read_image(frame: Frame) -> UInt8:
            return self.images[int(frame.name[:3])]

        found, rows = refine_positions(
            observations, reach_px, scene, guidance, read_image, SilentProgress()
        )
        return found.reshape(-1, 2, 2), rows

    def points(self, count: int, seed: int = 0, border: float = 30) -> Float64:
        """Draw (n, 2, 2) true positions away from the borders of both frames."""
        rng = np.random.default_rng(seed)
        first = rng.uniform(border, np.array(self.size) - border, (count, 2))
        guidance = Guidance(plain_scene(2, self.size), self.predictions)
        second = guidance.locate(guidance.lift(0, first), 1)
        inside = ((second > border) & (second < np.array(self.size) - border)).all(axis=1)
        assert inside.sum() > count / 4
        return np.stack([first, second], axis=1)[inside]


def wall(warp: str = "shift", size: Size = Size(480, 360)) -> Wall:  # noqa: B008  (a tuple)
    angles, shift = WARPS[warp]
    focal = float(size.width)
    K = np.array([[focal, 0, size.width / 2], [0, focal, size.height / 2], [0, 0, 1]])
    R = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (size.height, size.width, 3)), (0, 0), 1.5)
    first = np.clip((texture - 127) * 4 + 127, 0, 255).astype(np.float32)
    # the plane at DEPTH makes the one a homography of the other
    H = K @ (R + np.outer(shift, [0, 0, 1 / DEPTH])) @ np.linalg.inv(K)
    x, y = np.meshgrid(np.arange(size.width) + 0.5, np.arange(size.height) + 0.5)
    there = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(H).T
    column, row = (there[..., :2] / there[..., 2:] - 0.5).astype(np.float32).transpose(2, 0, 1)
    second = cv2.remap(first, column.copy(), row.copy(), cv2.INTER_CUBIC)
    predictions = Predictions(
        cam_from_world=np.stack([np.eye(3, 4), np.column_stack([R, shift])]),
        intrinsics=np.tile(np.diag([0.5, 0.5, 1]) @ K, (2, 1, 1)),
        depth=np.full((2, size.height // 2, size.width // 2), DEPTH, np.float32),
        depth_confidence=np.ones((2, size.height // 2, size.width // 2), np.float32),
        camera_sources=("test",) * 2,
    )
    images = [np.clip(np.rint(image), 0, 255).astype(np.uint8) for image in (first, second)]
    return Wall(images, predictions, size)


def disturbed(true: Float64, most_px: float) -> Float64:
    xy = true.copy()
    xy[:, 1] += np.random.default_rng(5).uniform(-most_px, most_px, (len(xy), 2)) / np.sqrt(2)
    return xy


def errors(xy: Float64, true: Float64) -> Float64:
    return np.asarray(np.linalg.norm(xy[:, 1] - true[:, 1], axis=1))


@pytest.mark.parametrize("warp", list(WARPS))
def test_disturbed_positions_come_back(warp: str) -> None:
    photographs = wall(warp)
    true = photographs.points(300)
    start = disturbed(true, 2.0)
    found, rows = photographs.refine(start, np.full(2 * len(true), 3.0))
    assert errors(start, true).mean() > 0.9
    assert len(rows) > 0.9 * len(true)
    assert (rows % 2 == 1).all()
    refined = rows // 2
    assert errors(found, true)[refined].mean() < 0.1
    assert errors(found, true).mean() < 0.15
    # the reference of each track stays
    np.testing.assert_array_equal(found[:, 0], start[:, 0])


def test_positions_that_are_right_stay_right() -> None:
    photographs = wall("slant")
    true = photographs.points(300)
    found, _ = photographs.refine(true, np.full(2 * len(true), 3.0))
    assert errors(found, true).mean() < 0.1


def test_exposure_does_not_matter() -> None:
    photographs = wall("turn")
    true = photographs.points(300)
    start = disturbed(true, 2.0)
    first, second = photographs.images
    darker = (second * 0.5 + 20).astype(np.uint8)
    found, rows = photographs._replace(images=[first, darker]).refine(
        start, np.full(2 * len(true), 3.0)
    )
    assert len(rows) > 0.9 * len(true)
    assert errors(found, true).mean() < 0.15


@pytest.mark.parametrize("second", ["flat", "other"])
def test_where_photographs_do_not_agree_positions_stay(second: str) -> None:
    photographs = wall()
    true = photographs.points(200)
    start = disturbed(true, 2.0)
    other = {
        "flat": np.full_like(photographs.images[1], 90),
        "other": wall("slant").images[1][::-1],
    }
    reach = np.full(2 * len(true), 3.0)
    images = [photographs.images[0], np.ascontiguousarray(other[second])]
    found, rows = photographs._replace(images=images).refine(start, reach)
    assert len(rows) < 0.1 * len(true)
    still = np.setdiff1d(np.arange(2 * len(true)), rows)
    np.testing.assert_array_equal(found.reshape(-1, 2)[still], start.reshape(-1, 2)[still])
    flat = [np.full_like(image, 90) for image in images]
    found, rows = photographs._replace(images=flat).refine(start, reach)
    assert not len(rows)
    np.testing.assert_array_equal(found, start)


def test_no_position_moves_beyond_its_reach() -> None:
    photographs = wall()
    true = photographs.points(200)
    start = disturbed(true, 2.0)
    reach = np.tile([0.0, 0.7], (len(true), 1))
    reach[::2] = 0
    found, rows = photographs.refine(start, reach.ravel())
    moved = np.linalg.norm(found - start, axis=2)
    assert (moved <= reach).all()
    assert (moved[1::2, 1] > 0).any()
    assert (rows // 2 % 2 == 1).all()


def test_large_photographs_are_refined_from_coarse_to_fine() -> None:
    photographs = wall("turn", Size(1300, 900))
    true = photographs.points(150, border=60)
    start = disturbed(true, 9.0)
    found, rows = photographs.refine(start, np.full(2 * len(true), 12.0))
    assert np.median(errors(start, true)) > 4
    assert len(rows) > 0.7 * len(true)
    assert np.median(errors(found, true)) < 0.1


def test_windows_that_leave_a_photograph_are_not_compared() -> None:
    photographs = wall()
    first = np.array([[3.0, 180.0], [476.0, 180.0], [240.0, 4.0], [240.0, 357.0], [240.0, 180.0]])
    guidance = Guidance(plain_scene(2, photographs.size), photographs.predictions)
    second = guidance.locate(guidance.lift(0, first), 1)
    _, rows = photographs.refine(np.stack([first, second], axis=1), np.full(10, 3.0))
    np.testing.assert_array_equal(rows, [9])


def test_without_depth_nothing_is_refined() -> None:
    photographs = wall()
    predictions = photographs.predictions
    blind = Predictions(
        cam_from_world=predictions.cam_from_world,
        intrinsics=predictions.intrinsics,
        depth=np.zeros_like(predictions.depth),
        depth_confidence=predictions.depth_confidence,
        camera_sources=predictions.camera_sources,
    )
    xy = photographs.points(50)
    found, rows = photographs._replace(predictions=blind).refine(xy, np.full(2 * len(xy), 3.0))
    assert not len(rows)
    np.testing.assert_array_equal(found, xy)


def test_no_tracks_and_tiny_photographs() -> None:
    photographs = wall()
    found, rows = photographs.refine(np.empty((0, 2, 2)), np.empty(0))
    assert found.shape == (0, 2, 2)
    assert not len(rows)
    tiny = Wall(
        [np.zeros((2, 2, 3), np.uint8)] * 2,
        Predictions(
            cam_from_world=np.tile(np.eye(3, 4), (2, 1, 1)),
            intrinsics=np.tile(np.eye(3), (2, 1, 1)),
            depth=np.ones((2, 1, 1), np.float32),
            depth_confidence=np.ones((2, 1, 1), np.float32),
            camera_sources=("test",) * 2,
        ),
        Size(2, 2),
    )
    assert not len(tiny.refine(np.ones((3, 2, 2)), np.full(6, 3.0))[1])


def test_photographs_are_forgotten_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    photographs = wall()
    xy = disturbed(photographs.points(40), 1.0)
    plenty, _ = photographs.refine(xy, np.full(2 * len(xy), 3.0))
    monkeypatch.setattr("vggt_sfm.tracking.refinement._CACHE_BYTES", 1)
    short, _ = photographs.refine(xy, np.full(2 * len(xy), 3.0))
    np.testing.assert_array_equal(plenty, short)
