"""The failure map: what is varied, where it is said to break, and a small run that resumes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from vggt_sfm.benchmarks import failure_map, failure_run
from vggt_sfm.benchmarks.failure_axes import AXES, Case, Setup, all_cases
from vggt_sfm.benchmarks.failure_report import Bin, Curve, breaking_points, curves, sentence, table
from vggt_sfm.benchmarks.failure_run import Errors, Log, Result
from vggt_sfm.benchmarks.failure_scenes import draw_case, orbit, side_by_side, spoiled
from vggt_sfm.benchmarks.failure_surfaces import dressed, seen_shares, up_to
from vggt_sfm.benchmarks.rendered_photographs import write_photographs
from vggt_sfm.benchmarks.rendered_textures import HeldOut
from vggt_sfm.benchmarks.two_views import overlap, relative_rotation_deg
from vggt_sfm.training.scenes.cameras import random_cameras
from vggt_sfm.training.scenes.description import PLAIN, Stage
from vggt_sfm.training.scenes.draw import random_scene
from vggt_sfm.training.textures import procedural_textures

SIDE = 64
NOISE = next(axis for axis in AXES if axis.field == "noise")
STAGE = Stage(
    target=np.array([1.0, 0, 2]), spread=1.0, near=1.0, far=2.0, low=np.zeros(3), high=np.ones(3)
)


@pytest.fixture(scope="module")
def textures() -> HeldOut:
    return HeldOut(procedural_textures(6, np.random.default_rng(0)))


def bins(*aucs: float) -> list[Bin]:
    return [Bin(value=n, scenes=1, auc=auc, depth_percent=1.0) for n, auc in enumerate(aucs)]


def result(case: Case, pose_deg: float, adjusted_deg: float | None = None) -> Result:
    sides = [None if e is None else Errors(pose_deg=(e,), depth_percent=5.0)
             for e in (pose_deg, adjusted_deg)]  # fmt: skip
    assert sides[0] is not None
    return Result(case=case, feed_forward=sides[0], adjusted=sides[1])


def test_every_axis_changes_one_thing_and_cases_are_counted_once() -> None:
    for axis in AXES:
        for setup, value in zip(axis.setups(), axis.values, strict=True):
            assert replace(setup, **{axis.field: getattr(Setup(), axis.field)}) == Setup()
            assert getattr(setup, axis.field) == value
    cases = list(all_cases())
    assert len(cases) == len(set(cases))
    assert sum(case.setup == Setup() for case in cases) == Setup().scenes
    assert Setup(frames=2).scenes == 12


def test_cameras_turn_around_the_target_or_pass_it() -> None:
    setup = Setup(frames=3, step_deg=40.0)
    poses = orbit(STAGE, setup, 2.0, 10.0, np.zeros(3))
    target = poses[:, :, :3] @ STAGE.target + poses[:, :, 3]
    np.testing.assert_allclose(target, np.tile([0, 0, 2], (3, 1)), atol=1e-12)
    turn = poses[1, :, :3] @ poses[0, :, :3].T
    assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(40)
    poses = side_by_side(STAGE, setup, 2.0, 10.0, np.zeros(3), 0.5)
    target = poses[:, :, :3] @ STAGE.target + poses[:, :, 3]
    np.testing.assert_allclose(np.abs(target), [[1, 0, 2], [0, 0, 2], [1, 0, 2]], atol=1e-12)


@pytest.mark.parametrize("wanted", [20, 70])
def test_neighbours_overlap_as_much_as_they_should(
    textures: HeldOut, wanted: float, tmp_path: Path
) -> None:
    case = Case(setup=Setup(overlap=wanted), number=0)
    found = write_photographs(tmp_path / "scene", draw_case(case, textures.bank, SIDE))
    views = [found.view(s) for s in range(4)]
    shares = [min(overlap(a, b), overlap(b, a)) for a, b in pairwise(views)]
    # counted from other pixels, with another tolerance of depth
    assert 100 * np.mean(shares) == pytest.approx(wanted, abs=12)
    assert relative_rotation_deg(views[0], views[3]) < 1e-3


def test_solids_are_chosen_up_to_a_share() -> None:
    shares = np.array([0.6, 0.1, 0.25, 0.0, 0.05])
    assert up_to(shares, 0.0) == set()
    assert up_to(shares, 0.5) == {1, 2, 4}
    assert up_to(shares, 1.0) == {0, 1, 2, 3, 4}


def test_surfaces_become_plain_or_repeated(textures: HeldOut) -> None:
    rng = np.random.default_rng(0)
    scene, stage = random_scene(rng, textures.bank.count, "bare room")
    cameras = random_cameras(stage, 3, SIDE, rng, "orbit")
    shares = seen_shares(scene, cameras, SIDE)
    assert shares.sum() == pytest.approx(1)
    for setup, most in ((Setup(), 0.0), (Setup(plain=50.0), 0.5), (Setup(plain=100.0), 1.0)):
        solids = dressed(scene, cameras, SIDE, setup, rng).solids
        plain = np.array([solid.material.repeat <= PLAIN for solid in solids])
        assert shares[plain].sum() <= most + 1e-9
        assert bool(plain.any()) == (most > 0)
    tiled = dressed(scene, cameras, SIDE, Setup(repeated=100.0), rng).solids
    assert len({int(t) for solid in tiled for t in solid.material.texture}) == 1


def test_images_are_blurred_and_noisy() -> None:
    image = torch.zeros(1, 3, 33, 33)
    image[..., 16, 16] = 1
    rng = np.random.default_rng(0)
    torch.testing.assert_close(spoiled(image, Setup(), rng), image)
    blurred = spoiled(image, Setup(blur_px=2.0), rng)
    assert blurred.max() < 0.1
    assert float(blurred.sum()) == pytest.approx(3, rel=1e-3)
    noisy = spoiled(image + 0.5, Setup(noise=0.1), rng)
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.1)


def test_it_breaks_where_half_of_the_best_is_lost_on_either_side() -> None:
    assert [one.value for one in breaking_points(bins(90, 80, 44, 20))] == [2]
    assert [one.value for one in breaking_points(bins(30, 50, 90, 46, 10))] == [4, 0]
    assert breaking_points(bins(50, 90, 46)) == []


def test_a_sentence_says_where_from_the_figures() -> None:
    found = [Curve(way="feed-forward", bins=bins(90, 40)), Curve(way="+BA", bins=bins(99, 98))]
    assert sentence(NOISE, found) == (
        "**noise σ, white = 1**: AUC@30 of feed-forward is best at 0 (90) and falls below half of "
        "that at 1 (40); of +BA is best at 0 (99) and never falls below half of "
        "that (least 98 at 1)."
    )


def test_scenes_of_a_setup_are_pooled_into_rows() -> None:
    easy = NOISE.setups()[0]
    results = [result(Case(setup=easy, number=n), e) for n, e in enumerate((0.0, 180.0))]
    (curve,) = curves(NOISE, results)
    assert [(b.scenes, b.auc, b.depth_percent) for b in curve.bins] == [(2, 50.0, 5.0)]
    assert table(NOISE, [curve]).splitlines()[-1] == "| 0 | 2 | 50.0 | 5.0 |"


def test_results_are_found_again_if_nothing_else_changed(tmp_path: Path) -> None:
    path, case = tmp_path / "results.jsonl", Case(setup=Setup(), number=3)
    Log(path, "a").add(result(case, 1.0))
    with path.open("a") as file:
        file.write('{"key": "a", "ca')
    assert Log(path, "a").find(case, ba=False) == result(case, 1.0)
    assert Log(path, "a").find(case, ba=True) is None
    assert Log(path, "b").find(case, ba=False) is None
    assert Log(path, "a").find(replace(case, number=2), ba=False) is None


def test_a_small_map_is_drawn_and_goes_on_where_it_stopped(
    textures: HeldOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = (replace(NOISE, values=(0, 0.05)),)
    runs = []

    def run_case(*args: object, **options: bool) -> Result:
        runs.append(args)
        return original(*args, **options, width=SIDE)  # type: ignore[arg-type]

    original = failure_run.run_case
    monkeypatch.setattr(failure_run, "run_case", run_case)
    monkeypatch.setattr(failure_map, "AXES", short)
    monkeypatch.setattr(failure_map, "held_out_textures", lambda folder, file: textures)
    for _ in range(2):
        done = CliRunner().invoke(
            failure_map.main, ["-o", str(tmp_path), "--ba", "--fast"], catch_exceptions=False
        )
    assert len(runs) == 2
    assert "**noise σ, white = 1**: AUC@30 of feed-forward is best at" in done.stdout
    drawing = ElementTree.parse(tmp_path / failure_map.DRAWING).getroot()
    assert "prefers-color-scheme: dark" in (tmp_path / failure_map.DRAWING).read_text()
    lines = [p for p in drawing.iter() if str(p.get("class", "")).startswith("line")]
    assert len(lines) == 2 * 2 + 2  # two panels, and the legend
    assert (tmp_path / failure_map.TABLES).read_text() == done.stdout


def test_a_case_that_fits_into_no_scene_is_left_out(
    tmp_path: Path,
    textures: HeldOut,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("vggt_sfm.benchmarks.failure_scenes._cameras", lambda *arguments: None)
    monkeypatch.setattr("vggt_sfm.benchmarks.failure_scenes._ATTEMPTS", 1)
    case = Case(setup=Setup(), number=0)
    log = Log(tmp_path / "log.jsonl", "key")
    assert failure_run.run_all([case], log, textures.bank, tmp_path, ba=False) == []
    assert "left out" in capsys.readouterr().err
