"""Known models in the cache that all tools of the Hugging Face hub share; no network call here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vggt_sfm.errors import WeightsError
from vggt_sfm.models.records import RECORDS, WeightsRecord
from vggt_sfm.models.shards import INDEX_SUFFIX, checkpoint_parts

_USUAL_NAME = "model.safetensors"


class CachedCheckpoint(NamedTuple):
    """A checkpoint on this machine, and the commit of the repository that it came from."""

    path: Path
    commit: str | None


class Origin(NamedTuple):
    """Where a file in the cache came from."""

    record: WeightsRecord
    commit: str


def hub_cache() -> Path:
    """Return the cache's folder; HF_HUB_CACHE and HF_HOME move it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def hub_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids network calls."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def repository_folder(repository: str) -> str:
    """Return the name of a model's folder in the cache."""
    return f"models--{repository.replace('/', '--')}"


def cached_checkpoint(record: WeightsRecord) -> CachedCheckpoint | None:
    """Find a model in the cache: its pinned commit, or the one that was fetched last.

    Snapshots that are not whole, or hold several checkpoints, do not count.
    """
    if record.repository is None:
        return None
    folder = hub_cache() / repository_folder(record.repository) / "snapshots"
    found = []
    for snapshot in _entries(folder):
        # a link whose blob is gone is no file
        names = [entry.name for entry in _entries(snapshot) if entry.is_file()]
        chosen = checkpoint_names(record, names)
        wanted = record.revision in (None, snapshot.name)
        if wanted and len(chosen) == 1 and _is_whole(snapshot / chosen[0]):
            found.append(CachedCheckpoint(snapshot / chosen[0], snapshot.name))
    return max(found, key=lambda one: one.path.lstat().st_mtime_ns, default=None)


def checkpoint_names(record: WeightsRecord, names: Iterable[str]) -> list[str]:
    """Choose a model's checkpoint, or its index of shards, among a repository's files.

    Returns:
        One name; none if nothing fits, several if the record does not choose among them.
    """
    names = sorted(names)
    if record.filename is not None:
        return [name for name in names if name == record.filename]
    for suffix in (INDEX_SUFFIX, ".safetensors", ".pt"):
        fitting = [name for name in names if name.endswith(suffix)]
        if fitting:
            return [_USUAL_NAME] if _USUAL_NAME in fitting else fitting
    return []


def origin_of(path: Path) -> Origin | None:
    """Tell by a path in the cache which known model it is."""
    folder, snapshots, commit = path.absolute().parts[-4:-1] if len(path.parts) > 3 else ("",) * 3
    if snapshots != "snapshots":
        return None
    for record in RECORDS.values():
        if record.repository is not None and folder == repository_folder(record.repository):
            return Origin(record, commit)
    return None


def _is_whole(entry: Path) -> bool:
    try:
        return bool(checkpoint_parts(entry))
    except WeightsError:  # a shard is missing
        return False


def _entries(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder; nothing if there is none."""
    try:
        yield from sorted(folder.iterdir())
    except OSError:
        return
