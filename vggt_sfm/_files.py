"""What several floors do with files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UPRIGHT_DATABASE = 0x76737570
"""SQLite's application_id of the COLMAP databases written here, whose positions are those in the
upright photographs; COLMAP itself does not turn photographs, and leaves the number at 0."""


def file_sha256(path: Path) -> str:
    """Hash the bytes of a file; OSError if it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place beside ``path`` to write to; only what is complete then becomes ``path``.

    The place is the same each time, so that a killed run leaves one file at most and the next one
    takes it. Two processes must not write the same file at once.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; only when it is complete it becomes ``folder``.

    What was there before stays until then, and is removed. A killed run leaves the old folder or
    the new one, and at most a hidden folder beside it, which the next run takes.
    """
    fresh = folder.with_name(f".{folder.name}.tmp")
    old = folder.with_name(f".{folder.name}.old")
    if old.is_dir() and not folder.exists():
        old.rename(folder)  # an earlier run was killed between the two renames below
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        if old.is_dir() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
