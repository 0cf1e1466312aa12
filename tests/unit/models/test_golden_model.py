"""The network against the reference's outputs and intermediates (model.md, section 9)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from vggt_sfm.benchmarks.golden_pieces import rectified_field_of_view
from vggt_sfm.benchmarks.goldens import CASES, TINY, Goldens, Match, seeded_model
from vggt_sfm.benchmarks.recording import compare_case, record
from vggt_sfm.models import VGGT
from vggt_sfm.models.heads import camera


def beyond_tolerance(matches: list[Match]) -> list[Match]:
    assert matches
    return [match for match in matches if not match.within]


@pytest.mark.parametrize("case", ["A", "B", "C"])
def test_small_model(case: str, small_goldens: Goldens, small_model: VGGT) -> None:
    matches = compare_case(small_goldens, case, small_model)
    assert {"depth", "track_iters", "vis", "conf", "track.former_out1"} <= {m.name for m in matches}
    assert beyond_tolerance(matches) == []


def test_conv_patch_model(golden_dir: Path, small_goldens: Goldens) -> None:
    matches = compare_case(small_goldens, "T", seeded_model(golden_dir, TINY))
    assert beyond_tolerance(matches) == []


def test_field_of_view_is_rectified_only_where_it_leaves(
    golden_dir: Path, small_model: VGGT, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimates = Goldens(golden_dir, "relu_fov.npz").arrays["R.pose_enc_iters"]
    assert (estimates[..., 7:] == 0).any()  # the case does what it is for
    assert beyond_tolerance(rectified_field_of_view(golden_dir, small_model)) == []
    monkeypatch.setattr(camera, "F", SimpleNamespace(relu=lambda x: x))
    assert beyond_tolerance(rectified_field_of_view(golden_dir, small_model)) != []


def test_nothing_is_compared_with_what_is_not_there(
    golden_dir: Path, small_goldens: Goldens
) -> None:
    tiny = seeded_model(golden_dir, TINY)
    images, _ = small_goldens.inputs(CASES["T"])
    for name in ("depth", "depth.logits", "track.fmaps", "agg.nonsense"):
        with pytest.raises(ValueError, match=name):
            record(tiny, images, None, [name])


def test_arrays_of_another_shape_are_no_match(small_goldens: Goldens) -> None:
    with pytest.raises(ValueError, match=r"A\.vis: expected shape \(1, 3, 16\), got \(1, 3, 32\)"):
        # samples every second element, which would fit
        small_goldens.difference("A.vis", small_goldens.arrays["A.vis"].repeat(2, axis=-1))


@pytest.mark.slow
def test_vggt_1b(golden_dir: Path) -> None:
    goldens = Goldens(golden_dir, "full.npz")
    model = seeded_model(golden_dir, CASES["full"].config)
    assert beyond_tolerance(compare_case(goldens, "full", model)) == []
