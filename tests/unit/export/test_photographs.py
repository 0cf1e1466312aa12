"""What exported photographs look like, whatever the files were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import foreign
import numpy as np
import pytest
import readers
import readers_gsplat
from PIL import Image

from vggt_sfm.errors import InputError
from vggt_sfm.export.words import ExportConfig, ExportWord
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.pipelines.exporting import export, export_opened
from vggt_sfm.pipelines.opened import open_model

SIZE = foreign.SIZE
# JPEG at quality 95 and without subsampling, of smooth pictures.
JPEG_LEVELS = 6
PHOTO_WORDS: list[ExportWord] = ["colmap", "nerfstudio", "gsplat"]


def workspace(folder: Path, *names: str) -> foreign.Made:
    return foreign.simple_workspace(folder, names)


def exported_photo(out: Path, word: str, name: str) -> Path:
    return out / ("" if word == "nerfstudio" else word) / "images" / name


def smooth(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """Different in every corner, so that no turn or flip goes unnoticed."""
    x, y = np.meshgrid(np.linspace(0, 200, size[0]), np.linspace(0, 240, size[1]))
    rgb = np.stack([x, y, 40 + (x + y) / 4], axis=-1)
    return Image.fromarray(np.rint(rgb).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("word", PHOTO_WORDS)
def test_names_with_spaces_other_alphabets_and_equal_names_in_folders(
    tmp_path: Path, word: ExportWord
) -> None:
    names = ["a/1.jpg", "b/1.jpg", "Фото 100% #1.png", "c d/[x] {y}.PNG", "é.jpeg"]
    workspace(tmp_path, *names)
    export(tmp_path, [word])
    out = tmp_path / "vggt-sfm-export"
    for name in names:
        source = (tmp_path / "images" / name).read_bytes()
        assert exported_photo(out, word, name).read_bytes() == source
    if word == "nerfstudio":
        assert sorted(readers.read_transforms(out).frames) == sorted(f"images/{n}" for n in names)
    if word == "gsplat":
        views, _ = readers_gsplat.read_gsplat(out / "gsplat")
        assert [view.photo for view in views] == [
            out / "gsplat" / "images" / view.name for view in views
        ]


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("word", PHOTO_WORDS)
def test_turned_jpeg_of_a_model_of_upright_photographs(
    tmp_path: Path, word: ExportWord, orientation: int
) -> None:
    workspace(tmp_path, "a.jpg", "b.png")
    upright = smooth()
    # What an EXIF orientation undoes, by the standard's table.
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[274] = orientation
    in_file = upright.transpose(turns[orientation])
    in_file.save(tmp_path / "images" / "a.jpg", quality=95, exif=exif, subsampling=0)
    opened = open_model(tmp_path)
    frames = dict(opened.frames)
    assert frames["a.jpg"].size == SIZE
    # As a run reads it; without its word a foreign model's pixels of the same size are not turned.
    frames["a.jpg"] = replace(frames["a.jpg"], exif_orientation=orientation)
    export_opened(replace(opened, frames=frames), [word], tmp_path / "out")
    with Image.open(exported_photo(tmp_path / "out", word, "a.jpg")) as image:
        assert image.getexif().get(274, 1) == 1
        assert image.size == SIZE
        found = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found - np.asarray(upright).astype(int)).max() <= JPEG_LEVELS


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_foreign_model_of_pixels_as_they_lie_in_the_file(tmp_path: Path, orientation: int) -> None:
    """COLMAP takes no notice of EXIF: readers that do would turn what must stay."""
    workspace(tmp_path, "a.jpg")
    exif = Image.Exif()
    exif[274] = orientation
    smooth().save(tmp_path / "images" / "a.jpg", quality=95, exif=exif, subsampling=0)
    export(tmp_path, ["gsplat"])
    with Image.open(tmp_path / "vggt-sfm-export" / "gsplat" / "images" / "a.jpg") as image:
        assert image.getexif().get(274, 1) == 1
        found = np.asarray(image).astype(int)
    assert np.abs(found - np.asarray(smooth()).astype(int)).max() <= JPEG_LEVELS


def test_foreign_model_of_upright_photographs_is_known_by_its_size(tmp_path: Path) -> None:
    workspace(tmp_path, "a.jpg")
    exif = Image.Exif()
    exif[274] = 6
    lying = smooth().transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "images" / "a.jpg", quality=95, exif=exif, subsampling=0)
    export(tmp_path, ["gsplat"])
    with Image.open(tmp_path / "vggt-sfm-export" / "gsplat" / "images" / "a.jpg") as image:
        assert (image.size, image.getexif().get(274, 1)) == (SIZE, 1)
        found = np.asarray(image).astype(int)
    assert np.abs(found - np.asarray(smooth()).astype(int)).max() <= 2 * JPEG_LEVELS


def with_own_alpha(opened: OpenedModel, *names: str) -> OpenedModel:
    frames = dict(opened.frames)
    for name in names:
        frames[name] = replace(frames[name], mask_path=frames[name].path)
    return replace(opened, frames=frames)


def test_transparent_png_becomes_its_colours_and_a_mask(tmp_path: Path) -> None:
    workspace(tmp_path, "a.png", "b.png")
    rgba = np.dstack([np.asarray(smooth()), np.full(SIZE[::-1], 255, np.uint8)])
    rgba[30:60, 40:90, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "images" / "a.png")
    opened = with_own_alpha(open_model(tmp_path), "a.png")
    export_opened(opened, PHOTO_WORDS, tmp_path / "out")
    data = readers.read_transforms(tmp_path / "out")
    for name, hidden in (("a.png", 30 * 50), ("b.png", 0)):
        frame = data.frames[f"images/{name}"]
        assert frame.mask is not None
        masks = [frame.mask, *(tmp_path / "out" / w / "masks" / f"{name}.png" for w in ("colmap",))]
        for mask in [*masks, tmp_path / "out" / "gsplat" / "masks" / f"{name}.png"]:
            with Image.open(mask) as image:
                assert (image.mode, image.size) == ("L", SIZE)
                black = np.asarray(image) == 0
            assert black.sum() == hidden
            assert black[30:60, 40:90].all() == bool(hidden)
    with Image.open(data.frames["images/a.png"].photo) as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), np.asarray(smooth()))


def test_deep_and_grey_photographs_become_eight_bits_of_colour(tmp_path: Path) -> None:
    workspace(tmp_path, "deep.png", "grey.png", "palette.png", "plain.png")
    ramp = np.linspace(0, 65535, SIZE[0] * SIZE[1]).reshape(SIZE[::-1]).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "images" / "deep.png")
    grey = np.asarray(smooth(mode="L"))
    Image.fromarray(grey).save(tmp_path / "images" / "grey.png")
    smooth().quantize(64).save(tmp_path / "images" / "palette.png")
    export(tmp_path, PHOTO_WORDS)
    for word in PHOTO_WORDS:
        for name in ("deep.png", "grey.png", "palette.png", "plain.png"):
            with Image.open(exported_photo(tmp_path / "vggt-sfm-export", word, name)) as image:
                assert (image.mode, image.size) == ("RGB", SIZE)
                pixels = np.asarray(image)
            if name == "deep.png":
                assert np.abs(pixels.astype(float) * 257 - ramp[..., None]).max() <= 257 / 2
            if name == "grey.png":
                np.testing.assert_array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))


def test_two_photographs_that_would_get_one_name_are_refused(tmp_path: Path) -> None:
    """A format that readers do not know is exported as NAME.jpg, which may be another one's."""
    workspace(tmp_path, "a.jp2", "a.jp2.jpg")
    with pytest.raises(InputError, match=r"a\.jp2\.jpg"):
        export(tmp_path, ["colmap"])
    assert not (tmp_path / "vggt-sfm-export" / "colmap").exists()


