"""Broken predictions and tracks end in a valid model and a stated status; a sample of the command.

Everything runs in child processes, so that a crash is a failed test and not the end of all tests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fuzz_targets
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.benchmarks import fuzz as command
from vggt_sfm.benchmarks.fuzz import fuzz, main, summary
from vggt_sfm.benchmarks.fuzz_cases import Case, choices, draw_case, from_plain, make_case, to_plain
from vggt_sfm.benchmarks.fuzz_checks import Outcome, model_faults, report_faults, run_case
from vggt_sfm.benchmarks.fuzz_child import Child
from vggt_sfm.benchmarks.fuzz_inputs import build_inputs


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Some things at once that the command draws too; shrinks to the one that fails."""
    table = choices()
    broken = draw(st.lists(st.sampled_from(sorted(table)), max_size=6, unique=True))
    values = {name: options[0] for name, options in table.items()}
    values |= {name: draw(st.sampled_from(table[name])) for name in broken}
    return make_case(draw(st.integers(0, 99)), values)


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with Child(run_case, tmp_path_factory.mktemp("fuzz") / "stderr.txt", 60) as process:
        yield process


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Child]:
    with Child(fuzz_targets.ends_in_many_ways, tmp_path / "stderr.txt", 5) as process:
        yield process


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_some_things_at_once_end_in_a_valid_model(child: Child, case: Case) -> None:
    outcome = child(case)
    assert not outcome.is_failure, outcome


def test_the_first_cases_of_the_command_end_in_valid_models(child: Child) -> None:
    outcomes = [child(draw_case(0, number)) for number in range(30)]
    assert [o for o in outcomes if o.is_failure] == []
    statuses = {outcome.detail.split()[0] for outcome in outcomes if outcome.kind == "valid"}
    assert statuses == {"refined", "rejected", "skipped"}


def test_a_harmless_case_is_refined(child: Child) -> None:
    assert child(Case()).detail == "refined"


def test_equal_numbers_give_equal_cases_and_inputs() -> None:
    case = draw_case(3, 14)
    assert case == draw_case(3, 14) != draw_case(3, 15)
    assert from_plain(json.loads(json.dumps(to_plain(case)))) == case
    one, other = build_inputs(Case()), build_inputs(Case())
    np.testing.assert_array_equal(one.tracks.xy, other.tracks.xy)
    np.testing.assert_array_equal(one.predictions.depth, other.predictions.depth)


def test_every_option_of_the_adjustment_is_drawn() -> None:
    options = BundleConfig.__dataclass_fields__
    assert {name.removeprefix("bundle.") for name in choices() if "bundle." in name} == set(options)


def test_every_choice_makes_a_difference() -> None:
    """A misspelt choice would silently be the harmless one."""
    scene: dict[str, Any] = {"images": 4, "tracks": 60, "camera_keys": "each", "exif": "all"}

    def content(case: Case) -> str:
        try:
            return str([_plain(part) for part in build_inputs(case)])
        except ValueError as error:
            return str(error)

    start = Case(**scene)
    for name, options in choices().items():
        if "." in name:
            continue
        harmless, *harmful = (content(replace(start, **{name: option})) for option in options)
        assert harmless not in harmful, name


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    fields = getattr(value, "__dataclass_fields__", None)
    return [_plain(getattr(value, name)) for name in fields] if fields else value


def test_an_abort_an_exit_and_a_hang_are_crashes_of_their_case(planted: Child) -> None:
    first, second = planted(Case(tracks=60)), planted(Case(tracks=20))
    assert first.detail == second.detail != str(os.getpid())
    aborted = planted(Case(tracks=0))
    assert (aborted.kind, aborted.detail.splitlines()[-1]) == ("crash", "signal 6")
    assert [case.tracks for case in planted.before] == [60, 20]
    hung = planted(Case(tracks=1))
    assert (hung.kind, hung.detail.splitlines()[-1]) == ("crash", "nothing after 5 s")
    left = planted(Case(tracks=7))
    assert (left.kind, left.detail.splitlines()[-1]) == ("crash", "exit code 3")
    assert planted(Case(tracks=60)).kind == "valid"


