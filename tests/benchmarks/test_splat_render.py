"""The renderer of Gaussians: a slow twin, its gradient, what hides what, and where pixels are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from splatted import camera_at, some_gaussians, turned_pose

from vggt_sfm.benchmarks.splats import render as splat_render
from vggt_sfm.benchmarks.splats.render import DILATION_PX2, Camera, Gaussians, render
from vggt_sfm.benchmarks.splats.scene import undistorted


def slow_picture(
    gaussians: Gaussians, camera: Camera, background: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A second implementation: pixel by pixel, the Jacobian by differences."""
    pose, K = camera.cam_from_world, camera.intrinsics

    def pixel(point: NDArray[np.float64]) -> NDArray[np.float64]:
        x = K @ (pose[:, :3] @ point + pose[:, 3])
        return np.asarray(x[:2] / x[2])

    numbers = {name: tensor.numpy() for name, tensor in gaussians.tensors().items()}
    splats_by_depth = []
    for k, mean in enumerate(numbers["means"]):
        q = numbers["quats_wxyz"][k]
        axes = Rotation.from_quat(q[[1, 2, 3, 0]]).as_matrix() * np.exp(numbers["log_scales"][k])
        steps = np.eye(3) * 1e-5
        J = np.stack([(pixel(mean + s) - pixel(mean - s)) / 2e-5 for s in steps], axis=1)
        spread = J @ axes @ axes.T @ J.T + DILATION_PX2 * np.eye(2)
        opacity = 1 / (1 + np.exp(-numbers["opacity_logits"][k]))
        depth = (pose[:, :3] @ mean + pose[:, 3])[2]
        splats_by_depth.append((depth, k, pixel(mean), np.linalg.inv(spread), opacity))
    splats_by_depth.sort(key=lambda splat: splat[0])
    picture = np.zeros((camera.height, camera.width, 3))
    for row in range(camera.height):
        for column in range(camera.width):
            left = 1.0
            for _, k, xy, conic, opacity in splats_by_depth:
                d = np.array([column + 0.5, row + 0.5]) - xy
                alpha = min(opacity * np.exp(-0.5 * d @ conic @ d), 0.99)
                picture[row, column] += left * alpha * numbers["colors"][k]
                left *= 1 - alpha
            picture[row, column] += left * background
    return picture


def test_the_picture_is_that_of_a_slow_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splat_render, "_REACH", 30.0)  # the twin draws tails to the end
    monkeypatch.setattr(splat_render, "_MARGIN", 30.0)  # and linearises wherever it is
    gaussians, camera = some_gaussians(25, 3), camera_at(turned_pose())
    background = np.array([0.2, 0.5, 0.9])
    drawn = render(gaussians, camera, torch.from_numpy(background))
    twin = slow_picture(gaussians, camera, background)
    # differences of 1e-5 in the twin's Jacobian leave 1e-10 of the covariance
    assert np.abs(drawn.numpy() - twin).max() < 1e-7
    assert np.ptp(twin) > 0.5


def test_gradients_are_those_of_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splat_render, "_REACH", 30.0)  # no Gaussian enters or leaves a tile
    start, camera = some_gaussians(5, 1), camera_at(turned_pose(), 10, 9)
    names = list(start.tensors())
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(9, 10, 3)))
    background = torch.tensor([0.3, 0.1, 0.6], dtype=torch.float64)

    def value(*tensors: torch.Tensor) -> torch.Tensor:
        drawn = render(Gaussians(**dict(zip(names, tensors, strict=True))), camera, background)
        return (drawn * weight).sum()

    inputs = [tensor.clone().requires_grad_() for tensor in start.tensors().values()]
    assert torch.autograd.gradcheck(value, inputs, eps=1e-6, atol=1e-6, rtol=1e-6)


def blob(x: float, y: float, z: float, color: tuple[float, float, float]) -> dict[str, list[float]]:
    return {"means": [x, y, z], "colors": list(color)}


