"""The report of a run, however it ended, and exports that a run was asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import photos
import pytest
from PIL import Image

from vggt_sfm import CapabilityError, InputError, ReconstructConfig, reconstruct
from vggt_sfm.export import words
from vggt_sfm.io.plain import from_plain
from vggt_sfm.pipelines.config import IngestConfig
from vggt_sfm.pipelines.opened import open_model
from vggt_sfm.report.facts import Report

pytestmark = pytest.mark.usefixtures("simulated_predictor")


def read_report(output: Path) -> Report:
    return from_plain(Report, json.loads((output / "report.json").read_text()))


def test_the_report_has_the_figures_of_the_run(room: Path, tmp_path: Path) -> None:
    result = reconstruct(room, tmp_path / "out")
    report, run = read_report(tmp_path / "out"), result.report
    assert result.page == tmp_path / "out" / "report.html"
    assert report.run.status == run.status == "adjusted"
    assert report.after is not None
    assert report.before is not None
    assert (report.after.points, report.after.observations) == (
        run.num_points,
        run.num_observations,
    )
    assert report.after.mean_error_px == pytest.approx(run.mean_reprojection_error_px, abs=1e-6)
    assert report.before.median_error_px > report.after.median_error_px
    assert [image.name for image in report.images] == [image.name for image in run.images]
    assert [i.observations for i in report.images] == [i.observations for i in run.images]
    assert run.bundle is not None
    assert all(len(r.costs) == r.iterations + 1 for r in run.bundle.rounds)
    html = (tmp_path / "out" / "report.html").read_text()
    assert html.count("data:image/jpeg") == 2 * len(run.images)  # photograph and depth


def test_a_run_that_fails_leaves_a_report_that_says_why(room: Path, tmp_path: Path) -> None:
    config = ReconstructConfig(ingest=IngestConfig(masks=tmp_path))
    with pytest.raises(InputError, match="no mask for any"):
        reconstruct(room, tmp_path / "out", config)
    report = read_report(tmp_path / "out")
    assert report.verdict.level == "bad"
    assert "no mask for any" in report.verdict.words
    assert "no mask for any" in (tmp_path / "out" / "report.html").read_text()


def test_a_stopped_run_and_a_prediction_are_not_praised(room: Path, tmp_path: Path) -> None:
    reconstruct(room, tmp_path / "out", ReconstructConfig(until="predict"))
    assert "stopped after predict" in read_report(tmp_path / "out").verdict.words
    reconstruct(room, tmp_path / "out", ReconstructConfig(ba=False))
    report = read_report(tmp_path / "out")
    assert report.verdict.level == "care"
    assert "not adjusted" in report.verdict.words
    assert report.before is None


def test_the_report_can_be_left_out(room: Path, tmp_path: Path) -> None:
    reconstruct(room, tmp_path / "out")
    config = ReconstructConfig(report=False)
    result = reconstruct(room, tmp_path / "out", config)
    assert result.page is None  # nor is that of an earlier run left
    assert not list((tmp_path / "out").glob("report.*"))


def test_a_run_writes_the_exports_it_is_asked_for(room: Path, tmp_path: Path) -> None:
    config = ReconstructConfig(export=("nerfstudio", "tum"))
    reconstruct(room, tmp_path / "out", config)
    transforms = json.loads((tmp_path / "out" / "transforms.json").read_text())
    assert len(transforms["frames"]) == len(list((room).iterdir()))
    assert (tmp_path / "out" / "trajectory.tum.txt").is_file()


def test_a_missing_package_is_told_before_the_work(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CapabilityError, match=r"pip install 'vggt-sfm\[export\]'"):
        reconstruct(room, tmp_path / "out", ReconstructConfig(export=("glb",)))
    assert not (tmp_path / "out").exists()


def test_a_run_is_opened_with_what_it_was_made_from(room: Path, tmp_path: Path) -> None:
    result = reconstruct(room, tmp_path / "out")
    opened = open_model(tmp_path / "out")
    names = [image.name for image in result.report.images]
    assert sorted(opened.frames) == sorted(opened.depths) == sorted(names)
    assert opened.before is not None
    assert opened.before.num_points3D() >= opened.model.num_points3D()
    moved = room
    assert open_model(tmp_path / "out", images=moved).frames == opened.frames
    with pytest.raises(InputError, match="no such folder"):
        open_model(tmp_path / "out", images=tmp_path / "nowhere")
    shutil.rmtree(tmp_path / "out" / "work")
    alone = open_model(tmp_path / "out")
    assert (alone.frames, alone.depths, alone.before) == ({}, {}, None)
    assert sorted(open_model(tmp_path / "out", images=moved).frames) == sorted(names)


def test_transparency_goes_with_a_photograph_that_moves(room: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / photos.TRUTH_FILE).write_bytes((room.parent / photos.TRUTH_FILE).read_bytes())
    for path in sorted(room.iterdir()):
        with Image.open(path) as image:
            cut_out = image.convert("RGBA")
        alpha = np.full(cut_out.size[::-1], 255, np.uint8)
        alpha[:, :100] = 0
        cut_out.putalpha(Image.fromarray(alpha))
        cut_out.save(tmp_path / "images" / f"{path.stem}.png")
    reconstruct(tmp_path / "images", tmp_path / "out", ReconstructConfig(export=("depth-npz",)))
    with np.load(tmp_path / "out" / "depth" / "img1.png.npz") as saved:
        depth = saved["depth"]
    masked = round(depth.shape[1] * 100 / 320)
    assert not depth[:, : masked - 1].any()
    assert (depth[:, masked + 1 :] > 0).mean() > 0.9
    (tmp_path / "images").rename(tmp_path / "moved")
    opened = open_model(tmp_path / "out", images=tmp_path / "moved")
    assert all(frame.mask_path == frame.path for frame in opened.frames.values())
    assert len(opened.depths) == len(opened.frames) == 5
    assert not open_model(tmp_path / "out").depths  # masks are gone: no depth that they hid
