"""``vggt-sfm weights``: what is here, fetch it, check it, say where it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_hub
import pytest
from click.testing import CliRunner, Result
from fake_hub import COMMIT, FakeHub

from vggt_sfm.cli.main import main
from vggt_sfm.errors import WeightsError
from vggt_sfm.models import hashes
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.records import EMBEDDED_WEIGHTS, RECORDS, record

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
CONTENT = b"weights" * 200_000


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub.serve(tmp_path, monkeypatch) as served:
        served.files = {"model.safetensors": CONTENT}
        yield served


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, VGGTConfig]]:
    """What was asked to fit an architecture; all fits."""
    seen: list[tuple[Path, VGGTConfig]] = []
    monkeypatch.setattr(
        "vggt_sfm.models.checkpoint.check_checkpoint", lambda *call: seen.append(call)
    )
    return seen


def _invoke(*words: object) -> Result:
    return CliRunner().invoke(main, ["weights", *map(str, words)])


def _told(*words: object) -> dict[str, Any]:
    result = _invoke(*words, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    told: dict[str, Any] = json.loads(result.stdout)
    assert (told["ok"], told["schema"]) == (True, 1)
    return told


def test_list_says_what_is_here_its_size_and_its_licence(hub: FakeHub) -> None:
    result = _invoke("list")
    assert result.exit_code == 0, result.stderr
    heading, *rows, note = result.stdout.splitlines()
    assert heading.split() == ["model", "where", "size", "commercial", "use", "licence", "from"]
    assert [row.split()[0] for row in rows] == list(RECORDS)
    tiny, published, commercial, _ = rows
    size = f"{EMBEDDED_WEIGHTS.stat().st_size / 1e6:.1f} MB"
    assert all(part in tiny for part in ("embedded", size, "yes", "Apache-2.0"))
    assert all(part in published for part in ("not here", "~5.03 GB", " no ", "non-commercial"))
    assert all(part in commercial for part in ("not here", " yes ", "VGGT License"))
    assert "estimate" in note
    assert hub.requests == []


def test_list_for_programs_has_no_made_up_figures(hub: FakeHub) -> None:
    models = {model["name"]: model for model in _told("list")["models"]}
    assert models["tiny"]["path"] == str(EMBEDDED_WEIGHTS)
    published = models["vggt-1b"]
    assert published["where"] == "not here"
    for key in ("size_bytes", "sha256", "revision", "commit", "path"):
        assert published[key] is None
    assert published["licence"]["commercial"] is False
    _told("fetch", "vggt-1b")
    published = {model["name"]: model for model in _told("list")["models"]}["vggt-1b"]
    assert (published["where"], published["commit"]) == ("cached", COMMIT)
    assert published["size_bytes"] == len(CONTENT)


def test_json_may_be_asked_for_before_the_sub_command(hub: FakeHub) -> None:
    expected = _invoke("path", "tiny", "--json").stdout
    assert json.loads(expected)["path"] == str(EMBEDDED_WEIGHTS)
    assert _invoke("--json", "path", "tiny").stdout == expected
    assert CliRunner().invoke(main, ["--json", "weights", "path", "tiny"]).stdout == expected


def test_fetch_says_on_stderr_what_comes_and_prints_the_path(hub: FakeHub) -> None:
    result = _invoke("fetch", "vggt-1b")
    assert result.exit_code == 0, result.stderr
    path = Path(result.stdout.strip())
    assert path.read_bytes() == CONTENT
    first, licence, last = result.stderr.splitlines()
    assert all(part in first for part in ("facebook/VGGT-1B", COMMIT, "1.4 MB", str(hub.cache)))
    assert "non-commercial" in licence
    assert record("vggt-1b").licence.url in licence
    assert "vggt-sfm reconstruct PHOTOS --model vggt-1b" in last
    assert first.startswith("fetching vggt-1b")
    assert _invoke("fetch", "vggt-1b").stderr.startswith("checking what is here of vggt-1b")
    assert len(hub.transfers()) == 1
    assert _invoke("path", "vggt-1b").stdout.strip() == str(path)
    told = _told("path", "vggt-1b")
    assert (told["path"], told["commit"]) == (str(path), COMMIT)


def test_fetch_of_a_revision(hub: FakeHub) -> None:
    assert _told("fetch", "vggt-1b", "--revision", COMMIT[:40])["commit"] == COMMIT
    assert f"GET /api/models/{hub.repository}/revision/{COMMIT}?blobs=true" in hub.asked()
    result = _invoke("fetch", "vggt-1b", "--revision", "nonsense")
    assert result.exit_code == WeightsError.exit_code
    assert "has no revision 'nonsense'" in result.stderr


def test_fetch_of_the_embedded_model_needs_no_network(hub: FakeHub) -> None:
    assert _invoke("fetch", "tiny").stdout.strip() == str(EMBEDDED_WEIGHTS)
    assert hub.requests == []


def test_an_interrupted_fetch_is_exit_code_4_and_goes_on(hub: FakeHub) -> None:
    hub.cut_after, hub.connections = 500_000, 1
    result = _invoke("fetch", "vggt-1b")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "goes on where it ended" in result.stderr.splitlines()[-1]
    hub.connections = hub.cut_after = None
    assert Path(_invoke("fetch", "vggt-1b").stdout.strip()).read_bytes() == CONTENT


def test_path_of_what_is_not_here_says_how_to_get_it(hub: FakeHub) -> None:
    result = _invoke("path", "vggt-1b")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "weights fetch vggt-1b" in result.stderr
    assert hub.requests == []


@pytest.mark.parametrize("command", ["fetch", "path", "verify"])
def test_an_unknown_name_is_answered_with_the_known_ones(hub: FakeHub, command: str) -> None:
    result = _invoke(command, "vggt-2b")
    assert result.exit_code == 4
    assert "tiny, vggt-1b, vggt-1b-commercial" in result.stderr
    told = json.loads(_invoke(command, "vggt-2b", "--json").stdout)
    assert (told["ok"], told["exit_code"]) == (False, 4)


def test_verify_reads_again_what_is_here(
    hub: FakeHub,
    checked: list[tuple[Path, VGGTConfig]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashes, "_WORTH_REMEMBERING", 0)
    path = Path(_told("fetch", "vggt-1b")["path"])
    tiny, published = _told("verify")["checked"]
    assert (tiny["name"], tiny["compared_with"]) == ("tiny", "as in its record")
    assert (tiny["sha256"], tiny["architecture"]) == (record("tiny").sha256, None)
    assert (published["name"], published["compared_with"]) == ("vggt-1b", "as the hub says")
    assert (published["sha256"], published["architecture"]) == (fake_hub.sha256(CONTENT), "vggt-1b")
    assert checked == [(path, VGGTConfig.preset("vggt-1b"))]
    line = _invoke("verify", "vggt-1b").stdout
    assert str(path) in line
    assert "(as the hub says), names and shapes of vggt-1b" in line
    blob, status = path.resolve(), path.stat()
    blob.write_bytes(CONTENT[::-1])
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))
    for words in (("verify",), ("verify", "vggt-1b"), ("verify", path)):
        result = _invoke(*words)
        assert (result.exit_code, result.stdout) == (4, "")
        assert "is damaged" in result.stderr
    assert Path(_told("fetch", "vggt-1b")["path"]).read_bytes() == CONTENT
    assert _invoke("verify").exit_code == 0


def test_verify_of_a_file_of_ones_own(
    hub: FakeHub, tmp_path: Path, checked: list[tuple[Path, VGGTConfig]]
) -> None:
    mine = tmp_path / "mine.pt"
    mine.write_bytes(CONTENT)
    told = _told("verify", mine)["checked"]
    (only,) = told
    assert (only["name"], only["compared_with"], only["path"]) == (None, None, str(mine))
    assert checked == [(mine, VGGTConfig.preset("vggt-1b"))]
    assert "nothing is known to compare it with" in _invoke("verify", mine).stdout


def test_verify_of_a_file_that_was_read_before(
    hub: FakeHub,
    tmp_path: Path,
    checked: list[tuple[Path, VGGTConfig]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashes, "_WORTH_REMEMBERING", 0)
    mine = tmp_path / "mine.pt"
    mine.write_bytes(CONTENT)
    assert _told("verify", mine)["checked"][0]["compared_with"] is None
    assert _told("verify", mine)["checked"][0]["compared_with"] == "as when it was first read"
    status = mine.stat()
    mine.write_bytes(CONTENT[::-1])
    os.utime(mine, ns=(status.st_atime_ns, status.st_mtime_ns))
    for _ in range(2):
        result = _invoke("verify", mine)
        assert (result.exit_code, result.stdout) == (4, "")
        assert "nothing has written to it since" in result.stderr


def test_verify_of_a_file_of_another_architecture(hub: FakeHub, tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(EMBEDDED_WEIGHTS.read_bytes() + b" ")
    result = _invoke("verify", mine)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "mine.safetensors" in result.stderr


def test_help_is_quick_and_completion_knows_commands_and_models() -> None:
    code = (
        "import sys\n"
        "from vggt_sfm.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    heavy = {'numpy', 'torch', 'pycolmap', 'huggingface_hub.hf_api', 'httpx2', 'httpx'}\n"
        "    print(sorted(heavy & set(sys.modules)))\n"
    )

    def run(*words: str, complete: str | None = None) -> list[str]:
        environment = dict(os.environ)
        if complete is not None:
            environment |= {
                "_VGGT_SFM_COMPLETE": "bash_complete",
                "COMP_WORDS": complete,
                "COMP_CWORD": str(len(complete.split(" ")) - 1),
            }
        code_with_name = code.replace("main()\nfinally", "main(prog_name='vggt-sfm')\nfinally")
        done = subprocess.run(
            [sys.executable, "-c", code_with_name, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        *lines, heavy = done.stdout.splitlines()
        assert heavy == "[]"
        return lines

    assert any("fetch" in line for line in run("weights", "--help"))
    assert run(complete="vggt-sfm weights f") == ["plain,fetch"]
    assert run(complete="vggt-sfm weights fetch vggt-1b-") == ["plain,vggt-1b-commercial"]
    assert run(complete="vggt-sfm weights verify x") == ["file,x"]
