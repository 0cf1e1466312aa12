"""Point clouds as PLY."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from vggt_sfm.io.ply import write_points


def test_pycolmap_reads_the_same_points(tmp_path: Path, rng: np.random.Generator) -> None:
    xyz = rng.normal(size=(20, 3)).astype(np.float32)
    rgb = rng.integers(0, 256, (20, 3), dtype=np.uint8)
    write_points(tmp_path / "points.ply", xyz, rgb)
    model = pycolmap.Reconstruction()
    model.import_PLY(tmp_path / "points.ply")
    points = [model.point3D(point_id) for point_id in sorted(model.point3D_ids())]
    np.testing.assert_array_equal([point.xyz for point in points], xyz)
    np.testing.assert_array_equal([point.color for point in points], rgb)


def test_the_bytes_are_as_specified(tmp_path: Path) -> None:
    write_points(tmp_path / "p.ply", np.array([[1.0, 2, 3]]), np.array([[4, 5, 6]], np.uint8))
    header, _, body = (tmp_path / "p.ply").read_bytes().partition(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 1\n")
    assert body == bytes.fromhex("0000803f 00000040 00004040 040506")


def test_no_points(tmp_path: Path) -> None:
    write_points(tmp_path / "p.ply", np.empty((0, 3)), np.empty((0, 3), np.uint8))
    assert b"element vertex 0" in (tmp_path / "p.ply").read_bytes()


def test_writing_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    for count in (5, 2):
        write_points(tmp_path / "p.ply", np.ones((count, 3)), np.ones((count, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["p.ply"]
    assert b"element vertex 2" in (tmp_path / "p.ply").read_bytes()


def test_shapes_must_agree(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"write_points\.rgb"):
        write_points(tmp_path / "p.ply", np.ones((3, 3)), np.ones((2, 3), np.uint8))
    assert not list(tmp_path.iterdir())
