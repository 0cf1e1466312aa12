"""Which photographs a benchmark takes, frozen in a file that others can run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vggt_sfm._files import replacing
from vggt_sfm.benchmarks.datasets.bags import Bag, Dataset
from vggt_sfm.errors import InputError
from vggt_sfm.io.plain import from_plain, to_plain

_SCHEMA = 1
_FAST_BAGS = 10  # of each group, as CO3D's own fast evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The bags of a run."""

    dataset: str
    frames: str
    """Which photographs, in words."""
    seed: int
    fast: bool = False
    """Whether it was shortened for a quick look."""
    bags: tuple[Bag, ...]

    @property
    def sha256(self) -> str:
        """Hash of the list, the same wherever the data set lies."""
        listed = json.dumps([to_plain(bag) for bag in self.bags], sort_keys=True)
        return hashlib.sha256(listed.encode()).hexdigest()


def freeze(dataset: Dataset, seed: int, *, fast: bool = False) -> Manifest:
    """List the bags of a data set; the same data and seed give the same list.

    Args:
        dataset: What is there.
        seed: Of what the rules leave to chance.
        fast: Whether to leave ten bags of each group, and few photographs of a bag where their
            number is not part of the rules.
    """
    bags = dataset.bags(np.random.default_rng(seed))
    if fast:
        count = dataset.rules.fast_images
        bags = [_thinned(bag, count) for group in _grouped(bags) for bag in group[:_FAST_BAGS]]
    return Manifest(
        dataset=dataset.name, frames=dataset.rules.frames, seed=seed, fast=fast, bags=tuple(bags)
    )


def _thinned(bag: Bag, count: int | None) -> Bag:
    if count is None or count >= len(bag.images):
        return bag
    kept = np.linspace(0, len(bag.images) - 1, count).round().astype(int)
    return replace(bag, images=tuple(bag.images[k] for k in kept))


def _grouped(bags: Sequence[Bag]) -> list[list[Bag]]:
    by_group: dict[str, list[Bag]] = {}
    for bag in bags:
        by_group.setdefault(bag.groups[0][1] if bag.groups else "", []).append(bag)
    return list(by_group.values())


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest."""
    plain = {"schema": _SCHEMA, **to_plain(manifest), "sha256": manifest.sha256}
    with replacing(path) as place:
        place.write_text(json.dumps(plain, indent=1) + "\n")


def read_manifest(path: Path, dataset: str) -> Manifest:
    """Read a manifest.

    Raises:
        InputError: If it is not one, is of another data set, or was changed by hand.
    """
    try:
        plain = json.loads(path.read_text())
        schema, sha256 = plain.pop("schema"), plain.pop("sha256")
        manifest = from_plain(Manifest, plain, "manifest")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: not a manifest of a benchmark: {error}") from error
    if schema != _SCHEMA:
        raise InputError(f"{path}: a manifest of schema {schema}, not {_SCHEMA}")
    if manifest.dataset != dataset:
        raise InputError(f"{path}: a manifest of {manifest.dataset}, not of {dataset}")
    if manifest.sha256 != sha256:
        raise InputError(f"{path}: its list is not the one that its sha256 was written for")
    return manifest


def limited(bags: Sequence[Bag], limit: int | None) -> list[Bag]:
    """Return the first bags of each first group in turn, so that few bags are of many kinds."""
    if limit is None or limit >= len(bags):
        return list(bags)
    ranked = [(n, bag) for group in _grouped(bags) for n, bag in enumerate(group)]
    chosen = {bag.name for _, bag in sorted(ranked, key=lambda entry: entry[0])[:limit]}
    return [bag for bag in bags if bag.name in chosen]
