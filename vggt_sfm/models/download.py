"""Fetch a known model from the Hugging Face hub into the cache that all its tools share.

``hf_hub_download`` starts anew in every process; here a download goes on where an earlier one
ended, in any process, and a file is in the cache only if its sha256 is the hub's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vggt_sfm._files import file_sha256
from vggt_sfm._log import Progress
from vggt_sfm.errors import WeightsError
from vggt_sfm.models.hashes import is_sha256, remember
from vggt_sfm.models.hub import checkpoint_names, hub_cache, repository_folder
from vggt_sfm.models.hub_errors import hub_errors, own_file
from vggt_sfm.models.records import WeightsRecord, gigabytes
from vggt_sfm.models.shards import INDEX_SUFFIX

_MB = 10**6
_PATIENCE_S = 20.0
_PARTIAL_CONTENT = 206


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One file as the hub offers it."""

    record: WeightsRecord
    repository: str
    commit: str
    filename: str
    size_bytes: int
    sha256: str

    @property
    def blob(self) -> Path:
        """Where the cache keeps the bytes."""
        return hub_cache() / repository_folder(self.repository) / "blobs" / self.sha256

    @property
    def part(self) -> Path:
        """Where they are until all have come; other versions of the hub's tools use it too."""
        return self.blob.with_name(f"{self.sha256}.incomplete")


def plan_download(record: WeightsRecord) -> Download:
    """Ask the hub, in one call, what it has for a model.

    Args:
        record: The model; its newest commit where the record pins none.

    Raises:
        WeightsError: If the hub cannot be reached, refuses, or has nothing that fits.
    """
    from huggingface_hub import HfApi

    if record.repository is None:
        raise ValueError(f"{record.name} is not on the hub")
    with hub_errors(record):
        info = HfApi().model_info(
            record.repository,
            revision=record.revision,
            files_metadata=True,
            timeout=_PATIENCE_S,
        )
    files = {file.rfilename: file for file in info.siblings or ()}
    chosen = _choose(record, files, f"{record.repository}, commit {info.sha},")
    lfs = files[chosen].lfs
    if lfs is None or info.sha is None or not is_sha256(lfs.sha256):
        raise WeightsError(
            f"{record.repository}: the hub tells no sha256 of {chosen}, so a download cannot be "
            f"checked; {own_file(record)}"
        )
    if record.sha256 not in (None, lfs.sha256):
        raise WeightsError(
            f"{record.repository}: sha256 of {chosen} is {lfs.sha256}, but {record.name} is known "
            f"as {record.sha256}; {own_file(record)}"
        )
    return Download(
        record=record,
        repository=record.repository,
        commit=info.sha,
        filename=chosen,
        size_bytes=lfs.size,
        sha256=lfs.sha256,
    )


def _choose(record: WeightsRecord, names: Iterable[str], where: str) -> str:
    candidates = checkpoint_names(record, names)
    if not candidates:
        wanted = record.filename or "checkpoint that can be read"
        raise WeightsError(f"{where} has no {wanted}; {own_file(record)}")
    if len(candidates) > 1:
        raise WeightsError(
            f"{where} has several checkpoints ({', '.join(candidates)}) and it is not known which "
            f"is {record.name}; {own_file(record)}"
        )
    if candidates[0].endswith(INDEX_SUFFIX):
        raise WeightsError(
            f"{where} has its checkpoint in several files, which are not fetched here; run "
            f"hf download {record.repository}, then --model {record.name} finds it"
        )
    return candidates[0]


def download(plan: Download, progress: Progress) -> Path:
    """Bring a file into the cache, going on with what is there of it.

    Returns:
        Its path in the snapshot of its commit.

    Raises:
        WeightsError: If it did not come whole, its content is not the hub's, or the disk is full.
            What came is then kept for the next time, except wrong content, which is deleted.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import WeakFileLock

    locks = hub_cache() / ".locks" / repository_folder(plan.repository)
    with hub_errors(plan.record):
        locks.mkdir(parents=True, exist_ok=True)
        plan.blob.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(locks / f"{plan.sha256}.lock"):
            if plan.blob.exists() and file_sha256(plan.blob) != plan.sha256:
                plan.blob.unlink()
            if not plan.blob.exists():
                _fetch(plan, progress)
        # The bytes are there: this only makes the snapshot's link to them.
        return Path(hf_hub_download(plan.repository, plan.filename, revision=plan.commit))


def _fetch(plan: Download, progress: Progress) -> None:
    """Complete the part, check it, and only then give it the name by which it is found."""
    if _size(plan.part) > plan.size_bytes:
        plan.part.unlink()
    missing, free = plan.size_bytes - _size(plan.part), shutil.disk_usage(plan.part.parent).free
    if missing > free:
        raise WeightsError(
            f"{plan.record.name} needs {gigabytes(missing)} more in {hub_cache()}, where "
            f"{gigabytes(free)} are free; HF_HUB_CACHE chooses another folder"
        )
    with progress.task(f"fetching {plan.record.name}, MB", plan.size_bytes // _MB) as task:
        shown = 0
        while (done := _size(plan.part)) < plan.size_bytes:
            for size in _one_connection(plan, done):
                task.advance(size // _MB - shown)
                shown = size // _MB
    status = plan.part.stat()
    sha256 = file_sha256(plan.part)
    if sha256 != plan.sha256:
        plan.part.unlink()
        raise WeightsError(
            f"{plan.filename} of {plan.repository} came with sha256 {sha256}, the hub's is "
            f"{plan.sha256}; what came is deleted, fetch it again"
        )
    plan.part.replace(plan.blob)
    remember(plan.blob, status, sha256)


def _one_connection(plan: Download, done: int) -> Iterator[int]:
    """Append to the part what one connection brings; yield the part's size again and again.

    Losing the connection is no error as long as something came.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(plan.repository, plan.filename, revision=plan.commit)
    headers = {**build_hf_headers(), "Accept-Encoding": "identity", "Range": f"bytes={done}-"}
    size = done
    yield size
    try:
        with (
            get_session().stream("GET", url, headers=headers, timeout=_PATIENCE_S) as response,
            plan.part.open("ab") as part,
        ):
            hf_raise_for_status(response)
            if response.status_code != _PARTIAL_CONTENT:
                part.truncate(0)
                size = 0
            for chunk in response.iter_bytes():
                part.write(chunk)
                size += len(chunk)
                yield size
                if size > plan.size_bytes:
                    break
    except HTTPError:
        if _size(plan.part) <= done:
            raise
    if _size(plan.part) <= done:
        raise WeightsError(
            f"{plan.repository}: the hub ended the transfer at {gigabytes(size)} of "
            f"{gigabytes(plan.size_bytes)}; the same command goes on from there"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
