"""An export that a full disk or kill -9 ends leaves the old one, or none, and no half of any."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, get_args

import foreign
import pytest
import readers

from vggt_sfm.errors import ReconstructionError
from vggt_sfm.export.words import ExportConfig, ExportWord
from vggt_sfm.pipelines.exporting import export_opened

WORDS: tuple[ExportWord, ...] = get_args(ExportWord)
SUPPORT = Path(__file__).resolve().parents[2] / "support"
FACTORS = ExportConfig(image_factors="2")


def made_by(folder: Path) -> dict[str, str]:
    return {
        name: digest for name, digest in foreign.content(folder).items() if name != "export.json"
    }


@contextmanager
def no_larger_files(limit: int) -> Iterator[None]:
    """Let the system refuse what does not fit, as on a full disk, to C++ and Python alike."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("share", [0.02, 0.6])
def test_a_full_disk_leaves_the_old_export(tmp_path: Path, word: ExportWord, share: float) -> None:
    export_opened(foreign.eventful(tmp_path / "ws"), [word], tmp_path / "out", FACTORS)
    before = foreign.content(tmp_path / "out")
    sizes = [(tmp_path / "out" / name).stat().st_size for name in made_by(tmp_path / "out")]
    other = foreign.eventful(tmp_path / "ws2", count=5, seed=7)
    with (
        no_larger_files(int(max(sizes) * share)),
        pytest.raises(ReconstructionError, match="cannot write"),
    ):
        export_opened(other, [word], tmp_path / "out", FACTORS)
    assert foreign.content(tmp_path / "out") == before


@pytest.mark.parametrize("word", WORDS)
def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path: Path, word: ExportWord) -> None:
    model = foreign.eventful(tmp_path / "ws")
    with no_larger_files(200), pytest.raises(ReconstructionError, match="cannot write"):
        export_opened(model, [word], tmp_path / "out", FACTORS)
    assert foreign.content(tmp_path / "out") == {}


@pytest.mark.parametrize("step", ["write_points", "write_transforms", "write_masks"])
def test_nerfstudio_data_is_old_or_new_but_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    export_opened(foreign.eventful(tmp_path / "ws"), ["nerfstudio"], tmp_path / "out")
    before = foreign.content(tmp_path / "out")

    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"vggt_sfm.export.nerfstudio.{step}", full)
    with pytest.raises(ReconstructionError, match="No space left"):
        export_opened(foreign.eventful(tmp_path / "ws2", 5, 7), ["nerfstudio"], tmp_path / "out")
    assert foreign.content(tmp_path / "out") == before


# Where in an export to kill the process: in which call of which function.
KILLED_IN = {
    "colmap": ("vggt_sfm.export.photo_folders:copy_photo", 2),
    "gsplat": ("vggt_sfm.export.colmap:save_photo", 3),
    "nerfstudio": ("vggt_sfm.export.photo_folders:save_mask", 2),
    # While the parts are put in place: the new photographs and the old masks are.
    "instant-ngp": ("pathlib:Path.rename", 5),
}
KILLER = """
import os, pkgutil, signal, sys
from pathlib import Path
import foreign
from vggt_sfm.export.words import ExportConfig
from vggt_sfm.pipelines.exporting import export_opened
where, turn, workspace, out, word = sys.argv[1:]
model = foreign.eventful(Path(workspace), 5, 7)
module, _, name = where.partition(":")
owner = pkgutil.resolve_name(":".join([module, name.rpartition(".")[0]]).rstrip(":"))
name = name.rpartition(".")[2]
real, calls = getattr(owner, name), []
def deadly(*arguments, **options):
    calls.append(1)
    if len(calls) == int(turn):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(owner, name, deadly)
export_opened(model, [word], Path(out), ExportConfig(image_factors="2"))
"""


@pytest.mark.parametrize("word", KILLED_IN)
def test_a_killed_export_leaves_no_half_and_the_next_one_works(
    tmp_path: Path, word: ExportWord
) -> None:
    out = tmp_path / "out"
    export_opened(foreign.eventful(tmp_path / "ws"), [word], out, FACTORS)
    old = made_by(out)
    where, turn = KILLED_IN[word]
    killed = subprocess.run(
        [sys.executable, "-c", KILLER, where, str(turn), str(tmp_path / "k"), str(out), word],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = {name: digest for name, digest in made_by(out).items() if not name.startswith(".")}
    assert left != old if word == "instant-ngp" else left == old
    assert (out / "transforms.json").exists() == (word == "nerfstudio")
    if word == "nerfstudio":
        readers.read_transforms(out)
    export_opened(foreign.eventful(tmp_path / "new", 5, 7), [word], tmp_path / "fresh", FACTORS)
    export_opened(foreign.eventful(tmp_path / "again", 5, 7), [word], out, FACTORS)
    assert foreign.content(out) == foreign.content(tmp_path / "fresh")
