"""The models this product knows by name: where each comes from and on what terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from vggt_sfm.errors import WeightsError
from vggt_sfm.models.choice import EMBEDDED

EMBEDDED_WEIGHTS = Path(__file__).parent / "weights" / "tiny.safetensors"
VGGT_1B = "vggt-1b"
UNKNOWN_LICENCE = "not known"

# All parameters of the 1B architecture, 4 bytes each; the publishers' files were never seen here.
_FLOAT32_BYTES = {VGGT_1B: 4 * 1_256_537_516}


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Terms of use."""

    name: str
    url: str
    """Where the terms are."""
    commercial: bool
    """Whether they are known to allow commercial use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsRecord:
    """What is known about the weights of one model; None is not known, never a guess."""

    name: str
    title: str
    repository: str | None
    """On the Hugging Face hub; None where the weights are inside the package."""
    filename: str | None
    """In the repository; None where its only checkpoint is meant."""
    revision: str | None
    """Commit of the repository; None where it is not pinned."""
    size_bytes: int | None
    sha256: str | None
    licence: Licence
    gated: bool
    """Whether the publisher gives access only to accounts that accepted the licence."""
    preset: str
    """The architecture, as ``VGGTConfig.preset`` calls it; ``tiny`` has one of its own."""
    track_position_embedding: bool
    """Whether the track head was trained with position embedding."""

    @property
    def estimated_bytes(self) -> int:
        """The size where it is known, else that of the architecture in float32."""
        return self.size_bytes or _FLOAT32_BYTES[self.preset]


def record(name: str) -> WeightsRecord:
    """Return the record of a model.

    Raises:
        WeightsError: If the name is not known.
    """
    if name not in RECORDS:
        raise WeightsError(
            f"no model is called {name!r}; known are {', '.join(RECORDS)}, and any checkpoint of "
            "VGGT-1B's architecture with --weights PATH"
        )
    return RECORDS[name]


def gigabytes(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _embedded() -> WeightsRecord:
    try:
        card = json.loads(EMBEDDED_WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
        size: int | None = EMBEDDED_WEIGHTS.stat().st_size
    except OSError:  # said by whoever needs the weights
        card, size = {}, None
    return WeightsRecord(
        name=EMBEDDED,
        title="small model inside the package",
        repository=None,
        filename=EMBEDDED_WEIGHTS.name,
        revision=None,
        size_bytes=size,
        sha256=card.get("sha256"),
        licence=Licence(
            name="Apache-2.0", url="https://www.apache.org/licenses/LICENSE-2.0", commercial=True
        ),
        gated=False,
        preset=EMBEDDED,
        track_position_embedding=False,
    )


def _vggt_1b(
    name: str,
    title: str,
    repository: str,
    *,
    filename: str | None,
    licence: str,
    commercial: bool = False,
    gated: bool = False,
    track_position_embedding: bool = False,
) -> WeightsRecord:
    """Describe weights of the 1B architecture, of which no file was ever seen here."""
    url = f"https://huggingface.co/{repository}"
    return WeightsRecord(
        name=name,
        title=title,
        repository=repository,
        filename=filename,
        revision=None,
        size_bytes=None,
        sha256=None,
        licence=Licence(name=licence, url=url, commercial=commercial),
        gated=gated,
        preset=VGGT_1B,
        track_position_embedding=track_position_embedding,
    )


RECORDS: Mapping[str, WeightsRecord] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            _embedded(),
            _vggt_1b(
                VGGT_1B,
                "VGGT-1B as published",
                "facebook/VGGT-1B",
                filename="model.safetensors",
                licence="non-commercial, research only",
            ),
            _vggt_1b(
                "vggt-1b-commercial",
                "VGGT-1B for commercial use",
                "facebook/VGGT-1B-Commercial",
                filename=None,
                licence="VGGT License v1, with a use policy",
                commercial=True,
                gated=True,
            ),
            _vggt_1b(
                "vggt-tracker-fixed",
                "VGGT-1B with a track head trained with position embedding",
                "facebook/VGGT_tracker_fixed",
                filename="model_tracker_fixed_e20.pt",
                licence="not known, taken as non-commercial",
                track_position_embedding=True,
            ),
        )
    }
)
