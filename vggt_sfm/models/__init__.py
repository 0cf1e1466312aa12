"""Networks of the VGGT family; torch is imported when a name that needs it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vggt_sfm.models.config import VGGTConfig

if TYPE_CHECKING:
    from vggt_sfm.models.checkpoint import load_vggt
    from vggt_sfm.models.vggt import VGGT, VGGTOutput

__all__ = ["VGGT", "VGGTConfig", "VGGTOutput", "load_vggt"]


def __getattr__(name: str) -> object:
    if name in ("VGGT", "VGGTOutput"):
        from vggt_sfm.models import vggt

        return getattr(vggt, name)
    if name == "load_vggt":
        from vggt_sfm.models import checkpoint

        return checkpoint.load_vggt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
