"""Every data set, from its official layout to the report, measured with the embedded model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import official
import photos
import pytest
from click.testing import CliRunner
from here import HereWorker

from vggt_sfm.benchmarks.bench import benchmark as module
from vggt_sfm.benchmarks.bench.benchmark import BenchResult
from vggt_sfm.benchmarks.bench.config import BenchConfig
from vggt_sfm.benchmarks.bench.rows import Row, read_rows
from vggt_sfm.benchmarks.datasets.bags import Dataset
from vggt_sfm.benchmarks.datasets.co3d import Co3d
from vggt_sfm.benchmarks.datasets.folders import Folders
from vggt_sfm.benchmarks.datasets.imc import Imc
from vggt_sfm.benchmarks.datasets.re10k import Re10k
from vggt_sfm.benchmarks.datasets.scannet1500 import Scannet1500
from vggt_sfm.benchmarks.datasets.seven_scenes import SevenScenes
from vggt_sfm.cli.main import main
from vggt_sfm.errors import InputError
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.tracking.config import TrackConfig

ROOM = photos.views(5, 240, 180)
FEW = BenchConfig(modes="ff,ba", threads=0)
COMMAND_LINE = "import sys; from vggt_sfm.cli.main import main; main(sys.argv[1:])"
AT_LEAST = 85.0  # AUC@30 on this room; a wrong convention gives less than 50


def views(count: int) -> list[photos.View]:
    """A denser turn around the same room; the focal length fits the small images."""
    return [replace(view, focal=0.6 * 240) for view in photos.views(count, 240, 180)]


def re10k(root: Path) -> Dataset:
    official.write_re10k(root, {"000c3ab189999a83": views(5)})
    return Re10k(root)


def co3d(root: Path) -> Dataset:
    turn, poor = views(50), views(2)
    official.write_co3d(root, "apple", {"110_13051_23361": turn, "540_79043_153212": poor})
    return Co3d(root)


def imc(root: Path) -> Dataset:
    official.write_imc(root, "mount_rushmore", views(5), [4, 5])
    return Imc(root)


def scannet1500(root: Path) -> Dataset:
    room = views(5)
    official.write_scannet1500(root, [(room[0], room[2]), (room[2], room[4])])
    return Scannet1500(root)


def seven_scenes(root: Path) -> Dataset:
    official.write_seven_scenes(root, "chess", views(5))
    return SevenScenes(root, stride=1)


def folders(root: Path) -> Dataset:
    official.write_folder(root / "room", views(5))
    return Folders(root)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure in this process."""
    monkeypatch.setattr(module, "Worker", HereWorker)


def benchmark(
    dataset: Dataset, root: Path, output: Path, bench: BenchConfig, **more: Any
) -> BenchResult:
    """With the usual options of a reconstruction."""
    config = more.pop("config", ReconstructConfig())
    return module.benchmark(dataset, root, output, bench, config, **more)


def by_mode(rows: list[Row] | tuple[Row, ...]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.mode, []).append(row)
    return found


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("write", [re10k, co3d, imc, seven_scenes, folders])
def test_a_data_set_is_measured_from_its_layout_to_the_report(
    write: Callable[[Path], Dataset], tmp_path: Path
) -> None:
    root, output = tmp_path / "data", tmp_path / "results"
    dataset = write(root)
    result = benchmark(dataset, root, output, FEW)
    rows = result.found.rows
    assert {row.mode for row in rows} == {"ff", "ba"}
    for row in rows:
        assert row.status == "done"
        assert row.registered == row.images > 1
        assert row.auc_exact is not None
        assert row.auc_exact["30"] > AT_LEAST, f"{row.scene} {row.mode}"
        assert row.seconds is not None
        assert row.seconds > 0.1
        assert row.peak_memory_mb is not None
    assert not (output / "work").exists()
    for name in ("manifest.json", "bench.json", "scores.json", "report.html", "recall.svg"):
        assert (output / name).stat().st_size > 100
    page = (output / "report.html").read_text()
    assert not any(word in page for word in ("src=", "href=", "@import", "url(")), (
        "asks for nothing"
    )
    assert result.markdown == (output / "report.md").read_text()
    claimed = dataset.name in ("re10k", "co3d", "imc")
    assert ("VGGT-1B +BA" in result.markdown) == claimed
    assert ("not measured" in result.markdown) == (claimed or dataset.name == "7scenes")
    again = benchmark(dataset, root, output, FEW)
    assert again.found.rows == rows, "nothing is measured twice"


