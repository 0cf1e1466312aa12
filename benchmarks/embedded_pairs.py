"""Wide-baseline pairs: the pose from the embedded model's own matches beside SIFT's."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from vggt_sfm.benchmarks import pairs
from vggt_sfm.benchmarks.embedded_matchers import ModelMatcher
from vggt_sfm.benchmarks.embedded_matches import pair_maps
from vggt_sfm.benchmarks.embedded_parts import (
    Measured,
    Photographs,
    Plan,
    at_least,
    scannet_pairs,
)
from vggt_sfm.benchmarks.judged_matches import pair_poses
from vggt_sfm.benchmarks.pairs import PairResult
from vggt_sfm.metrics.pose import auc_exact

MODEL = "matches of the model, given intrinsics"
AUC_20_BAR = 15.0


def run_pairs(plan: Plan) -> Measured:
    """Measure each pair alone."""
    results = []
    for name, found in scannet_pairs(plan.data).items():
        results.append(model_result(name, found, plan))
        results.append(
            pairs.sift_result(plan.data / pairs.FOLDER, name, plan.output / "pairs" / name)
        )
    auc = auc_exact(pairs.pooled_errors(results, MODEL), pairs.THRESHOLDS[-1])
    remark = f"bar for the model's exact AUC@20: {at_least(auc, AUC_20_BAR)}"
    return Measured(
        tables=(pairs.table(results), remark),
        figures={"pairs": [asdict(result) for result in results]},
    )


def model_result(name: str, found: Photographs, plan: Plan) -> PairResult:
    """Measure the pose from the model's matches of one pair."""
    maps = pair_maps(found.scene)
    matches = ModelMatcher(plan.model(), found.scene.frames, maps).match(0, 1)
    K_i, K_j = found.intrinsics
    poses = pair_poses(matches, (K_i, K_j), (maps[0], maps[1]))
    names = [path.name for path in found.images]
    known = {n: pose for n, pose in zip(names, poses, strict=True) if np.isfinite(pose).all()}
    truth = dict(zip(names, found.cam_from_world, strict=True))
    return pairs.pair_result(name, MODEL, names, known, truth, f"{len(matches.xy)} matches")
