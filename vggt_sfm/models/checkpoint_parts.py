"""From the path a user gives to named tensors: one file or shards, their names unwrapped."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from torch import Tensor

from vggt_sfm.models.checkpoint_files import (
    StoredTensor,
    TensorFile,
    is_folder,
    open_tensor_file,
    refusal,
)
from vggt_sfm.models.shards import checkpoint_entry, checkpoint_parts, read_index

_WRAPPER = "module."  # what distributed training puts before every name
_SHOWN = 5


def open_checkpoint(path: Path) -> TensorFile:
    """Open a checkpoint without reading its tensors.

    Args:
        path: A .safetensors file, a file of ``torch.save``, the index of a sharded checkpoint, or
            a folder with one of these.

    Raises:
        WeightsError: If there is no such file, or it or a shard is damaged or no checkpoint.
    """
    if is_folder(path):
        path = checkpoint_entry(path)
    file: TensorFile = _Shards(path) if path.suffix == ".json" else open_tensor_file(path)
    if not file.tensors:
        raise refusal(path, "holds no tensors")
    wrapped = all(name.startswith(_WRAPPER) for name in file.tensors)
    return _Unwrapped(file) if wrapped else file


class _Unwrapped:
    """A checkpoint whose names all carry the same prefix, without it."""

    def __init__(self, file: TensorFile) -> None:
        self._file = file
        self.tensors = {k.removeprefix(_WRAPPER): v for k, v in file.tensors.items()}

    def read(self, names: Collection[str]) -> dict[str, Tensor]:
        """Return tensors by their shorter names."""
        stored = self._file.read([_WRAPPER + name for name in names])
        return {name.removeprefix(_WRAPPER): tensor for name, tensor in stored.items()}


class _Shards:
    """Several files, and the index that says which of them holds which tensor."""

    def __init__(self, index: Path) -> None:
        self._places = read_index(index)
        self._files = {part.name: open_tensor_file(part) for part in checkpoint_parts(index)}
        self.tensors: dict[str, StoredTensor] = {}
        for name, file in self._files.items():
            listed = {tensor for tensor, shard in self._places.items() if shard == name}
            if wrong := sorted(listed ^ set(file.tensors)):
                raise refusal(
                    index.parent / name,
                    f"does not belong to {index.name}; they disagree on "
                    f"{len(wrong)} tensors, the first: {', '.join(wrong[:_SHOWN])}",
                )
            self.tensors.update(file.tensors)

    def read(self, names: Collection[str]) -> dict[str, Tensor]:
        """Collect tensors from the shards that hold them."""
        wanted: dict[str, list[str]] = {}
        for name in names:
            wanted.setdefault(self._places[name], []).append(name)
        return {
            name: tensor
            for shard, part in wanted.items()
            for name, tensor in self._files[shard].read(part).items()
        }
