"""A small scene, and a simulated predictor for tests of what is around it."""

from __future__ import annotations

from pathlib import Path

import photos
import pytest
import simulated


@pytest.fixture
def simulated_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pipeline open a simulated network instead of a real one."""
    simulated.install(monkeypatch.setattr)


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with five photographs of a room; not to be changed."""
    folder = tmp_path_factory.mktemp("room") / "images"
    photos.write_photos(folder, photos.views(5))
    return folder
