"""What two views with known cameras and depth share, against answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks import two_views
from vggt_sfm.benchmarks.two_views import View
from vggt_sfm.scene import Size

SIZE = Size(64, 48)
K = np.array([[100.0, 0, 32], [0, 100.0, 24], [0, 0, 1]])
WALL = 10.0  # metres away
EXACT = 1e-9


def view(x: float = 0.0, depth: float | None = WALL) -> View:
    """A camera at (x, 0, 0) that looks along z at a wall."""
    wall = None if depth is None else np.full(SIZE[::-1], depth)
    return View(np.column_stack([np.eye(3), [-x, 0, 0]]), K, SIZE, wall)


def match(*, dx: float = 0.0, dy: float = 0.0) -> Float64:
    """The middle of the first image, found so far from it in the second, (1, 4) px."""
    return np.array([[32.0, 24, 32 + dx, 24 + dy]])


def test_a_match_is_judged_by_where_the_depth_puts_it() -> None:
    # a step of 1 m is 10 px at 10 m
    errors = two_views.reprojection_errors(view(), view(1), match(dx=-7, dy=4))
    np.testing.assert_allclose(errors, [5], atol=EXACT)


def test_a_match_without_depth_is_not_judged() -> None:
    assert np.isnan(two_views.reprojection_errors(view(depth=0), view(1), match())).all()
    with pytest.raises(ValueError, match="no depth"):
        two_views.reprojection_errors(view(depth=None), view(1), match())


def test_a_match_of_a_point_behind_the_second_camera_is_wrong() -> None:
    past_the_wall = view()._replace(
        cam_from_world=np.column_stack([np.eye(3), [0.0, 0, -2 * WALL]])
    )
    assert np.isinf(two_views.reprojection_errors(view(), past_the_wall, match())).all()


@pytest.mark.parametrize(("dx", "dy", "error"), [(-10, 0, 0), (15, 0, 0), (-10, 3, 3), (5, -2, 2)])
def test_lines_of_a_step_to_the_side_are_rows(dx: float, dy: float, error: float) -> None:
    errors = two_views.epipolar_errors(view(), view(1), match(dx=dx, dy=dy))
    np.testing.assert_allclose(errors, [error], atol=EXACT)


def test_the_farther_line_counts() -> None:
    # the second camera has twice the focal length: 3 px of its rows are 1.5 px of the first's
    closer = view(1)._replace(intrinsics=np.diag([2, 2, 1]) @ K, size=Size(128, 96))
    there = np.array([[32.0, 24, 64, 51]])
    back = there[:, [2, 3, 0, 1]]
    np.testing.assert_allclose(two_views.epipolar_errors(view(), closer, there), [3], atol=EXACT)
    np.testing.assert_allclose(two_views.epipolar_errors(closer, view(), back), [3], atol=EXACT)


@pytest.mark.parametrize(("step", "share"), [(0, 1), (1.6, 0.75), (3.2, 0.5), (6.4, 0)])
def test_overlap_is_what_a_step_to_the_side_leaves(step: float, share: float) -> None:
    assert two_views.overlap(view(), view(step)) == pytest.approx(share)


def test_what_is_hidden_does_not_overlap() -> None:
    assert two_views.overlap(view(), view(depth=WALL / 2)) == 0
    assert two_views.overlap(view(), view(depth=0)) == 1  # unknown hides nothing
    assert two_views.overlap(view(depth=0), view()) == 0  # nothing is known of the first


def test_only_pixels_with_depth_are_counted() -> None:
    half = np.full(SIZE[::-1], WALL)
    half[:, :32] = 0
    right = view()._replace(depth=half)
    # the right half moves 16 px to the left and stays inside; 16 px of it move out to the right
    assert two_views.overlap(right, view(1.6)) == 1
    assert two_views.overlap(right, view(-1.6)) == pytest.approx(0.5)


def test_relative_rotation() -> None:
    turned = view()._replace(cam_from_world=np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, 0]]))
    assert two_views.relative_rotation_deg(view(), turned) == pytest.approx(90)


@pytest.mark.parametrize(
    ("value", "level"), [(0, 0), (14.99, 0), (15, 1), (29.9, 1), (84.9, 4), (85, 5), (100, 5)]
)
def test_levels_begin_at_their_edge(value: float, level: int) -> None:
    assert two_views.level_of(value, (0, 15, 30, 50, 70, 85, 100)) == level
