"""Which weights are chosen, from where, and what is refused; never a network call unasked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_hub
import pytest
from network_watch import watched

from vggt_sfm.errors import WeightsError
from vggt_sfm.models.choice import PredictConfig
from vggt_sfm.models.records import EMBEDDED_WEIGHTS, record
from vggt_sfm.models.store import find_weights, local_weights, locate, with_environment

pytestmark = pytest.mark.enable_socket
Cached = Callable[..., Path]


@pytest.fixture(autouse=True)
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was asked of the network; nothing is given. The hub's cache is empty."""
    fake_hub.isolate(tmp_path, monkeypatch, "https://hub.invalid")
    with watched() as events:
        yield events


@pytest.fixture
def cached(tmp_path: Path) -> Cached:
    """Put a file into the hub's cache as the hub's tools do."""

    def put(name: str, filename: str, content: bytes = b"weights", commit: str = "a" * 40) -> Path:
        repository = str(record(name).repository).replace("/", "--")
        folder = tmp_path / "hub" / f"models--{repository}"
        blob = folder / "blobs" / fake_hub.sha256(content)
        link = folder / "snapshots" / commit / filename
        blob.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link.symlink_to(os.path.relpath(blob, link.parent))
        return link

    return put


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.pt"
    path.write_bytes(b"my weights")
    return path


def test_without_a_choice_the_embedded_model_runs(sockets: list[str]) -> None:
    found = find_weights(PredictConfig())
    assert (found.path, found.record, found.commit) == (EMBEDDED_WEIGHTS, record("tiny"), None)
    assert (found.sha256, found.licence) == (record("tiny").sha256, "Apache-2.0")
    assert sockets == []


def test_a_file_of_the_users_is_of_no_known_licence(mine: Path, sockets: list[str]) -> None:
    found = find_weights(PredictConfig(weights=mine))
    assert (found.path, found.record, found.commit) == (mine, None, None)
    assert (found.sha256, found.licence) == (fake_hub.sha256(b"my weights"), "not known")
    named = find_weights(PredictConfig(weights=mine, model="vggt-1b"))
    assert named.record is record("vggt-1b")
    assert named.licence == record("vggt-1b").licence.name
    assert sockets == []


