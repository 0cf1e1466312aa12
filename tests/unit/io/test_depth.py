"""Depth maps of every kind, and their way into the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vggt_sfm.errors import InputError
from vggt_sfm.io.depth import find_depth, network_depth, read_depth
from vggt_sfm.scene import PixelMap, Size

METRES = np.array([[1.5, np.nan], [-1.0, np.inf], [0.0, 2.0]])
KNOWN = [[1.5, 0], [0, 0], [0, 2]]


def test_png_is_in_millimetres(tmp_path: Path) -> None:
    Image.fromarray(np.array([[1500, 0], [65535, 1]], np.uint16)).save(tmp_path / "a.png")
    depth = read_depth(tmp_path / "a.png")
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[1.5, 0], [0, 0.001]])


def test_arrays_are_in_metres(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", METRES)
    np.savez(tmp_path / "b.npz", METRES)
    np.savez(tmp_path / "c.npz", depth=METRES.astype(np.float16), other=np.zeros(3))
    for name in ("a.npy", "b.npz", "c.npz"):
        np.testing.assert_array_equal(read_depth(tmp_path / name), KNOWN)


def test_what_is_no_depth_map_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "colour.png")
    Image.new("L", (4, 4)).save(tmp_path / "grey8.png")
    np.save(tmp_path / "flat.npy", np.zeros(4))
    np.savez(tmp_path / "many.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    for name in ("broken.png", "broken.npy", "broken.npz"):
        (tmp_path / name).write_bytes(b"PK nothing that could be read")
    np.save(tmp_path / "pickle.npy", np.array([{}], object))
    for path in [*sorted(tmp_path.iterdir()), tmp_path / "missing.npy"]:
        with pytest.raises(InputError, match=path.name) as caught:
            read_depth(path)
        assert "\n" not in str(caught.value)


def test_depth_maps_are_called_as_their_images_are(tmp_path: Path) -> None:
    (tmp_path / "cam1").mkdir()
    for name in ("cam1/a.1.npz", "b.png", "b.npy"):
        (tmp_path / name).touch()
    assert find_depth(tmp_path, "cam1/a.1.jpg") == tmp_path / "cam1" / "a.1.npz"
    assert find_depth(tmp_path, "b.jpg") == tmp_path / "b.png"
    assert find_depth(tmp_path, "a.jpg") is None


@pytest.mark.parametrize(
    ("network", "scale", "offset"),
    [
        (Size(4, 6), (1.0, 1.0), (0.0, 0.0)),
        (Size(2, 3), (0.5, 0.5), (0.0, 0.0)),
        (Size(4, 4), (1.0, 1.0), (0.0, -1.0)),  # middle rows
        (Size(8, 8), (1.0, 1.0), (2.0, 1.0)),  # padded
        (Size(7, 5), (1.75, 0.9), (0.0, -0.2)),
    ],
)
def test_network_pixels_get_the_nearest_depth(
    network: Size, scale: tuple[float, float], offset: tuple[float, float]
) -> None:
    depth = np.arange(1, 25, dtype=np.float32).reshape(6, 4)
    to_network = PixelMap(original=Size(4, 6), network=network, scale=scale, offset=offset)
    found = network_depth(depth, to_network)
    assert found.shape == (network.height, network.width)
    for row in range(network.height):
        for column in range(network.width):
            x, y = to_network.to_original(np.array([column + 0.5, row + 0.5]))
            inside = 0 <= x < 4 and 0 <= y < 6
            assert found[row, column] == (depth[int(y), int(x)] if inside else 0)
