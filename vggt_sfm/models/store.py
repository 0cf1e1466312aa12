"""The weights that a run shall use: found on this machine, or fetched where that was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vggt_sfm._log import Progress, SilentProgress, get_logger
from vggt_sfm.errors import WeightsError
from vggt_sfm.models.choice import EMBEDDED, PredictConfig
from vggt_sfm.models.hashes import weights_sha256
from vggt_sfm.models.hub import (
    CachedCheckpoint,
    cached_checkpoint,
    hub_cache,
    hub_offline,
    origin_of,
)
from vggt_sfm.models.records import (
    EMBEDDED_WEIGHTS,
    RECORDS,
    UNKNOWN_LICENCE,
    WeightsRecord,
    gigabytes,
    record,
)
from vggt_sfm.models.shards import checkpoint_entry

WEIGHTS_VARIABLE = "VGGT_SFM_WEIGHTS"
Announce = Callable[[str], None]
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundWeights:
    """Weights on this machine, hashed."""

    path: Path
    """A checkpoint file, or the index of a sharded one."""
    record: WeightsRecord | None
    """Which known model it is; None if that is not known."""
    sha256: str
    """Of a sharded checkpoint as ``weights_sha256`` makes it."""
    commit: str | None = None
    """Of the repository it came from, where that is known."""

    @property
    def licence(self) -> str:
        """The name of the licence, or that it is not known."""
        return self.record.licence.name if self.record else UNKNOWN_LICENCE


def with_environment(config: PredictConfig) -> PredictConfig:
    """Take the path in VGGT_SFM_WEIGHTS where neither weights nor a model were chosen."""
    path = os.environ.get(WEIGHTS_VARIABLE)
    if path and config.weights is None and config.model is None:
        return replace(config, weights=Path(path))
    return config


def find_weights(
    config: PredictConfig,
    announce: Announce = _logger.info,
    progress: Progress | None = None,
) -> FoundWeights:
    """Find the weights that a configuration chooses.

    In this order: ``config.weights``, VGGT_SFM_WEIGHTS, the embedded model if none is named, the
    hub's cache, the hub. The hub is asked only for a model that ``config.model`` names.

    Args:
        config: The choice; ``model`` beside ``weights`` says which model that file is.
        announce: Told before anything that takes long, and before anything is fetched.
        progress: Where a download is reported.

    Raises:
        WeightsError: If they are missing, damaged, not what they are said to be, or refused by
            ``config.commercial_only``.
    """
    config = with_environment(config)
    chosen = record(config.model) if config.model is not None else None
    if config.weights is not None:
        if config.commercial_only and chosen is not None:
            _check_commercial(chosen, config.weights)
        found = weights_at(config.weights, chosen, announce)
        if config.commercial_only:
            _check_commercial(found.record, config.weights)
        return found
    chosen = chosen or record(EMBEDDED)
    if config.commercial_only:
        _check_commercial(chosen, chosen.name)
    here = local_weights(chosen, announce)
    if here is not None:
        return here
    if config.offline:
        raise not_here(chosen, ", and --offline forbids to fetch it")
    return fetch_weights(chosen, announce, progress)


def weights_at(
    path: Path,
    chosen: WeightsRecord | None = None,
    announce: Announce = _logger.info,
    *,
    again: bool = False,
) -> FoundWeights:
    """Look at a user's checkpoint: a file, a folder with one, or an index of shards.

    Args:
        path: Where it is.
        chosen: The model that the user says it is; None lets its place in the hub's cache or its
            sha256 tell.
        announce: Told before a large file is read.
        again: Read it even if its sha256 is remembered.

    Raises:
        WeightsError: If there is none, or it is not the chosen model.
    """
    entry = checkpoint_entry(path)
    origin = origin_of(entry)
    if chosen and origin and origin.record.name != chosen.name:
        raise WeightsError(
            f"{entry}: is not {chosen.name} but {origin.record.name}, by its place in the cache"
        )
    sha256 = weights_sha256(entry, announce, again=again)
    known = chosen or (origin.record if origin else _with_sha256(sha256))
    if known and known.sha256 not in (None, sha256):
        raise WeightsError(
            f"{entry}: is not {known.name}: its sha256 is {sha256}, not {known.sha256}"
        )
    return FoundWeights(
        path=entry, record=known, sha256=sha256, commit=origin.commit if origin else None
    )


def locate(chosen: WeightsRecord) -> CachedCheckpoint | None:
    """Say where on this machine a known model is, without reading it; None if it is not there."""
    if chosen.repository is not None:
        return cached_checkpoint(chosen)
    if not EMBEDDED_WEIGHTS.is_file():
        raise WeightsError(f"{EMBEDDED_WEIGHTS}: missing from this installation; reinstall")
    return CachedCheckpoint(EMBEDDED_WEIGHTS, None)


def local_weights(
    chosen: WeightsRecord, announce: Announce = _logger.info, *, again: bool = False
) -> FoundWeights | None:
    """Find a known model on this machine, without network; None if it is not there.

    Raises:
        WeightsError: If it is damaged.
    """
    there = locate(chosen)
    return None if there is None else weights_at(there.path, chosen, announce, again=again)


def fetch_weights(
    chosen: WeightsRecord,
    announce: Announce = _logger.info,
    progress: Progress | None = None,
) -> FoundWeights:
    """Bring a known model into the hub's cache, or its newest commit where none is pinned.

    Args:
        chosen: The model; ``dataclasses.replace`` pins another revision.
        announce: Told what comes from where, its size and its licence, before it comes.
        progress: Where the download is reported.

    Raises:
        WeightsError: If it cannot be had, with what to do about it.
    """
    if chosen.repository is None:
        here = local_weights(chosen, announce)
        if here is not None:
            return here
    if hub_offline():
        raise not_here(chosen, ", and HF_HUB_OFFLINE forbids to fetch it")
    from vggt_sfm.models.download import download, plan_download

    plan = plan_download(chosen)
    verb = "fetching" if not plan.blob.exists() else "checking what is here of"
    announce(
        f"{verb} {chosen.name}: {plan.filename} of {plan.repository}, commit {plan.commit}, "
        f"{gigabytes(plan.size_bytes)}, in {hub_cache()}"
    )
    announce(f"its licence: {chosen.licence.name}; see {chosen.licence.url}")
    path = download(plan, progress or SilentProgress())
    return FoundWeights(path=path, record=chosen, sha256=plan.sha256, commit=plan.commit)


def not_here(chosen: WeightsRecord, why_not_fetched: str = "") -> WeightsError:
    """Make the error that says how to get a model that is not on this machine."""
    return WeightsError(
        f"{chosen.name} is not on this machine (looked in {hub_cache()}){why_not_fetched}; run "
        f"vggt-sfm weights fetch {chosen.name} where there is a network, or give a file of yours: "
        f"--weights PATH --model {chosen.name}"
    )


def _with_sha256(sha256: str) -> WeightsRecord | None:
    return next((known for known in RECORDS.values() if known.sha256 == sha256), None)


def _check_commercial(known: WeightsRecord | None, what: Path | str) -> None:
    """Raise a WeightsError unless the licence is known to allow commercial use."""
    if known is not None and known.licence.commercial:
        return
    reason = f"is {known.licence.name}" if known else f"is {UNKNOWN_LICENCE}"
    allowed = ", ".join(name for name, other in RECORDS.items() if other.licence.commercial)
    hint = "" if known else ", or say with --model which of these the file is"
    raise WeightsError(
        f"{what}: its licence {reason}, and --commercial-only is on; choose one of {allowed}{hint}"
    )
