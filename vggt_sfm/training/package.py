"""Put trained weights into the package.

``python -m vggt_sfm.training.package MATCHER CONTEXT DEPTH POOL``
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from safetensors.torch import save_file

from vggt_sfm.models.records import EMBEDDED_WEIGHTS
from vggt_sfm.models.tiny.model import TinyModel
from vggt_sfm.training.commands import one_line_errors
from vggt_sfm.training.evaluate import evaluate
from vggt_sfm.training.render_pool import SIDE, VIEWS
from vggt_sfm.training.scenes.draw import KINDS
from vggt_sfm.training.tiny import SIZES, load_parts


def package(
    matcher: Path,
    context: Path,
    depth: Path,
    pool: Path,
    target: Path,
    *,
    textures: list[str],
    start: Path | None = None,
) -> dict[str, Any]:
    """Write fp16 weights and what is known about them beside each other.

    Args:
        matcher: Folder of the backbone's run; its averaged weights are taken.
        context: Folder of the run of what views tell each other.
        depth: Folder of the depth head's run.
        pool: The training pool, for its held-out scenes.
        target: The .safetensors file to write; the .json goes beside it.
        textures: Where the photographic textures came from, for the record.
        start: The packaged weights that training began with, for the record; None: from nothing.

    Returns:
        What was written to the .json.
    """
    config = SIZES["full"]
    started = None if start is None else json.loads(start.with_suffix(".json").read_text())
    model = TinyModel(config)
    runs = load_parts(model, backbone=matcher, context=context, depth_head=depth)
    state = {k: v.half().contiguous() for k, v in model.state_dict().items()}
    # what is measured is what is shipped
    model.load_state_dict({k: v.float() for k, v in state.items()})
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, target)
    record = {
        "name": "tiny",
        "licence": "Apache-2.0",
        "config": asdict(config),
        "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "held_out_rendered_scenes": evaluate(model.eval(), pool),
        "training": {
            "command": "make train-embedded",
            "commit": _commit(),
            **runs,
            "data": f"scenes rendered by vggt_sfm.training ({', '.join(KINDS)}), "
            f"{VIEWS} views a scene at {SIDE} px",
            "textures": textures,
            "started_from": started
            and {key: started.get(key) for key in ("sha256", "parameters", "training")},
        },
    }
    target.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def _commit() -> str:
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return result.stdout.strip() or "unknown"


@click.command()
@click.argument("matcher", type=click.Path(path_type=Path, exists=True))
@click.argument("context", type=click.Path(path_type=Path, exists=True))
@click.argument("depth", type=click.Path(path_type=Path, exists=True))
@click.argument("pool", type=click.Path(path_type=Path, exists=True))
@click.option("--texture-source", multiple=True, help="Name of a source of textures, repeatable.")
@click.option(
    "--start", type=click.Path(path_type=Path, exists=True), help="Weights that were begun with."
)
def main(
    matcher: Path,
    context: Path,
    depth: Path,
    pool: Path,
    texture_source: tuple[str, ...],
    start: Path | None,
) -> None:
    """Write tiny.safetensors and tiny.json into the package."""
    with one_line_errors():
        record = package(
            matcher,
            context,
            depth,
            pool,
            EMBEDDED_WEIGHTS,
            textures=list(texture_source),
            start=start,
        )
        click.echo(json.dumps(record, indent=2), err=True)


if __name__ == "__main__":
    main()
