"""Checkpoints of VGGT: checked against an architecture and loaded within the memory they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vggt_sfm._log import Progress, SilentProgress
from vggt_sfm.models.checkpoint_files import StoredTensor, TensorFile, refusal
from vggt_sfm.models.checkpoint_parts import open_checkpoint
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.vggt import VGGT

WeightsPrecision = Literal["float32", "bfloat16"]

_FLOATING = ("float64", "float32", "float16", "bfloat16")
_HEADS = ("camera_head", "depth_head", "point_head", "track_head")
_SWITCHES = {"track_head": "--predict.no-track-head", "point_head": "--point-source depth"}
_SHOWN_KEYS = 5
# A mapping keeps all pages that were touched until it is closed: this much is read through one.
_BYTES_PER_MAPPING = 256 * 2**20
_CPU = torch.device("cpu")


def load_vggt(
    path: Path,
    config: VGGTConfig,
    *,
    device: torch.device = _CPU,
    precision: WeightsPrecision = "float32",
    progress: Progress | None = None,
) -> VGGT:
    """Build a VGGT and fill it from a checkpoint.

    Tensors of heads that the configuration leaves out are not read. On the CPU, tensors that the
    file holds in the precision wanted are not copied but mapped (privately: the file is never
    written), so it must not be cut short while the model lives. They then lie in memory as they
    lie in the file, which can change the last bit of a product: the same weights in another kind
    of file may differ by that. All others are converted one by one, so that the peak is the model
    itself and a part of the file; only files written before PyTorch 1.6 have to be read whole.

    Args:
        path: A .safetensors file, a file of ``torch.save`` with nothing but tensors and plain
            values in it, the index of a sharded checkpoint, or a folder with one of these.
        config: The architecture.
        device: Where the parameters shall be.
        precision: ``"bfloat16"`` stores the matrices and convolutions of the aggregator as
            bfloat16 autocast, under which the model must then be run, would cast them: the result
            is the same. All other parameters are float32 in any case.
        progress: Where the tensors are counted; silent if None.

    Returns:
        The model in evaluation mode; its parameters need no gradient.

    Raises:
        WeightsError: If the file is missing, damaged or of another architecture.
    """
    model, file = _matched(path, config)
    dtypes = _working_dtypes(model, precision)
    # Also for callers in inference mode: a model may outlive it.
    with torch.inference_mode(False), torch.no_grad():
        state = _read(file, dtypes, device, progress or SilentProgress())
        model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)


def check_checkpoint(path: Path, config: VGGTConfig) -> None:
    """Check that :func:`load_vggt` would find the right names, shapes and types; reads no tensor.

    Args:
        path: As for :func:`load_vggt`.
        config: The architecture.

    Raises:
        WeightsError: If the file is missing, damaged or of another architecture.
    """
    _matched(path, config)


def _matched(path: Path, config: VGGTConfig) -> tuple[VGGT, TensorFile]:
    """Return an empty model, and a file that is known to fit it."""
    file = open_checkpoint(path)
    with torch.device("meta"):
        model = VGGT(config)
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if problem := _mismatch(file.tensors, expected):
        raise refusal(path, problem)
    return model, file


def _mismatch(
    stored: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]]
) -> str | None:
    """Say in one line how a checkpoint differs from an architecture, if it does."""
    built = {key.split(".")[0] for key in expected}
    unread = set(_HEADS) - built
    common = [key for key in expected if key in stored]
    wrong = {
        "missing": [key for key in expected if key not in stored],
        "unknown": [k for k in stored if k not in expected and k.split(".")[0] not in unread],
        "of another shape": [
            f"{key} {stored[key].shape} instead of {expected[key]}"
            for key in common
            if stored[key].shape != expected[key]
        ],
        "not floating-point": [
            f"{key} ({stored[key].dtype})" for key in common if stored[key].dtype not in _FLOATING
        ],
    }
    wrong = {kind: keys for kind, keys in wrong.items() if keys}
    if not wrong:
        return None
    shown = max(_SHOWN_KEYS // len(wrong), 1)
    counted = "; ".join(
        f"{len(keys)} tensors {kind}: {', '.join(keys[:shown])}{', …' * (len(keys) > shown)}"
        for kind, keys in wrong.items()
    )
    return f"{_diagnosis(wrong, stored, expected)} ({counted})"


def _diagnosis(
    wrong: Mapping[str, list[str]],
    stored: Mapping[str, StoredTensor],
    expected: Mapping[str, tuple[int, ...]],
) -> str:
    absent = sorted(_parts(expected) - _parts(stored))
    if not set(stored) & set(expected):
        return "looks like a checkpoint of another architecture, not of VGGT"
    if set(wrong) == {"missing"} and absent and _parts(wrong["missing"]) <= set(absent):
        switches = [f", or {_SWITCHES[part]}" for part in absent if part in _SWITCHES]
        return f"has no {' and no '.join(absent)}; use weights that have it{''.join(switches)}"
    if set(wrong) == {"missing"}:
        return "is incomplete"
    if set(wrong) == {"not floating-point"}:
        return "is quantised; use weights in float32, float16 or bfloat16"
    if "of another shape" in wrong:
        return "looks like a VGGT of other sizes"
    return "is not a checkpoint of this architecture"


def _parts(keys: Iterable[str]) -> set[str]:
    return {key.split(".")[0] for key in keys}


def _working_dtypes(model: VGGT, precision: WeightsPrecision) -> dict[str, torch.dtype]:
    """Return the precision of each parameter, in the model's order."""
    cast = {
        f"aggregator.{module}.{parameter}"
        for module, layer in model.aggregator.named_modules()
        if precision == "bfloat16" and isinstance(layer, nn.Linear | nn.Conv2d)
        for parameter, _ in layer.named_parameters(recurse=False)
    }
    return {key: torch.bfloat16 if key in cast else torch.float32 for key in model.state_dict()}


def _read(
    file: TensorFile, dtypes: Mapping[str, torch.dtype], device: torch.device, progress: Progress
) -> dict[str, Tensor]:
    """Read all tensors in their working precision, in the order of the file."""
    keys = [key for key in file.tensors if key in dtypes]
    as_stored = [
        key for key in keys if device.type == "cpu" and _dtype(file.tensors[key]) == dtypes[key]
    ]
    converted = [key for key in keys if key not in set(as_stored)]
    with progress.task("weights", len(keys)) as task:
        state = {key: tensor.contiguous() for key, tensor in file.read(as_stored).items()}
        task.advance(len(as_stored))
        for group in _groups(converted, file.tensors):
            for key, tensor in file.read(group).items():
                state[key] = tensor.to(device, dtypes[key]).contiguous()
            task.advance(len(group))
    return state


def _groups(keys: Iterable[str], tensors: Mapping[str, StoredTensor]) -> Iterator[list[str]]:
    """Split keys into runs that are read through one mapping."""
    group: list[str] = []
    size = 0
    for key in keys:
        size += _dtype(tensors[key]).itemsize * torch.Size(tensors[key].shape).numel()
        group.append(key)
        if size >= _BYTES_PER_MAPPING:
            yield group
            group, size = [], 0
    if group:
        yield group


def _dtype(tensor: StoredTensor) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, tensor.dtype)
    return dtype
