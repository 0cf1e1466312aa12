"""The renderer's depth and colours agree with geometry done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

from vggt_sfm.training.rendering.render import render, render_depth
from vggt_sfm.training.scenes.cameras import look_at
from vggt_sfm.training.scenes.description import (
    Material,
    SceneDescription,
    Shape,
    Solid,
    stack_scenes,
    turned,
)
from vggt_sfm.training.textures import TextureBank

HEIGHT, WIDTH = 32, 48
K = np.array([[40.0, 0, 24], [0, 40, 16], [0, 0, 1]])
PAPER = Material(texture=np.zeros(6, int), repeat=0.5)


def solid(
    shape: Shape,
    center: ArrayLike,
    half: ArrayLike,
    *,
    rotation: np.ndarray | None = None,
    material: Material = PAPER,
) -> Solid:
    return Solid(
        shape=shape,
        center=np.asarray(center, float),
        half=np.asarray(half, float),
        material=material,
        rotation=np.eye(3) if rotation is None else rotation,
    )


def scene_of(
    *solids: Solid,
    heights: np.ndarray | None = None,
    sky: bool = True,
    room: tuple[float, float, float] = (100, 100, 100),
    ambient: float = 1.0,
) -> SceneDescription:
    return SceneDescription(
        kind="test",
        solids=(solid(Shape.ENCLOSURE, [0, 0, 0], room), *solids),
        light=np.array([0, -1.0, 0]),
        ambient=ambient,
        open_sky=sky,
        heights=heights,
    )


def depth_of(*scenes: SceneDescription) -> np.ndarray:
    pose = torch.eye(3, 4).expand(len(scenes), 1, -1, -1)
    intrinsics = torch.as_tensor(K).float().expand(len(scenes), 1, -1, -1)
    return render_depth(stack_scenes(list(scenes)), pose, intrinsics, HEIGHT, WIDTH)[:, 0].numpy()


def ray(row: int, column: int) -> np.ndarray:
    return np.array([(column + 0.5 - 24) / 40, (row + 0.5 - 16) / 40, 1])


def test_a_wall_has_constant_depth_where_it_is_and_none_beside() -> None:
    depth = depth_of(scene_of(solid(Shape.BOX, [0, 0, 5], [1, 1, 1])))[0]
    x = (np.arange(WIDTH) + 0.5 - 24) / 40 * 4
    y = (np.arange(HEIGHT) + 0.5 - 16) / 40 * 4
    wall = (np.abs(y) < 1)[:, None] & (np.abs(x) < 1)[None]
    np.testing.assert_allclose(depth[wall], 4.0, atol=1e-4)
    assert np.all(depth[~wall] == 0)


def test_a_sphere_has_the_depth_of_the_quadratic_formula() -> None:
    depth = depth_of(scene_of(solid(Shape.ELLIPSOID, [0, 0, 5], [1, 1, 1])))[0]
    for row, column in ((16, 24), (12, 20), (20, 30)):
        r = ray(row, column)
        a, b, c = r @ r, -2 * r[2] * 5, 24
        expected = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
        assert depth[row, column] == pytest.approx(expected, abs=1e-4)


def test_a_cylinder_is_round_from_the_side_and_flat_from_above() -> None:
    upright = solid(Shape.CYLINDER, [0, 0, 5], [1, 0.8, 1])
    towards_us = solid(Shape.CYLINDER, [0, 0, 5], [1, 0.8, 1], rotation=turned(pitch=90))
    side, top = depth_of(scene_of(upright), scene_of(towards_us))
    for column in (18, 24, 31):
        dx = ray(16, column)[0]
        a, b, c = dx * dx + 1, -5.0, 24.0
        expected = (-b - np.sqrt(b * b - a * c)) / a
        assert side[16, column] == pytest.approx(expected, abs=1e-4)
    y = (np.arange(HEIGHT) + 0.5 - 16) / 40
    assert np.all((side[:, 24] > 0) == (np.abs(y * 4) < 0.8))
    np.testing.assert_allclose(top[12:20, 20:28], 4.2, atol=1e-4)


def test_level_ground_and_a_ramp_have_the_depth_of_planes() -> None:
    half = [6.0, 1.0, 6.0]
    level, side = np.full((16, 16), 0.5), 16
    ramp = np.tile(np.linspace(0, 1, side)[:, None], (1, side))  # rises with z
    grounds = [
        scene_of(solid(Shape.TERRAIN, [0, 2, 0], half), heights=heights)
        for heights in (level, ramp)
    ]
    flat, rising = depth_of(*grounds)
    for row in (24, 28, 31):
        dy = ray(row, 24)[1]
        assert flat[row, 24] == pytest.approx(2 / dy, rel=2e-3)
        # y = 2 - z / 6 along the ramp
        assert rising[row, 24] == pytest.approx(2 / (dy + 1 / 6), rel=2e-3)
    assert np.all(flat[:16] == 0)


def test_a_batch_of_scenes_is_what_each_alone_is() -> None:
    rng = np.random.default_rng(0)
    scenes = [
        scene_of(
            *(
                solid(
                    Shape(int(rng.choice([Shape.BOX, Shape.ELLIPSOID, Shape.CYLINDER]))),
                    rng.uniform([-2, -1, 3], [2, 1, 8]),
                    np.full(3, rng.uniform(0.2, 0.9)),
                    rotation=turned(*rng.uniform(0, 90, 3)),
                )
                for _ in range(count)
            )
        )
        for count in (1, 4, 9)
    ]
    together = depth_of(*scenes)
    for alone, scene in zip(together, scenes, strict=True):
        np.testing.assert_allclose(alone, depth_of(scene)[0], rtol=1e-5)


def test_light_falls_on_what_faces_it() -> None:
    white = TextureBank(np.full((1, 256, 256, 3), 200, np.uint8))
    block = scene_of(solid(Shape.BOX, [0, 1.5, 4], [1, 1, 1]), ambient=0.4)
    pose = torch.as_tensor(look_at(np.array([0, -1.5, 0]), np.array([0, 1.2, 4])))
    color, depth = render(
        stack_scenes([block]),
        white,
        pose.float()[None, None],
        torch.as_tensor(K).float()[None, None],
        HEIGHT,
        WIDTH,
    )
    grey = color[0, 0, :, 24, 0].numpy()[depth[0, 0, :, 24].numpy() > 0] * 255
    # the top gets ambient and direct light, the front only ambient
    np.testing.assert_allclose(grey[0], 200 * (0.4 + 0.6 * 1.4), atol=1)
    np.testing.assert_allclose(grey[-1], 200 * 0.4, atol=1)


def test_gloss_shows_the_sky_and_plain_things_do_not() -> None:
    textures = np.full((2, 256, 256, 3), 128, np.uint8)
    textures[0] = np.random.default_rng(1).integers(0, 255, (256, 256, 1))  # the sky
    bank = TextureBank(textures)
    colors = []
    for gloss in (0.0, 1.0):
        material = Material(texture=np.ones(6, int), repeat=1e-3, gloss=gloss)
        ball = scene_of(solid(Shape.ELLIPSOID, [0, 0, 5], [2, 2, 2], material=material))
        color, _ = render(
            stack_scenes([ball]),
            bank,
            torch.eye(3, 4)[None, None],
            torch.as_tensor(K).float()[None, None],
            HEIGHT,
            WIDTH,
        )
        colors.append(color[0, 0, 10:22, 16:32])
    assert float(colors[1].std()) > 2 * float(colors[0].std())


def test_look_at_puts_the_target_on_the_optical_axis() -> None:
    eye, target = np.array([1.0, -2, 0.5]), np.array([3.0, 0, 4])
    pose = look_at(eye, target, 20)
    assert np.linalg.det(pose[:, :3]) == pytest.approx(1)
    np.testing.assert_allclose(
        pose @ [*target, 1], [0, 0, np.linalg.norm(target - eye)], atol=1e-12
    )
