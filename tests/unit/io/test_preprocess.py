"""Network input against the reference's, and pixel maps against the pixels they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from vggt_sfm.benchmarks.golden_photos import photo_matches, write_sources
from vggt_sfm.benchmarks.goldens import Goldens, load_module
from vggt_sfm.errors import InputError
from vggt_sfm.io.images import ImageFile, read_frame
from vggt_sfm.io.preprocess import (
    PreprocessMode,
    network_image,
    network_images,
    plan_pixel_maps,
)
from vggt_sfm.scene import PixelMap, Size


def test_pixels_are_the_reference_s(small_goldens: Goldens, tmp_path: Path) -> None:
    matches = photo_matches(small_goldens, write_sources(small_goldens, tmp_path))
    assert {match.name for match in matches} == {
        n for n in small_goldens.arrays if n.startswith("prep.")
    }
    assert [match for match in matches if not match.within] == []


@pytest.mark.parametrize(
    ("source", "target"),
    [((31, 80), (46, 24)), ((80, 31), (80, 62)), ((50, 40), (50, 40)), ((517, 519), (518, 518))],
)
def test_resize_is_the_documented_filter(
    source: tuple[int, int], target: tuple[int, int], golden_dir: Path, rng: np.random.Generator
) -> None:
    twin = load_module(golden_dir / "pil_bicubic.py")
    rgb = rng.integers(0, 256, (source[1], source[0], 3), dtype=np.uint8)
    scale = (target[0] / source[0], target[1] / source[1])
    identity = PixelMap(original=Size(*source), network=Size(*target), scale=scale, offset=(0, 0))
    levels = np.round(network_image(rgb, identity) * 255).astype(np.uint8)
    assert np.array_equal(levels.transpose(1, 2, 0), twin.resize(rgb, *target))


@pytest.mark.parametrize(
    ("mode", "size", "network", "scale", "offset"),
    [
        ("crop", (640, 480), (518, 392), (518 / 640, 392 / 480), (0, 0)),
        ("crop", (480, 640), (518, 518), (518 / 480, 686 / 640), (0, -84)),
        ("pad", (640, 480), (518, 518), (518 / 640, 392 / 480), (0, 63)),
        ("pad", (480, 640), (518, 518), (392 / 480, 518 / 640), (63, 0)),
        ("fit", (640, 480), (518, 392), (518 / 640, 392 / 480), (0, 0)),
        ("fit", (480, 640), (392, 518), (392 / 480, 518 / 640), (0, 0)),
        ("fit", (1000, 2), (518, 14), (518 / 1000, 7), (0, 0)),
    ],
)
def test_planned_maps(
    mode: PreprocessMode,
    size: tuple[int, int],
    network: tuple[int, int],
    scale: tuple[float, float],
    offset: tuple[int, int],
) -> None:
    (pixel_map,) = plan_pixel_maps([Size(*size)], mode, 518, 14)
    assert pixel_map == PixelMap(
        original=Size(*size), network=Size(*network), scale=scale, offset=offset
    )


def test_fit_pads_to_the_largest_of_the_batch() -> None:
    wide, tall = plan_pixel_maps([Size(200, 100), Size(100, 200)], "fit", 64, 8)
    assert wide.network == tall.network == (64, 64)
    assert wide.content_box() == (0, 16, 64, 48)
    assert tall.content_box() == (16, 0, 48, 64)


def ramp(size: Size, axis: int) -> NDArray[np.uint8]:
    """An image that brightens linearly along x (0) or y (1), 0 at its corner."""
    steps = (np.arange(size[axis]) + 0.5) / size[axis] * 255
    grey = np.broadcast_to(steps if axis == 0 else steps[:, None], (size.height, size.width))
    return np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=-1)


@pytest.mark.parametrize("mode", ["crop", "pad", "fit"])
@pytest.mark.parametrize("size", [Size(300, 170), Size(170, 300), Size(90, 91)])
@pytest.mark.parametrize("axis", [0, 1])
def test_map_says_where_the_pixels_went(mode: PreprocessMode, size: Size, axis: int) -> None:
    pixel_map = plan_pixel_maps([size, Size(100, 100)], mode, 128, 8)[0]
    image = network_image(ramp(size, axis), pixel_map)[0] * 255
    x0, y0, x1, y1 = pixel_map.content_box()
    outside = np.ones(image.shape, bool)
    outside[y0:y1, x0:x1] = False
    assert np.all(image[outside] == 255)
    x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    original = pixel_map.to_original(np.stack([x, y], axis=-1))[..., axis]
    inner = (original > 4) & (original < size[axis] - 4)  # the filter bends at the border
    shown = image[y0:y1, x0:x1][inner]
    np.testing.assert_allclose(shown, original[inner] / size[axis] * 255, atol=1.1)  # rounded twice


sizes = st.builds(Size, st.integers(1, 4000), st.integers(1, 4000))


@given(st.lists(sizes, min_size=1, max_size=4), st.sampled_from(["crop", "pad", "fit"]))
def test_every_plan_is_consistent(batch: list[Size], mode: PreprocessMode) -> None:
    maps = plan_pixel_maps(batch, mode, 224, 16)
    networks = {m.network for m in maps}
    assert len(networks) == 1
    network = networks.pop()
    assert network.width % 16 == network.height % 16 == 0
    assert max(network) <= 224
    for size, m in zip(batch, maps, strict=True):
        assert m.original == size
        assert all(float(o).is_integer() for o in m.offset)
        resized = np.multiply(size, m.scale)
        np.testing.assert_allclose(resized, np.round(resized), atol=1e-9)
        x0, y0, x1, y1 = m.content_box()
        assert (x1 - x0, y1 - y0) == tuple(np.minimum(np.round(resized), network))
        # Centred to the pixel: what is missing before and after differs by one at most.
        corners = m.to_network(np.array([[0, 0], size], np.float64))
        margins = np.stack([corners[0], np.array(network) - corners[1]])
        assert np.all(np.abs(margins[0] - margins[1]) <= 1 + 1e-9)
        xy = np.array([[0.5, 0.5], [size.width - 0.5, 0.25]])
        np.testing.assert_allclose(m.to_original(m.to_network(xy)), xy, atol=1e-9)
        K = np.array([[300.0, 0, 10], [0, 200, 20], [0, 0, 1]])
        pixel = np.append(xy[0], 1)  # seen along a ray that the resizing does not change
        seen = m.intrinsics_to_network(K) @ np.linalg.inv(K) @ pixel
        np.testing.assert_allclose(seen, np.append(m.to_network(xy[0]), 1), atol=1e-9)
        back = m.intrinsics_to_original(m.intrinsics_to_network(K))
        np.testing.assert_allclose(back, K, atol=1e-9)


def test_no_images_no_plan() -> None:
    assert plan_pixel_maps([], "fit", 64, 8) == ()


@pytest.mark.parametrize(
    ("mode", "long_side", "multiple", "message"),
    [
        ("stretch", 64, 8, "unknown preprocessing mode 'stretch'; there are: crop, pad, fit"),
        ("fit", 60, 8, "long_side 60 is no multiple of 8"),
        ("fit", 0, 8, "long_side 0"),
    ],
)
def test_wrong_plans_are_refused(mode: Any, long_side: int, multiple: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_pixel_maps([Size(10, 10)], mode, long_side, multiple)


def test_wrong_shape_is_refused() -> None:
    (pixel_map,) = plan_pixel_maps([Size(20, 10)], "fit", 16, 8)
    with pytest.raises(ValueError, match=r"expected shape \(10, 20, 3\).*got \(20, 10, 3\)"):
        network_image(np.zeros((20, 10, 3), np.uint8), pixel_map)


def test_a_file_that_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (20, 10)).save(path)
    frame = read_frame(ImageFile(name="a.png", path=path))
    maps = plan_pixel_maps([frame.size], "fit", 16, 8)
    Image.new("RGB", (10, 20)).save(path)
    with pytest.raises(InputError, match=r"a\.png: is 10 x 20 pixels, was 20 x 10"):
        network_images([frame], maps)
