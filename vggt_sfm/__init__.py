"""Structure from motion: a feed-forward prediction, bundle-adjusted, as a COLMAP model.

Importing this package is quick and has no effect; each name loads its module on first use.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vggt_sfm.errors import (
        CapabilityError,
        GateError,
        InputError,
        ReconstructionError,
        VggtSfmError,
        WeightsError,
    )
    from vggt_sfm.models import VGGT, VGGTConfig
    from vggt_sfm.pipelines.config import ReconstructConfig
    from vggt_sfm.pipelines.reconstruct import reconstruct
    from vggt_sfm.pipelines.result import ReconstructResult

__version__ = "0.1.0"

_MODULE_OF = {
    "VGGT": "vggt_sfm.models",
    "CapabilityError": "vggt_sfm.errors",
    "GateError": "vggt_sfm.errors",
    "InputError": "vggt_sfm.errors",
    "ReconstructConfig": "vggt_sfm.pipelines.config",
    "ReconstructResult": "vggt_sfm.pipelines.result",
    "ReconstructionError": "vggt_sfm.errors",
    "VGGTConfig": "vggt_sfm.models",
    "VggtSfmError": "vggt_sfm.errors",
    "WeightsError": "vggt_sfm.errors",
    "reconstruct": "vggt_sfm.pipelines.reconstruct",
}

__all__ = [
    "VGGT",
    "CapabilityError",
    "GateError",
    "InputError",
    "ReconstructConfig",
    "ReconstructResult",
    "ReconstructionError",
    "VGGTConfig",
    "VggtSfmError",
    "WeightsError",
    "__version__",
    "reconstruct",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *_MODULE_OF})
