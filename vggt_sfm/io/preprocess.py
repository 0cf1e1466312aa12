"""Photographs to network input: one exact affine map per image, then the pixels to match it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

from vggt_sfm._checks import Float32, UInt8, check_shape
from vggt_sfm.errors import InputError
from vggt_sfm.io.images import read_upright
from vggt_sfm.scene import Frame, PixelMap, Size

PreprocessMode = Literal["crop", "pad", "fit"]

_WHITE = 255
NO_IMAGES: Float32 = np.empty((0, 3, 0, 0), np.float32)
"""For predictors that look at none."""


def plan_pixel_maps(
    sizes: Sequence[Size], mode: PreprocessMode, long_side: int, multiple: int
) -> tuple[PixelMap, ...]:
    """Decide how each image of a batch gets to the network's size.

    Resizing stretches each axis by its own exact factor. Images that end up smaller than the
    largest of the batch are centred on white.

    Args:
        sizes: Upright sizes of the photographs.
        mode: ``crop``: width becomes ``long_side``, and of more rows than that the middle ones
            are kept. ``pad``: the longer side becomes ``long_side`` and white makes it square.
            ``fit``: the longer side becomes ``long_side``, nothing else is done.
        long_side: Target length, px; a multiple of ``multiple``.
        multiple: What the other side is rounded to, px; at least one is kept.

    Returns:
        One map per size, all with the same network size.

    Raises:
        ValueError: If ``mode`` is unknown or ``long_side`` is no multiple of ``multiple``.
    """
    if mode not in ("crop", "pad", "fit"):
        raise ValueError(f"unknown preprocessing mode {mode!r}; there are: crop, pad, fit")
    if multiple < 1 or long_side < 1 or long_side % multiple:
        raise ValueError(f"long_side {long_side} is no multiple of {multiple}")
    if not sizes:
        return ()
    resized = [_resized(size, mode, long_side, multiple) for size in sizes]
    rows = [min(r.height, long_side) for r in resized]  # only crop makes more than that
    if mode == "pad":
        network = Size(long_side, long_side)
    else:
        network = Size(max(r.width for r in resized), max(rows))
    return tuple(
        PixelMap(
            original=size,
            network=network,
            scale=(r.width / size.width, r.height / size.height),
            offset=(
                float((network.width - r.width) // 2),
                float((network.height - kept) // 2 - (r.height - kept) // 2),
            ),
        )
        for size, r, kept in zip(sizes, resized, rows, strict=True)
    )


def stretched_maps(sizes: Sequence[Size], network: Size) -> tuple[PixelMap, ...]:
    """Stretch whole images to one size, each axis by its own exact factor.

    Args:
        sizes: Upright sizes of the photographs.
        network: What all of them become.
    """
    return tuple(
        PixelMap(
            original=size,
            network=network,
            scale=(network.width / size.width, network.height / size.height),
            offset=(0.0, 0.0),
        )
        for size in sizes
    )


def _resized(size: Size, mode: PreprocessMode, long_side: int, multiple: int) -> Size:
    """Return an image's size before it is cropped or padded."""

    def rounded(length: int, by: int) -> int:
        # In the reference's order of operations: halves are rounded as it rounds them.
        return max(multiple, round(length * (long_side / by) / multiple) * multiple)

    if mode == "crop" or size.width >= size.height:
        return Size(long_side, rounded(size.height, size.width))
    return Size(rounded(size.width, size.height), long_side)


def network_image(rgb: UInt8, pixel_map: PixelMap) -> Float32:
    """Resize, crop and pad one image as its map says.

    Args:
        rgb: (H, W, 3) upright pixels, H and W being ``pixel_map.original``.
        pixel_map: Where the pixels go.

    Returns:
        (3, h, w) in [0, 1], h and w being ``pixel_map.network``; white outside the photo.

    Raises:
        ValueError: If the shape is not the map's.
    """
    width, height = pixel_map.original
    check_shape("network_image: rgb", rgb, f"{height} {width} 3")
    resized = _resize_bicubic(
        rgb, Size(round(width * pixel_map.scale[0]), round(height * pixel_map.scale[1]))
    )
    canvas = np.full((pixel_map.network.height, pixel_map.network.width, 3), _WHITE, np.uint8)
    x, y = (int(o) for o in pixel_map.offset)
    visible = resized[max(-y, 0) :, max(-x, 0) :][: canvas.shape[0], : canvas.shape[1]]
    x, y = max(x, 0), max(y, 0)
    canvas[y : y + visible.shape[0], x : x + visible.shape[1]] = visible
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def _resize_bicubic(rgb: UInt8, size: Size) -> UInt8:
    """Resize with Pillow's antialiased bicubic filter, x before y.

    Pillow rounds to 8 bits between the axes and from version 13 picks the first one by size,
    so each axis gets a call of its own.
    """
    image = Image.fromarray(rgb)
    for step in (Size(size.width, image.height), size):
        if step != image.size:
            image = image.resize(step, Image.Resampling.BICUBIC)
    return np.asarray(image)


def network_images(frames: Sequence[Frame], pixel_maps: Sequence[PixelMap]) -> Float32:
    """Read the photographs of a scene as the network wants them.

    Args:
        frames: The S photographs.
        pixel_maps: One map per frame, all with the same network size.

    Returns:
        (S, 3, h, w) in [0, 1].

    Raises:
        InputError: If a file no longer has the size that it was planned with.
    """
    images = []
    for frame, pixel_map in zip(frames, pixel_maps, strict=True):
        rgb = read_upright(frame.path)
        if rgb.shape[1::-1] != pixel_map.original:
            raise InputError(
                f"{frame.name}: is {rgb.shape[1]} x {rgb.shape[0]} pixels, was "
                f"{pixel_map.original.width} x {pixel_map.original.height} when the run began"
            )
        images.append(network_image(rgb, pixel_map))
    return np.stack(images)
