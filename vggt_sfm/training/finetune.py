"""Train a VGGT on scenes of one's own: ``python -m vggt_sfm.training.finetune --scenes …``.

Several devices: ``torchrun --nproc-per-node N -m vggt_sfm.training.finetune …``.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import click
import torch
from safetensors.torch import save_file

from vggt_sfm._files import replacing
from vggt_sfm.errors import InputError
from vggt_sfm.models.checkpoint import load_vggt
from vggt_sfm.models.checkpoint_parts import open_checkpoint
from vggt_sfm.models.choice import Device, Precision
from vggt_sfm.models.config import VGGTConfig
from vggt_sfm.models.device import select_precision
from vggt_sfm.models.heads.track import smallest_image_px
from vggt_sfm.models.records import VGGT_1B
from vggt_sfm.models.vggt import VGGT
from vggt_sfm.training import parallel
from vggt_sfm.training.commands import training_on
from vggt_sfm.training.loop import train
from vggt_sfm.training.multitask.folders import read_scenes
from vggt_sfm.training.multitask.objective import (
    MultiTask,
    MultiTaskConfig,
    Task,
    architecture_for,
)
from vggt_sfm.training.multitask.sampling import FrameBudget
from vggt_sfm.training.multitask.source import SceneSource
from vggt_sfm.training.optimizer import trained
from vggt_sfm.training.plan import Plan
from vggt_sfm.training.state import TrainingState

MAIN_RATE = 5e-5
AVERAGE = 0.997
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions:
    """What the command line says; see its help."""

    weights: Path | None
    architecture: Path | None
    scenes: Path
    output: Path
    freeze: tuple[str, ...]
    rate: tuple[str, ...]
    without: tuple[Task, ...]
    steps: int
    warm_up: int
    frames_per_step: int
    frames: tuple[int, int]
    frames_at_once: int
    average: bool
    save_every: int
    seed: int
    device: Device
    precision: Precision


def finetune(options: FinetuneOptions, device: torch.device) -> None:
    """Train on a device, and write the averaged weights.

    Raises:
        InputError: If no scene can be used, or an option does not fit.
        WeightsError: If weights or checkpoints cannot be read, or the training fails.
    """
    config = read_architecture(options.architecture)
    precision = select_precision(options.precision, device)
    fewest, most = options.frames
    try:
        tasks = MultiTaskConfig(precision=precision).without(options.without)
        budget = FrameBudget(total=options.frames_per_step, fewest=fewest, most=most)
    except ValueError as error:
        raise InputError(str(error)) from error
    smallest = smallest_image_px(config) if tasks.tracks else 1
    scenes = read_scenes(options.scenes, config.img_size, config.patch_size, smallest=smallest)
    source = SceneSource(
        scenes, budget, options.seed, device, frames_at_once=options.frames_at_once
    )
    torch.manual_seed(options.seed)
    model = build_model(options.weights, architecture_for(config, tasks), device)
    objective = MultiTask(model, tasks)
    frames = sum(scene.num_frames for scene in scenes)
    _log.info("%d scenes with %d frames, on %s", len(scenes), frames, device)
    state = train(model, objective, source, options.output.with_suffix(""), make_plan(options))
    if parallel.rank() == 0:
        export(state, options.weights, options.output)
        _log.info("%s: %d tensors trained", options.output, len(trained(model)))


def read_architecture(path: Path | None) -> VGGTConfig:
    """Read an architecture's differences from VGGT-1B out of a JSON file; None: VGGT-1B.

    Raises:
        InputError: If it cannot be read or built.
    """
    preset = VGGTConfig.preset(VGGT_1B)
    if path is None:
        return preset
    try:
        fields = json.loads(path.read_bytes())
        lists = {name: tuple(v) for name, v in fields.items() if isinstance(v, list)}
        return replace(preset, **{**fields, **lists})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no architecture of a VGGT: {error}") from error


def make_plan(options: FinetuneOptions) -> Plan:
    """Turn rates such as ``5e-5`` and ``aggregator=1e-5`` into a plan.

    Raises:
        InputError: If a rate is no number.
    """
    peak, rates = MAIN_RATE, []
    for text in options.rate:
        glob, _, number = text.rpartition("=")
        try:
            rate = float(number)
        except ValueError as error:
            raise InputError(f"--rate {text}: is neither a number nor GLOB=NUMBER") from error
        if glob:
            rates.append((glob, rate))
        else:
            peak = rate
    return Plan(
        steps=options.steps,
        peak_rate=peak,
        seed=options.seed,
        warm_up=options.warm_up,
        rates=tuple(rates),
        freeze=options.freeze,
        average=AVERAGE if options.average else None,
        save_every=options.save_every,
        log_every=1,
        checkpoint_limit=None,
    )


def build_model(weights: Path | None, config: VGGTConfig, device: torch.device) -> VGGT:
    """Load weights, or draw new ones, into memory of their own."""
    if weights is None:
        return VGGT(config).to(device)
    model = load_vggt(weights, config, device=device)
    for parameter in model.parameters():  # on a CPU, they are still pages of the file
        parameter.data = parameter.data.clone()
    return model.train()


def export(state: TrainingState, weights: Path | None, output: Path) -> None:
    """Write the averaged weights; parts that were not built are taken over from the old file."""
    tensors = {name: t.detach() for name, t in state.model.state_dict().items()}
    if state.average:
        tensors |= state.average.values
    if weights is not None:
        file = open_checkpoint(weights)
        tensors |= file.read([name for name in file.tensors if name not in tensors])
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as temporary:
        save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, temporary)


TASKS = get_args(Task)
_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--weights", type=_PATH, help="Checkpoint to start from; none: from nothing.")
@click.option(
    "--architecture", type=_PATH, help="JSON with fields of VGGTConfig that differ from VGGT-1B."
)
@click.option("--scenes", type=_PATH, required=True, help="A scene or a folder of scenes.")
@click.option("-o", "--output", type=_PATH, default="finetuned.safetensors", show_default=True)
@click.option("--freeze", multiple=True, help="Glob of parameters that stay as they are.")
@click.option(
    "--rate",
    multiple=True,
    default=(str(MAIN_RATE), "aggregator=1e-5"),
    show_default=True,
    help="Peak learning rate, or GLOB=RATE; the first glob that fits counts.",
)
@click.option("--without", type=click.Choice(TASKS), multiple=True, help="Task to leave out.")
@click.option("--steps", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--warm-up", type=click.IntRange(0), default=100, show_default=True)
@click.option("--frames-per-step", default=FrameBudget().total, show_default=True)
@click.option(
    "--frames",
    nargs=2,
    type=int,
    default=(FrameBudget().fewest, FrameBudget().most),
    show_default=True,
    help="Frames of a scene, fewest and most.",
)
@click.option("--frames-at-once", default=24, show_default=True, help="Bounds memory.")
@click.option("--average/--no-average", default=True, help="Keep a moving average of the weights.")
@click.option("--save-every", type=click.IntRange(1), default=250, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto")
def main(**options: Any) -> None:  # what the options above declare
    """Train a VGGT on scenes with cameras and depth.

    A scene has images/, a COLMAP model in sparse/0, and depth/ with 16-bit PNG in millimetres or
    numpy files in metres. Checkpoints, a log and its curves go to a folder beside the output; the
    same command goes on from there.
    """
    chosen = FinetuneOptions(**options)
    with training_on(chosen.device) as device:
        finetune(chosen, device)


if __name__ == "__main__":
    main()