@pytest.mark.parametrize("word", PHOTO_WORDS)
@pytest.mark.parametrize("name", ["../up.png", "a/../../up.png"])
def test_names_that_lead_out_of_the_folder_are_refused(
    tmp_path: Path, word: ExportWord, name: str
) -> None:
    ws = tmp_path / "deep" / "ws"
    (ws / "images" / "a").mkdir(parents=True)
    workspace(ws / "x", "b.png")
    made = foreign.made_model(["b.png", name], [foreign.camera("PINHOLE")], foreign.poses(2))
    foreign.write_workspace(ws, made)
    files = sorted(tmp_path.rglob("*.png"))
    with pytest.raises(InputError, match=r"up\.png.*outside"):
        export(ws, [word], config=ExportConfig(image_factors="2"))
    assert sorted(tmp_path.rglob("*.png")) == files


@pytest.mark.parametrize("word", PHOTO_WORDS)
def test_absolute_names_never_write_to_the_originals(tmp_path: Path, word: ExportWord) -> None:
    """Some tools write absolute paths as names; joined to a folder they stay what they are."""
    original = tmp_path / "mine" / "photo.png"
    original.parent.mkdir()
    smooth(mode="L").save(original)
    before = original.read_bytes()
    made = foreign.made_model([str(original)], [foreign.camera("PINHOLE")], foreign.poses(1))
    (tmp_path / "ws" / "sparse" / "0").mkdir(parents=True)
    (tmp_path / "ws" / "images").mkdir()
    made.model.write_binary(tmp_path / "ws" / "sparse" / "0")
    with pytest.raises(InputError, match=r"photo\.png.*outside"):
        export(tmp_path / "ws", [word], config=ExportConfig(image_factors="2"))
    assert original.read_bytes() == before
    assert [path.name for path in original.parent.iterdir()] == ["photo.png"]


def test_a_factor_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    workspace(tmp_path, "a.png")
    with pytest.raises(InputError, match="121"):
        export(tmp_path, ["gsplat"], config=ExportConfig(image_factors="121"))
    assert not (tmp_path / "vggt-sfm-export" / "gsplat").exists()


@pytest.mark.parametrize("word", PHOTO_WORDS)
def test_a_photograph_that_changed_its_size_since_is_refused(
    tmp_path: Path, word: ExportWord
) -> None:
    workspace(tmp_path, "a.png", "b.png")
    opened = open_model(tmp_path)
    foreign.save_noise(tmp_path / "images" / "a.png", (80, 64))
    with pytest.raises(InputError, match=r"a\.png: is 80 x 64 pixels"):
        export_opened(opened, [word], tmp_path / "out")
