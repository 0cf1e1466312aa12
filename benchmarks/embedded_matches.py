"""The embedded model's matches alone beside SIFT's, on pairs of photographs of all distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import combinations

from vggt_sfm.benchmarks.embedded_matchers import (
    SIFT_LOOK,
    Found,
    Matcher,
    ModelMatcher,
    SiftMatcher,
)
from vggt_sfm.benchmarks.embedded_matches_tables import correct_table, pose_table
from vggt_sfm.benchmarks.embedded_parts import (
    Measured,
    Photographs,
    Plan,
    photographs,
    scannet_pairs,
)
from vggt_sfm.benchmarks.judged_matches import MatchedPair, judge
from vggt_sfm.benchmarks.pairs import FOLDER as SCANNET
from vggt_sfm.benchmarks.two_views import View, overlap, relative_rotation_deg
from vggt_sfm.io.preprocess import plan_pixel_maps
from vggt_sfm.models.choice import PredictConfig, model_preprocessing
from vggt_sfm.scene import PixelMap, Scene
from vggt_sfm.tracking.verification import verified_rows

SEQUENCE = "7scenes_a"
STRECHA = ("fountain-P11", "Herz-Jesus-P8")
_GAPS = (1, 2, 4, 7, 10, 15, 20, 30)  # frames
_FRAME_STEP, _FAST_FRAME_STEP = 2, 8  # 198 and 53 pairs
_FAST_STRECHA_STEP = 8


def run_matches(plan: Plan) -> Measured:
    """Match pairs of all sets and judge them."""
    pairs = [*_sequence(plan), *_strecha(plan), *_scannet(plan)]
    return Measured(
        tables=(
            correct_table(pairs, "overlap", "on_point"),
            correct_table(pairs, "overlap", "on_line"),
            correct_table(pairs, "rotation", "on_line"),
            pose_table(pairs),
        ),
        figures={"pairs": [asdict(pair) for pair in pairs]},
    )


def _sequence(plan: Plan) -> Iterator[MatchedPair]:
    found = photographs(plan.data / SEQUENCE)
    step = _FAST_FRAME_STEP if plan.fast else _FRAME_STEP
    chosen = [(i, i + gap) for gap in _GAPS for i in range(0, len(found.images) - gap, step)]
    yield from match_pairs(SEQUENCE, found, chosen, plan)


def _strecha(plan: Plan) -> Iterator[MatchedPair]:
    for name in STRECHA:
        found = photographs(plan.data / name)
        chosen = list(combinations(range(len(found.images)), 2))
        step = _FAST_STRECHA_STEP if plan.fast else 1
        yield from match_pairs(name, found, chosen[::step], plan)


def _scannet(plan: Plan) -> Iterator[MatchedPair]:
    for found in scannet_pairs(plan.data).values():
        yield from match_pairs(SCANNET, found, [(0, 1)], plan)


def match_pairs(
    name: str, found: Photographs, pairs: Sequence[tuple[int, int]], plan: Plan
) -> Iterator[MatchedPair]:
    """Match pairs of a set with both methods, each pair as if it were all there is."""
    frames = found.scene.frames
    model = ModelMatcher(plan.model(), frames, pair_maps(found.scene))
    yield from judge_pairs(name, found, pairs, model, SiftMatcher(frames, plan.output / "sift"))


def judge_pairs(
    name: str,
    found: Photographs,
    pairs: Sequence[tuple[int, int]],
    model: Matcher,
    sift: Matcher,
) -> Iterator[MatchedPair]:
    """Judge the matches of two methods on pairs of a set."""
    maps = pair_maps(found.scene)
    for i, j in pairs:
        views, their_maps = (found.view(i), found.view(j)), (maps[i], maps[j])
        by_sift = sift.match(i, j)
        yield MatchedPair(
            photographs=name,
            first=found.images[i].name,
            second=found.images[j].name,
            overlap=None if views[0].depth is None else round(overlap(*views), 4),
            rotation_deg=round(relative_rotation_deg(*views), 2),
            sift_verified=_verified(by_sift, views),
            model=judge(model.match(i, j), views, their_maps),
            sift=judge(by_sift, views, their_maps),
        )


def pair_maps(scene: Scene) -> tuple[PixelMap, ...]:
    """Return how the embedded model sees the photographs of a set, all of one size, two by two."""
    preprocessing = model_preprocessing(PredictConfig())
    return plan_pixel_maps(
        [frame.size for frame in scene.frames],
        preprocessing.mode,
        preprocessing.for_frames(2),
        preprocessing.multiple,
    )


def _verified(found: Found, views: tuple[View, View]) -> int:
    rows = verified_rows(
        (found.xy[:, :2], found.xy[:, 2:]),
        (views[0].size, views[1].size),
        max_error_px=SIFT_LOOK.max_error_px,
        min_inliers=SIFT_LOOK.min_inliers,
        seed=SIFT_LOOK.seed,
    )
    return len(rows)
