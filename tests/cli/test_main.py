"""The command line around the commands: help, exit codes, ``--json``, completion."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from vggt_sfm import __version__, errors
from vggt_sfm.cli import main as module
from vggt_sfm.cli.main import COMMANDS, main


def _invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let ``vggt-sfm doctor`` raise something; Any: a function that sets what."""
    raised: list[BaseException] = []

    @click.command("doctor")
    @click.option("--json", is_flag=True)
    @click.option("-v", is_flag=True)
    def command(**_: object) -> None:
        raise raised[0]

    monkeypatch.setattr(module.Group, "get_command", lambda *_: command)
    return raised.append


def test_help_lists_the_commands_with_their_own_words() -> None:
    result = _invoke("--help")
    assert result.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        assert f"  {name}" in result.stdout
        assert line in result.stdout
        command = main.get_command(click.Context(main), name)  # type: ignore[attr-defined]
        assert (command.help or "").split("\n")[0] == line
    assert _invoke("--version").stdout == f"vggt-sfm {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from vggt_sfm.cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "heavy = {'numpy', 'torch', 'pycolmap', 'pyceres', 'cv2', 'h5py', 'rich', 'PIL', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("no images"), 3),
        (errors.WeightsError("no weights"), 4),
        (errors.ReconstructionError("rejected"), 5),
        (errors.CapabilityError("no CUDA"), 6),
        (errors.GateError("slower"), 7),
        (KeyboardInterrupt(), 130),
        (OSError(errno.EIO, "Input/output error"), 1),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_every_error_is_one_line_and_an_exit_code(
    raising: Any, error: BaseException, code: int
) -> None:
    raising(error)
    result = _invoke("doctor")
    assert result.exit_code == code
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert str(error) in line
    told = json.loads(_invoke("doctor", "--json").stdout)
    assert (told["ok"], told["schema"], told["exit_code"]) == (False, 1, code)
    assert str(error) in told["message"]


def test_unexpected_error_says_that_it_is_a_bug_and_where_with_verbose(raising: Any) -> None:
    raising(ZeroDivisionError("division by zero"))
    assert "this is a bug; -v shows where" in _invoke("doctor").stderr
    assert "Traceback" in _invoke("doctor", "-v").stderr


def test_missing_system_library_ends_with_the_install_line(raising: Any) -> None:
    raising(ImportError("libGL.so.1: cannot open shared object file: No such file or directory"))
    result = _invoke("doctor")
    assert result.exit_code == errors.CapabilityError.exit_code
    assert "apt-get install libgl1 libglib2.0-0" in result.stderr


@pytest.mark.parametrize("words", [("nonsense",), ("reconstruct", "--nonsense"), ("reconstruct",)])
def test_wrong_words_are_exit_code_2(words: tuple[str, ...]) -> None:
    result = _invoke(*words)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    told = json.loads(_invoke("--json", *words).stdout)
    assert (told["ok"], told["exit_code"]) == (False, 2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_our_name(shell: str) -> None:
    result = _invoke("completion", shell)
    assert result.exit_code == 0
    assert "_VGGT_SFM_COMPLETE" in result.stdout
