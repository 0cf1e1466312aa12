"""What all training commands share: errors of one line, and the processes of torchrun."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click
import torch

from vggt_sfm.errors import VggtSfmError
from vggt_sfm.models.choice import Device
from vggt_sfm.models.device import select_device
from vggt_sfm.training import parallel


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Log to stderr, and end with one line and an exit code where a user can help it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        yield
    except (VggtSfmError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(getattr(error, "exit_code", 1)) from error


@contextmanager
def training_on(name: Device) -> Iterator[torch.device]:
    """Choose the device, join the processes that torchrun started, and report errors in one line.

    Args:
        name: Kind of device.

    Yields:
        The device of this process.
    """
    with one_line_errors(), parallel.joined(select_device(name)) as device:
        if parallel.rank():
            logging.disable(logging.WARNING)  # the first process says it all
        yield device
