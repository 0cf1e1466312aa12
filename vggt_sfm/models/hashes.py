"""The sha256 of weights: a large file is read once and then remembered.

A file counts as the same as long as path, size and modification time are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from vggt_sfm import _files
from vggt_sfm._log import get_logger
from vggt_sfm.errors import WeightsError
from vggt_sfm.models.records import gigabytes
from vggt_sfm.models.shards import checkpoint_parts

_logger = get_logger(__name__)

# Smaller files are hashed in less than a tenth of a second.
_WORTH_REMEMBERING = 64 * 2**20
_WORTH_A_WORD = 2**30


def cache_folder() -> Path:
    """Return where this product keeps what it can make again; VGGT_SFM_CACHE overrides it."""
    given = os.environ.get("VGGT_SFM_CACHE")
    return Path(given) if given else platformdirs.user_cache_path("vggt-sfm", appauthor=False)


def weights_sha256(
    entry: Path, announce: Callable[[str], None] = _logger.info, *, again: bool = False
) -> str:
    """Hash a checkpoint.

    Args:
        entry: A checkpoint file or the index of a sharded one.
        announce: Told when a large file is about to be read.
        again: Read the file even if its hash is remembered, and compare.

    Returns:
        The sha256 of the file, in hexadecimal. Of a sharded checkpoint, the sha256 of its shards'
        sha256 in hexadecimal, sorted and joined without anything between.

    Raises:
        WeightsError: If a file cannot be read, or is not what it was or what the cache of the hub
            says it is.
    """
    parts = checkpoint_parts(entry)
    hashes = sorted(_part_sha256(part, announce, again=again) for part in parts)
    if entry.suffix != ".json":
        return hashes[0]
    return hashlib.sha256("".join(hashes).encode("ascii")).hexdigest()


def remember(path: Path, status: os.stat_result, sha256: str) -> None:
    """Keep the hash of a file that was like ``status`` before it was read.

    Where the memory cannot be written, in a read-only home say, nothing is remembered.
    """
    if status.st_size < _WORTH_REMEMBERING:
        return
    try:
        kept = {name: entry for name, entry in _read().items() if Path(name).exists()}
        kept[str(path.resolve())] = [status.st_size, status.st_mtime_ns, sha256]
        file = _memory()
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"schema": 1, "files": kept}, indent=1), encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        _logger.debug("the sha256 of %s is not remembered: %s", path, error)


def remembered(path: Path) -> str | None:
    """Return the kept hash of a file, if it has not changed since."""
    try:
        status = path.stat()
    except OSError:
        return None
    match _read().get(str(path.resolve())):
        case [status.st_size, status.st_mtime_ns, str(sha256)]:
            return sha256
    return None


def promised_sha256(path: Path) -> str | None:
    """Return the hash by which the hub's cache names the blob that a link in it leads to."""
    if not path.is_symlink():
        return None
    blob = path.readlink()
    return blob.name if blob.parent.name == "blobs" and is_sha256(blob.name) else None


def is_sha256(text: str) -> bool:
    """Whether a text is a sha256 in hexadecimal."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _part_sha256(path: Path, announce: Callable[[str], None], *, again: bool) -> str:
    known = remembered(path)
    try:
        status = path.stat()
        if (again or known is None) and status.st_size >= _WORTH_A_WORD:
            announce(f"reading {path} ({gigabytes(status.st_size)}) for its sha256")
        sha256 = known if known and not again else _files.file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    promised = promised_sha256(path)
    if promised not in (None, sha256):
        raise WeightsError(
            f"{path}: is damaged: its sha256 is {sha256}, the hub's is {promised}; fetch it again"
        )
    if known not in (None, sha256):
        raise WeightsError(
            f"{path}: is damaged: its sha256 is {sha256}, it was {known} when it was first read, "
            "and nothing has written to it since"
        )
    if known is None:
        remember(path, status, sha256)
    return sha256


def _memory() -> Path:
    return cache_folder() / "sha256.json"


def _read() -> dict[str, Any]:  # Any: whatever is in the file, which may be damaged
    try:
        plain = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    files = plain.get("files") if isinstance(plain, dict) else None
    return files if isinstance(files, dict) else {}