def test_failures_are_counted_and_saved(tmp_path: Path) -> None:
    outcomes = fuzz(range(6), 1, tmp_path, timeout=5, run=fuzz_targets.ends_in_many_ways)
    tracks = [draw_case(1, number).tracks for number in range(6)]
    expected = ["crash" if n in (0, 1, 7) else "invalid" if n == 8 else "valid" for n in tracks]
    assert [outcome.kind for outcome in outcomes] == expected
    assert {"crash", "invalid", "valid"} == set(expected)
    counts = f"{expected.count('crash')} crashes, {expected.count('invalid')} invalid, 0 exceptions"
    assert f"6 cases: {counts}" in summary(outcomes)
    lines = [json.loads(line) for line in (tmp_path / "cases.jsonl").read_text().splitlines()]
    assert sorted(line["number"] for line in lines) == list(range(6))
    saved = {path.name for path in tmp_path.glob("case-*.json")}
    assert saved == {f"case-{n:06d}.json" for n, kind in enumerate(expected) if kind != "valid"}


def test_the_command_replays_a_case_and_fails_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "run_case", fuzz_targets.ends_in_many_ways)
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    for path, tracks, before in ((good, 60, [to_plain(Case(tracks=20))]), (bad, 8, [])):
        path.write_text(json.dumps({"case": to_plain(Case(tracks=tracks)), "before": before}))
    words = ["-o", str(tmp_path / "out"), "--replay"]
    assert CliRunner().invoke(main, [*words, str(good)]).exit_code == 0
    outcome = CliRunner().invoke(main, [*words, str(bad)])
    assert outcome.exit_code == 7
    assert "1 of 1 cases failed" in outcome.output


def test_faults_of_models_and_reports_are_seen() -> None:
    import pycolmap

    from vggt_sfm._log import SilentProgress
    from vggt_sfm.ba.adjust import adjust
    from vggt_sfm.ba.seed import seed_reconstruction

    scene, predictions, tracks, seeding, bundle = build_inputs(Case(camera_keys="none"))
    model, report = adjust(
        seed_reconstruction(scene, predictions, tracks, seeding), bundle, SilentProgress()
    )
    assert model_faults(model, scene) == report_faults(report, model, scene) == []

    broken = pycolmap.Reconstruction(model)
    broken.camera(1).params = [-3.0, 200, 150]
    broken.camera(2).params = [np.nan, 200, 150]
    turn = broken.frame(broken.image(3).frame_id).rig_from_world.params
    turn[:4] *= 2
    point = next(iter(broken.points3D.values()))
    point.xyz = [np.inf, 0, 0]
    point.error = -1
    found = " ".join(model_faults(broken, scene))
    for fault in (
        "focal length -3",
        "camera parameters",
        "quaternion",
        "a point at",
        "error of -1",
    ):
        assert fault in found
    fewer = replace(scene, frames=scene.frames[1:], pixel_maps=scene.pixel_maps[1:])
    assert model_faults(model, fewer)[0] == "5 images for 4 frames"

    for change, fault in (
        ({"reason": "none"}, "status refined with reason"),
        ({"status": "skipped"}, "status skipped with reason ''"),
        ({"status": "lost"}, "status lost"),
        ({"inlier_ratio_after": np.nan}, "not JSON"),
        ({"images": report.images[1:]}, "other images"),
    ):
        assert any(fault in text for text in report_faults(replace(report, **change), model, scene))


def test_an_outcome_that_needs_mending_is_a_failure() -> None:
    assert [Outcome(kind=kind).is_failure for kind in ("valid", "refused")] == [False, False]
    assert all(Outcome(kind=kind).is_failure for kind in ("invalid", "exception", "crash"))
