"""Opens a user's COLMAP database without changing a byte of it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pycolmap

from vggt_sfm._files import UPRIGHT_DATABASE
from vggt_sfm.errors import InputError

_TABLES = {"cameras", "images", "keypoints", "matches", "two_view_geometries"}


def database_files(path: Path) -> list[Path]:
    """Return the file of a database, and those in which SQLite keeps what it has yet to merge."""
    extra = [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")]
    return [path, *(file for file in extra if file.is_file())]


@contextmanager
def opened_database(path: Path) -> Iterator[tuple[pycolmap.Database, bool]]:
    """Open a copy, and say whether its positions are upright whatever the EXIF data say.

    A copy, because pycolmap adds tables that are missing and changes how the file keeps changes.

    Raises:
        InputError: If the file is no COLMAP database or cannot be read, also within the block.
    """
    with tempfile.TemporaryDirectory(prefix="vggt-sfm-database-") as folder:
        try:
            for file in database_files(path):
                shutil.copyfile(file, Path(folder) / file.name)
        except OSError as error:
            raise InputError(f"--database {path}: {error.strerror or error}") from error
        copy = Path(folder) / path.name
        try:
            with closing(sqlite3.connect(copy)) as plain:
                found = {name for (name,) in plain.execute("SELECT name FROM sqlite_master")}
                (mark,) = plain.execute("PRAGMA application_id").fetchone()
        except sqlite3.Error as error:
            raise InputError(f"--database {path}: is no COLMAP database: {error}") from error
        if not found >= _TABLES:
            lacking = ", ".join(sorted(_TABLES - found))
            raise InputError(f"--database {path}: is no COLMAP database: has no table {lacking}")
        try:
            with pycolmap.Database.open(copy) as database:
                yield database, mark == UPRIGHT_DATABASE
        except (RuntimeError, ValueError) as error:
            raise InputError(f"--database {path}: cannot be read: {error}") from error
