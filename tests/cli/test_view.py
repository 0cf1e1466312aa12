"""``vggt-sfm view`` as people and programs call it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from browser import LOCAL
from click.testing import CliRunner, Result
from viewed import opened_room

from vggt_sfm.cli import view
from vggt_sfm.cli.main import main
from vggt_sfm.io.colmap import write_sparse

pytestmark = pytest.mark.allow_hosts(LOCAL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COLMAP model beside its photographs; not to be changed."""
    folder = tmp_path_factory.mktemp("model")
    write_sparse(folder / "sparse" / "0", opened_room(folder / "images").model)
    return folder


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C as soon as the page is served."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(view, "_wait", interrupted)


def _view(*words: object) -> Result:
    return CliRunner().invoke(main, ["view", *map(str, words)])


def test_missing_viser_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "viser" else find_spec(name)
    )
    result = _view(tmp_path / "gone")
    assert result.exit_code == 6
    assert "pip install 'vggt-sfm[viewer]'" in result.stderr


def test_folder_without_a_model_is_exit_code_3(tmp_path: Path) -> None:
    result = _view(tmp_path / "gone", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"] == "InputError"
    assert "no such folder" in result.stderr
    result = _view(tmp_path)
    assert result.exit_code == 3
    assert "no COLMAP model there" in result.stderr


def test_static_page_is_written_whole(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "scene.html"
    result = _view(folder, "--static", path, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"ok": True, "schema": 1, "url": str(path)}
    assert "</html>" in path.read_text(encoding="utf-8")
    assert [each.name for each in path.parent.iterdir()] == ["scene.html"]
    assert f"wrote {path}, " in result.stderr
    (tmp_path / "file").touch()
    result = _view(folder, "--static", tmp_path / "file" / "scene.html")
    assert result.exit_code == 5
    assert "cannot write" in result.stderr


@pytest.mark.usefixtures("impatient")
def test_interrupt_is_the_usual_end(folder: Path) -> None:
    result = _view(folder, "--port", 0, "--json")
    assert result.exit_code == 130
    told = json.loads(result.stdout)
    assert told["url"].startswith("http://127.0.0.1:")
    assert f"{told['url']}  (Ctrl-C ends it)\nstopped\n" in result.stderr


@pytest.mark.usefixtures("impatient")
def test_taken_port_is_named_if_it_was_asked_for_and_passed_over_otherwise(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = _view(folder, "--port", port)
        assert result.exit_code == 6
        (line,) = result.stderr.strip().splitlines()[-1:]
        assert line.startswith(f"error: port {port} of 127.0.0.1 is taken by another program")
        assert "--port" in line
        monkeypatch.setattr("vggt_sfm.viewer.server.USUAL_PORT", port)
        result = _view(folder)
        assert result.exit_code == 130
        assert f"port {port} is taken, " in result.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_address_of_another_machine_is_refused_at_once(
    folder: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if host.endswith("invalid"):  # what a machine without names says, whatever this one has

        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "create_server", unknown)
    result = _view(folder, "--host", host)
    assert result.exit_code == 6
    assert f"cannot listen on --host {host}" in result.stderr
    assert _view(folder, "--port", 70000).exit_code == 2


def test_program_serves_until_it_is_interrupted(folder: Path) -> None:
    code = "from vggt_sfm.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "view", str(folder), "--port", "0", "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a shell, and its children, do not hear Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200
        assert b"viser" in answer.read().lower()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.splitlines()[-1] == "stopped"
