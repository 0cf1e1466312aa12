"""What users name on the command line: folders, globs, lists and files, and what lies in them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from vggt_sfm.errors import InputError

Source = str | Path

HEIC_SUFFIXES = frozenset({".heic", ".heif"})
IMAGE_SUFFIXES = HEIC_SUFFIXES | frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
)
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mpg", ".mts"})
LIST_SUFFIX = ".txt"


def files_of(
    sources: Source | Sequence[Source], suffixes: Set[str], exclude: Sequence[Path] = ()
) -> set[Path]:
    """Find the files of a kind that the sources name.

    Args:
        sources: A folder (with its sub-folders), a glob, a text file with one path per line, or
            several folders, globs and files. Hidden files are passed over.
        suffixes: The endings of wanted files, lower case, with their dot.
        exclude: Folders whose content is not taken.

    Returns:
        Absolute paths; none is no error here.

    Raises:
        InputError: If a source does not exist.
    """
    return set().union(*files_by_source(sources, suffixes, exclude))


def files_by_source(
    sources: Source | Sequence[Source], suffixes: Set[str], exclude: Sequence[Path] = ()
) -> list[set[Path]]:
    """Find what ``files_of`` finds, source by source."""
    listed = as_list(sources)
    roots = [folder.expanduser().resolve() for folder in exclude]
    return [
        {
            path.absolute()
            for path in _expand(source, suffixes, len(listed) == 1)
            if not any(path.resolve().is_relative_to(root) for root in roots)
        }
        for source in listed
    ]


def as_list(sources: Source | Sequence[Source]) -> list[Source]:
    """Return one source or several as a list."""
    return [sources] if isinstance(sources, str | Path) else list(sources)


def endings(suffixes: Set[str]) -> str:
    """Name suffixes for people, without dots."""
    return " ".join(sorted(suffix[1:] for suffix in suffixes))


def _expand(source: Source, suffixes: Set[str], alone: bool) -> Iterator[Path]:
    """Yield the files of a kind that one source stands for; a text file is a list only alone."""
    path = Path(source).expanduser()
    if path.is_dir():
        for folder, subfolders, names in os.walk(path):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            yield from (Path(folder, name) for name in names if _is_named(name, suffixes))
    elif path.is_file():
        if alone and path.suffix.lower() == LIST_SUFFIX:
            yield from _read_list(path, suffixes)
        elif _is_named(path.name, suffixes):
            yield path
    elif glob.has_magic(str(source)):
        # Path.glob refuses absolute patterns.
        for match in map(Path, glob.glob(str(path), recursive=True)):  # noqa: PTH207
            if match.is_file() and _is_named(match.name, suffixes):
                yield match
    else:
        raise InputError(f"{source}: no such file or folder")


def _is_named(name: str, suffixes: Set[str]) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in suffixes


def _read_list(path: Path, suffixes: Set[str]) -> Iterator[Path]:
    """Yield the files of a kind in a list; relative paths start at the list's folder.

    What a list names is an image whatever its name ends in, unless it is a video.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of images: {error}") from error
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            listed = path.absolute().parent / entry
            if not listed.is_file():
                raise InputError(f"{path}, line {number}: no such file: {entry}")
            is_video = listed.suffix.lower() in VIDEO_SUFFIXES
            if is_video == (suffixes == VIDEO_SUFFIXES):
                yield listed