def blobs(*parts: dict[str, list[float]], size: float, logit: float = 20.0) -> Gaussians:
    count = len(parts)
    return Gaussians(
        means=torch.tensor([p["means"] for p in parts], dtype=torch.float32),
        log_scales=torch.full((count, 3), float(np.log(size))),
        quats_wxyz=torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        opacity_logits=torch.full((count,), logit),
        colors=torch.tensor([p["colors"] for p in parts], dtype=torch.float32),
    )


@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_nearer_hides_what_is_behind(swapped: bool) -> None:
    red, green = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    parts = [blob(0, 0, 2, red), blob(0, 0, 3, green)]
    behind = np.column_stack([np.diag([-1.0, 1, -1]), [0, 0, 5.0]])  # sees them from the other side
    both = blobs(*(parts[::-1] if swapped else parts), size=0.3)
    for pose, front in ((np.eye(3, 4), 0), (behind, 1)):
        camera = replace(
            camera_at(pose), intrinsics=np.array([[20, 0, 10], [0, 20, 6], [0, 0, 1.0]])
        )
        center = render(both, camera, torch.zeros(3))[6, 10]
        assert center[front] > 0.9
        assert center[1 - front] < 0.05


def test_what_is_behind_the_camera_is_not_drawn() -> None:
    drawn = render(
        blobs(blob(0, 0, -2, (1, 1, 1)), size=0.3), camera_at(np.eye(3, 4)), torch.zeros(3)
    )
    assert float(drawn.abs().max()) == 0


def test_half_a_pixel_is_half_a_pixel() -> None:
    point = blobs(blob(0, 0, 2, (1, 1, 1)), size=0.02, logit=0.0)
    at_center = Camera(
        cam_from_world=np.eye(3, 4),
        intrinsics=np.array([[20, 0, 7.5], [0, 20, 5.5], [0, 0, 1.0]]),
        width=20,
        height=13,
    )
    drawn = render(point, at_center, torch.zeros(3))[..., 0]
    assert drawn.argmax() == 5 * 20 + 7  # the pixel whose middle is (7.5, 5.5)
    assert float(drawn[5, 6]) == pytest.approx(float(drawn[5, 8]), rel=1e-5)
    K = at_center.intrinsics + np.array([[0, 0, 0.5], [0, 0, 0], [0, 0, 0]])
    shifted = render(point, replace(at_center, intrinsics=K), torch.zeros(3))[..., 0]
    assert float(shifted[5, 7]) == pytest.approx(float(shifted[5, 8]), rel=1e-5)
    assert float(shifted[5, 6]) < 0.1 * float(drawn[5, 6] + drawn[5, 7])


def test_an_undistorted_photograph_fits_its_camera() -> None:
    camera = pycolmap.Camera(
        model="SIMPLE_RADIAL", width=640, height=480, params=[500.0, 310.0, 250.0, -0.2]
    )
    points = np.array([[-0.35, 0.25, 1.0], [0.4, -0.3, 1.0], [0.1, 0.35, 1.0]])
    for point in points:
        x, y = np.ravel(camera.img_from_cam(point[None]))
        v, u = np.mgrid[:480, :640] + 0.5
        spot = 255 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 6.0**2))
        pixels = np.repeat(spot[..., None], 3, axis=2).astype(np.uint8)
        image, valid, small = undistorted(pixels, camera, 160)
        assert image.shape == (120, 160, 3)
        rows, columns = np.mgrid[:120, :160] + 0.5
        weight = image[..., 0] / image[..., 0].sum()
        found = np.array([(weight * columns).sum(), (weight * rows).sum()])
        expected = (small.intrinsics @ point)[:2]
        assert np.abs(found - expected).max() < 0.1  # px; half a pixel would be noticed
        assert valid[60, 80]
    assert (small.width, small.height) == (160, 120)
