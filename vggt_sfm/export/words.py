"""The words for what a model can be exported to, and what each of them needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vggt_sfm.errors import missing_extra

ExportWord = Literal[
    "colmap",
    "colmap-text",
    "nerfstudio",
    "gsplat",
    "instant-ngp",
    "glb",
    "ply",
    "depth-npz",
    "depth-exr",
    "tum",
    "kitti",
]

_MODULE_OF: dict[str, str] = {"glb": "trimesh", "depth-exr": "OpenEXR"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How a model is exported."""

    image_factors: str | None = None
    """gsplat: also write the photographs reduced by these factors, such as 2,4,8, into images_2 and
    so on."""

    def __post_init__(self) -> None:
        self.factors()

    def factors(self) -> list[int]:
        """Return the factors as numbers, none if none are given.

        Raises:
            ValueError: If they are not whole numbers above 1.
        """
        words = self.image_factors.split(",") if self.image_factors else []
        try:
            factors = sorted({int(word) for word in words})
        except ValueError:
            factors = [0]
        if factors and factors[0] < 2:
            raise ValueError(
                f"ExportConfig.image_factors: {self.image_factors!r} is not a list of whole "
                "numbers above 1, such as 2,4,8"
            )
        return factors


def check_capable(words: Iterable[str]) -> None:
    """Make sure that what the exports need is installed, before long work.

    Raises:
        CapabilityError: If a package is missing; the message is the install line.
    """
    for word in words:
        module = _MODULE_OF.get(word)
        if module is not None and importlib.util.find_spec(module) is None:
            raise missing_extra(f"export to {word} needs", "export")
