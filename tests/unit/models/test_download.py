"""Fetching from a hub: whole, in pieces, wrong, refused; with the real client."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_hub
import pytest
from fake_hub import COMMIT, TOKEN, FakeHub

from vggt_sfm.errors import WeightsError
from vggt_sfm.models import hashes
from vggt_sfm.models.choice import PredictConfig
from vggt_sfm.models.records import record
from vggt_sfm.models.store import fetch_weights, find_weights, local_weights

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
CONTENT = bytes(range(256)) * 12_000
VGGT_1B = record("vggt-1b")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub.serve(tmp_path, monkeypatch) as served:
        served.files = {"model.safetensors": CONTENT, "model.pt": b"another", "README.md": b"#"}
        yield served


def _files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


class _Recorder:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, int | None]] = []
        self.done = 0

    def __enter__(self) -> _Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def task(self, name: str, total: int | None) -> _Recorder:
        self.tasks.append((name, total))
        return self

    def advance(self, steps: int = 1) -> None:
        self.done += steps


def test_a_model_that_is_named_is_fetched_once_and_then_found(hub: FakeHub) -> None:
    said: list[str] = []
    progress = _Recorder()
    found = find_weights(PredictConfig(model="vggt-1b"), said.append, progress)
    assert found.path == hub.repository_cache / "snapshots" / COMMIT / "model.safetensors"
    assert found.path.read_bytes() == CONTENT
    assert (found.sha256, found.commit) == (fake_hub.sha256(CONTENT), COMMIT)
    assert found.licence == VGGT_1B.licence.name
    assert progress.tasks == [("fetching vggt-1b, MB", 3)]
    assert progress.done == 3
    first = len(hub.requests)
    again = find_weights(PredictConfig(model="vggt-1b"), said.append)
    assert (again.path, again.sha256, again.commit) == (found.path, found.sha256, COMMIT)
    assert len(hub.requests) == first


def test_before_a_byte_comes_it_is_said_what_comes_and_on_what_terms(hub: FakeHub) -> None:
    said: list[str] = []

    def announce(line: str) -> None:
        assert hub.transfers() == []
        said.append(line)

    fetch_weights(VGGT_1B, announce)
    text = "\n".join(said)
    for part in ("vggt-1b", "facebook/VGGT-1B", COMMIT, "model.safetensors", "3.1 MB"):
        assert part in text
    for part in (VGGT_1B.licence.name, VGGT_1B.licence.url, str(hub.cache)):
        assert part in text


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(hub: FakeHub) -> None:
    fetch_weights(VGGT_1B)
    for _, url, headers in hub.requests:
        assert headers.get("authorization") == (None if "/cdn/" in url else f"Bearer {TOKEN}")
    assert len(hub.transfers()) == 1


def test_what_came_before_the_connection_was_lost_is_not_fetched_again(hub: FakeHub) -> None:
    hub.cut_after, hub.connections = 1_000_000, 1
    with pytest.raises(WeightsError, match=r"no connection to .*goes on where it ended"):
        fetch_weights(VGGT_1B)
    assert local_weights(VGGT_1B) is None
    assert _files(hub.repository_cache) == [f"{fake_hub.sha256(CONTENT)}.incomplete"]
    before = len(hub.transfers())
    hub.cut_after = hub.connections = None
    found = fetch_weights(VGGT_1B)
    assert found.path.read_bytes() == CONTENT
    (asked,) = hub.transfers()[before:]
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 1_000_000
    assert not list(hub.repository_cache.rglob("*.incomplete"))


def test_a_line_that_drops_again_and_again_is_enough(hub: FakeHub) -> None:
    hub.cut_after = 700_000
    assert fetch_weights(VGGT_1B).path.read_bytes() == CONTENT
    assert len(hub.transfers()) >= 5


def test_a_server_that_cannot_resume_sends_it_whole(hub: FakeHub) -> None:
    hub.cut_after, hub.connections = 1_000_000, 1
    with pytest.raises(WeightsError):
        fetch_weights(VGGT_1B)
    hub.cut_after, hub.connections, hub.ranges = None, None, False
    assert fetch_weights(VGGT_1B).path.read_bytes() == CONTENT


def test_a_killed_process_is_taken_over_by_the_next(hub: FakeHub) -> None:
    hub.cut_after, hub.stall = 1_500_000, threading.Event()
    code = "from vggt_sfm.cli.main import main; main()"
    command = [sys.executable, "-c", code, "weights", "fetch", "vggt-1b", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = hub.repository_cache / "blobs" / f"{fake_hub.sha256(CONTENT)}.incomplete"
    until = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    came = part.stat().st_size
    assert 0 < came <= 1_500_000
    hub.cut_after = None
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert Path(told["path"]).read_bytes() == CONTENT
    assert hub.transfers()[-1] == f"bytes={came}-"


def test_wrong_content_is_an_error_and_never_found(hub: FakeHub) -> None:
    hub.corrupt = True
    with pytest.raises(WeightsError, match=r"came with sha256 .*deleted"):
        fetch_weights(VGGT_1B)
    assert _files(hub.repository_cache) == []
    assert local_weights(VGGT_1B) is None
    hub.corrupt = False
    assert fetch_weights(VGGT_1B).path.read_bytes() == CONTENT


def test_a_part_of_another_file_does_not_survive(hub: FakeHub) -> None:
    blobs = hub.repository_cache / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{fake_hub.sha256(CONTENT)}.incomplete").write_bytes(b"not the beginning")
    with pytest.raises(WeightsError, match="deleted, fetch it again"):
        fetch_weights(VGGT_1B)
    assert fetch_weights(VGGT_1B).path.read_bytes() == CONTENT


def test_a_file_that_was_damaged_in_the_cache_is_named_and_fetched_anew(hub: FakeHub) -> None:
    path = fetch_weights(VGGT_1B).path
    damaged = bytearray(CONTENT)
    damaged[1000] ^= 1
    path.resolve().write_bytes(damaged)
    with pytest.raises(WeightsError, match=rf"{path.name}: is damaged.*fetch it again"):
        find_weights(PredictConfig(model="vggt-1b"))
    assert fetch_weights(VGGT_1B).path.read_bytes() == CONTENT
    assert find_weights(PredictConfig(model="vggt-1b")).path == path


def test_a_gated_model_says_what_to_do(hub: FakeHub) -> None:
    hub.gated = True
    with pytest.raises(WeightsError) as caught:
        fetch_weights(VGGT_1B)
    line = str(caught.value)
    assert "\n" not in line
    for part in (VGGT_1B.licence.url, "accept it there", "HF_TOKEN", "--weights PATH"):
        assert part in line
    assert TOKEN not in line


@pytest.mark.parametrize(
    ("code", "said"),
    [(401, "HF_TOKEN"), (403, "the hub answers 403; check HF_TOKEN"), (503, "try again later")],
)
def test_a_refusal_is_one_line_with_a_way_out(hub: FakeHub, code: int, said: str) -> None:
    hub.status = code
    with pytest.raises(WeightsError, match=said) as caught:
        fetch_weights(VGGT_1B)
    assert "\n" not in str(caught.value)
    assert "--weights PATH" in str(caught.value)


def test_no_such_repository_and_no_such_revision(hub: FakeHub) -> None:
    with pytest.raises(WeightsError, match=r"VGGT-1B-Commercial .* is not there"):
        fetch_weights(record("vggt-1b-commercial"))
    with pytest.raises(WeightsError, match="has no revision 'v9'"):
        fetch_weights(replace(VGGT_1B, revision="v9"))
    assert fetch_weights(replace(VGGT_1B, revision=COMMIT)).commit == COMMIT


def test_no_network(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(WeightsError, match=r"no connection to http://127\.0\.0\.1:1 .*--weights"):
        fetch_weights(VGGT_1B)


def test_a_web_page_where_the_hub_should_be(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_hub.json, "dumps", lambda *_: "<html>log in first</html>")
    with pytest.raises(WeightsError, match="does not answer like a hub"):
        fetch_weights(VGGT_1B)


def test_a_full_disk_is_noticed_before_a_byte_comes(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage: Any = type("usage", (), {"free": 1_000_000})
    monkeypatch.setattr("vggt_sfm.models.download.shutil.disk_usage", lambda _: usage)
    with pytest.raises(WeightsError, match=r"needs 3\.1 MB more .* 1\.0 MB are free; HF_HUB_CACHE"):
        fetch_weights(VGGT_1B)
    assert hub.transfers() == []


def test_a_cache_that_cannot_be_written_to(hub: FakeHub) -> None:
    hub.cache.parent.mkdir(exist_ok=True)
    hub.cache.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"cannot write to .*HF_HUB_CACHE"):
        fetch_weights(VGGT_1B)


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ({"weights.pt": CONTENT, "README.md": b"#"}, "weights.pt"),
        ({"weights.pt": b"1", "weights.safetensors": CONTENT}, "weights.safetensors"),
        ({"model.safetensors": CONTENT, "other.safetensors": b"1"}, "model.safetensors"),
    ],
)
def test_where_no_file_is_known_the_only_checkpoint_is_taken(
    hub: FakeHub, files: dict[str, bytes], chosen: str
) -> None:
    hub.repository, hub.files = "facebook/VGGT-1B-Commercial", files
    found = fetch_weights(record("vggt-1b-commercial"))
    assert found.path.name == chosen
    assert find_weights(PredictConfig(model="vggt-1b-commercial")).path == found.path


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"README.md": b"#"}, "has no checkpoint that can be read"),
        ({"a.safetensors": b"1", "b.safetensors": b"2"}, r"\(a\.safetensors, b\.safetensors\)"),
        ({"model.safetensors.index.json": b"{}", "m-1.safetensors": b"1"}, "hf download facebook"),
    ],
)
def test_where_it_is_not_clear_nothing_is_taken(
    hub: FakeHub, files: dict[str, bytes], said: str
) -> None:
    hub.repository, hub.files = "facebook/VGGT-1B-Commercial", files
    with pytest.raises(WeightsError, match=said):
        fetch_weights(record("vggt-1b-commercial"))
    assert hub.transfers() == []


def test_a_newer_commit_is_found_after_it_was_fetched(hub: FakeHub) -> None:
    fetch_weights(VGGT_1B)
    hub.commit, hub.files["model.safetensors"] = "f" * 40, CONTENT[::-1]
    assert find_weights(PredictConfig(model="vggt-1b")).commit == COMMIT
    assert fetch_weights(VGGT_1B).commit == "f" * 40
    newest = find_weights(PredictConfig(model="vggt-1b"))
    assert newest.commit == "f" * 40
    assert newest.path.read_bytes() == CONTENT[::-1]


def test_another_file_than_the_pinned_one_is_not_fetched(hub: FakeHub) -> None:
    with pytest.raises(WeightsError, match="is known as 000"):
        fetch_weights(replace(VGGT_1B, sha256="0" * 64))
    assert hub.transfers() == []


def test_the_fetched_file_is_not_read_again_to_be_used(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_WORTH_REMEMBERING", 0)
    fetch_weights(VGGT_1B)
    monkeypatch.setattr("vggt_sfm._files.file_sha256", lambda path: pytest.fail("was read"))
    assert find_weights(PredictConfig(model="vggt-1b")).sha256 == fake_hub.sha256(CONTENT)
