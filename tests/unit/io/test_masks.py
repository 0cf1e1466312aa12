"""Masks: found by name, turned like their photographs, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vggt_sfm.errors import InputError
from vggt_sfm.io.images import ImageFile, file_sha256, read_frame, read_upright
from vggt_sfm.io.masks import find_masks, read_mask, with_alpha_mask, with_mask
from vggt_sfm.scene import Frame


def _file(folder: Path, name: str = "a/b.jpg") -> ImageFile:
    return ImageFile(name=name, path=folder / name)


def _photo(path: Path, pixels: np.ndarray, orientation: int = 1) -> Frame:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return read_frame(ImageFile(name=path.name, path=path))


def _mask(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def test_the_name_of_colmap_wins_and_some_images_may_have_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    plain = np.zeros((4, 6), np.uint8)
    short = _mask(tmp_path / "masks/a/b.png", plain)
    other = _mask(tmp_path / "masks/c.png", plain)
    files = [_file(tmp_path), _file(tmp_path, "c.jpg"), _file(tmp_path, "d.jpg")]
    found = find_masks(tmp_path / "masks", files)
    assert found == {"a/b.jpg": short, "c.jpg": other}
    assert "2 of 3 images" in caplog.text
    assert "none for 1 images: d.jpg" in caplog.text
    of_colmap = _mask(tmp_path / "masks/a/b.jpg.png", plain)
    assert find_masks(tmp_path / "masks", files)["a/b.jpg"] == of_colmap


def test_a_folder_without_a_fitting_mask_says_what_it_looked_for(tmp_path: Path) -> None:
    _mask(tmp_path / "masks/b.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(InputError, match=r"masks: no mask for any of 1 .* a/b\.jpg\.png or a/b\."):
        find_masks(tmp_path / "masks", [_file(tmp_path)])
    with pytest.raises(InputError, match="gone: no such folder"):
        find_masks(tmp_path / "gone", [_file(tmp_path)])


@pytest.mark.parametrize("shape", [(4, 6), (5, 5)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_as_large_as_the_file_is_turned_with_it(
    tmp_path: Path, rng: np.random.Generator, orientation: int, shape: tuple[int, int]
) -> None:
    values = (255 * rng.integers(0, 2, shape)).astype(np.uint8)
    frame = _photo(tmp_path / "p.png", np.repeat(values[..., None], 3, 2), orientation)
    masked = with_mask(frame, _mask(tmp_path / "m.png", values))
    usable = read_mask(masked)
    np.testing.assert_array_equal(usable, read_upright(frame.path)[..., 0] > 0)
    assert masked.mask_sha256 == file_sha256(tmp_path / "m.png")


def test_a_mask_as_large_as_the_upright_photograph_stays(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    frame = _photo(tmp_path / "p.png", np.zeros((4, 6, 3), np.uint8), 6)
    values = rng.integers(0, 2, (6, 4)).astype(np.uint8)
    usable = read_mask(with_mask(frame, _mask(tmp_path / "m.png", values)))
    np.testing.assert_array_equal(usable, values > 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
def test_only_black_is_forbidden_whatever_the_kind_of_file(tmp_path: Path, mode: str) -> None:
    frame = _photo(tmp_path / "p.png", np.zeros((1, 2, 3), np.uint8))
    if mode == "I;16":
        Image.fromarray(np.array([[0, 1]], np.uint16)).save(tmp_path / "m.png")
    else:
        image = Image.new("RGB", (2, 1))
        image.putpixel((1, 0), (255, 255, 255) if mode == "1" else (0, 0, 200))
        image.convert(mode).save(tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == mode
    usable = read_mask(with_mask(frame, tmp_path / "m.png"))
    np.testing.assert_array_equal(usable, [[False, True]])


def test_a_mask_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    frame = _photo(tmp_path / "p.png", np.zeros((4, 6, 3), np.uint8))
    assert read_mask(frame) is None
    with pytest.raises(InputError, match=r"m\.png: the mask has 6 x 5 px, its image p\.png 6 x 4"):
        with_mask(frame, _mask(tmp_path / "m.png", np.zeros((5, 6), np.uint8)))
    (tmp_path / "bad.png").write_bytes((tmp_path / "p.png").read_bytes()[:50])
    with pytest.raises(InputError, match=r"bad\.png"):
        with_mask(frame, tmp_path / "bad.png")


def test_the_first_images_without_a_mask_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _mask(tmp_path / "masks/1.png", np.zeros((4, 6), np.uint8))
    find_masks(tmp_path / "masks", [_file(tmp_path, f"{n}.jpg") for n in range(1, 7)])
    assert "none for 5 images: 2.jpg, 3.jpg, 4.jpg, …" in caplog.text


# --- alpha channels


def _cut_out(path: Path, alpha: np.ndarray, orientation: int = 1) -> Frame:
    """A grey photograph with this (H, W) alpha."""
    pixels = np.full((*alpha.shape, 4), 90, np.uint8)
    pixels[..., 3] = alpha
    options = {"lossless": True} if path.suffix == ".webp" else {}
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **options)
    return read_frame(ImageFile(name=path.name, path=path))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_alpha_is_a_mask_turned_with_its_photograph(
    tmp_path: Path, rng: np.random.Generator, suffix: str, orientation: int
) -> None:
    alpha = rng.choice(np.array([0, 127, 128, 255], np.uint8), (4, 6))
    frame = with_alpha_mask(_cut_out(tmp_path / f"p.{suffix}", alpha, orientation))
    assert (frame.mask_path, frame.mask_sha256) == (frame.path, frame.sha256)
    usable = read_mask(frame)
    # What is opaque shows through as less than white where it is laid over white.
    shown = read_upright(frame.path)[..., 0] < 255 - 0.5 * (255 - 90)
    np.testing.assert_array_equal(usable, shown)
    assert usable is not None
    assert usable.shape == (frame.size.height, frame.size.width)


@pytest.mark.parametrize("mode", ["LA", "P", "RGB", "L"])
def test_other_kinds_of_transparency(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "p.png"
    if mode == "LA":
        Image.fromarray(np.array([[[9, 0], [9, 255]]], np.uint8), "LA").save(path)
    else:
        image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
        image.putpalette([200, 0, 0, 9, 9, 9])
        key = {"P": bytes([0, 255]), "RGB": (200, 0, 0), "L": 60}[mode]
        image.convert(mode).save(path, transparency=key)
    frame = with_alpha_mask(read_frame(ImageFile(name="p", path=path)))
    np.testing.assert_array_equal(read_mask(frame), [[False, True]])


def test_photographs_without_transparent_pixels_have_no_mask(tmp_path: Path) -> None:
    frames = [
        _photo(tmp_path / "rgb.png", np.zeros((4, 6, 3), np.uint8)),
        _photo(tmp_path / "deep.png", np.zeros((4, 6), np.uint16)),
        _cut_out(tmp_path / "opaque.png", np.full((4, 6), 128, np.uint8)),
    ]
    assert [with_alpha_mask(frame) for frame in frames] == frames


def test_photograph_that_is_transparent_everywhere_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    usable = read_mask(with_alpha_mask(_cut_out(tmp_path / "p.png", np.zeros((4, 6), np.uint8))))
    np.testing.assert_array_equal(usable, np.zeros((4, 6), bool))
    assert "p.png is transparent everywhere" in caplog.text
