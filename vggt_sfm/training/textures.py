"""A bank of square textures with mip levels: photographs from a folder, the rest procedural."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vggt_sfm._checks import UInt8
from vggt_sfm._log import get_logger
from vggt_sfm.errors import InputError

_log = get_logger(__name__)

SIDE = 256
LEVELS = 8  # 256, 128, … 2
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tga"}
# game data keeps normal, gloss and mask maps beside its colours, and pictures of its menus
_NOT_COLOR = (
    "normal", "_nm", "_n.", "_s.", "_sm.", "_gm.", "spec", "mask", "depth", "glow", "gloss",
    "icon", "menu", "gui", "font", "preview", "thumb", "screenshot",
)  # fmt: skip
_SMALLEST_FILE = 128  # px a side
_MOST_PIXELS = 40e6
_LARGE = 1024  # px a side from which a picture gives several textures
_DARKEST, _BRIGHTEST = 25.0, 238.0
_LEAST_MEAN = 70.0
_LEAST_CONTRAST = 8.0
_MOST_BLACK = 0.4  # share of pixels
_LEAST_OPAQUE = 250


class TextureBank:
    """Textures as one flat buffer of all mip levels, sampled trilinearly with wrapping."""

    def __init__(self, textures: UInt8, device: torch.device | str = "cpu") -> None:
        """Build the mip chain.

        Args:
            textures: (T, SIDE, SIDE, 3) RGB, 0 to 255.
            device: Where to keep and sample the textures.
        """
        level = torch.as_tensor(np.array(textures), device=device).float()
        self.count = len(textures)
        self.device = level.device
        chain, offsets, total = [], [], 0
        for _ in range(LEVELS):
            offsets.append(total)
            chain.append(level.round().to(torch.uint8).reshape(-1, 3))
            total += chain[-1].shape[0]
            level = (
                level[:, ::2, ::2]
                + level[:, 1::2, ::2]
                + level[:, ::2, 1::2]
                + level[:, 1::2, 1::2]
            ) / 4
        self._texels = torch.cat(chain)
        self._offsets = torch.tensor(offsets, device=device)

    def sample(
        self, index: torch.Tensor, uv: torch.Tensor, footprint: torch.Tensor
    ) -> torch.Tensor:
        """Sample colours.

        Args:
            index: (…) texture number.
            uv: (…, 2) texture coordinates; one unit is one whole texture, wrapping.
            footprint: (…) size of the pixel on the surface, texels of level 0.

        Returns:
            (…, 3) RGB in [0, 1].
        """
        lod = footprint.clamp(min=1.0).log2().clamp(max=LEVELS - 1.001)
        level = lod.floor().long()
        weight = (lod - level)[..., None]
        near = self._bilinear(index, uv, level)
        far = self._bilinear(index, uv, level + 1)
        return torch.lerp(near, far, weight) / 255.0

    def _bilinear(self, index: torch.Tensor, uv: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        side = SIDE >> level
        base = self._offsets[level] + index * side * side
        xy = uv * side[..., None] - 0.5
        corner = xy.floor()
        frac = xy - corner
        corner = corner.long()
        x0, y0 = corner[..., 0] % side, corner[..., 1] % side
        x1, y1 = (x0 + 1) % side, (y0 + 1) % side
        fx, fy = frac[..., :1], frac[..., 1:]
        top = torch.lerp(self._texel(base, y0, x0, side), self._texel(base, y0, x1, side), fx)
        low = torch.lerp(self._texel(base, y1, x0, side), self._texel(base, y1, x1, side), fx)
        return torch.lerp(top, low, fy)

    def _texel(
        self, base: torch.Tensor, y: torch.Tensor, x: torch.Tensor, side: torch.Tensor
    ) -> torch.Tensor:
        return self._texels[base + y * side + x].float()


def picture_files(folder: Path) -> list[Path]:
    """Return the files below a folder that may hold colours, sorted.

    JPEG, PNG, WebP and Targa files; maps of games that are no pictures are left out by their names.
    """
    return sorted(p for p in folder.rglob("*") if _may_be_color(p))


def photographic_textures(files: Sequence[Path], count: int, rng: np.random.Generator) -> UInt8:
    """Cut random crops out of pictures.

    Args:
        files: Pictures.
        count: How many crops to return in all.
        rng: Source of the crops' places and scales.

    Returns:
        (n, SIDE, SIDE, 3) crops, n <= count; flat, dark, transparent and unreadable pictures
        give none.

    Raises:
        InputError: If no picture gives a texture.
    """
    crops: list[UInt8] = []
    per_file = max(1, -(-count // max(len(files), 1)))
    for file in files:
        image = _opaque(file)
        if image is None:
            continue
        for _ in range(per_file * (4 if min(image.size) >= _LARGE else 1)):
            crop = _random_crop(image, rng)
            if _has_content(crop):
                crops.append(_lit(crop, rng))
    if not crops:
        raise InputError(f"none of {len(files)} pictures can be used as a texture")
    rng.shuffle(crops)
    return np.stack(crops[:count])


def _may_be_color(file: Path) -> bool:
    name = str(file).lower()
    return file.suffix.lower() in _SUFFIXES and not any(word in name for word in _NOT_COLOR)


def _opaque(file: Path) -> Image.Image | None:
    """Read a picture if it is large enough and hides nothing."""
    try:
        with Image.open(file) as opened:
            if min(opened.size) < _SMALLEST_FILE or np.prod(opened.size) > _MOST_PIXELS:
                return None
            clear = opened.convert("RGBA").getchannel("A").getextrema()[0]
            return opened.convert("RGB") if float(clear) >= _LEAST_OPAQUE else None  # type: ignore[arg-type]
    except (OSError, ValueError, SyntaxError) as error:
        _log.warning("texture %s skipped: %s", file, error)
        return None


def _has_content(crop: UInt8) -> bool:
    black = float((crop.max(-1) < _DARKEST).mean())
    return (
        _DARKEST < float(crop.mean()) < _BRIGHTEST
        and float(crop.std()) > _LEAST_CONTRAST
        and black < _MOST_BLACK
    )


def _random_crop(image: Image.Image, rng: np.random.Generator) -> UInt8:
    shortest = min(image.size)
    side = int(shortest * rng.uniform(0.15, 1.0)) if shortest > 512 else shortest
    side = max(min(side, shortest), min(64, shortest))
    x = int(rng.integers(0, image.width - side + 1))
    y = int(rng.integers(0, image.height - side + 1))
    box = (x, y, x + side, y + side)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box))


def _lit(crop: UInt8, rng: np.random.Generator) -> UInt8:
    """Brighten what is dark: games keep their textures so, and light them up."""
    gain = rng.uniform(_LEAST_MEAN, 1.5 * _LEAST_MEAN) / max(float(crop.mean()), 1.0)
    return np.asarray((crop * max(1.0, gain)).clip(0, 255).astype(np.uint8))


def procedural_textures(count: int, rng: np.random.Generator) -> UInt8:
    """Make textures out of noise, bricks, stripes, spots and scratches.

    Returns:
        (count, SIDE, SIDE, 3) RGB, tileable where their pattern allows.
    """
    makers = (_noise, _bricks, _stripes, _spots, _patches)
    return np.stack(
        [_colored(makers[int(rng.integers(len(makers)))](rng), rng) for _ in range(count)]
    )


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Fractal noise with a random spectral slope, (SIDE, SIDE) in [0, 1]."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None]) * SIDE
    spectrum = np.fft.fft2(rng.standard_normal((SIDE, SIDE)))
    spectrum *= np.maximum(frequency, 1.0) ** -rng.uniform(0.6, 1.8)
    field = np.fft.ifft2(spectrum).real
    field = (field - field.min()) / (np.ptp(field) + 1e-9)
    return np.asarray(np.clip((field - 0.5) * rng.uniform(1, 3) + 0.5, 0, 1))


def _bricks(rng: np.random.Generator) -> np.ndarray:
    rows = int(rng.integers(4, 16))
    columns = int(rng.integers(2, 10))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    row = np.floor(y * rows)
    shifted = x * columns + 0.5 * (row % 2)
    tone = rng.uniform(0.35, 0.9, (rows, columns + 1))
    value = tone[row.astype(int), np.floor(shifted).astype(int) % columns]
    joint = (np.minimum(shifted % 1, 1 - shifted % 1) < 0.06) | ((y * rows) % 1 < 0.1)
    return np.asarray(np.clip(np.where(joint, 0.15, value) + 0.25 * (_noise(rng) - 0.5), 0, 1))


def _stripes(rng: np.random.Generator) -> np.ndarray:
    edges = np.sort(rng.uniform(0, 1, int(rng.integers(4, 30))))
    tones = rng.uniform(0, 1, len(edges) + 1)
    position = (np.arange(SIDE) + 0.5) / SIDE
    line = tones[np.searchsorted(edges, position)]
    return np.asarray(np.clip(line[None] * 0.7 + 0.3 * _noise(rng), 0, 1))


def _spots(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    value = np.full((SIDE, SIDE), rng.uniform(0.2, 0.8))
    for _ in range(int(rng.integers(20, 90))):
        cx, cy, radius = rng.uniform(), rng.uniform(), rng.uniform(0.008, 0.08)
        dx, dy = np.abs(x - cx), np.abs(y - cy)
        value[np.hypot(np.minimum(dx, 1 - dx), np.minimum(dy, 1 - dy)) < radius] = rng.uniform()
    return np.asarray(np.clip(value + 0.2 * (_noise(rng) - 0.5), 0, 1))


def _patches(rng: np.random.Generator) -> np.ndarray:
    value = np.full((SIDE, SIDE), rng.uniform(0.3, 0.8))
    for _ in range(int(rng.integers(15, 70))):
        w, h = rng.integers(4, 80, 2)
        x, y = rng.integers(0, SIDE, 2)
        value[y : y + h, x : x + w] = rng.uniform()
    return np.asarray(np.clip(value + 0.2 * (_noise(rng) - 0.5), 0, 1))


def _colored(value: np.ndarray, rng: np.random.Generator) -> UInt8:
    low, high = rng.uniform(0, 0.6, 3), rng.uniform(0.4, 1.0, 3)
    rgb = low + (high - low) * value[..., None]
    return np.asarray((255 * np.clip(rgb, 0, 1)).round().astype(np.uint8))
