"""The renderer's depth and colours agree with geometry done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vggt_sfm.geometry.cameras import project, unproject
from vggt_sfm.training.pool import PairBatch, draw_pairs, render_shard, warp
from vggt_sfm.training.render import render
from vggt_sfm.training.scenes import (
    BOXES,
    SceneDescription,
    look_at,
    random_cameras,
    random_scene,
    stack_scenes,
)
from vggt_sfm.training.textures import SIDE, TextureBank, procedural_textures

# of the difference between unrelated places: textures are blurred differently in both views
SAME_COLOR_SHARE = 0.35


@pytest.fixture(scope="module")
def bank() -> TextureBank:
    return TextureBank(procedural_textures(8, np.random.default_rng(0)))


def lonely(slot: int, center: list[float], half: list[float]) -> SceneDescription:
    """A scene with one solid in front of an open sky."""
    scene = random_scene(np.random.default_rng(0), 8)
    centers = np.full_like(scene.center, 1e6)
    halves = np.full_like(scene.half, 0.01)
    centers[0], halves[0] = 0, 100
    centers[slot], halves[slot] = center, half
    return SceneDescription(
        center=centers,
        half=halves,
        rotation=np.tile(np.eye(3), (len(centers), 1, 1)),
        texture=scene.texture,
        repeat=np.full(len(centers), 0.5),
        specular=np.zeros(len(centers)),
        light=scene.light,
        ambient=1.0,
        open_sky=True,
    )


def depth_of(scene: SceneDescription, bank: TextureBank, K: np.ndarray) -> np.ndarray:
    pose = torch.eye(3, 4)[None, None]
    _, depth = render(
        stack_scenes([scene]), bank, pose, torch.as_tensor(K).float()[None, None], 32, 48
    )
    return depth[0, 0].numpy()


K = np.array([[40.0, 0, 24], [0, 40, 16], [0, 0, 1]])


def test_a_wall_has_constant_depth_where_it_is_and_none_beside(bank: TextureBank) -> None:
    depth = depth_of(lonely(1, [0, 0, 5], [1, 1, 1]), bank, K)
    x = (np.arange(48) + 0.5 - 24) / 40 * 4
    y = (np.arange(32) + 0.5 - 16) / 40 * 4
    wall = (np.abs(y) < 1)[:, None] & (np.abs(x) < 1)[None]
    np.testing.assert_allclose(depth[wall], 4.0, atol=1e-4)
    assert np.all(depth[~wall] == 0)


def test_a_sphere_has_the_depth_of_the_quadratic_formula(bank: TextureBank) -> None:
    depth = depth_of(lonely(BOXES, [0, 0, 5], [1, 1, 1]), bank, K)
    for row, column in ((16, 24), (12, 20), (20, 30)):
        ray = np.array([(column + 0.5 - 24) / 40, (row + 0.5 - 16) / 40, 1])
        a, b, c = ray @ ray, -2 * ray[2] * 5, 24
        expected = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
        assert depth[row, column] == pytest.approx(expected, abs=1e-4)


def test_look_at_puts_the_target_on_the_optical_axis() -> None:
    eye, target = np.array([1.0, -2, 0.5]), np.array([3.0, 0, 4])
    pose = look_at(eye, target, 20)
    assert np.linalg.det(pose[:, :3]) == pytest.approx(1)
    np.testing.assert_allclose(
        pose @ [*target, 1], [0, 0, np.linalg.norm(target - eye)], atol=1e-12
    )


@pytest.fixture(scope="module")
def pairs(bank: TextureBank) -> PairBatch:
    shard = render_shard(bank, scenes=3, views=3, side=96, seed=5)
    return draw_pairs(shard, 8, 96, np.random.default_rng(1))


def test_warp_agrees_with_projection_one_point_at_a_time(pairs: PairBatch) -> None:
    xy = torch.rand(8, 40, 2, generator=torch.Generator().manual_seed(0)) * 96
    there, seen = warp(pairs, xy, 0)
    assert 0.05 < seen.float().mean() < 1
    for b in range(8):
        for n in np.flatnonzero(seen[b].numpy())[:10]:
            column, row = xy[b, n].long().tolist()
            world = unproject(
                xy[b, n].double().numpy(),
                pairs.depth[b, 0, row, column].double().numpy(),
                pairs.intrinsics[b, 0].double().numpy(),
                pairs.cam_from_world[b, 0].double().numpy(),
            )
            expected, depth = project(
                world,
                pairs.cam_from_world[b, 1].double().numpy(),
                pairs.intrinsics[b, 1].double().numpy(),
            )
            np.testing.assert_allclose(there[b, n].numpy(), expected, atol=2e-3)
            column, row = there[b, n].long().tolist()
            assert pairs.depth[b, 1, row, column] == pytest.approx(float(depth), rel=0.03)


def test_the_same_point_has_the_same_colour_in_both_views(
    bank: TextureBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirroring, cutting and shrinking must move images and cameras alike."""
    monkeypatch.setattr("vggt_sfm.training.pool.augment", lambda image, rng: image)
    shard = render_shard(bank, scenes=3, views=3, side=96, seed=5)
    for seed in range(4):
        batch = draw_pairs(shard, 8, 64, np.random.default_rng(seed))
        xy = torch.rand(8, 200, 2, generator=torch.Generator().manual_seed(seed)) * 64
        there, seen = warp(batch, xy, 0)
        here_color, there_color = (_color(batch, 0, xy), _color(batch, 1, there))
        difference = (here_color - there_color).abs().mean(-1)[seen]
        shuffled = (here_color - there_color.flip(0)).abs().mean(-1)[seen]
        assert difference.median() < SAME_COLOR_SHARE * shuffled.median()


def _color(batch: PairBatch, view: int, xy: torch.Tensor) -> torch.Tensor:
    grid = (xy / batch.image.shape[-1] * 2 - 1)[:, None]
    sampled = torch.nn.functional.grid_sample(batch.image[:, view], grid, align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)


def test_a_seed_decides_the_whole_shard(bank: TextureBank) -> None:
    a, b = (render_shard(bank, scenes=1, views=2, side=32, seed=9) for _ in range(2))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.depth, b.depth)
    other = render_shard(bank, scenes=1, views=2, side=32, seed=10)
    assert np.any(a.image != other.image)


def test_textures_wrap_and_blur_with_distance(bank: TextureBank) -> None:
    uv = torch.rand(50, 2, generator=torch.Generator().manual_seed(3))
    index = torch.zeros(50, dtype=torch.long)
    near = bank.sample(index, uv, torch.ones(50))
    np.testing.assert_allclose(bank.sample(index, uv + 3, torch.ones(50)), near, atol=2e-3)
    far = bank.sample(index, uv, torch.full((50,), float(SIDE)))
    assert far.std(0).mean() < 0.3 * near.std(0).mean()


def test_cameras_stay_above_the_floor() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng, 4)
        poses = random_cameras(scene, 5, rng)
        eyes = -np.einsum("vji,vj->vi", poses[:, :, :3], poses[:, :, 3])
        floor = scene.center[1, 1] - scene.half[1, 1] if scene.open_sky else scene.half[0, 1]
        assert np.all(eyes[:, 1] <= floor - 0.19)
