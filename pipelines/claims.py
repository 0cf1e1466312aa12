"""What in a folder was made by exports, and may be replaced by them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vggt_sfm._files import replacing
from vggt_sfm.errors import InputError
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.io.plain import from_plain, to_plain
from vggt_sfm.pipelines import stages
from vggt_sfm.pipelines.opened import is_run

_RECORD = "export.json"
Made = dict[str, tuple[str, ...] | None]
"""Files of each export, relative to it; None while it is being made, or if that was broken off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """The content of ``export.json``."""

    schema: int = 1
    made: Made


def check_sources(opened: OpenedModel, made: Sequence[Path]) -> None:
    """Make sure that no photograph goes the way of an earlier export.

    Args:
        opened: Whose photographs.
        made: Files and folders that are replaced.

    Raises:
        InputError: If a photograph lies there.
    """
    replaced = [path.resolve() for path in made]
    for frame in opened.frames.values():
        for source in filter(None, (frame.path, frame.mask_path)):
            if any(Path(source).resolve().is_relative_to(path) for path in replaced):
                raise InputError(
                    f"{source} lies in what this export replaces; choose another folder with -o"
                )


@contextmanager
def claimed(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Make sure that nothing but earlier exports is replaced, and remember what is ours.

    An export that fails claims nothing: what comes to be there may be the user's.

    Args:
        folder: Where the names are, and the record of what exports have made.
        names: What is about to be made there.

    Raises:
        InputError: If something else is in the way, or lies inside what would be replaced.
    """
    ours = _recorded(folder)
    known = {stages.POINTS: None} if is_run(folder) else {}
    for name in names:
        _check_ours(folder / name, {**known, **ours})
    _record(folder, {**ours, **dict.fromkeys(names)})
    try:
        yield
    except BaseException:
        there = {n: _unchanged(folder / n, ours) for n in names if (folder / n).exists()}
        with suppress(OSError):
            _record(folder, {**{n: f for n, f in ours.items() if n not in names}, **there})
        raise
    made = {name: _files(folder / name) for name in names if (folder / name).exists()}
    _record(folder, {**{n: f for n, f in ours.items() if n not in names}, **made})


def _unchanged(path: Path, ours: Made) -> tuple[str, ...] | None:
    """Return the files of an export that a failed one has left as it was."""
    files = ours.get(path.name)
    return files if files == _files(path) else None


def _check_ours(path: Path, ours: Made) -> None:
    if not path.exists():
        return
    if path.name not in ours:
        raise InputError(
            f"{path} is there already and no export made it; choose another folder with -o"
        )
    files = ours[path.name]
    others = sorted(set(_files(path)) - set(files)) if files is not None else []
    if others:
        raise InputError(
            f"{path / others[0]} is not of an export, and would be lost with the rest of "
            f"{path.name}; move it, or choose another folder with -o"
        )


def _files(path: Path) -> tuple[str, ...]:
    """List the files below a folder; none for a file."""
    files = (each.relative_to(path).as_posix() for each in path.rglob("*") if not each.is_dir())
    return tuple(sorted(files))


def _recorded(folder: Path) -> Made:
    path = folder / _RECORD
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return from_plain(_Record, plain).made
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged; remove it, and what exports have made") from error


def _record(folder: Path, made: Made) -> None:
    if not made:
        (folder / _RECORD).unlink(missing_ok=True)
        return
    with replacing(folder / _RECORD) as temporary:
        text = json.dumps(to_plain(_Record(made=dict(sorted(made.items())))), indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
