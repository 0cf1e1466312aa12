"""Load a checkpoint in a process of its own and say what that took, as JSON.

``python -m vggt_sfm.benchmarks.load_checkpoint CHECKPOINT PRECISION``
"""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import click
import torch

from vggt_sfm._memory import peak_bytes
from vggt_sfm.models import VGGTConfig
from vggt_sfm.models.checkpoint import WeightsPrecision, load_vggt

_PAGE_BYTES = 4096


def peak() -> int:
    """Return the most memory that this process has held, bytes."""
    return peak_bytes(resource.getrusage(resource.RUSAGE_SELF))


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("precision", type=click.Choice(["float32", "bfloat16"]))
def main(checkpoint: Path, precision: WeightsPrecision) -> None:
    """Load all of VGGT-1B, then read every weight, since mapped ones cost nothing before."""
    start = time.perf_counter()
    model = load_vggt(checkpoint, VGGTConfig.preset("vggt-1b"), precision=precision)
    seconds, peak_loaded = time.perf_counter() - start, peak()
    parameters = [parameter.flatten() for parameter in model.parameters()]
    touched = sum(float(p[:: _PAGE_BYTES // p.element_size()].sum()) for p in parameters)
    report = {
        "weights": sum(parameter.nbytes for parameter in parameters),
        "peak_loaded": peak_loaded,
        "peak_read": peak(),
        "seconds": seconds,
        "finite": bool(torch.tensor(touched).isfinite()),
    }
    click.echo(json.dumps(report))


if __name__ == "__main__":
    main()
