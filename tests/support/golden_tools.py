"""Golden outputs of the specification, their tolerances, and the weights they belong to."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

# model.md section 9: largest absolute difference in float32
_MODEL_TOLERANCES = {
    "pose_enc_iters": 2e-5,
    "depth": 2e-4,
    "depth_conf": 2e-4,
    "track_iters": 1e-3,
    "track.former_in1": 2e-2,
}
_OTHER_MODEL_TOLERANCE = 1e-4
PIECE_TOLERANCE = 1e-5


def model_tolerance(name: str) -> float:
    """Return how far an output or intermediate of the network may be off."""
    return _MODEL_TOLERANCES.get(name, _OTHER_MODEL_TOLERANCE)


def load_module(path: Path) -> ModuleType:
    """Import a single file that is on no search path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Goldens:
    """One file of golden arrays; ``common`` is the recipe book that it was made with."""

    def __init__(self, folder: Path, file: str) -> None:
        self.common = load_module(folder / "golden_common.py")
        self.arrays, self.meta = self.common.load(folder / file)

    def names(self, prefix: str) -> list[str]:
        """Return the arrays under a prefix, without it."""
        return [name.removeprefix(prefix) for name in self.arrays if name.startswith(prefix)]

    def difference(self, name: str, array: NDArray[Any]) -> float:
        """Return the largest absolute difference to the stored samples of a whole array."""
        return float(self.common.compare(name, self.arrays, self.meta, array)[0])

    def beyond_tolerance(
        self, prefix: str, recorded: Mapping[str, NDArray[Any]], ignore: frozenset[str]
    ) -> dict[str, float]:
        """Compare all arrays of a model case but the ignored; return the differences too large."""
        names = [name for name in self.names(prefix) if name.split(".")[0] not in ignore]
        assert names
        assert not set(names) - set(recorded)
        differences = {n: self.difference(prefix + n, recorded[n]) for n in names}
        return {n: d for n, d in differences.items() if not d <= model_tolerance(n)}

    def config(self) -> dict[str, Any]:
        """Return what the file says about how it was made."""
        return dict(self.meta["config"])


def manifest(folder: Path, model: str) -> dict[str, tuple[int, ...]]:
    """Return the state-dict shapes of ``small``, ``tiny`` or ``vggt_1b``, in order."""
    entries = json.loads((folder / f"manifest_{model}.json").read_text())
    if isinstance(entries, dict):
        entries = entries["tensors"]
    return {entry["key"]: tuple(entry["shape"]) for entry in entries}


def seeded_arrays(
    folder: Path, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    """Return the weights that the goldens were computed with."""
    seeded = load_module(folder / "seeded_weights.py")
    return {key: seeded.make_tensor(key, shape) for key, shape in shapes.items()}