@pytest.mark.usefixtures("here")
def test_scannet_is_measured_as_matcher_and_directly(tmp_path: Path) -> None:
    dataset = scannet1500(tmp_path / "data")
    options = replace(FEW, modes="ff,matching")
    plain = benchmark(dataset, tmp_path / "data", tmp_path / "plain", options)
    compat = replace(options, modes="matching", limit=1)
    repeated = benchmark(dataset, tmp_path / "data", tmp_path / "compat", compat, roma_compat=True)
    for row in by_mode(list(plain.found.rows))["matching"]:
        assert row.auc_exact_folded is not None
        assert row.auc_exact_folded["20"] > AT_LEAST
        assert row.rotation_deg is not None
        assert len(row.rotation_deg) == 5
    (row,) = repeated.found.rows
    assert row.rotation_deg is not None
    assert len(row.rotation_deg) == 6
    assert row.rotation_deg[4] == row.rotation_deg[5]
    with pytest.raises(InputError, match="matching needs given intrinsics"):
        benchmark(folders(tmp_path / "f"), tmp_path / "f", tmp_path / "out", options)


@pytest.mark.usefixtures("here")
def test_comparators_and_broken_scenes_are_rows(tmp_path: Path) -> None:
    root = tmp_path / "data"
    folders(root)
    for name in ("broken photographs", "broken truth"):
        shutil.copytree(root / "room", root / name)
    for path in (root / "broken photographs" / "images").iterdir():
        path.write_bytes(b"no image")
    (root / "broken truth" / "gt" / "images.bin").write_bytes(b"broken")
    (root / "free" / "images").mkdir(parents=True)
    photos.save(root / "free" / "images" / "1.png", ROOM[0])
    every = BenchConfig(threads=0)
    result = benchmark(Folders(root), root, tmp_path / "out", every)
    rows = {(row.scene, row.mode): row for row in result.found.rows}
    assert len(rows) == 16
    for mode in every.chosen_modes:
        room = rows["room", mode]
        assert room.auc_exact is not None
        assert room.auc_exact["30"] > AT_LEAST, mode
        broken = rows["broken photographs", mode]
        assert broken.status == "failed" or broken.registered == 0
        assert broken.auc_exact is not None
        assert broken.auc_exact["30"] == 0
        truth = rows["broken truth", mode]
        assert truth.status == "failed"
        assert "broken truth" in (truth.reason or "")
        assert truth.auc_exact is rows["free", mode].auc_exact is None
    assert rows["free", "ff"].registered == 1
    shared = [rows["room", mode].steps for mode in ("incremental", "global")]
    assert shared[0]["extract"] == shared[1]["extract"] > 0, "features are found once"
    assert rows["room", "ba"].steps["predict"] == rows["room", "ff"].steps["predict"]
    assert (rows["room", "ba"].seconds or 0) > (rows["room", "ff"].seconds or 0)
    assert "## Failures" in result.markdown
    retried = benchmark(Folders(root), root, tmp_path / "out", replace(every, retry=True))
    assert len(retried.found.rows) == 16


