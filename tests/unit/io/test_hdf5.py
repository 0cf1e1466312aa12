"""Saving and loading scene dataclasses, and what happens to damaged files."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import h5py
import numpy as np
import pytest

from vggt_sfm._checks import Float32
from vggt_sfm.io import hdf5
from vggt_sfm.scene import (
    Frame,
    Matches,
    PixelMap,
    Predictions,
    Scene,
    Size,
    SkippedFile,
    Tracks,
)


def _scene(count: int) -> Scene:
    return Scene(
        frames=tuple(
            Frame(
                name=f"sub/ä {n}.jpg",
                path=f"/photos/sub/ä {n}.jpg",
                size=Size(640 + n, 480),
                sha256="ab" * 32,
                focal_prior_px=None if n % 2 else 500.25,
            )
            for n in range(count)
        ),
        pixel_maps=tuple(
            PixelMap(
                original=Size(640 + n, 480),
                network=Size(518, 392),
                scale=(518 / (640 + n), 1 / 3),
                offset=(0.0, 3.0),
            )
            for n in range(count)
        ),
        skipped=(SkippedFile(name="x.jpg", reason="text"),) * (count % 2),
    )


def _predictions(rng: np.random.Generator, matches: Matches | None) -> Predictions:
    poses = np.tile(np.eye(3, 4), (2, 1, 1))
    poses[:, :, 3] = rng.normal(size=(2, 3))
    return Predictions(
        cam_from_world=poses,
        intrinsics=rng.normal(size=(2, 3, 3)),
        depth=rng.random((2, 5, 7), np.float32),
        depth_confidence=rng.random((2, 5, 7), np.float32),
        camera_sources=("head", "matches, 12"),
        matches=matches,
    )


def _matches(rng: np.random.Generator, count: int) -> Matches:
    return Matches(
        pairs=np.array([[0, 1]]),
        offsets=np.array([0, count]),
        xy=rng.random((count, 4), np.float32),
        confidence=rng.random(count, np.float32),
    )


def _assert_equal(left: object, right: object) -> None:
    assert type(left) is type(right)
    for field in fields(left):  # type: ignore[arg-type]
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
            assert not b.flags.writeable
        elif hasattr(a, "__dataclass_fields__"):
            _assert_equal(a, b)
        else:
            assert a == b
            assert type(a) is type(b)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_scene_round_trip(tmp_path: Path, count: int) -> None:
    scene = _scene(count)
    hdf5.save(tmp_path / "a.h5", scene, {"key": "k"})
    loaded = hdf5.load(tmp_path / "a.h5", Scene)
    assert loaded == scene
    assert all(isinstance(frame.size, Size) for frame in loaded.frames)


@pytest.mark.parametrize("count", [None, 0, 9])
def test_predictions_round_trip(
    tmp_path: Path, rng: np.random.Generator, count: int | None
) -> None:
    value = _predictions(rng, None if count is None else _matches(rng, count))
    hdf5.save(tmp_path / "a.h5", value, {})
    _assert_equal(value, hdf5.load(tmp_path / "a.h5", Predictions))


def test_tracks_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    value = Tracks(
        track_index=np.array([0, 0, 1, 1]),
        frame_index=np.array([0, 1, 0, 2]),
        xy=rng.normal(size=(4, 2)),
        xyz=rng.normal(size=(2, 3)),
        color=rng.integers(0, 255, (2, 3), np.uint8),
        source=np.array([0, 1], np.uint8),
        source_names=("sift", "predicted"),
    )
    hdf5.save(tmp_path / "a.h5", value, {})
    _assert_equal(value, hdf5.load(tmp_path / "a.h5", Tracks))


def test_attributes_are_kept_and_no_name_holds_a_slash(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    hdf5.save(tmp_path / "a.h5", _predictions(rng, _matches(rng, 3)), {"stage": "predict"})
    with h5py.File(tmp_path / "a.h5") as file:
        assert dict(file.attrs) == {"stage": "predict"}
        assert sorted(file) == sorted(field.name for field in fields(Predictions))
        assert file["depth"].compression == "lzf"
        assert file["depth"].shuffle
        assert file["depth"].fletcher32
    hdf5.save(tmp_path / "b.h5", _scene(3), {})
    with h5py.File(tmp_path / "b.h5") as file:
        assert sorted(file) == ["frames", "pixel_maps", "skipped"]


@dataclass(frozen=True)
class _Fails:
    array: Float32
    bad: object


def test_a_failed_save_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    hdf5.save(path, _scene(1), {})
    with pytest.raises(TypeError):
        hdf5.save(path, _Fails(array=np.zeros(4, np.float32), bad=object()), {})
    assert hdf5.load(path, Scene) == _scene(1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped", "other"])
def test_damaged_files_are_value_errors(
    tmp_path: Path, rng: np.random.Generator, damage: str
) -> None:
    path = tmp_path / "a.h5"
    hdf5.save(path, _predictions(rng, None), {})
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(raw[: len(raw) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("not HDF5")
    elif damage == "flipped":
        with h5py.File(path) as file:
            start = file["depth"].id.get_chunk_info(0).byte_offset
        raw[start + 40] ^= 0xFF
        path.write_bytes(raw)
    else:
        hdf5.save(path, _scene(1), {})
    with pytest.raises(ValueError, match="cannot be read as Predictions"):
        hdf5.load(path, Predictions)