def test_a_known_file_is_known_under_any_name(tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(EMBEDDED_WEIGHTS.read_bytes())
    assert find_weights(PredictConfig(weights=copy)).record is record("tiny")


def test_a_file_that_is_not_what_it_is_said_to_be(mine: Path) -> None:
    with pytest.raises(WeightsError, match=r"mine\.pt: is not tiny: its sha256 is .*, not "):
        find_weights(PredictConfig(weights=mine, model="tiny"))


def test_the_environment_chooses_only_where_nobody_else_did(
    mine: Path, monkeypatch: pytest.MonkeyPatch, cached: Cached
) -> None:
    monkeypatch.setenv("VGGT_SFM_WEIGHTS", str(mine))
    assert with_environment(PredictConfig()) == PredictConfig(weights=mine)
    assert find_weights(PredictConfig()).path == mine
    assert find_weights(PredictConfig(weights=EMBEDDED_WEIGHTS)).path == EMBEDDED_WEIGHTS
    assert find_weights(PredictConfig(model="tiny")).path == EMBEDDED_WEIGHTS
    monkeypatch.setenv("VGGT_SFM_WEIGHTS", str(mine.with_name("gone.pt")))
    with pytest.raises(WeightsError, match=r"gone\.pt: no such file"):
        find_weights(PredictConfig())
    monkeypatch.setenv("VGGT_SFM_WEIGHTS", "")
    assert find_weights(PredictConfig()).path == EMBEDDED_WEIGHTS


def test_a_cached_model_is_used_without_network(cached: Cached, sockets: list[str]) -> None:
    path = cached("vggt-1b", "model.safetensors")
    for offline in (False, True):
        found = find_weights(PredictConfig(model="vggt-1b", offline=offline))
        assert (found.path, found.commit, found.record) == (path, "a" * 40, record("vggt-1b"))
    assert find_weights(PredictConfig(weights=path)) == found  # known by its place
    with pytest.raises(WeightsError, match="is not vggt-1b-commercial but vggt-1b, by its place"):
        find_weights(PredictConfig(weights=path, model="vggt-1b-commercial"))
    assert sockets == []


def test_the_snapshot_that_came_last_is_used(cached: Cached) -> None:
    paths = [
        cached("vggt-1b", "model.safetensors", bytes([i]), c * 40) for i, c in enumerate("cba")
    ]
    for age, path in zip((5, 2, 9), paths, strict=True):
        os.utime(path, (1_000_000 - age, 1_000_000 - age), follow_symlinks=False)
    assert find_weights(PredictConfig(model="vggt-1b")).commit == "b" * 40


def test_other_files_and_links_to_nothing_are_not_the_model(cached: Cached) -> None:
    cached("vggt-1b", "config.json")
    cached("vggt-1b", "model.pt", b"of the same repository, not the file that is meant")
    link = cached("vggt-1b", "model.safetensors", b"gone", "b" * 40)
    link.resolve().unlink()
    assert locate(record("vggt-1b")) is None
    assert locate(record("vggt-tracker-fixed")) is None


def test_a_sharded_model_in_the_cache_is_used_when_it_is_whole(cached: Cached) -> None:
    index = json.dumps({"weight_map": {"x": "1.safetensors", "y": "2.safetensors"}}).encode()
    path = cached("vggt-1b-commercial", "model.safetensors.index.json", index)
    cached("vggt-1b-commercial", "1.safetensors", b"1")
    assert locate(record("vggt-1b-commercial")) is None
    cached("vggt-1b-commercial", "2.safetensors", b"2")
    assert find_weights(PredictConfig(model="vggt-1b-commercial")).path == path


def test_offline_is_an_error_that_says_how_to_get_it(
    sockets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    said = r"vggt-1b is not on this machine .*{}.*weights fetch vggt-1b.*--weights PATH"
    with pytest.raises(WeightsError, match=said.format("--offline forbids")):
        find_weights(PredictConfig(model="vggt-1b", offline=True))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=said.format("HF_HUB_OFFLINE forbids")):
        find_weights(PredictConfig(model="vggt-1b"))
    assert sockets == []


def test_only_a_named_model_that_is_not_here_asks_the_network(sockets: list[str]) -> None:
    with pytest.raises(WeightsError, match=r"no connection to https://hub\.invalid"):
        find_weights(PredictConfig(model="vggt-1b"))
    assert sockets  # the recorder does see what the client does


@pytest.mark.parametrize("name", ["vggt-1b", "vggt-tracker-fixed"])
def test_commercial_only_refuses_before_it_looks_for_the_model(
    name: str, mine: Path, sockets: list[str]
) -> None:
    for weights in (None, mine):
        config = PredictConfig(weights=weights, model=name, commercial_only=True)
        with pytest.raises(WeightsError, match=r"licence is .*--commercial-only .*choose one of"):
            find_weights(config)
    assert sockets == []


def test_commercial_only_refuses_what_is_not_known(mine: Path) -> None:
    with pytest.raises(WeightsError, match=r"mine\.pt: its licence is not known.*--model"):
        find_weights(PredictConfig(weights=mine, commercial_only=True))


def test_commercial_only_lets_through_what_allows_it(
    mine: Path, cached: Cached, sockets: list[str]
) -> None:
    assert find_weights(PredictConfig(commercial_only=True)).path == EMBEDDED_WEIGHTS
    path = cached("vggt-1b-commercial", "some_name.pt")
    for config in (
        PredictConfig(model="vggt-1b-commercial", commercial_only=True),
        PredictConfig(weights=path, commercial_only=True),
        PredictConfig(weights=mine, model="vggt-1b-commercial", commercial_only=True),
    ):
        assert find_weights(config).record is record("vggt-1b-commercial")
    path = cached("vggt-1b", "model.safetensors")
    with pytest.raises(WeightsError, match="non-commercial"):
        find_weights(PredictConfig(weights=path, commercial_only=True))
    assert sockets == []


def test_an_installation_without_its_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vggt_sfm.models.store.EMBEDDED_WEIGHTS", tmp_path / "tiny.safetensors")
    with pytest.raises(WeightsError, match=r"tiny\.safetensors: missing .*reinstall"):
        find_weights(PredictConfig())
    (tmp_path / "tiny.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="is not tiny: its sha256"):
        local_weights(record("tiny"))
