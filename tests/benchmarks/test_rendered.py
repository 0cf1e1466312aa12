"""Rendered test scenes: which views they get, how they are kept, and what is measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from vggt_sfm.benchmarks import rendered
from vggt_sfm.benchmarks.rendered_measures import SceneMeasures, pose_errors
from vggt_sfm.benchmarks.rendered_photographs import (
    Shots,
    cut,
    is_written,
    read_photographs,
    write_photographs,
)
from vggt_sfm.benchmarks.rendered_tables import bars_table
from vggt_sfm.benchmarks.rendered_textures import HeldOut, held_out_textures
from vggt_sfm.benchmarks.rendered_views import (
    RenderedScene,
    all_scenes,
    draw_shots,
    moderate_pairs,
    mostly_moderate,
)
from vggt_sfm.benchmarks.two_views import reprojection_errors
from vggt_sfm.training.rendering.antialias import render_smooth
from vggt_sfm.training.rendering.render import render
from vggt_sfm.training.scenes.cameras import Cameras, look_at, random_cameras
from vggt_sfm.training.scenes.description import stack_scenes
from vggt_sfm.training.scenes.draw import random_scene
from vggt_sfm.training.seeds import FIRST_TEST_SEED, FIRST_VALIDATION_SEED
from vggt_sfm.training.textures import TextureBank, procedural_textures

SIDE = 64
# of the error of single rays; where colours are alike, single rays are kept
SMOOTHER = 0.7


@pytest.fixture(scope="module")
def textures() -> HeldOut:
    return HeldOut(procedural_textures(6, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def shots(textures: HeldOut) -> Shots:
    return draw_shots(RenderedScene(kind="clutter", number=0), textures.bank, views=3, width=SIDE)


def test_every_scene_has_a_seed_of_its_own_that_no_training_uses() -> None:
    scenes = all_scenes(6)
    seeds = {scene.seed for scene in scenes}
    assert len(seeds) == len(scenes) == 48
    assert min(seeds) >= FIRST_TEST_SEED > FIRST_VALIDATION_SEED
    assert len({scene.name for scene in scenes}) == 48


def test_smooth_edges_are_those_of_a_large_image_and_depth_is_at_pixel_centres(
    textures: HeldOut,
) -> None:
    rng = np.random.default_rng(1)
    scene, stage = random_scene(rng, textures.bank.count, "clutter")
    cameras = random_cameras(stage, 1, SIDE, rng)
    batch = stack_scenes([scene])
    pose, K = (
        torch.as_tensor(a[0], dtype=torch.float32)
        for a in (cameras.cam_from_world, cameras.intrinsics)
    )
    twice = torch.cat([2 * K[:2], K[2:]])
    large, _ = render(batch, textures.bank, pose[None, None], twice[None, None], 2 * SIDE, 2 * SIDE)
    wanted = large[0, 0].view(SIDE, 2, SIDE, 2, 3).mean((1, 3))
    single, depth = render(batch, textures.bank, pose[None, None], K[None, None], SIDE, SIDE)
    smooth, smooth_depth = render_smooth(batch, textures.bank, pose, K, SIDE, SIDE)
    error, usual = ((image - wanted).abs().mean() for image in (smooth, single[0, 0]))
    assert error < SMOOTHER * usual
    torch.testing.assert_close(smooth_depth, depth[0, 0])


def test_views_are_moderate_by_angle_and_by_the_smaller_overlap() -> None:
    eyes = [[0.0, 0, -1], [np.sin(0.5), 0, -np.cos(0.5)], [np.sin(1.2), 0, -np.cos(1.2)]]
    poses = np.stack([look_at(np.array(eye), np.zeros(3)) for eye in eyes])
    cameras = Cameras(style="", cam_from_world=poses, intrinsics=np.tile(np.eye(3), (3, 1, 1)))
    overlap = np.array([[1.0, 0.5, 0.5], [0.8, 1.0, 0.2], [0.5, 0.9, 1.0]])
    np.testing.assert_array_equal(
        moderate_pairs(cameras, overlap),
        [[False, True, False], [True, False, False], [False, False, False]],
    )


def test_a_set_of_views_grows_in_order_and_may_fail() -> None:
    moderate = np.ones((5, 5), bool)
    moderate[1, :] = moderate[:, 1] = False
    assert mostly_moderate(moderate, [1, 4, 0, 2, 3], 3) == [0, 2, 4]
    assert mostly_moderate(moderate, [1, 4, 0], 3) is None


def test_photographs_come_back_from_files_and_agree_with_each_other(
    shots: Shots, tmp_path: Path
) -> None:
    assert shots.color.shape == (3, 3, 48, SIDE)
    assert not is_written(tmp_path / "scene")
    write_photographs(tmp_path / "scene", shots)
    assert is_written(tmp_path / "scene")
    found = read_photographs(tmp_path / "scene")
    np.testing.assert_array_equal(found.cam_from_world, shots.cameras.cam_from_world)
    assert found.scene.frames[0].focal_prior_px is None
    depth = found.depth(1)
    assert depth is not None
    np.testing.assert_allclose(depth, shots.depth[1].numpy(), atol=6e-4)
    # a pixel centre of the first view is where its depth says in the second
    xy = np.array([[30.5, 20.5, 0.0, 0.0]])
    assert np.isfinite(reprojection_errors(found.view(0), found.view(1), xy)).all()


def test_lenses_are_told_apart_without_their_focal_lengths(shots: Shots, tmp_path: Path) -> None:
    K = shots.cameras.intrinsics.copy()
    K[2, :2] *= 1.5
    cameras = Cameras(style="", cam_from_world=shots.cameras.cam_from_world, intrinsics=K)
    zoomed = Shots(color=shots.color, depth=shots.depth, cameras=cameras)
    frames = write_photographs(tmp_path / "scene", zoomed).scene.frames
    assert frames[0].camera_key == frames[1].camera_key != frames[2].camera_key
    assert all(frame.focal_prior_px is None for frame in frames)


def test_cutting_keeps_the_middle() -> None:
    K = np.array([[[50.0, 0, 32], [0, 50, 30], [0, 0, 1]]])
    cameras = Cameras(style="", cam_from_world=np.eye(3, 4)[None], intrinsics=K)
    np.testing.assert_array_equal(cut(cameras, 64).intrinsics[0, :2, 2], [32, 22])


def test_textures_of_a_pool_are_what_it_held_out(tmp_path: Path) -> None:
    arrays = {name: procedural_textures(9, np.random.default_rng(s)) for s, name in enumerate("ab")}
    np.savez(tmp_path / "pool.npz", train=arrays["a"], held_out=arrays["b"])
    pool = held_out_textures(None, tmp_path / "pool.npz")
    np.testing.assert_array_equal(pool.textures, arrays["b"])
    assert pool.key == HeldOut(arrays["b"]).key != HeldOut(arrays["a"]).key


def test_poses_are_judged_with_the_sign_of_the_direction_and_without() -> None:
    truth = np.stack([np.eye(3, 4), np.eye(3, 4)])
    truth[1, 0, 3] = 1
    found = truth.copy()
    found[1, 0, 3] = -1
    assert pose_errors(found, truth) == ([180.0], [0.0])
    assert pose_errors(np.full_like(truth, np.nan), truth) == ([180.0], [180.0])


def test_bars_are_those_of_all_scenes() -> None:
    good = SceneMeasures(
        kind="room", number=0, exact_deg=[0.0], folded_deg=[0.0], focal_percent=[1.0],
        delta=95.0, abs_rel=0.1, pairs=[],
    )  # fmt: skip
    text = bars_table([good])
    assert "≥ 75: met" in text
    assert "≥ 85: met" in text
    assert "≤ 8: met" in text


def test_two_small_scenes_end_in_tables_and_are_not_rendered_again(
    textures: HeldOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = [RenderedScene(kind=kind, number=0) for kind in ("clutter", "room")]
    drawn = []

    def draw(chosen: RenderedScene, bank: TextureBank) -> Shots:
        drawn.append(chosen)
        return draw_shots(chosen, bank, views=3, width=SIDE)

    monkeypatch.setattr(rendered, "all_scenes", lambda each: scenes)
    monkeypatch.setattr(rendered, "held_out_textures", lambda folder, file: textures)
    monkeypatch.setattr(rendered, "draw_shots", draw)
    for _ in range(2):
        done = CliRunner().invoke(rendered.main, ["-o", str(tmp_path)], catch_exceptions=False)
    assert drawn == scenes
    assert "| all | 2 |" in done.stdout
    assert "SIFT two-view" in done.stdout
    found = json.loads((tmp_path / "results.json").read_text())
    assert [len(scene["exact_deg"]) for scene in found["scenes"]] == [3, 3]
    assert [len(scene["pairs"]) for scene in found["scenes"]] == [1, 1]
