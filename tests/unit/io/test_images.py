"""Finding photographs and decoding them, with a slow readable twin for what Pillow hides."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import heic
import numpy as np
import pytest
import videos
from PIL import Image

from vggt_sfm.errors import CapabilityError, InputError
from vggt_sfm.io.images import (
    ImageFile,
    discover,
    read_frame,
    read_unblended,
    read_upright,
)
from vggt_sfm.io.shared_cameras import with_shared_cameras
from vggt_sfm.scene import Frame, Size

EXIF_ORIENTATION = 274


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def _names(found: list[ImageFile]) -> list[str]:
    return [file.name for file in found]


def _frame(path: Path) -> object:
    return read_frame(ImageFile(name=path.name, path=path))


# --- discover


def test_folder_is_searched_with_its_subfolders_in_natural_order(tmp_path: Path) -> None:
    _touch(
        *(tmp_path / name for name in ("img10.JPG", "img2.png", "IMG1.jpeg", "notes.txt")),
        *(tmp_path / name for name in (".hidden.jpg", ".cache/a.jpg", "b/img3.tif", "a.jpg.part")),
    )
    assert _names(discover(tmp_path)) == ["b/img3.tif", "IMG1.jpeg", "img2.png", "img10.JPG"]


def test_output_inside_the_image_folder_is_passed_over(tmp_path: Path) -> None:
    _touch(tmp_path / "1.jpg", tmp_path / "out" / "images" / "1.jpg", tmp_path / "outer.jpg")
    assert _names(discover(tmp_path, exclude=[tmp_path / "out"])) == ["1.jpg", "outer.jpg"]


def test_glob_and_several_sources_are_named_from_their_common_folder(tmp_path: Path) -> None:
    _touch(tmp_path / "a" / "1.jpg", tmp_path / "a" / "2.png", tmp_path / "b" / "3.jpg")
    assert _names(discover(str(tmp_path / "*" / "*.jpg"))) == ["a/1.jpg", "b/3.jpg"]
    assert _names(discover([tmp_path / "a" / "1.jpg", tmp_path / "a"])) == ["1.jpg", "2.png"]


def test_list_file_names_paths_from_its_own_folder(tmp_path: Path) -> None:
    _touch(tmp_path / "p" / "1.jpg", tmp_path / "q" / "2.jpg")
    listing = tmp_path / "list.txt"
    listing.write_text(f"# chosen\n\nq/2.jpg\n{tmp_path / 'p' / '1.jpg'}\n")
    assert _names(discover(listing)) == ["p/1.jpg", "q/2.jpg"]
    listing.write_text("q/2.jpg\ngone.jpg\n")
    with pytest.raises(InputError, match=r"list\.txt, line 2: no such file: gone\.jpg"):
        discover(listing)


def test_text_file_beside_images_is_not_a_list(tmp_path: Path) -> None:
    _touch(tmp_path / "1.jpg")
    (tmp_path / "readme.txt").write_text("not a list")
    assert _names(discover([tmp_path / "1.jpg", tmp_path / "readme.txt"])) == ["1.jpg"]


def test_nothing_found_says_where_and_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no images in .* looked for files ending in avif bmp"):
        discover(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        discover(tmp_path / "gone")


# --- read_upright


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    rng = np.random.default_rng(0)
    upright = rng.integers(0, 256, (4, 6, 3), np.uint8)
    # What a camera stores so that a viewer who follows the orientation sees `upright`.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    path = tmp_path / f"photo.{suffix}"
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    np.testing.assert_array_equal(read_upright(path), upright)
    frame = read_frame(ImageFile(name="photo", path=path))
    assert frame.size == Size(6, 4)
    assert frame.exif_orientation == orientation


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_uncompressed_tiff_on_its_side(tmp_path: Path, rng: np.random.Generator, mode: str) -> None:
    stored = rng.integers(0, 256, (4, 6, 4), np.uint8)
    stored[..., 3] = 255
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    image = Image.fromarray(stored).convert(mode)
    image.save(tmp_path / "photo.tif", exif=exif)
    expected = np.rot90(np.asarray(image.convert("RGB")), -1)
    np.testing.assert_array_equal(read_upright(tmp_path / "photo.tif"), expected)


def test_transparency_is_laid_over_white_rounded_to_nearest(tmp_path: Path) -> None:
    value, alpha = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.dstack([value, 255 - value, value // 2, alpha]).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    weight = pixels[..., 3:] / 255
    expected = np.floor(pixels[..., :3] * weight + 255 * (1 - weight) + 0.5)
    off = np.abs(read_upright(tmp_path / "a.png") - expected)
    # Where the exact value is a half, fixed-point arithmetic may round down.
    halves = np.isclose((pixels[..., :3] * weight + 255 * (1 - weight)) % 1, 0.5, atol=1 / 255)
    assert off[~halves].max() == 0
    assert off.max() <= 1


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_transparent_pixels_of_other_modes_are_white(tmp_path: Path, mode: str) -> None:
    if mode == "LA":
        image = Image.fromarray(np.array([[[9, 0], [9, 255]]], np.uint8), "LA")
        image.save(tmp_path / "a.png")
    else:
        image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
        image.putpalette([200, 0, 0, 9, 9, 9])
        image.save(tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(read_upright(tmp_path / "a.png"), [[[255] * 3, [9] * 3]])


def test_grey_is_replicated_and_16_bit_is_divided_by_257(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.tif")
    Image.fromarray(grey.astype(np.int32) * 257).save(tmp_path / "32.tif")
    for name in ("8.png", "16.png", "16.tif", "32.tif"):
        rgb = read_upright(tmp_path / name)
        assert rgb.shape == (16, 16, 3)
        np.testing.assert_array_equal(rgb, np.dstack([grey] * 3), err_msg=name)
    deep = np.array([[0, 128, 129, 65406, 65407, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "edge.png")
    np.testing.assert_array_equal(
        read_upright(tmp_path / "edge.png")[0, :, 0], [0, 0, 1, 254, 255, 255]
    )


def test_floating_point_images_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "f.tif")
    for read in (read_upright, _frame):
        with pytest.raises(InputError, match=r"f\.tif: floating-point pixels"):
            read(tmp_path / "f.tif")


def test_damaged_files_are_input_errors_that_name_the_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for suffix in ("jpg", "png", "tif", "webp"):
        path = tmp_path / f"cut.{suffix}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:-900])
        for read in (read_upright, _frame):
            with pytest.raises(InputError, match=rf"cut\.{suffix}: "):
                read(path)
    text = tmp_path / "text.jpg"
    text.write_text("no image at all")
    with pytest.raises(InputError, match=r"text\.jpg: not an image"):
        read_upright(text)


def test_photos_larger_than_pillows_limit_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)  # 1000 pixels would warn, 1200 be refused
    Image.new("L", (40, 25)).save(tmp_path / "large.png")
    assert read_upright(tmp_path / "large.png").shape == (25, 40, 3)
    Image.new("L", (40, 40)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png: .*exceeds limit"):
        read_upright(tmp_path / "bomb.png")


@pytest.mark.parametrize("quarters", range(4))
def test_heic_is_read_upright(tmp_path: Path, quarters: int) -> None:
    pixels = videos.view(40)
    path = heic.write(tmp_path / "photo.HEIC", pixels, quarters)
    upright = np.rot90(pixels, quarters)
    seen = read_upright(path)
    assert seen.shape == upright.shape
    assert np.abs(seen.astype(int) - upright).mean() < 6  # lossy; a wrong turn makes about 50
    np.testing.assert_array_equal(read_unblended(path, 1), seen)
    frame = read_frame(ImageFile(name="photo", path=path))
    assert (frame.size, frame.exif_orientation) == (Size(*upright.shape[1::-1]), 1)


def test_cut_off_heic_is_an_input_error(tmp_path: Path) -> None:
    path = heic.write(tmp_path / "cut.heic", videos.view(40))
    path.write_bytes(path.read_bytes()[:-2000])
    for read in (read_upright, _frame):
        with pytest.raises(InputError, match=r"cut\.heic: "):
            read(path)


def test_heic_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    _touch(tmp_path / "photo.HEIC")
    with pytest.raises(CapabilityError, match=r"pip install 'vggt-sfm\[heic\]'"):
        read_upright(tmp_path / "photo.HEIC")


# --- read_unblended


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_unblended_pixels_are_turned_as_asked_whatever_the_file_says(
    tmp_path: Path, rng: np.random.Generator, suffix: str, orientation: int
) -> None:
    stored = rng.integers(0, 256, (4, 6, 3), np.uint8)
    path = tmp_path / f"photo.{suffix}"
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(stored).save(path, exif=exif, **options)
    np.testing.assert_array_equal(read_unblended(path, 1), stored)
    np.testing.assert_array_equal(read_unblended(path, orientation), read_upright(path))
    np.testing.assert_array_equal(read_unblended(path, 3), stored[::-1, ::-1])


def test_colours_under_transparency_are_kept(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (4, 6, 4), np.uint8)
    pixels[0, 0, 3], pixels[0, 1, 3] = 0, 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_unblended(tmp_path / "a.png", 1), pixels[..., :3])
    Image.fromarray(pixels[..., [0, 3]], "LA").save(tmp_path / "la.png")
    grey = np.repeat(pixels[..., :1], 3, 2)
    np.testing.assert_array_equal(read_unblended(tmp_path / "la.png", 1), grey)
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([200, 0, 0, 9, 9, 9])
    image.save(tmp_path / "p.png", transparency=bytes([0, 128]))
    np.testing.assert_array_equal(read_unblended(tmp_path / "p.png", 1), [[[200, 0, 0], [9, 9, 9]]])


def test_unblended_16_bit_is_divided_by_257(tmp_path: Path) -> None:
    deep = np.array([[0, 128, 129, 65406, 65407, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert read_unblended(tmp_path / "deep.png", 1)[0, :, 0].tolist() == [0, 0, 1, 254, 255, 255]


# --- read_frame


def _photo(path: Path, size: tuple[int, int], **details: object) -> Path:
    exif = Image.Exif()
    exif[271], exif[272] = "Maker\0", "Model X"
    tags = {"focal_mm": 37386, "film_mm": 41989, "resolution": 41486, "unit": 41488, "width": 40962}
    exif.get_ifd(0x8769).update({tags[name]: value for name, value in details.items()})
    Image.new("RGB", size).save(path, exif=exif)
    return path


def test_focal_prior_from_35_mm_equivalent_follows_the_diagonal(tmp_path: Path) -> None:
    # Phone of 4:3: 26 mm means the field of view of 26 mm on film, measured over the diagonal.
    frame = read_frame(
        ImageFile(name="p", path=_photo(tmp_path / "p.jpg", (4000, 3000), film_mm=26))
    )
    assert frame.focal_prior_px == pytest.approx(26 / 43.2666 * 5000, rel=1e-6)
    assert frame.camera_key == "4000x3000 Maker Model X 26mm"


def test_focal_prior_from_sensor_survives_a_resize(tmp_path: Path) -> None:
    # 6000 px on 24 mm are 6350 px per inch; the file was reduced to 1500 px afterwards.
    path = _photo(
        tmp_path / "p.jpg", (1500, 1000), focal_mm=50.0, resolution=6350.0, unit=2, width=6000
    )
    frame = read_frame(ImageFile(name="p", path=path))
    assert frame.focal_prior_px == pytest.approx(50 / 24 * 1500, rel=1e-6)


@pytest.mark.parametrize(
    "details",
    [{}, {"film_mm": 0}, {"focal_mm": 50.0}, {"film_mm": 9000}, {"focal_mm": 5.0, "resolution": 0}],
)
def test_absent_or_absurd_exif_gives_no_prior(tmp_path: Path, details: dict[str, object]) -> None:
    path = _photo(tmp_path / "p.jpg", (640, 480), **details)
    assert read_frame(ImageFile(name="p", path=path)).focal_prior_px is None


def test_frame_without_exif(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "p.png")
    frame = read_frame(ImageFile(name="sub/p.png", path=tmp_path / "p.png"))
    assert (frame.name, frame.size, frame.exif_orientation) == ("sub/p.png", Size(8, 6), 1)
    assert frame.camera_key == "8x6"
    assert frame.focal_prior_px is None


def _shot(name: str, size: Size, key: str | None = None) -> Frame:
    plain = f"{size.width}x{size.height}"
    return Frame(name=name, path=name, size=size, sha256="", camera_key=key or plain)


def test_photos_of_one_size_share_a_camera_even_without_exif() -> None:
    frames = [_shot("a", Size(640, 480)), _shot("b", Size(640, 480)), _shot("c", Size(480, 640))]
    assert with_shared_cameras(frames, "auto") == frames


def test_photos_of_many_sizes_without_exif_have_a_camera_each() -> None:
    frames = [
        _shot("a", Size(640, 480)),
        _shot("b", Size(640, 480)),
        _shot("c", Size(800, 600)),
        _shot("d", Size(640, 480), "640x480 Maker Model"),
        _shot("e", Size(640, 480), "640x480 Maker Model"),
    ]
    keys = [frame.camera_key for frame in with_shared_cameras(frames, "auto")]
    assert len(set(keys[:3])) == 3
    assert keys[3] == keys[4] == "640x480 Maker Model"


def test_folders_have_cameras_of_their_own_with_the_rule_for_sizes_inside() -> None:
    frames = [
        _shot("a/1", Size(640, 480)),
        _shot("a/2", Size(640, 480)),
        _shot("b/1", Size(640, 480)),
        _shot("b/2", Size(800, 600)),
        _shot("b/3", Size(640, 480), "640x480 Maker Model"),
        _shot("4", Size(640, 480), "640x480 Maker Model"),
        _shot("b/5", Size(640, 480), "640x480 Maker Model"),
    ]
    found = with_shared_cameras(frames, "auto")
    assert [frame.name for frame in found] == [frame.name for frame in frames]
    keys = [frame.camera_key for frame in found]
    assert keys[0] == keys[1]
    assert keys[4] == keys[6]
    assert len(set(keys)) == 5
    alone = frames[2:5]
    assert with_shared_cameras(alone, "auto") == with_shared_cameras(alone, "exif")


def _num_cameras(frames: list[Frame], *how: Any) -> int:
    return len({frame.camera_key for frame in with_shared_cameras(frames, *how)})


def test_what_shares_a_camera_can_be_chosen() -> None:
    frames = [
        _shot("a/1", Size(640, 480), "640x480 Maker One"),
        _shot("a/2", Size(640, 480), "640x480 Maker Two"),
        _shot("b/1", Size(640, 480), "640x480 Maker One"),
        _shot("b/2", Size(480, 640), "480x640 Maker One"),
    ]
    counted = {how: _num_cameras(frames, how) for how in ("one", "folder", "exif", "image", "auto")}
    assert counted == {"one": 2, "folder": 3, "exif": 3, "image": 4, "auto": 4}


def test_a_rig_names_cameras_by_prefix(tmp_path: Path) -> None:
    frames = [_shot(f"{side}/{n}", Size(640, 480)) for side in ("left", "right") for n in (1, 2)]
    frames.append(_shot("other", Size(640, 480)))
    rig = tmp_path / "rig_config.json"
    cameras = [
        {"image_prefix": "left/", "ref_sensor": True},
        {
            "image_prefix": "right/",
            "cam_from_rig_rotation": [1, 0, 0, 0],
            "cam_from_rig_translation": [0.1, 0, 0],
        },
    ]
    rig.write_text(json.dumps([{"cameras": cameras}]))
    assert _num_cameras(frames, "one", rig) == 3
    assert _num_cameras(frames[:4], "one", rig) == 2
    with pytest.raises(InputError, match="no photograph begins with right/"):
        with_shared_cameras(frames[:2], "one", rig)
    rig.write_text("no rig")
    with pytest.raises(InputError, match="not a COLMAP rig_config"):
        with_shared_cameras(frames, "one", rig)
