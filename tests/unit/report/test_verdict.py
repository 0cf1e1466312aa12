"""Each rule of the verdict, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reported import bundle_report, image_facts, model_facts, run_facts

from vggt_sfm.report.facts import ModelFacts, RunFacts, Verdict
from vggt_sfm.report.verdict import LINK_POINTS, judge
from vggt_sfm.scene import SkippedFile

COUNT = 20


def chain(count: int = COUNT, strength: int = 100) -> np.ndarray:
    """Photographs that share points with their neighbours."""
    shared = np.zeros((count, count), np.int64)
    for s in range(count - 1):
        shared[s, s + 1] = shared[s + 1, s] = strength
    return shared


def verdict(
    run: RunFacts | None = None,
    images: list | None = None,
    shared: np.ndarray | None = None,
    after: ModelFacts | None = model_facts(),  # noqa: B008  (frozen)
) -> Verdict:
    images = image_facts(COUNT) if images is None else images
    shared = chain(len(images)) if shared is None else shared
    return judge(run or run_facts(), images, shared, after, 1000.0)


def test_a_good_result_is_ready() -> None:
    found = verdict()
    assert (found.level, found.findings) == ("good", ())
    assert found.words.startswith("Ready for splatting: all 20 photographs")


def test_a_run_without_a_model_is_unusable_because_of_its_error() -> None:
    failed = run_facts(ok=False, status="failed", line="none of 3 image files can be read")
    found = verdict(failed, [], np.zeros((0, 0), np.int64), None)
    assert found.level == "bad"
    assert found.words == "Unusable: none of 3 image files can be read."
    assert found.findings[0].rule


def test_one_photograph_is_no_reconstruction() -> None:
    found = verdict(run_facts(status="one image"), image_facts(1, observations=0))
    assert found.level == "bad"
    assert "no second view" in found.words


def test_photographs_without_points_make_it_unusable_from_half_on() -> None:
    lost = image_facts(9, status="predicted only", observations=0)
    held = image_facts(COUNT)
    assert verdict(images=[*held[:8], *lost]).level == "bad"
    found = verdict(images=[*held[:9], *lost])
    assert found.level == "care"
    assert "held by no point" in found.words


def test_a_broken_chain_names_the_weak_frames() -> None:
    shared = chain()
    shared[11, 12] = shared[12, 11] = LINK_POINTS - 1
    found = verdict(shared=shared)
    assert found.level == "care"
    assert "photographs 13–20 (012.jpg to 019.jpg) weakly linked" in found.words
    assert str(LINK_POINTS) in found.findings[0].rule
    shared[11, 12] = shared[12, 11] = LINK_POINTS
    assert verdict(shared=shared).level == "good"


def test_frames_apart_are_named_by_runs() -> None:
    images = image_facts(COUNT)
    for s in (2, 3, 7):
        images[s] = replace(images[s], status="rejected")
    assert "photographs 3–4, 8 (002.jpg, …) contradict" in verdict(images=images).words


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (model_facts(median_error_px=1.6), "miss their pixels by 1.6 px"),
        (model_facts(median_angle_deg=1.2), "hardly moved"),
        (model_facts(radial_bias_px=0.2), "the lens bends pictures by 0.20 px"),
    ],
)
def test_inexact_models_need_care(after: ModelFacts, words: str) -> None:
    found = verdict(after=after)
    assert found.level == "care"
    assert words in found.words


def test_error_limits_grow_with_the_photographs() -> None:
    images = image_facts(COUNT)
    after = model_facts(median_error_px=2.5)
    assert judge(run_facts(), images, chain(), after, 4000.0).level == "good"
    assert judge(run_facts(), images, chain(), after, 1000.0).level == "care"


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"inlier_ratio_after": 0.9}, "good", "Ready"),
        ({"inlier_ratio_after": 0.83}, "care", "only 83% of the observations fit"),
        ({"inlier_ratio_after": 0.79}, "bad", "only 79% of the observations fit"),
        ({"held_out_after_px": 1.0}, "good", "Ready"),
        ({"held_out_after_px": 1.2}, "care", "no part in the adjustment miss by 1.20 px"),
    ],
)
def test_observations_that_do_not_fit_are_held_against_it(
    changes: dict[str, float], level: str, words: str
) -> None:
    found = verdict(run_facts(bundle=bundle_report(**changes)))
    assert found.level == level
    assert words in found.words


def test_uncertain_and_thin_photographs_and_skipped_files_are_said() -> None:
    images = image_facts(COUNT)
    images[4] = replace(images[4], rotation_sigma_deg=0.5)
    images[6] = replace(images[6], observations=20)
    copy = SkippedFile(name="copy.jpg", reason="same file as 000.jpg", twin=True)
    run = run_facts(skipped=(SkippedFile(name="bad.jpg", reason="broken"), copy))
    found = verdict(run, images)
    words = [finding.words for finding in found.findings]
    assert "photograph 5 (004.jpg) uncertain" in words
    assert "photograph 7 (006.jpg) held by few points" in words
    assert "1 file could not be used (bad.jpg)" in words


def test_a_prediction_that_was_not_adjusted_needs_care() -> None:
    run = run_facts(status="feed-forward", reason="bundle adjustment is off")
    found = verdict(run, image_facts(COUNT, status="registered"))
    assert found.level == "care"
    assert [f.words for f in found.findings] == [
        "the cameras are a prediction, not adjusted (bundle adjustment is off)"
    ]
