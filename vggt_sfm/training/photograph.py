"""What a camera does to a picture: exposure, colour, vignetting, blur, noise and JPEG."""

from __future__ import annotations

import numpy as np
import torch

_BLOCK = 8  # px a side of JPEG's blocks
_HEAVY_BLUR_SHARE = 0.12
_JPEG_SHARE = 0.6
# the luminance table of ITU-T T.81, annex K.1
_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def photograph(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change (B, 3, H, W) images in [0, 1], each on its own, as cameras would."""
    image = _expose(image, rng)
    image = _soften(image, rng)
    noise = torch.as_tensor(rng.standard_normal(image.shape, dtype=np.float32), device=image.device)
    image = (image + noise * _draw(image, rng, 0, 0.03, 1, 1, 1)).clamp(0, 1)
    quality = rng.uniform(25, 95, len(image))
    kept = rng.random(len(image)) >= _JPEG_SHARE
    return torch.where(
        torch.as_tensor(kept, device=image.device)[:, None, None, None],
        image,
        jpeg(image, torch.as_tensor(quality, dtype=torch.float32, device=image.device)),
    )


def _draw(
    image: torch.Tensor, rng: np.random.Generator, low: float, high: float, *shape: int
) -> torch.Tensor:
    values = rng.uniform(low, high, (len(image), *shape))
    return torch.as_tensor(values, dtype=torch.float32, device=image.device)


def _expose(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    gamma = _draw(image, rng, -0.45, 0.45, 1, 1, 1).exp()
    gain = _draw(image, rng, 0.65, 1.3, 1, 1, 1) * _draw(image, rng, 0.88, 1.12, 3, 1, 1)
    image = (image.clamp(1e-3, 1) ** gamma) * gain
    grey = image.mean(1, keepdim=True)
    image = torch.lerp(grey, image, _draw(image, rng, 0.0, 1.2, 1, 1, 1))
    mean = image.mean((1, 2, 3), keepdim=True)
    image = (image - mean) * _draw(image, rng, 0.65, 1.35, 1, 1, 1) + mean
    image = image + _draw(image, rng, -0.06, 0.06, 1, 1, 1)
    height, width = image.shape[-2:]
    y = torch.linspace(-1, 1, height, device=image.device)[:, None]
    x = torch.linspace(-1, 1, width, device=image.device)
    return image * (1 - _draw(image, rng, -0.1, 0.3, 1, 1, 1) * (x**2 + y**2) / 2)


def _soften(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A little blur for half of the images, much of it in a direction for a few."""
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    image = torch.lerp(image, blurred, _draw(image, rng, -0.6, 1.0, 1, 1, 1).clamp(min=0))
    for b in np.flatnonzero(rng.random(len(image)) < _HEAVY_BLUR_SHARE):
        length = int(rng.integers(1, 3)) * 2 + 1
        kernel, padding = ((1, length), (0, length // 2))
        if rng.random() < 0.5:
            kernel, padding = kernel[::-1], padding[::-1]
        image[b : b + 1] = torch.nn.functional.avg_pool2d(
            image[b : b + 1], kernel, 1, padding, count_include_pad=False
        )
    return image


def jpeg(image: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Lose what JPEG's quantisation of 8 × 8 blocks loses.

    Args:
        image: (B, 3, H, W) in [0, 1].
        quality: (B,) from 1 to 100.

    Returns:
        The images, in [0, 1]. All three channels use the luminance table and are not subsampled.

    Source: ITU-T T.81; scale of the table by quality as in libjpeg.
    """
    height, width = image.shape[-2:]
    pad = (0, -width % _BLOCK, 0, -height % _BLOCK)
    x = torch.nn.functional.pad(image, pad, mode="replicate") * 255 - 128
    basis = _cosines(image.device)
    rows, columns = x.shape[-2] // _BLOCK, x.shape[-1] // _BLOCK
    blocks = x.view(*x.shape[:2], rows, _BLOCK, columns, _BLOCK).transpose(3, 4)
    spectrum = basis @ blocks @ basis.T
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50).clamp(min=0.01)
    table = (torch.tensor(_TABLE, device=image.device) * scale[:, None, None]).round().clamp(min=1)
    table = table[:, None, None, None]
    spectrum = (spectrum / table).round() * table
    blocks = basis.T @ spectrum @ basis
    x = blocks.transpose(3, 4).reshape(x.shape)[..., :height, :width]
    return ((x + 128) / 255).clamp(0, 1)


def _cosines(device: torch.device) -> torch.Tensor:
    """The orthonormal (8, 8) matrix of the discrete cosine transform."""
    n = torch.arange(_BLOCK, dtype=torch.float32, device=device)
    basis: torch.Tensor = (
        torch.cos(torch.pi / _BLOCK * (n + 0.5) * n[:, None]) * (2 / _BLOCK) ** 0.5
    )
    basis[0] /= 2**0.5
    return basis
