"""Options that several benchmarks of the embedded model have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import torch

from vggt_sfm.models.records import EMBEDDED_WEIGHTS

Command = Callable[..., Any]  # what click decorates has any signature

weights_option: Callable[[Command], Command] = click.option(
    "--weights",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=EMBEDDED_WEIGHTS,
)
threads_option: Callable[[Command], Command] = click.option(
    "--threads", type=click.IntRange(min=0), default=0, help="0: one a core."
)
output_option: Callable[[Command], Command] = click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True
)


def texture_options(command: Command) -> Command:
    """Add ``--textures`` and ``--texture-bank``."""
    folder = click.option(
        "--textures",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Folder of photographs that were not trained on. Default: procedural textures.",
    )
    file = click.option(
        "--texture-bank",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="The textures.npz of a pool instead: what its training left out.",
    )
    return folder(file(command))


def use_threads(count: int) -> None:
    """Set how many threads torch and OpenCV use; 0 leaves it to them."""
    if count:
        torch.set_num_threads(count)
        cv2.setNumThreads(count)
