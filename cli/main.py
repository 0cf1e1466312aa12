"""The command ``vggt-sfm``: its sub-commands, and the one place where errors end.

Nothing heavy is imported here: help and shell completion answer at once.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from vggt_sfm import __version__
from vggt_sfm.cli.native import let_waiting_threads_sleep, missing_library
from vggt_sfm.cli.options import common_options
from vggt_sfm.errors import CapabilityError, VggtSfmError

# command -> its module (which holds a click command called ``command``) and its line in --help
COMMANDS = {
    "reconstruct": ("vggt_sfm.cli.reconstruct", "Turn photographs or a video into a COLMAP model."),
    "adjust": ("vggt_sfm.cli.adjust", "Refine a model by bundle adjustment."),
    "export": ("vggt_sfm.cli.export", "Write a model for Nerfstudio, gsplat, COLMAP and others."),
    "register": ("vggt_sfm.cli.register", "Find new photographs in a model, and add them to it."),
    "view": ("vggt_sfm.cli.view", "Look at a model in the browser."),
    "compare": ("vggt_sfm.cli.compare", "Tell how far the cameras of two models are apart."),
    "demo": ("vggt_sfm.cli.demo", "Reconstruct a rendered scene whose cameras are known."),
    "weights": (
        "vggt_sfm.cli.weights",
        "List, fetch and check the models that are known by name.",
    ),
    "bench": (
        "vggt_sfm.cli.bench",
        "Measure poses on public data sets: claimed, reproduced, measured.",
    ),
    "doctor": ("vggt_sfm.cli.doctor", "Check this installation and say what is missing."),
    "completion": ("vggt_sfm.cli.completion", "Print the completion script of a shell."),
}

EXIT_UNEXPECTED = 1
EXIT_INTERRUPTED = 130


class Group(click.Group):
    """A group that imports a command when it is called and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order that users meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run a command line and leave the process with its exit code; Any: as click has it."""
        words = list(sys.argv[1:] if args is None else args)
        let_waiting_threads_sleep()
        sys.exit(self._run(words, **{**options, "standalone_mode": False}))

    def _run(self, words: list[str], **options: Any) -> int:
        verbose = "-v" in words or "--verbose" in words
        try:
            result = super().main(words, **options)
            return result if isinstance(result, int) else 0
        except click.ClickException as error:
            error.show()
            return _fail(words, error, error.exit_code, None)
        except click.Abort as error:
            return _fail(words, error, EXIT_INTERRUPTED, "interrupted")
        except VggtSfmError as error:
            return _fail(words, error, error.exit_code, str(error))
        except Exception as error:  # noqa: BLE001 - the one boundary
            advice = missing_library(str(error)) if isinstance(error, ImportError) else None
            if advice:
                return _fail(words, error, CapabilityError.exit_code, f"{error}; {advice}")
            if verbose:
                traceback.print_exc()
            hint = "this is a bug" if verbose else "this is a bug; -v shows where"
            return _fail(words, error, EXIT_UNEXPECTED, f"{type(error).__name__}: {error} ({hint})")


def _fail(words: list[str], error: BaseException, code: int, line: str | None) -> int:
    """Tell people on stderr and, under ``--json``, programs on stdout."""
    if line is not None:
        click.echo(f"error: {line}", err=True)
    if "--json" in words:
        message = line or getattr(error, "message", str(error))
        failure = {
            "ok": False,
            "schema": 1,
            "error": type(error).__name__,
            "message": message,
            "exit_code": code,
        }
        click.echo(json.dumps(failure))
    return code


@click.command(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vggt-sfm", message="%(prog)s %(version)s")
@common_options
@click.pass_context
def main(ctx: click.Context, as_json: bool, level: int) -> None:
    """Structure from motion: a feed-forward prediction, bundle-adjusted, as a COLMAP model.

    Start with: vggt-sfm reconstruct PHOTOS
    """
    ctx.default_map = {name: {"as_json": as_json, "level": level} for name in COMMANDS}
