"""The doctor finds what is missing and says how to get it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from vggt_sfm.cli import doctor
from vggt_sfm.cli.main import main
from vggt_sfm.cli.native import missing_library

CANNOT_OPEN = "cannot open shared object file: No such file or directory"


def _stub(monkeypatch: pytest.MonkeyPatch, failing: dict[str, str]) -> None:
    """Let imports fail with a message by the code that does them, and be quick otherwise."""

    def run(code: str) -> subprocess.CompletedProcess[str]:
        message = failing.get(code, "")
        trace = f"Traceback:\n{message}\n" if message else ""
        return subprocess.CompletedProcess([], 1 if message else 0, stdout="", stderr=trace)

    monkeypatch.setattr(doctor, "_python", run)
    monkeypatch.setattr(doctor, "EMBEDDED_WEIGHTS", Path(doctor.__file__))  # a file that exists


def test_complete_installation_is_exit_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _stub(monkeypatch, {})
    result = CliRunner().invoke(main, ["doctor", "--json", "-o", str(tmp_path / "new")])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["ok"]
    names = [check["name"] for check in told["checks"]]
    assert {"vggt-sfm", "python", "torch", "pycolmap", "pyceres", "opencv-python"} <= set(names)
    assert "MISSING" not in result.stderr
    assert not (tmp_path / "new").exists()


def test_machine_without_libgl_gets_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    message = f"ImportError: libGL.so.1: {CANNOT_OPEN}"
    _stub(monkeypatch, {"import cv2": message})
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 6
    assert "MISSING  opencv-python: " in result.stderr
    assert message in result.stderr
    assert "         apt-get install libgl1 libglib2.0-0" in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: missing: opencv-python; ")


def test_missing_weights_and_unwritable_output(monkeypatch: pytest.MonkeyPatch) -> None:
    _stub(monkeypatch, {})
    monkeypatch.setattr(doctor, "EMBEDDED_WEIGHTS", Path("gone.safetensors"))
    result = CliRunner().invoke(main, ["doctor", "-o", "/proc/1/vggt-sfm"])
    assert result.exit_code == 6
    assert "error: missing: embedded model, output; " in result.stderr


def test_a_crash_of_a_native_library_is_contained() -> None:
    assert doctor._failure("pass") is None
    assert doctor._failure("import os; os.abort()") == "it ends the process with status -6"
    assert doctor._failure("import nonsense_") == "ModuleNotFoundError: No module named 'nonsense_'"


def test_fetched_models_are_listed_with_their_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    _stub(monkeypatch, {})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    place = f"ok       weights cache: {tmp_path / 'hub'}"
    assert f"{place}, no fetched model\n" in CliRunner().invoke(main, ["doctor"]).stderr
    snapshot = tmp_path / "hub" / "models--facebook--VGGT-1B" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    assert f"{place}, vggt-1b\n" in CliRunner().invoke(main, ["doctor"]).stderr
    monkeypatch.setattr(doctor.os, "access", lambda _, mode: mode != os.W_OK)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0
    assert "cannot be written to\n         optional: set HF_HUB_CACHE" in result.stderr


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (f"libGL.so.1: {CANNOT_OPEN}", "apt-get install libgl1 libglib2.0-0"),
        (f"libxcb.so.1: {CANNOT_OPEN}", "apt-get install libgl1 libglib2.0-0 libxcb1"),
        (f"libodd.so.3: {CANNOT_OPEN}", "install the system package that contains libodd.so.3"),
        ("No module named 'cv2'", None),
    ],
)
def test_missing_library(message: str, advice: str | None) -> None:
    found = missing_library(message)
    assert found == advice
