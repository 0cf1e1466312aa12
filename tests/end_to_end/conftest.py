"""The real command line on photographs of a room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import photos
import pytest
from click.testing import CliRunner

from vggt_sfm.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command line gave back."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def reconstruct_cli() -> Callable[..., Outcome]:
    """Call ``vggt-sfm reconstruct`` with some words, on the embedded model."""

    def call(*words: object) -> Outcome:
        result = CliRunner().invoke(main, ["reconstruct", *map(str, words)])
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photographs and their truth; not to be changed."""
    folder = tmp_path_factory.mktemp("rendered")
    photos.write_photos(folder / "images", photos.views(4))
    return folder


@pytest.fixture
def folder(rendered: Path, tmp_path: Path) -> Path:
    """A folder with four good photographs, img1.jpg to img4.jpg, to do anything with."""
    shutil.copytree(rendered, tmp_path, dirs_exist_ok=True)
    return tmp_path / "images"
