"""Which photographs a benchmark takes, frozen in a file that others can run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggt_sfm._files import replacing
from vggt_sfm.benchmarks.datasets.bags import Bag, Dataset
from vggt_sfm.errors import InputError
from vggt_sfm.io.plain import from_plain, to_plain

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The bags of a run."""

    dataset: str
    seed: int
    bags: tuple[Bag, ...]

    @property
    def sha256(self) -> str:
        """Hash of the list, the same wherever the data set lies."""
        listed = json.dumps([to_plain(bag) for bag in self.bags], sort_keys=True)
        return hashlib.sha256(listed.encode()).hexdigest()


def freeze(dataset: Dataset, seed: int) -> Manifest:
    """List the bags of a data set; the same data and seed give the same list."""
    bags = dataset.bags(np.random.default_rng(seed))
    return Manifest(dataset=dataset.name, seed=seed, bags=tuple(bags))


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
    by_group: dict[str, list[Bag]] = {}
    for bag in bags:
        by_group.setdefault(bag.groups[0][1] if bag.groups else "", []).append(bag)
    ranked = [(n, bag) for group in by_group.values() for n, bag in enumerate(group)]
    chosen = {bag.name for _, bag in sorted(ranked, key=lambda entry: entry[0])[:limit]}
    return [bag for bag in bags if bag.name in chosen]
