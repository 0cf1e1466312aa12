"""Accuracy over seeds and over pairs: what counts as failed, and which losses are errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from click.testing import CliRunner

from vggt_sfm import ReconstructConfig
from vggt_sfm.benchmarks import accuracy, intrinsics, pairs
from vggt_sfm.benchmarks.accuracy import COLMAP, OURS, Outcome
from vggt_sfm.benchmarks.pairs import PairResult
from vggt_sfm.errors import GateError

CAMERA = pycolmap.Camera(model="PINHOLE", width=64, height=48, params=[50.25, 51, 31, 24.5])


def outcomes(scene: str, program: str, *values: tuple[float, float]) -> list[Outcome]:
    """One for each (AUC@1, AUC@30)."""
    return [
        Outcome(
            scene=scene,
            mode="self-calibrated",
            program=program,
            seed=seed,
            registered=8,
            auc={"1": low, "3": 80.0, "5": 90.0, "30": high},
        )
        for seed, (low, high) in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("scene", "ours", "lost"),
    [
        ("fountain-P11", [(59.5, 99), (0, 99), (70, 99)], []),  # the median counts
        ("fountain-P11", [(59.4, 99), (59.4, 99), (70, 99)], ["AUC@1 59.40, pycolmap 60.00"]),
        ("7scenes_a", [(0, 99), (0, 99), (0, 99)], []),
        ("7scenes_a", [(60, 98.4)] * 3, ["AUC@30 98.40, pycolmap 99.00"]),
    ],
)
def test_the_median_may_be_half_a_point_below(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scene: str,
    ours: list[tuple[float, float]],
    lost: list[str],
) -> None:
    found = [*outcomes(scene, OURS, *ours), *outcomes(scene, COLMAP, *[(60.0, 99.0)] * 3)]
    monkeypatch.setattr(accuracy, "run_mode", lambda *arguments: iter(found))
    arguments = ["--data", str(tmp_path), "-o", str(tmp_path), "--mode", "self-calibrated", scene]
    done = CliRunner().invoke(accuracy.main, arguments)
    assert done.exit_code == (GateError.exit_code if lost else 0)
    assert all(f"{scene}, self-calibrated: {line}" in done.output for line in lost)
    assert f"| {scene} | self-calibrated | pycolmap | 8 | 60.0/80.0/90.0/99.0 |" in done.output
    assert len((tmp_path / "accuracy.jsonl").read_text().splitlines()) == 6


def test_given_intrinsics_are_said_to_pycolmap_and_held() -> None:
    options = intrinsics.colmap_options("given", CAMERA, seed=3)
    assert (options.camera_model, options.camera_params) == ("PINHOLE", "50.25,51,31,24.5")
    assert options.seed == 3
    plain = intrinsics.colmap_options("self-calibrated", CAMERA)
    assert (plain.camera_model, plain.camera_params) == ("SIMPLE_RADIAL", "")


def test_modes_of_ours() -> None:
    config = ReconstructConfig()
    plain = intrinsics.self_calibrated(config, None)
    assert plain.adjust == replace(config.adjust, refine_principal_point="no")
    freed = intrinsics.free_principal_point(plain, CAMERA)
    assert freed.adjust.refine_principal_point == "auto"
    held = intrinsics.given(plain, CAMERA)
    assert (held.seed.camera_model, held.prior.intrinsics) == ("PINHOLE", "50.25,51,31,24.5")
    assert held.prior.intrinsics_sigma == 0


def test_a_pair_without_a_pose_counts_as_180_degrees() -> None:
    results = [
        PairResult(pair=str(n), cameras="+BA", error_deg=error, remark="")
        for n, error in enumerate((0.0, 0.0, 180.0, None))
    ]
    assert "| +BA | 3/4 | 50.0/50.0/50.0 | 90.0 |" in pairs.table(results)


def test_the_error_of_a_pair_is_that_of_its_relative_pose() -> None:
    names = ["a", "b"]
    truth = {"a": np.eye(3, 4), "b": np.column_stack([np.eye(3), [1.0, 0, 0]])}
    opposite = {"a": np.eye(3, 4), "b": np.column_stack([np.eye(3), [-2.0, 0, 0]])}
    assert pairs.pair_result("p", "w", names, truth, truth, "").error_deg == 0
    assert pairs.pair_result("p", "w", names, opposite, truth, "").error_deg == 180
    assert pairs.pair_result("p", "w", names, {}, truth, "").error_deg is None