@pytest.mark.usefixtures("here")
def test_results_of_another_setup_are_not_mixed(tmp_path: Path) -> None:
    root, output = tmp_path / "data", tmp_path / "out"
    dataset = imc(root)
    one = replace(FEW, modes="ff", limit=1)
    first = benchmark(dataset, root, output, one)
    assert len(first.found.rows) == 1
    more = benchmark(dataset, root, output, replace(one, limit=None))
    assert len(more.found.rows) == 2
    with pytest.raises(InputError, match="seed 0"):
        benchmark(dataset, root, output, replace(one, seed=1))
    with pytest.raises(InputError, match=r"another threads \(0, now 1\)"):
        benchmark(dataset, root, output, replace(one, threads=1))
    changed = ReconstructConfig(track=TrackConfig(max_ratio=0.7))
    with pytest.raises(InputError, match=r"another config.track.max_ratio \(0.8, now 0.7\)"):
        benchmark(dataset, root, output, one, config=changed)
    photograph = root / first.found.manifest.bags[1].images[0]
    photograph.unlink()
    with pytest.raises(InputError, match=rf"such as {photograph}; --skip-missing"):
        benchmark(dataset, root, output, one)
    given = replace(one, manifest=output / "manifest.json", skip_missing=True, limit=None)
    rest = benchmark(dataset, root, tmp_path / "elsewhere", given)
    assert rest.found.manifest == first.found.manifest
    assert {row.scene for row in rest.found.rows} == {
        bag.name for bag in first.found.manifest.bags if photograph.name not in str(bag.images)
    }


def test_a_run_that_is_worse_than_a_kept_one_ends_with_7(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Worker", HereWorker)
    root = tmp_path / "data"
    folders(root)
    words = ["bench", "poses", "--data", str(root), "--threads", "0", "--modes", "ff"]
    kept, now = str(tmp_path / "kept"), str(tmp_path / "now")
    assert CliRunner().invoke(main, [*words, "-o", kept]).exit_code == 0
    good = CliRunner().invoke(main, [*words, "-o", now, "--against", kept, "--gate", "0.5"])
    assert good.exit_code == 0, good.output
    assert "## Against the kept run" in good.output
    (row,) = read_rows(tmp_path / "now" / "results.jsonl")
    worse = json.loads((tmp_path / "now" / "results.jsonl").read_text())
    worse["rotation_deg"] = [9.0] * len(row.rotation_deg or ())
    (tmp_path / "now" / "results.jsonl").write_text(json.dumps(worse) + "\n")
    bad = CliRunner().invoke(main, [*words, "-o", now, "--against", kept, "--gate", "0.5"])
    assert bad.exit_code == 7
    assert "ff @10 fell from" in bad.output
    alone = CliRunner().invoke(main, [*words, "-o", now, "--gate", "1"])
    assert alone.exit_code == 2
    unknown = CliRunner().invoke(main, [*words[:-1], "ff,magic", "-o", now])
    assert unknown.exit_code == 2
    assert "magic" in unknown.output


def test_killed_halfway_and_run_again_the_numbers_are_the_same(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name, few in (("a", ROOM[:3]), ("b", ROOM[2:])):
        official.write_folder(root / name, few)

    def start(output: Path) -> subprocess.Popen[str]:
        words = ["bench", "poses", "--data", str(root), "-o", str(output), "--modes", "ff,ba"]
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND_LINE, *words, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=tmp_path,
        )

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with start(killed) as process:
        end = time.monotonic() + 60
        while not _lines(killed) and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    before = _lines(killed)
    assert 1 <= before < 4
    for output in (killed, whole):
        with start(output) as process:
            told = json.loads(process.communicate(timeout=120)[0])
            assert told["ok"]
            assert told["results"] == 4
    assert _numbers(killed) == _numbers(whole)
    assert not (killed / "work").exists()


def _lines(output: Path) -> int:
    path = output / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _numbers(output: Path) -> list[Any]:
    """All that is not time or memory."""
    times = {"seconds": None, "spent_seconds": 0.0, "steps": {}, "peak_memory_mb": None}
    return [replace(row, **times) for row in read_rows(output / "results.jsonl")]


@pytest.mark.usefixtures("here")
def test_a_fast_run_is_short_and_says_so(tmp_path: Path) -> None:
    root = tmp_path / "data"
    official.write_folder(root / "room", [photos.views(12, 48, 36)[n] for n in range(12)])
    manifest = module.settle_manifest(
        Folders(root), _made(tmp_path / "out"), BenchConfig(fast=True)
    )
    (bag,) = manifest.bags
    assert len(bag.images) == 10
    assert bag.images[0].endswith("/0.png")
    assert bag.images[-1].endswith("/11.png")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
