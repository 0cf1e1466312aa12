"""Keys, cache hits and what is made again: with stages that count their calls."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from vggt_sfm._checks import Float64
from vggt_sfm._log import Progress, SilentProgress
from vggt_sfm.errors import ReconstructionError
from vggt_sfm.pipelines.run import LastStageDone, Run, stage_key
from vggt_sfm.pipelines.stage import Artifact, Hdf5Store, Stage, Workspace, fingerprint


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Number:
    value: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    factor: float = 2.0


@dataclass
class Chain:
    """Three stages, each a multiple of the one before, and the calls they got."""

    folder: Path
    calls: list[str] = field(default_factory=list)

    def stage(self, number: int, name: str, version: int = 1) -> Stage[Number]:
        def run(config: Config, *, source: Number, progress: Progress) -> Number:
            self.calls.append(name)
            return Number(value=source.value * config.factor)

        store = None if name == "b" else Hdf5Store(Number)
        return Stage(number=number, name=name, version=version, run=run, store=store)

    def go(
        self,
        start: float = 1.0,
        configs: Mapping[str, Config] | None = None,
        versions: Mapping[str, int] | None = None,
        force: str | None = None,
        until: str | None = None,
    ) -> tuple[float, list[str]]:
        """Run the chain; return its result and the stages that were really run."""
        stages = {
            name: self.stage(n, name, (versions or {}).get(name, 1))
            for n, name in enumerate("abc", start=1)
        }
        run = Run(
            workspace=Workspace(self.folder),
            progress=SilentProgress(),
            force=stages[force] if force else None,
            until=stages[until] if until else None,
        )
        self.calls.clear()
        value = Artifact(fingerprint(start), Number(value=np.array([start])))
        for name, stage in stages.items():
            value = run(stage, (configs or {}).get(name, Config()), source=value)
        assert [record.name for record in run.records if not record.cached] == self.calls
        return float(value.value.value[0]), list(self.calls)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "work")


def test_second_run_takes_kept_results_and_makes_the_others(chain: Chain) -> None:
    assert chain.go() == (8.0, ["a", "b", "c"])
    assert chain.go() == (8.0, ["b"])  # b is not kept
    assert sorted(path.name[:5] for path in chain.folder.iterdir()) == ["01_a-", "03_c-"]


def test_a_change_is_felt_by_everything_after_it_and_nothing_before(chain: Chain) -> None:
    chain.go()
    assert chain.go(configs={"c": Config(factor=3.0)}) == (12.0, ["b", "c"])
    assert chain.go(configs={"b": Config(factor=3.0)}) == (12.0, ["b", "c"])
    assert chain.go(start=5.0) == (40.0, ["a", "b", "c"])
    assert chain.go(versions={"a": 2}) == (8.0, ["a", "b", "c"])
    assert chain.go() == (8.0, ["b"])  # and the first results are still there


def test_force_makes_a_stage_and_all_after_it_again(chain: Chain) -> None:
    chain.go()
    assert chain.go(force="c") == (8.0, ["b", "c"])
    assert chain.go(force="b") == (8.0, ["b", "c"])
    assert chain.go(force="a") == (8.0, ["a", "b", "c"])


def test_until_stops_after_a_stage_has_been_kept(chain: Chain) -> None:
    with pytest.raises(LastStageDone, match="a"):
        chain.go(until="a")
    assert chain.calls == ["a"]
    assert chain.go() == (8.0, ["b", "c"])


def test_damaged_result_is_made_again_with_a_warning(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.go()
    next(chain.folder.glob("03_c-*")).write_bytes(b"not HDF5")
    with caplog.at_level(logging.WARNING):
        assert chain.go() == (8.0, ["b", "c"])
    assert "03_c-" in caplog.text
    assert "is damaged and made again" in caplog.text
    assert chain.go() == (8.0, ["b"])


def test_full_disk_is_one_error_that_names_the_file(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(ReconstructionError, match=r"cannot write .*01_a-.*No space left"):
            chain.go()
    assert list(chain.folder.iterdir()) == []
    assert chain.go() == (8.0, ["a", "b", "c"])


def test_key_depends_on_each_part_and_on_no_order() -> None:
    def run(config: object, *, progress: Progress) -> Number:
        return Number(value=np.zeros(1))

    def stage(name: str, version: int) -> Stage[Number]:
        return Stage(number=1, name=name, version=version, run=run, store=None)

    keys = [
        stage_key(stage("a", 1), Config(), {"x": "1", "y": "2"}),
        stage_key(stage("b", 1), Config(), {"x": "1", "y": "2"}),
        stage_key(stage("a", 2), Config(), {"x": "1", "y": "2"}),
        stage_key(stage("a", 1), Config(factor=2.5), {"x": "1", "y": "2"}),
        stage_key(stage("a", 1), Config(), {"x": "2", "y": "1"}),
    ]
    assert len(set(keys)) == len(keys)
    assert stage_key(stage("a", 1), Config(), {"y": "2", "x": "1"}) == keys[0]
