"""Pose encodings to cameras and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_tools import PIECE_TOLERANCE, Goldens
from hypothesis import given
from hypothesis import strategies as st

from vggt_sfm.geometry.cameras import unproject
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.models.pose_encoding import decode_cameras, encode_cameras
from vggt_sfm.scene import Size

SIZE = Size(518, 392)


@pytest.fixture(scope="module")
def goldens(shared_dir: Path) -> Goldens:
    return Goldens(shared_dir / "spec" / "golden", "small.npz")


def test_decode(goldens: Goldens) -> None:
    cam_from_world, intrinsics = decode_cameras(goldens.arrays["pose.enc"], SIZE)
    assert goldens.difference("pose.extrinsics", cam_from_world) <= PIECE_TOLERANCE
    expected = goldens.arrays["pose.intrinsics_392x518"]
    np.testing.assert_allclose(intrinsics, expected, rtol=1e-6, atol=0)
    assert np.array_equal(intrinsics[0, 0, :2, 2], [259, 196])


def test_encode(goldens: Goldens) -> None:
    encoded = encode_cameras(
        goldens.arrays["pose.extrinsics"], goldens.arrays["pose.intrinsics_392x518"], SIZE
    )
    assert encoded.dtype == np.float32
    assert goldens.difference("pose.enc_back", encoded) <= PIECE_TOLERANCE


def test_camera_frame_agrees_with_the_reference_s_unprojection(goldens: Goldens) -> None:
    # The reference puts pixel centres at integers where this project has them at halves.
    poses, _ = decode_cameras(goldens.arrays["pose.enc"][0], SIZE)
    _, intrinsics = decode_cameras(goldens.arrays["pose.enc"][0], Size(6, 5))
    np.testing.assert_allclose(intrinsics, goldens.arrays["geom.intrinsics"], rtol=1e-6, atol=0)
    xy = np.stack(np.meshgrid(np.arange(6.0), np.arange(5.0)), axis=-1)
    depth = goldens.arrays["geom.depth"][..., 0].astype(np.float64)
    world = np.stack(
        [unproject(xy, d, k, p) for d, k, p in zip(depth, intrinsics, poses, strict=True)]
    )
    known = depth > 1e-8
    expected = goldens.arrays["geom.world_points"]
    np.testing.assert_allclose(world[known], expected[known], rtol=0, atol=PIECE_TOLERANCE)
    inverse = goldens.arrays["geom.se3_inverse_np"][:, :3]
    np.testing.assert_allclose(invert(poses), inverse, rtol=0, atol=PIECE_TOLERANCE)


numbers = st.floats(-2, 2)
unit_quaternions = (
    st.tuples(numbers, numbers, numbers, numbers)
    .map(np.array)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)


@given(
    st.tuples(numbers, numbers, numbers),
    unit_quaternions,
    st.tuples(st.floats(0.05, 2.5), st.floats(0.05, 2.5)),
)
def test_encode_inverts_decode(
    translation: tuple[float, ...], quat_xyzw: np.ndarray, fov: tuple[float, ...]
) -> None:
    encoding = np.concatenate([translation, quat_xyzw, fov])
    back = encode_cameras(*decode_cameras(encoding, SIZE), SIZE)
    sign = np.where(back[3:7] @ quat_xyzw < 0, -1, 1)
    expected = np.concatenate([translation, sign * quat_xyzw, fov])
    np.testing.assert_allclose(back, expected, rtol=0, atol=1e-6)  # float32 encoding
    assert back[6] >= 0


def test_no_field_of_view_is_a_long_but_finite_lens() -> None:
    _, intrinsics = decode_cameras(np.array([0, 0, 0, 0, 0, 0, 1, 0.0, 4.0]), SIZE)
    assert np.isfinite(intrinsics).all()
    assert intrinsics[0, 0] > 0
    assert intrinsics[1, 1] > 0


def test_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected shape \(…, 9\), got \(3, 8\)"):
        decode_cameras(np.zeros((3, 8)), SIZE)
