"""What ``reconstruct`` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vggt_sfm.errors import ReconstructionError
from vggt_sfm.io.colmap import read_sparse
from vggt_sfm.pipelines.opened import stage_result
from vggt_sfm.pipelines.report import RUN_FILE, RunReport
from vggt_sfm.pipelines.stage import Stage
from vggt_sfm.report.facts import Verdict
from vggt_sfm.report.page import REPORT_FILE

if TYPE_CHECKING:
    import pycolmap

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructResult:
    """Where the results of a run lie, and what the run says about them."""

    output: Path
    report: RunReport
    """The content of ``run.json``."""
    verdict: Verdict | None = None
    """Whether the result can be used; None where no report was wanted."""

    @property
    def sparse(self) -> Path | None:
        """Folder of the COLMAP model; None if the run was stopped before it."""
        return None if self.report.sparse is None else self.output / self.report.sparse

    @property
    def points(self) -> Path | None:
        """The point cloud; None if the run was stopped before it."""
        return None if self.report.points is None else self.output / self.report.points

    @property
    def run_file(self) -> Path:
        """``run.json``."""
        return self.output / RUN_FILE

    @property
    def page(self) -> Path | None:
        """The report for people; None if it was switched off."""
        return self.output / REPORT_FILE if self.report.config.report else None

    def of_stage(self, stage: Stage[T]) -> T:
        """Read what a stage of the run has made.

        Raises:
            ReconstructionError: If the run was stopped before it, or its result is not kept.
        """
        found = stage_result(self.output, self.report, stage)
        if found is None:
            raise ReconstructionError(f"{self.output}: no result of {stage.name}")
        return found

    def reconstruction(self) -> pycolmap.Reconstruction:
        """Read the COLMAP model.

        Raises:
            ReconstructionError: If the run was stopped before it.
        """
        if self.sparse is None:
            raise ReconstructionError(f"no model: {self.report.line}")
        return read_sparse(self.sparse)
