"""Which photograph is meant by a name that somebody else's program gave it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath

from vggt_sfm.errors import InputError
from vggt_sfm.io.images import ImageFile

_MOST_NAMED = 3  # in messages


def same_photos(names: Sequence[str], others: Iterable[str]) -> dict[str, str]:
    """Find what another file calls the same photographs.

    Args:
        names: Of the photographs, relative to their folder.
        others: Names in the other file.

    Returns:
        Other name by name: an equal one; where no name has an equal one, one with the same last
        part, as long as that is the only such one on both sides.
    """
    listed = list(others)
    equal = set(names) & set(listed)
    if equal:
        return {name: name for name in names if name in equal}
    count, other_count = Counter(map(_last, names)), Counter(map(_last, listed))
    of_last = {_last(other): other for other in listed}
    return {
        name: of_last[_last(name)]
        for name in names
        if count[_last(name)] == 1 and other_count[_last(name)] == 1
    }


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def files_by_names(names: Sequence[str], files: Sequence[ImageFile]) -> list[ImageFile]:
    """Find the photograph of each name.

    Names may lack the suffix or have another one, and may have more folders, fewer or others; the
    file counts whose folders, and then whose suffix, fit best.

    Args:
        names: Of photographs, each once.
        files: Photographs that may be meant.

    Returns:
        A file for each name, no file twice.

    Raises:
        InputError: If a name has no photograph, or may be several, or two are the same one.
    """
    by_stem: dict[str, list[ImageFile]] = {}
    for file in files:
        by_stem.setdefault(PurePosixPath(file.name).stem, []).append(file)
    found = [_fitting(name, by_stem) for name in names]
    missing = [name for name, those in zip(names, found, strict=True) if not those]
    if missing:
        listed = ", ".join(missing[:_MOST_NAMED]) + ", …" * (len(missing) > _MOST_NAMED)
        raise InputError(
            f"no photograph for {len(missing)} of {len(names)} names ({listed}) among "
            f"{len(files)} files such as {files[0].name if files else 'none'}"
        )
    name_of: dict[str, str] = {}
    for name, those in zip(names, found, strict=True):
        if len(those) > 1:
            listed = ", ".join(file.name for file in those[:_MOST_NAMED])
            raise InputError(f"{name!r} may be {len(those)} photographs: {listed}; add the folder")
        other = name_of.setdefault(those[0].name, name)
        if other != name:
            raise InputError(f"{other!r} and {name!r} are both {those[0].name}")
    return [those[0] for those in found]


def _fitting(name: str, by_stem: Mapping[str, list[ImageFile]]) -> list[ImageFile]:
    """Return the files that fit a name best: one, several that fit equally well, or none."""
    path = PurePosixPath(name.replace("\\", "/"))
    candidates = [file for stem in {path.name, path.stem} for file in by_stem.get(stem, ())]
    fits = [_fit(path, PurePosixPath(file.name)) for file in candidates]
    return [file for file, fit in zip(candidates, fits, strict=True) if fit == max(fits)]


def _fit(name: PurePosixPath, file: PurePosixPath) -> tuple[bool, int, int]:
    """Rate a file: are its folders the same, how many of the last ones, and is its suffix?"""
    wanted, own = name.parts[:-1][::-1], file.parts[:-1][::-1]
    pairs = zip(wanted, own, strict=False)
    common = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    suffix = 2 if name.name == file.name else 1 if name.name == file.stem else 0
    return wanted == own, common, suffix
