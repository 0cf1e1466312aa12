"""The benchmark of the embedded model: how matches, depth and bars are counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vggt_sfm.benchmarks import embedded, embedded_matches_tables
from vggt_sfm.benchmarks.embedded_feedforward import (
    Window,
    depth_quality,
    depth_ratios,
    windows_table,
)
from vggt_sfm.benchmarks.embedded_matchers import Found, ratio_matches
from vggt_sfm.benchmarks.judged_matches import Judged, MatchedPair, judge
from vggt_sfm.benchmarks.two_views import View
from vggt_sfm.scene import PixelMap, Size

SIZE = Size(640, 480)
K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
HALF = PixelMap(original=SIZE, network=Size(320, 240), scale=(0.5, 0.5), offset=(0.0, 0.0))
GOOD = Judged(matches=10, on_line=8, with_depth=5, on_point=4, pose_deg=0.5)
BAD = Judged(matches=10, on_line=2, with_depth=0, on_point=0, pose_deg=None)


def pair(*, overlap: float | None, rotation_deg: float = 5.0, verified: int = 0) -> MatchedPair:
    """A pair on which the model is good and SIFT bad."""
    return MatchedPair(
        photographs="set",
        first="a",
        second="b",
        overlap=overlap,
        rotation_deg=rotation_deg,
        sift_verified=verified,
        model=GOOD,
        sift=BAD,
    )


def test_exact_matches_are_correct_and_give_the_pose() -> None:
    rng = np.random.default_rng(0)
    xyz = np.column_stack([rng.uniform(-2, 2, (60, 2)), rng.uniform(6, 9, 60)])
    shift = np.array([-1.0, 0, 0])
    here, there = ((p[:, :2] / p[:, 2:]) @ K[:2, :2] + K[:2, 2] for p in (xyz, xyz + shift))
    views = [View(np.column_stack([np.eye(3), t]), K, SIZE) for t in (np.zeros(3), shift)]
    xy = np.concatenate([here, there], axis=1)
    xy[:6, 3] += 3  # across their epipolar lines
    judged = judge(Found(xy, np.ones(60)), (views[0], views[1]), (HALF, HALF))
    assert (judged.matches, judged.on_line, judged.with_depth) == (60, 54, None)
    assert judged.pose_deg is not None
    assert judged.pose_deg < 0.5
    none = judge(Found(np.empty((0, 4)), np.empty(0)), (views[0], views[1]), (HALF, HALF))
    assert none == Judged(matches=0, on_line=0, with_depth=None, on_point=None, pose_deg=None)


def test_descriptors_match_both_ways_and_without_a_rival() -> None:
    angles = np.radians([[0.0, 60, 120, 180], [1.0, 90, 125, 178]])
    first, second = (np.stack([np.cos(a), np.sin(a)], 1).astype(np.float32) for a in angles)
    rows, ratio = ratio_matches(first, second, 0.8)
    # 60 degrees finds 90, which has another as near on its other side
    np.testing.assert_array_equal(rows, [[0, 0], [2, 2], [3, 3]])
    np.testing.assert_allclose(ratio, [1 / 59, 5 / 30, 2 / 55], rtol=1e-3)
    assert len(ratio_matches(first[:1], second, 0.8)[0]) == 0


def test_depth_is_compared_at_the_pixels_of_the_truth_with_any_scale() -> None:
    truth = np.zeros((480, 640))
    truth[0, 0], truth[479, 639], truth[100, 201] = 2, 4, 4
    depth = np.full((240, 320), 9.0, np.float32)
    depth[0, 0], depth[239, 319], depth[50, 100] = 1, 2, 3
    ratios = np.sort(depth_ratios(depth, truth, HALF))
    np.testing.assert_array_equal(ratios, [0.5, 0.5, 0.75])
    delta, abs_rel = depth_quality(ratios)
    assert (delta, abs_rel) == pytest.approx((200 / 3, 0.5 / 3))


def test_correct_matches_by_level() -> None:
    pairs = [pair(overlap=0.1), pair(overlap=0.9), pair(overlap=1.0), pair(overlap=None)]
    table = embedded_matches_tables.correct_table(pairs, "overlap", "on_point")
    assert "| set | 0-15 | 1 | 4.0 | 0.0 | 80.0 | nan | > SIFT: met |" in table
    assert "| set | 85-100 | 2 |" in table
    table = embedded_matches_tables.correct_table(pairs, "rotation", "on_line")
    assert table.splitlines()[2:] == ["| set | 0-15 | 1 | 8.0 | 2.0 | 80.0 | 20.0 | > SIFT: met |"]


def test_poses_where_sift_finds_few() -> None:
    pairs = [pair(overlap=0.5, verified=39), replace(pair(overlap=0.5, verified=40), sift=GOOD)]
    rows = embedded_matches_tables.pose_table(pairs).splitlines()
    full = "100.0/100.0/100.0"
    assert rows[2] == f"| set | all | 2 | {full} | 50.0/50.0/50.0 | 2.00/2.00/2.00 | - |"
    assert rows[3].startswith(f"| set | SIFT < 40 | 1 | {full} | 0.0/0.0/0.0 | inf/inf/inf |")


def test_windows_are_pooled_and_the_worst_is_shown() -> None:
    common = {"focal_px": 500.0, "focal_percent": 4.0, "delta": 80.0, "abs_rel": 0.1}
    windows = [
        Window(first=0, errors_deg=[0.5] * 3, **common),
        Window(first=4, errors_deg=[90.0], **common),
    ]
    rows = windows_table(windows).splitlines()
    assert rows[2].startswith("| all 2 | 4 | 75.0/75.0/75.0 | 4.0 | 500 | 80.0 | 0.100 | ≥ 55: met")
    assert rows[3].startswith("| worst: 4… | 1 | 0.0/0.0/0.0 |")


def test_what_has_no_photographs_is_not_measured(tmp_path: Path) -> None:
    arguments = ["--data", str(tmp_path / "none"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(embedded.main, arguments)
    assert done.exit_code == 0
    assert done.output.count("not measured: ") == len(embedded.PARTS)
    figures = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(figures) == {*embedded.PARTS, "weights", "fast"}
    assert "7scenes_a is missing" in figures["windows"]["not_measured"]
