"""What a benchmark is to measure, as its folder remembers it."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from vggt_sfm._files import replacing
from vggt_sfm._log import get_logger
from vggt_sfm.benchmarks.bench.config import BenchConfig
from vggt_sfm.benchmarks.datasets.bags import Bag, Dataset
from vggt_sfm.benchmarks.datasets.manifest import (
    Manifest,
    freeze,
    read_manifest,
    write_manifest,
)
from vggt_sfm.errors import InputError
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.report import NetworkReport
from vggt_sfm.pipelines.stage import versions, writing
from vggt_sfm.pipelines.stages import STAGES

MANIFEST, RESULTS, HEADER = "manifest.json", "results.jsonl", "bench.json"
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What decides the figures: results of different setups do not belong in one table."""

    dataset: str
    manifest_sha256: str
    network: NetworkReport
    config: ReconstructConfig
    threads: int
    """0: one a core."""
    roma_compat: bool = False
    """Whether the last of the trials of a pair counts twice."""
    stages: dict[str, int]
    """Versions of the stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """``bench.json``."""

    schema: int = 1
    setup: Setup
    hardware: str
    versions: dict[str, str]
    begun_utc: str


def settle_manifest(dataset: Dataset, output: Path, bench: BenchConfig) -> Manifest:
    """Take the given list, that of an earlier run in the folder, or make one; it is kept there.

    Raises:
        InputError: If a list does not fit, or a file of the data set is missing.
    """
    kept = output / MANIFEST
    before = read_manifest(kept, dataset.name) if kept.exists() else None
    if bench.manifest is not None:
        asked = read_manifest(bench.manifest, dataset.name)
    elif before is not None:
        frames = dataset.rules.frames
        asked = replace(before, seed=bench.seed, fast=bench.fast, frames=frames)
    else:
        asked = freeze(dataset, bench.seed, fast=bench.fast)
    if before not in (None, asked):
        raise InputError(
            f"{kept} is another list of photographs ({before.frames}; seed {before.seed}"
            f"{', --fast' if before.fast else ''}); choose another folder with -o"
        )
    with writing(kept):
        write_manifest(kept, asked)
    return read_manifest(kept, dataset.name)


def available(bags: list[Bag], root: Path, *, skip_missing: bool) -> list[Bag]:
    """Return the bags whose photographs are all there.

    Raises:
        InputError: If some are not, unless these are to be skipped.
    """
    missing = {
        bag.name: image for bag in bags for image in bag.images if not (root / image).exists()
    }
    if not missing:
        return bags
    first = root / next(iter(missing.values()))
    what = f"{len(missing)} of {len(bags)} bags lack photographs, such as {first}"
    if not skip_missing:
        raise InputError(f"{what}; --skip-missing leaves these bags out")
    _logger.warning("%s; they are left out", what)
    return [bag for bag in bags if bag.name not in missing]


def setup_of(
    manifest: Manifest,
    network: NetworkReport,
    config: ReconstructConfig,
    threads: int,
    *,
    roma_compat: bool,
) -> Setup:
    """Describe what decides the figures; where weights lie does not."""
    predict = replace(config.predict, weights=None, model=None, offline=False)
    return Setup(
        dataset=manifest.dataset,
        manifest_sha256=manifest.sha256,
        network=network,
        config=replace(config, predict=predict),
        threads=threads,
        roma_compat=roma_compat,
        stages={name: stage.version for name, stage in STAGES.items()},
    )


def settle_header(output: Path, setup: Setup) -> Header:
    """Keep what decides the figures, and where they come from, in the folder.

    Raises:
        InputError: If the results there were made in another way.
    """
    path = output / HEADER
    now = Header(
        setup=setup,
        hardware=hardware(setup.network.device),
        versions=versions(),
        begun_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if path.exists():
        before = read_header(output)
        differing = _difference(to_plain(before.setup), to_plain(setup))
        if differing:
            raise InputError(
                f"{output} holds results made with another {differing}; choose another folder "
                "with -o"
            )
        if before.hardware != now.hardware:
            _logger.warning("earlier seconds in %s are those of %s", output, before.hardware)
        return before
    with writing(path), replacing(path) as place:
        place.write_text(json.dumps(to_plain(now), indent=1) + "\n")
    return now


def read_header(output: Path) -> Header:
    """Read what a folder remembers.

    Raises:
        InputError: If it holds no benchmark.
    """
    path = output / HEADER
    try:
        return from_plain(Header, json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: no results of a benchmark: {error}") from error


def _difference(before: dict[str, object], now: dict[str, object]) -> str | None:
    """Name the first field that differs, with what it was and is."""
    for name, value in now.items():
        old = before[name]
        if isinstance(value, dict) and isinstance(old, dict) and set(value) == set(old):
            inner = _difference(old, value)
            if inner:
                return f"{name}.{inner}"
        elif value != old:
            return f"{name} ({old}, now {value})"
    return None


def hardware(device: str) -> str:
    """Name the processor, its cores and, where it counts, the GPU."""
    words = [_processor() or platform.machine(), f"{os.cpu_count()} cores"]
    if device == "cuda":
        import torch  # only where the network ran there is it loaded anyway

        words.append(torch.cuda.get_device_name())
    return ", ".join(words)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
