"""Checkpoints of VGGT: read, check and load."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from vggt_sfm.errors import WeightsError
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.vggt import VGGT

_SHOWN_KEYS = 5


def file_sha256(path: Path) -> str:
    """Hash a file's bytes.

    Raises:
        WeightsError: If the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error


def load_vggt(path: Path, config: VGGTConfig) -> VGGT:
    """Build a VGGT and fill it from a checkpoint.

    Tensors of heads that the configuration leaves out are ignored; everything else must fit.

    Args:
        path: A .safetensors file, or a .pt file with nothing but tensors in it.
        config: The architecture.

    Raises:
        WeightsError: If the file is missing, damaged or of another architecture.
    """
    state = _read(path)
    with torch.device("meta"):
        model = VGGT(config)
    expected = model.state_dict()
    state = {k: v for k, v in state.items() if k in expected or not _is_optional_head(k)}
    wrong = sorted(set(expected) ^ set(state))
    wrong += [k for k in expected if k in state and state[k].shape != expected[k].shape]
    if wrong:
        shown = ", ".join(wrong[:_SHOWN_KEYS])
        raise WeightsError(
            f"{path}: not a checkpoint of this architecture; {len(wrong)} tensors are missing, "
            f"unknown or of another shape, the first: {shown}"
        )
    model.load_state_dict(state, assign=True)
    return model


def _is_optional_head(key: str) -> bool:
    return key.split(".")[0] in ("camera_head", "depth_head", "point_head", "track_head")


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the path of a VGGT checkpoint")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        SafetensorError,
        pickle.UnpicklingError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: cannot be read as a checkpoint: {reason}") from error
    tensors = isinstance(state, dict) and all(isinstance(v, torch.Tensor) for v in state.values())
    if not tensors:
        raise WeightsError(f"{path}: holds something other than named tensors")
    return dict(state)
