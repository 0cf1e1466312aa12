"""Checkpoint files of every kind as named tensors, of which only the wanted ones are read.

Tensors come as views of a private mapping of the file: nobody can change the file through them. The
file must stay as it is for as long as they live; replacing it (a new file under the old name) is
harmless, cutting it short ends the process.
"""

from __future__ import annotations

import pickle
import re
import stat
import struct
import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vggt_sfm.errors import WeightsError

# What a file may begin with, and what to do if it is no checkpoint.
_STRANGERS = (
    (rb"\s*<", "is a web page, not a checkpoint; the download failed or needs a login"),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the file itself; run git lfs pull"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z", "is compressed; unpack it first"),
)
_SAFETENSORS_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
# All that torch's restricted unpickler is known to raise when its input is damaged.
_UNPICKLING_ERRORS = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    struct.error,
    pickle.PickleError,
)
_SHOWN_CHARACTERS = 120
_DAMAGED = "is damaged or cut short, fetch it again"
_TRUSTED = "Where you trust it, save its state dict as .safetensors"
_NESTED_UNDER = ("model", "state_dict")  # in a training checkpoint, beside optimizer and epoch


class StoredTensor(NamedTuple):
    """What a file says about one of its tensors."""

    shape: tuple[int, ...]
    dtype: str  # torch's name for floating-point types, the file's for others


class TensorFile(Protocol):
    """Named tensors in a file."""

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """What the file says it holds, in its order."""

    def read(self, names: Collection[str]) -> dict[str, Tensor]:
        """Return some of them on the CPU, in a mapping that they alone keep open."""


def refusal(path: Path, reason: str) -> WeightsError:
    """Make an error of one line, whatever a file's names or a library's message put into it."""
    return WeightsError(f"{path}: " + "".join(c if c.isprintable() else "?" for c in reason))


def damaged(path: Path, error: Exception) -> WeightsError:
    """Make the error for a file that its library cannot read."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return refusal(path, f"{_DAMAGED} ({lines[0][:_SHOWN_CHARACTERS]})")


def is_folder(path: Path) -> bool:
    """Tell a folder from a file with something in it.

    Raises:
        WeightsError: If it is neither.
    """
    advice = "give the path of a checkpoint"
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise refusal(path, f"{reason}; {advice}") from error
    if stat.S_ISDIR(status.st_mode):
        return True
    if not stat.S_ISREG(status.st_mode):
        raise refusal(path, f"is no regular file; {advice}")
    if not status.st_size:
        raise refusal(path, "is empty; fetch it again")
    return False


def open_tensor_file(path: Path) -> TensorFile:
    """Open one file by what is in it, whatever its name.

    Raises:
        WeightsError: If it cannot be read, is damaged, or is no checkpoint.
    """
    if is_folder(path):
        raise refusal(path, "is a folder; give the path of a checkpoint")
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror}") from error
    for pattern, advice in _STRANGERS:
        if re.match(pattern, start):
            raise refusal(path, advice)
    if start.startswith(b"PK\x03\x04"):
        return ZippedPickle(path)
    if start.startswith(b"\x80"):
        return LegacyPickle(path)
    if start[8:9] == b"{":
        return Safetensors(path)
    raise refusal(path, "is no checkpoint; give a .safetensors or a PyTorch .pt file")


class Safetensors:
    """A .safetensors file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with safe_open(path, framework="pt") as file:
                slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                self.tensors = {name: _described(part) for name, part in slices.items()}
        except (SafetensorError, OSError, ValueError) as error:
            raise damaged(path, error) from error

    def read(self, names: Collection[str]) -> dict[str, Tensor]:
        """Return views of a new mapping of the file."""
        try:
            with safe_open(self._path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise damaged(self._path, error) from error


def _described(part: object) -> StoredTensor:
    # safetensors' stubs do not declare its slices
    shape: list[int] = part.get_shape()  # type: ignore[attr-defined]
    dtype: str = part.get_dtype()  # type: ignore[attr-defined]
    return StoredTensor(tuple(shape), _SAFETENSORS_TYPES.get(dtype, dtype))


class ZippedPickle:
    """A file of ``torch.save``: an uncompressed archive of tensors and the pickle naming them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._check_archive()
        self.tensors = _descriptions(_unpickle(path, mmap=True), path)

    def read(self, names: Collection[str]) -> dict[str, Tensor]:
        """Return views of a new mapping of the file."""
        state = _unpickle(self._path, mmap=True)
        return {name: state[name] for name in names}

    def _check_archive(self) -> None:
        """Refuse what torch.load would warn about or, mapping the file, silently misread."""
        try:
            with zipfile.ZipFile(self._path) as archive:
                entries = archive.infolist()
        except (OSError, RuntimeError, ValueError, zipfile.BadZipFile, struct.error) as error:
            raise damaged(self._path, error) from error
        if any(entry.filename.endswith("constants.pkl") for entry in entries):
            raise refusal(
                self._path,
                "holds program code (TorchScript), not only tensors; nothing of it was run. "
                "Use a checkpoint that is a state dict",
            )
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise refusal(
                self._path,
                "was compressed after it was saved and cannot be mapped; unpack it and pack it "
                "again without compression, or take the original file",
            )


class LegacyPickle:
    """A file of ``torch.save`` before PyTorch 1.6, which must be read whole."""

    def __init__(self, path: Path) -> None:
        self._state = _unpickle(path, mmap=False)
        self.tensors = _descriptions(self._state, path)

    def read(self, names: Collection[str]) -> dict[str, Tensor]:
        """Hand tensors over, once: they are not kept."""
        return {name: self._state.pop(name) for name in names}


def _unpickle(path: Path, *, mmap: bool) -> dict[str, Tensor]:
    """Return the tensors of a state dict, also of one inside a training checkpoint."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they are about is checked or refused here
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except _UNPICKLING_ERRORS as error:
        raise _pickle_refusal(path, error) from error
    for key in _NESTED_UNDER:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise refusal(path, f"holds a {type(state).__name__}, not tensors by name")
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.is_meta or value.layout != torch.strided:
            raise refusal(path, f"{name} is no plain tensor but a {type(value).__name__}")
    return dict(state)


def _pickle_refusal(path: Path, error: Exception) -> WeightsError:
    # Not in torch's words, which advise to load the file without protection.
    if found := re.search(r"GLOBAL (\S+)|module (\S+) is blocked", str(error)):
        return refusal(
            path,
            f"holds more than tensors ({found[1] or found[2]}), which could run code; nothing of "
            f"it was run. {_TRUSTED}",
        )
    if "Unsupported operand" in str(error):
        return refusal(path, f"{_DAMAGED}; or its pickle protocol is not torch's. {_TRUSTED}")
    if isinstance(error, pickle.PickleError):
        return refusal(path, f"{_DAMAGED} ({type(error).__name__})")
    return damaged(path, error)


def _descriptions(state: Mapping[str, Tensor], path: Path) -> dict[str, StoredTensor]:
    return {
        name: StoredTensor(tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in state.items()
    }
