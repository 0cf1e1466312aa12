"""COLMAP models on disk: whole, equal byte for byte, and readable."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from synthetic import synthetic_scene

from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.errors import InputError
from vggt_sfm.io.colmap import read_sparse, write_sparse


def model(num_frames: int = 4) -> pycolmap.Reconstruction:
    data = synthetic_scene(num_frames=num_frames, num_points=50)
    return seed_reconstruction(data.scene, data.predictions, data.tracks, SeedConfig())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_survives_the_round_trip_exactly(tmp_path: Path) -> None:
    written = model()
    write_sparse(tmp_path / "sparse" / "0", written)
    found = read_sparse(tmp_path / "sparse" / "0")
    assert sorted(found.images) == sorted(written.images)
    for image_id, image in written.images.items():
        twin = found.image(image_id)
        assert twin.name == image.name
        np.testing.assert_array_equal(
            twin.cam_from_world().matrix(), image.cam_from_world().matrix()
        )
    for point_id, point in written.points3D.items():
        twin_point = found.point3D(point_id)
        np.testing.assert_array_equal(twin_point.xyz, point.xyz)
        np.testing.assert_array_equal(twin_point.color, point.color)
        assert twin_point.error == point.error
    write_sparse(tmp_path / "again", found)
    assert content(tmp_path / "again") == content(tmp_path / "sparse" / "0")


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    # In another process hash seeds and addresses differ.
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path\n"
        "import test_colmap as t; t.write_sparse(Path(sys.argv[1]), t.model())"
    )
    here = Path(__file__).parent
    subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            str(tmp_path / "a"),
            str(here),
            str(here.parents[1] / "support"),
        ],
        check=True,
        timeout=60,
    )
    write_sparse(tmp_path / "b", model())
    assert content(tmp_path / "a") == content(tmp_path / "b")
    names = {"cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin"}
    assert set(content(tmp_path / "a")) == names


def test_a_model_replaces_another_and_leaves_other_files_alone(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    write_sparse(folder, model(8))
    (folder / "notes.md").write_text("mine")
    (folder / "points3D.txt").write_text("of the old model")
    write_sparse(folder, model(3))
    assert read_sparse(folder).num_images() == 3
    assert (folder / "notes.md").read_text() == "mine"
    assert not (folder / "points3D.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_a_failed_write_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "0"
    write_sparse(folder, model(3))
    before = content(folder)
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("disk full")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="disk full"):
        write_sparse(folder, model(8))
    assert content(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_a_run_killed_between_the_renames_gets_its_model_back(tmp_path: Path) -> None:
    folder, old = tmp_path / "0", tmp_path / ".0.part" / "old"
    write_sparse(old, model(3))
    (old / "notes.md").write_text("mine")
    write_sparse(folder, model(4))
    assert read_sparse(folder).num_images() == 4
    assert (folder / "notes.md").read_text() == "mine"


def test_an_empty_model_can_be_written(tmp_path: Path) -> None:
    write_sparse(tmp_path / "0", pycolmap.Reconstruction())
    assert read_sparse(tmp_path / "0").num_images() == 0


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
def test_a_folder_without_a_model_is_an_input_error(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "0"
    if damage != "missing":
        folder.mkdir()
    if damage == "garbage":
        for name in ("cameras", "images", "points3D", "rigs", "frames"):
            digest = hashlib.sha256(name.encode()).digest()
            (folder / f"{name}.bin").write_bytes(b"\x01" + bytes(7) + digest)
    with pytest.raises(InputError, match="no readable COLMAP model"):
        read_sparse(folder)


def test_a_model_that_the_disk_cut_off_is_an_error_and_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pycolmap itself writes what fits and says nothing."""
    write_sparse(tmp_path / "0", model())
    before = content(tmp_path / "0")
    whole = pycolmap.Reconstruction.write_binary

    def cut_off(self: pycolmap.Reconstruction, folder: Path) -> None:
        whole(self, folder)
        os.truncate(folder / "points3D.bin", (folder / "points3D.bin").stat().st_size // 2)

    monkeypatch.setattr(pycolmap.Reconstruction, "write_binary", cut_off)
    with pytest.raises(OSError, match="No space left"):
        write_sparse(tmp_path / "0", model(3))
    assert content(tmp_path / "0") == before
