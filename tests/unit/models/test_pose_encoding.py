"""Pose encodings to cameras and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggt_sfm.benchmarks.golden_pieces import cameras
from vggt_sfm.benchmarks.goldens import Goldens
from vggt_sfm.models.pose_encoding import decode_cameras, encode_cameras
from vggt_sfm.scene import Size

SIZE = Size(518, 392)


def test_cameras_are_the_reference_s(small_goldens: Goldens) -> None:
    matches = cameras(small_goldens)
    assert len(matches) == 8
    assert [match for match in matches if not match.within] == []


def test_kinds_of_cameras(small_goldens: Goldens) -> None:
    cam_from_world, intrinsics = decode_cameras(small_goldens.arrays["pose.enc"], SIZE)
    assert np.array_equal(intrinsics[0, 0, :2, 2], [259, 196])
    assert encode_cameras(cam_from_world, intrinsics, SIZE).dtype == np.float32


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
