"""A COLMAP model in an output folder, as commands return it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vggt_sfm.io.colmap import read_sparse
from vggt_sfm.pipelines.stages import SPARSE

if TYPE_CHECKING:
    import pycolmap


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenModel:
    """Where a model was written."""

    output: Path

    @property
    def sparse(self) -> Path:
        """Folder of the COLMAP model."""
        return self.output / SPARSE

    def reconstruction(self) -> pycolmap.Reconstruction:
        """Read the COLMAP model."""
        return read_sparse(self.sparse)
