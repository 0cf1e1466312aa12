"""Checkpoints of the published shape, with the specification's pseudo-weights in them.

``python -m vggt_sfm.benchmarks.seeded_checkpoint --spec SPEC -o FOLDER [FORMAT …]``
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import torch
from safetensors.torch import save_file
from torch import Tensor

from vggt_sfm.benchmarks.goldens import manifest, seeded_state
from vggt_sfm.errors import CapabilityError

_MODEL = "vggt_1b"
_SHARDS = 3
_SPARE_BYTES = 2 * 10**9

State = dict[str, Tensor]


def _save_pt(state: State, path: Path) -> None:
    torch.save(state, path)


def _save_safetensors(state: State, path: Path) -> None:
    save_file(state, path)


def _save_float16(state: State, path: Path) -> None:
    save_file({key: value.half() for key, value in state.items()}, path)


def _save_shards(state: State, folder: Path) -> None:
    """Write consecutive tensors into shards of about equal size, and their index."""
    folder.mkdir()
    total = sum(value.nbytes for value in state.values())
    places: dict[str, str] = {}
    before = 0
    for key, value in state.items():
        number = 1 + before * _SHARDS // total
        places[key] = f"model-{number:05}-of-{_SHARDS:05}.safetensors"
        before += value.nbytes
    for shard in dict.fromkeys(places.values()):
        save_file({key: state[key] for key in state if places[key] == shard}, folder / shard)
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


# format -> name of its file or folder, and how it is written
FORMATS: dict[str, tuple[str, Callable[[State, Path], None]]] = {
    "pt": ("vggt_1b.pt", _save_pt),
    "safetensors": ("vggt_1b.safetensors", _save_safetensors),
    "sharded": ("vggt_1b_sharded", _save_shards),
    "float16": ("vggt_1b_float16.safetensors", _save_float16),
}


def checkpoint_path(folder: Path, name: str) -> Path:
    """Return where the checkpoint of a format lies, or would."""
    return folder / FORMATS[name][0]


def make_checkpoints(spec: Path, folder: Path, names: tuple[str, ...]) -> None:
    """Write those checkpoints that are not there yet; a broken run leaves none half-written.

    Raises:
        CapabilityError: If the disk has no room for them.
    """
    missing = [name for name in names if not checkpoint_path(folder, name).exists()]
    if not missing:
        return
    shapes = manifest(spec / "golden", _MODEL)
    size = 4 * sum(torch.Size(shape).numel() for shape in shapes.values())
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = len(missing) * size + _SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise CapabilityError(
            f"{folder}: {needed / 1e9:.0f} GB are needed and {free / 1e9:.0f} GB are free; "
            "choose another disk with -o"
        )
    state = seeded_state(spec / "golden", shapes)
    for name in missing:
        path = checkpoint_path(folder, name)
        partial = path.with_name(f"partial-{path.name}")
        if partial.is_dir():
            shutil.rmtree(partial)
        FORMATS[name][1](state, partial)
        partial.replace(path)


@click.command()
@click.argument("formats", nargs=-1, type=click.Choice(list(FORMATS)))
@click.option("--spec", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(formats: tuple[str, ...], spec: Path, output: Path) -> None:
    """Write checkpoints, all formats if none is given: 5 GB each, 7 GB of memory."""
    try:
        make_checkpoints(spec, output, formats or tuple(FORMATS))
    except CapabilityError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
