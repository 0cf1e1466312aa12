"""Predictions from files: what is taken, and what is refused in one line."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import brought
import numpy as np
import photos
import pytest

from vggt_sfm.errors import InputError
from vggt_sfm.io.given import read_given

SAID = brought.predicted(photos.views(3))
TRACKS = np.zeros((3, 5, 2))
HALF_PRECISION = 2e-3  # of numbers up to 1


def _changed(key: str, index: Any, value: float) -> dict[str, Any]:
    array = np.array(SAID[key], np.float64)
    array[index] = value
    return {key: array}


def test_plain_file_is_taken_as_it_is(tmp_path: Path) -> None:
    given = read_given(brought.save(tmp_path / "p.npz", SAID))
    assert given.names == ("img1", "img2", "img3")
    np.testing.assert_allclose(given.cam_from_world, SAID["cam_from_world"], atol=1e-15)
    np.testing.assert_array_equal(given.intrinsics, SAID["intrinsics"])
    np.testing.assert_array_equal(given.depth, SAID["depth"])
    assert (given.confidence == 1).all()
    assert given.tracks.shape == (3, 0, 2)
    assert given.unused == ()


def test_what_networks_write_differently_means_the_same(tmp_path: Path) -> None:
    square = np.tile(np.eye(4), (3, 1, 1))
    square[:, :3] = SAID["cam_from_world"]
    given = read_given(
        brought.save(
            tmp_path / "p.npz",
            SAID,
            names=np.array([b"img1", b"img2", b"img3"]),
            cam_from_world=square.astype(np.float16),
            images=np.zeros(3),
        )
    )
    assert given.names == ("img1", "img2", "img3")
    np.testing.assert_allclose(
        given.cam_from_world[:, :, :3], SAID["cam_from_world"][:, :, :3], atol=HALF_PRECISION
    )
    product = given.cam_from_world[:, :, :3] @ given.cam_from_world[:, :, :3].swapaxes(1, 2)
    np.testing.assert_allclose(product, np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)
    assert given.unused == ("images",)


def test_unknown_depth_is_zero(tmp_path: Path) -> None:
    depth, confidence = SAID["depth"].copy(), np.full(SAID["depth"].shape, 0.5)
    depth[0, 0, :3] = np.nan, np.inf, -1.0
    confidence[1, 2, 3] = np.nan
    given = read_given(brought.save(tmp_path / "p.npz", SAID, depth=depth, confidence=confidence))
    assert (given.depth[0, 0, :3] == 0).all()
    assert given.depth[1, 2, 3] == given.confidence[1, 2, 3] == 0
    assert (given.depth == 0).sum() == 4


def test_origin_at_the_first_centre_moves_pixels_by_half_of_one(tmp_path: Path) -> None:
    shown = read_given(brought.save(tmp_path / "a.npz", SAID, tracks=TRACKS))
    moved = read_given(brought.save(tmp_path / "b.npz", SAID, tracks=TRACKS, pixel_origin="center"))
    np.testing.assert_array_equal(moved.intrinsics[:, :2, 2], shown.intrinsics[:, :2, 2] + 0.5)
    np.testing.assert_array_equal(moved.intrinsics[:, 0, 0], shown.intrinsics[:, 0, 0])
    np.testing.assert_array_equal(moved.tracks, shown.tracks + 0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": None}, r"no depth; it holds names, cam_from_world, intrinsics$"),
        ({"names": np.array(["a", "b"])}, r"depth: expected shape \(S, H, W\) .*'S': 2.*\(3, 150"),
        ({"names": np.arange(3)}, r"names: expected text, got int64 of shape \(3,\)"),
        ({"names": np.array(["a", "b", "a"])}, r"names: 'a' is there more than once"),
        ({"names": np.array(["a", "b", "c"], object)}, r"names cannot be read: Object arrays"),
        (
            {"depth": SAID["depth"][None]},
            r"depth: expected shape \(S, H, W\) .*got \(1, 3, 150, 200",
        ),
        ({"depth": SAID["depth"] * 1j}, r"depth: expected numbers, got complex64"),
        ({"depth": -SAID["depth"]}, r"depth: most of it is negative"),
        ({"depth": 0 * SAID["depth"]}, r"depth: no positive value in an array of shape \(3, 150"),
        ({"confidence": np.ones((3, 2, 2))}, r"confidence: expected shape .*got \(3, 2, 2\)"),
        (
            {"cam_from_world": SAID["cam_from_world"][:2]},
            r"cam_from_world: expected shape \(S, 3, 4\) with {'S': 3}, got \(2, 3, 4\)",
        ),
        (_changed("cam_from_world", (1, 0, 3), np.nan), r"cam_from_world of 'img2' is not finite"),
        (
            {"cam_from_world": 2 * SAID["cam_from_world"]},
            r"cam_from_world of 'img1' is no rotation: it has scale 2; divide",
        ),
        (
            {"cam_from_world": SAID["cam_from_world"] * [[1], [1], [-1]]},
            r"'img1' is no rotation: it has determinant -1: one axis is mirrored",
        ),
        (_changed("cam_from_world", (2, 0, 0), 0.5), r"'img3' is no rotation: .* off orthonormal"),
        (
            {"cam_from_world": np.tile(np.eye(4) + np.eye(4, k=-3), (3, 1, 1))},
            r"'img1': its last row is \[1.0, 0.0, 0.0, 1.0\], not 0, 0, 0, 1; is it transposed",
        ),
        (_changed("intrinsics", (0, 0, 0), -3), r"'img1': focal lengths -3 and 180 are not pos"),
        (_changed("intrinsics", (0, 0, 1), 9), r"'img1': skew 9, which COLMAP"),
        (_changed("intrinsics", (0, 1, 0), 9), r"'img1': \[.* is no K"),
        (_changed("intrinsics", (1, 2, 2), 9), r"'img2': \[.* is no K"),
        (_changed("intrinsics", (1, 2, 2), np.nan), r"intrinsics of 'img2': not finite"),
        (
            {"intrinsics": np.diag([8.0, 8.0, 1]) @ SAID["intrinsics"]},
            r"principal point 800, 600 lies outside of the depth map of 200 x 150 px",
        ),
        (
            {"intrinsics": np.diag([1 / 200, 1 / 150, 1]) @ SAID["intrinsics"]},
            r"principal point 0.5, 0.5: K is in px of the depth map, not normalised",
        ),
        ({"pixel_origin": "middle"}, r"pixel_origin: \['middle'\] is neither 'corner' nor"),
        ({"tracks": TRACKS[:, 0]}, r"tracks: expected shape \(S, N, 2\)"),
        ({"track_visibility": np.ones((3, 5))}, r"track_visibility: there are no tracks"),
        (
            {"tracks": TRACKS, "track_visibility": np.ones((5, 3))},
            r"track_visibility: expected shape \(S, N\) with .*got \(5, 3\)",
        ),
        (
            {"tracks": TRACKS, "track_visibility": np.full((3, 5), 7)},
            r"track_visibility: expected values from 0 to 1, got 7 to 7",
        ),
    ],
)
def test_refused_in_one_line_that_names_file_and_key(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = brought.save(tmp_path / "theirs.npz", SAID, **changes)
    with pytest.raises(InputError, match=rf"theirs\.npz: .*{words}") as caught:
        read_given(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    with pytest.raises(InputError, match=r"theirs\.npz: No such file"):
        read_given(path)
    path.write_bytes(pickle.dumps({"names": ["a"]}))
    with pytest.raises(InputError, match="no npz file that can be read"):
        read_given(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="no npz file that can be read"):
        read_given(path)
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))
    with pytest.raises(InputError, match=r"is one array; save all of them with numpy\.savez"):
        read_given(path)
    brought.save(path, SAID)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match="no npz file that can be read"):
        read_given(path)
