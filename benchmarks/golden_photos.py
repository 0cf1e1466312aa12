"""Network input of photographs against its goldens: the same bytes, not nearly the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from vggt_sfm._checks import Float32, UInt8
from vggt_sfm.benchmarks.goldens import Goldens, Match
from vggt_sfm.io.images import ImageFile, read_frame, read_upright
from vggt_sfm.io.preprocess import network_image, network_images, plan_pixel_maps
from vggt_sfm.scene import Frame, PixelMap, Size

CASE = "photos"

_BATCH = {"batch_land+port+odd": ("land_640x480", "port_480x640", "odd_517x519")}
_SQUARE = 1024


def write_sources(goldens: Goldens, folder: Path) -> dict[str, Frame]:
    """Write the images that the goldens were made of as files.

    Raises:
        ValueError: If their pixels are not those of the goldens.
    """
    config = goldens.config()
    frames = {}
    for i, (name, (width, height, mode)) in enumerate(config["sizes"].items()):
        image = goldens.common.make_images(1, height, width, seed=100 + i)[0]
        pixels = np.round(255 * image.astype(np.float64)).astype(np.uint8).transpose(1, 2, 0)
        if mode == "L":
            pixels = np.ascontiguousarray(pixels[..., 1])
        if mode == "RGBA":
            y, x = np.mgrid[:height, :width]
            pixels = np.dstack([pixels, ((7 * x + 13 * y) % 256).astype(np.uint8)])
        if _digest(pixels) != config["info"]["source_u8_sha256_32"][name]:
            raise ValueError(f"{name}: made other pixels than the goldens were made of")
        path = folder / f"{name}.png"
        Image.fromarray(pixels).save(path)
        frames[name] = read_frame(ImageFile(name=path.name, path=path))
    return frames


def photo_matches(goldens: Goldens, frames: dict[str, Frame]) -> list[Match]:
    """Compare the network input of every source image, and of several together.

    Differences are those of the stored samples, or 1 where only the hash of all is another.

    Args:
        goldens: Of small.npz.
        frames: What :func:`write_sources` wrote.
    """
    matches: list[Match] = []
    for entry in goldens.config()["info"]["preprocess"]:
        mode, name = entry.split(".", 1)
        if mode == "square1024":
            matches += _square_matches(goldens, name, frames[name])
            continue
        members = [frames[n] for n in _BATCH.get(name, (name,))]
        maps = plan_pixel_maps([frame.size for frame in members], mode, 518, 14)
        matches.append(_match(goldens, entry, network_images(members, maps)))
    return matches


def _square_matches(goldens: Goldens, name: str, frame: Frame) -> Iterable[Match]:
    """Compare a photo inside a black square that is then resized.

    This project has no such mode; the square is made here, and resized as everything is.
    """
    width, height = frame.size
    side = max(frame.size)
    left, top = (side - width) // 2, (side - height) // 2
    rgb = np.zeros((side, side, 3), np.uint8)
    rgb[top : top + height, left : left + width] = read_upright(frame.path)
    scale = _SQUARE / side
    square = PixelMap(
        original=Size(side, side),
        network=Size(_SQUARE, _SQUARE),
        scale=(scale, scale),
        offset=(0.0, 0.0),
    )
    corners = square.to_network(np.array([[left, top], [left + width, top + height]], np.float64))
    box = np.array([[*corners.ravel(), width, height]], np.float32)
    coordinates = f"prep.square{_SQUARE}.coords.{name}"
    return [
        _match(goldens, f"square{_SQUARE}.{name}", network_image(rgb, square)[None]),
        Match(
            case=CASE,
            name=coordinates,
            difference=goldens.difference(coordinates, box),
            tolerance=0.0,
        ),
    ]


def _match(goldens: Goldens, entry: str, images: Float32) -> Match:
    expected = goldens.config()["info"]["preprocess"][entry]
    levels = np.round(images * 255).astype(np.uint8)
    hashed = levels if len(levels) > 1 else levels[0]
    difference = goldens.difference(f"prep.{entry}", images)
    if _digest(hashed) != expected["u8_sha256_32"]:
        difference = max(difference, 1.0)
    return Match(case=CASE, name=f"prep.{entry}", difference=difference, tolerance=0.0)


def _digest(array: UInt8) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]
