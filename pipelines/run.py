"""One run: stages in order, each from the cache where it can be, and a record of what happened."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vggt_sfm._log import Progress, get_logger
from vggt_sfm._memory import peak_memory_mb
from vggt_sfm.pipelines.stage import Artifact, Stage, Workspace, fingerprint

# Any, below: results of stages are of every type.
T = TypeVar("T")
_logger = get_logger(__name__)


class LastStageDone(Exception):
    """Raised when the stage that the user named as the last one is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """What one stage of a run did."""

    name: str
    key: str
    cached: bool
    """Whether the result was there already."""
    seconds: float
    cpu_seconds: float
    """Of all threads of the process."""
    peak_memory_mb: float | None
    """Most memory the process has held so far; None where the system does not tell."""


@dataclass(slots=True, kw_only=True)
class Run:
    """Calls stages; each call returns the stage's result and remembers how it came about."""

    workspace: Workspace
    progress: Progress
    force: Stage[Any] | None = None
    """Make the results of this stage, and of all after it, even if they are there."""
    until: Stage[Any] | None = None
    """The last stage to do."""
    records: list[StageRecord] = field(default_factory=list)

    def __call__(
        self, stage: Stage[T], config: object, *, aside: str | None = None, **inputs: Artifact[Any]
    ) -> Artifact[T]:
        """Return the result of a stage, from the workspace or by running it.

        Args:
            stage: What to do.
            config: The stage's options; part of the key.
            aside: What this call is for, if it is beside the main line of stages: its record says
                so, and ``until`` does not end there.
            **inputs: What it needs, by parameter name; their keys are part of the key.

        Returns:
            The result and its key.

        Raises:
            LastStageDone: If this was the stage that ``until`` names.
            ReconstructionError: If the result cannot be written.
        """
        start, cpu = time.perf_counter(), time.process_time()
        key = stage_key(stage, config, {name: item.key for name, item in inputs.items()})
        forced = self.force is not None and stage.number >= self.force.number
        value = None if forced else self.workspace.load(stage, key)
        cached = value is not None
        if value is None:
            values = {name: item.value for name, item in inputs.items()}
            value = stage.run(config, **values, progress=self.progress)
            self.workspace.save(stage, key, value, config)
        record = StageRecord(
            name=stage.name if aside is None else f"{stage.name} ({aside})",
            key=key,
            cached=cached,
            seconds=round(time.perf_counter() - start, 3),
            cpu_seconds=round(time.process_time() - cpu, 3),
            peak_memory_mb=peak_memory_mb(),
        )
        self.records.append(record)
        _logger.info(
            "%s: %s", record.name, "unchanged" if cached else f"done in {record.seconds:.1f} s"
        )
        if aside is None and self.until is not None and stage.name == self.until.name:
            raise LastStageDone(stage.name)
        return Artifact(key, value)


def stage_key(stage: Stage[Any], config: object, parents: Mapping[str, str]) -> str:
    """Return the key of a stage's result: it changes with anything the result depends on."""
    return fingerprint(
        {"stage": stage.name, "version": stage.version, "config": config, "parents": parents}
    )
