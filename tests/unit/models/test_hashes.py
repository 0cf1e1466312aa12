"""sha256 of weights: read once, remembered as long as the file is the same."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from vggt_sfm import _files
from vggt_sfm.errors import WeightsError
from vggt_sfm.models import hashes
from vggt_sfm.models.hashes import weights_sha256


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that hashes are kept in; small files are kept too."""
    monkeypatch.setenv("VGGT_SFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "_WORTH_REMEMBERING", 0)
    return tmp_path / "cache" / "sha256.json"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    seen: list[str] = []
    read = _files.file_sha256

    def recorded(path: Path) -> str:
        seen.append(path.name)
        return read(path)

    monkeypatch.setattr(_files, "file_sha256", recorded)
    return seen


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.pt"
    path.write_bytes(b"weights")
    return path


def test_a_file_is_read_once(memory: Path, reads: list[str], weights: Path) -> None:
    expected = hashlib.sha256(b"weights").hexdigest()
    assert [weights_sha256(weights) for _ in range(3)] == [expected] * 3
    assert reads == ["w.pt"]
    kept = json.loads(memory.read_text())["files"]
    assert kept == {str(weights): [7, weights.stat().st_mtime_ns, expected]}
    assert [path.name for path in memory.parent.iterdir()] == ["sha256.json"]


def test_a_link_is_the_file_that_it_leads_to(memory: Path, reads: list[str], weights: Path) -> None:
    link = weights.with_name("link.pt")
    link.symlink_to(weights)
    assert weights_sha256(link) == weights_sha256(weights)
    assert reads == ["link.pt"]


def test_a_changed_file_is_read_again(memory: Path, reads: list[str], weights: Path) -> None:
    before, status = weights_sha256(weights), weights.stat()
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert weights_sha256(weights) != before
    weights.write_bytes(b"weights+")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert weights_sha256(weights) == hashlib.sha256(b"weights+").hexdigest()
    assert reads == ["w.pt"] * 3


def test_a_file_that_changes_while_it_is_read_is_not_taken_for_the_new_one(
    memory: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = _files.file_sha256

    def slow(path: Path) -> str:
        sha256 = read(path)
        path.write_bytes(b"changed meanwhile")
        return sha256

    with monkeypatch.context() as patched:
        patched.setattr(_files, "file_sha256", slow)
        weights_sha256(weights)
    assert weights_sha256(weights) == hashlib.sha256(b"changed meanwhile").hexdigest()


def test_reading_again_notices_bytes_that_changed_without_a_new_date(
    memory: Path, weights: Path
) -> None:
    weights_sha256(weights)
    status = weights.stat()
    weights.write_bytes(b"wEights")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    weights_sha256(weights)  # trusts path, size and date
    with pytest.raises(WeightsError, match=r"w\.pt: is damaged: .* when it was first read"):
        weights_sha256(weights, again=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": {"/w": "x"}}', "\xff"])
def test_a_damaged_memory_is_no_more_than_an_empty_one(
    memory: Path, reads: list[str], weights: Path, text: str
) -> None:
    memory.parent.mkdir()
    memory.write_text(text.replace("/w", str(weights)), encoding="latin-1")
    for _ in range(2):
        assert weights_sha256(weights) == hashlib.sha256(b"weights").hexdigest()
    assert reads == ["w.pt"]


def test_a_memory_that_cannot_be_written_is_no_error(
    tmp_path: Path, memory: Path, reads: list[str], weights: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert weights_sha256(weights) == weights_sha256(weights)
    assert reads == ["w.pt"] * 2


def test_files_that_are_gone_are_forgotten(memory: Path, weights: Path) -> None:
    weights_sha256(weights)
    other = weights.rename(weights.with_name("other.pt"))
    weights_sha256(other)
    assert list(json.loads(memory.read_text())["files"]) == [str(other)]


def test_small_files_are_not_worth_remembering(
    memory: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_WORTH_REMEMBERING", 8)
    weights_sha256(weights)
    assert not memory.exists()


def test_shards_have_one_hash_together(memory: Path, reads: list[str], tmp_path: Path) -> None:
    for name, content in (("b", b"2"), ("a", b"1")):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    index = tmp_path / "model.safetensors.index.json"
    places = {"x": "b.safetensors", "y": "a.safetensors", "z": "b.safetensors"}
    index.write_text(json.dumps({"weight_map": places}))
    joined = "".join(sorted(hashlib.sha256(c).hexdigest() for c in (b"1", b"2")))
    expected = hashlib.sha256(joined.encode()).hexdigest()
    assert [weights_sha256(index), weights_sha256(index)] == [expected] * 2
    assert reads == ["a.safetensors", "b.safetensors"]


def test_a_link_in_the_hubs_cache_must_lead_to_what_it_promises(tmp_path: Path) -> None:
    good, bad = hashlib.sha256(b"weights").hexdigest(), "0" * 64
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    for name in (good, bad):
        (tmp_path / "blobs" / name).write_bytes(b"weights")
        (tmp_path / "snapshot" / name).symlink_to(Path("..", "blobs", name))
    assert weights_sha256(tmp_path / "snapshot" / good) == good
    with pytest.raises(WeightsError, match=f"is damaged: its sha256 is {good}, the hub's is {bad}"):
        weights_sha256(tmp_path / "snapshot" / bad)


def test_a_large_file_is_announced(
    memory: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_WORTH_A_WORD", 7)
    said: list[str] = []
    weights_sha256(weights, said.append)
    weights_sha256(weights, said.append)
    assert said == [f"reading {weights} (0.0 MB) for its sha256"]
