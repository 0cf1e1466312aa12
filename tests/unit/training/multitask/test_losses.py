"""Each loss against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vggt_sfm.training.multitask.losses import (
    camera_loss,
    dense_loss,
    fading_weights,
    likelihood_loss,
    track_loss,
)

NO_PIXEL = torch.zeros(1, 1, 2, 2, dtype=torch.bool)


def test_later_iterations_count_more() -> None:
    assert fading_weights(3, 0.5) == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    assert fading_weights(1, 0.5) == [1]


def test_camera_loss() -> None:
    truth = torch.zeros(1, 1, 9)
    estimate = torch.zeros(2, 1, 1, 9)
    estimate[0, ..., 0] = 0.3  # of three: 0.1 (0.3 - 0.05) / 3, linear
    estimate[0, ..., 3] = 0.1  # of four: 0.1² / 2 / 4
    estimate[0, ..., 8] = -0.02  # of two: 0.02² / 2 / 2
    first = 0.025 / 3 + 0.005 / 4 + 0.0002 / 2
    loss = camera_loss(estimate, truth, huber=0.1, fading=0.5)
    assert float(loss) == pytest.approx(first / 3)
    swapped = camera_loss(estimate.flip(0), truth, huber=0.1, fading=0.5)
    assert float(swapped) == pytest.approx(first * 2 / 3)


def dense(values: list[list[float]], valid: list[list[bool]], confidence: Tensor) -> Tensor:
    """One frame of one scene, its truth being 1 everywhere."""
    value = torch.tensor(values)[None, None, :, :, None]
    mask = torch.tensor(valid)[None, None]
    return dense_loss(value, confidence, torch.ones_like(value), mask, alpha=0.2)


def test_dense_loss_weighs_values_and_steps_by_confidence() -> None:
    confidence = torch.tensor([[2.0, 1.0], [1.0, 3.0]])[None, None]
    loss = dense([[1.5, 1.0], [1.0, 0.0]], [[True, True], [True, True]], confidence)
    error = (2 * 0.5 + 3 * 1.0) / 4
    down = (2 * 0.5 + 1 * 1.0) / 2  # residuals 0.5 0 / 0 -1; steps -0.5 and -1
    right = (2 * 0.5 + 1 * 1.0) / 2
    certainty = 0.2 * (math.log(2) + math.log(3)) / 4
    assert float(loss) == pytest.approx(error + down + right - certainty)


def test_dense_loss_counts_known_pixels_and_steps_between_them_only() -> None:
    confidence = torch.full((1, 1, 2, 2), 2.0)
    loss = dense([[1.5, torch.inf], [1.0, 9.0]], [[True, False], [True, False]], confidence)
    assert float(loss) == pytest.approx(2 * 0.5 / 2 + 2 * 0.5 - 0.2 * math.log(2))


def test_dense_loss_is_euclidean_over_channels() -> None:
    truth = torch.zeros(1, 1, 1, 1, 3)
    value = torch.tensor([3.0, 0.0, 4.0]).view(1, 1, 1, 1, 3)
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    loss = dense_loss(value, torch.ones(1, 1, 1, 1), truth, mask, alpha=0.2)
    assert float(loss) == pytest.approx(5)


def test_scenes_count_alike_however_many_pixels_they_have() -> None:
    value = torch.tensor([[3.0, 3.0], [2.0, 7.0]]).view(2, 1, 1, 2, 1)
    mask = torch.tensor([[True, True], [True, False]]).view(2, 1, 1, 2)
    loss = dense_loss(value, torch.ones(2, 1, 1, 2), torch.zeros_like(value), mask, alpha=0.0)
    assert float(loss) == pytest.approx((3 + 2) / 2)


def test_without_a_known_pixel_loss_and_gradient_are_zero() -> None:
    values = torch.ones(1, 1, 2, 2, 3, requires_grad=True)
    confidence = torch.full((1, 1, 2, 2), 2.0, requires_grad=True)
    loss = dense_loss(values, confidence, torch.zeros(1, 1, 2, 2, 3), NO_PIXEL, alpha=0.2)
    loss.backward()
    assert float(loss.detach()) == 0
    for tensor in (values, confidence):
        assert tensor.grad is not None
        assert not tensor.grad.any()


def test_a_perfect_map_has_a_finite_gradient() -> None:
    values = torch.ones(1, 1, 2, 2, 3, requires_grad=True)
    dense_loss(
        values, torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2, 3), ~NO_PIXEL, alpha=0.2
    ).backward()
    assert values.grad is not None
    assert bool(torch.isfinite(values.grad).all())


def test_track_loss_is_l1_where_points_are_placed() -> None:
    truth = torch.zeros(1, 1, 2, 2)
    estimate = torch.zeros(2, 1, 1, 2, 2)
    estimate[1, 0, 0, 0] = torch.tensor([3.0, -4.0])
    estimate[1, 0, 0, 1] = 100.0
    placed = torch.tensor([True, False]).view(1, 1, 2)
    assert float(track_loss(estimate, truth, placed, fading=0.5)) == pytest.approx(7 * 2 / 3)
    assert float(track_loss(estimate, truth, placed & False, fading=0.5)) == 0


def test_likelihood_is_a_cross_entropy_where_it_can_be_judged() -> None:
    probability = torch.tensor([0.25, 0.25, 0.9]).view(1, 1, 3)
    truth = torch.tensor([True, False, False]).view(1, 1, 3)
    judged = torch.tensor([True, True, False]).view(1, 1, 3)
    expected = -(math.log(0.25) + math.log(0.75)) / 2
    assert float(likelihood_loss(probability, truth, judged)) == pytest.approx(expected)


def test_a_single_frame_leaves_nothing_to_track() -> None:
    nothing = torch.zeros(2, 1, 0, 5, 2, requires_grad=True)
    mask = torch.zeros(1, 0, 5, dtype=torch.bool)
    assert float(track_loss(nothing, torch.zeros(1, 0, 5, 2), mask, fading=0.8).detach()) == 0
