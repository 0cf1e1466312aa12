"""``vggt-sfm completion``."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

_CLASS_OF = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_CLASS_OF)))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    In bash: eval "$(vggt-sfm completion bash)"
    """
    root = click.get_current_context().find_root().command
    complete = _CLASS_OF[shell](root, {}, "vggt-sfm", "_VGGT_SFM_COMPLETE")
    click.echo(complete.source())
