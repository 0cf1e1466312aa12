"""What happens inside a VGGT, under the names that the goldens have for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from vggt_sfm.benchmarks.goldens import CASES, Goldens, Match, model_tolerance
from vggt_sfm.models import VGGT
from vggt_sfm.models.aggregator import Aggregator

Arrays = dict[str, NDArray[Any]]  # float32, or float64 from a model in float64

# golden name -> module that takes it in or gives it out
_MODULES = (
    (r"dino\.(tokens_in|block0)", "aggregator.patch_embed.blocks.0"),
    (r"dino\.norm", "aggregator.patch_embed.norm"),
    (r"agg\.tokens_in", "aggregator.frame_blocks.0"),
    (r"agg\.(frame|global)(\d+)", r"aggregator.\1_blocks.\2"),
    (r"(depth|point)\.project(\d)", r"\1_head.projects.\2"),
    (r"(depth|point)\.resize(\d)", r"\1_head.resize_layers.\2"),
    (r"(depth|point)\.(refinenet\d|output_conv1)", r"\1_head.scratch.\2"),
    (r"(depth|point)\.logits", r"\1_head.scratch.output_conv2"),
    (r"track\.fmaps", "track_head.feature_extractor"),
    (r"track\.(corr|corr_mlp)0", "track_head.tracker.corr_mlp"),
    (r"track\.former_(in|out)\d", "track_head.tracker.updateformer"),
)
_IS_INPUT = re.compile(r".*_in\d?|track\.corr0")
_LAYER = re.compile(r"agg\.out(\d+)(\.special)?")
_FORMER = re.compile(r"track\.former_(?:in|out)(\d)")


def compare_case(goldens: Goldens, case: str, model: VGGT) -> list[Match]:
    """Run a golden case and compare every array that is stored of it.

    Args:
        goldens: The case's file.
        case: Its name in ``CASES``.
        model: The case's model, on any device.
    """
    recipe = CASES[case]
    names = goldens.names(recipe.prefix)
    images, query_xy = goldens.inputs(recipe)
    recorded = record(model, images, query_xy, names)
    return [
        Match(
            case=case,
            name=name,
            difference=goldens.difference(recipe.prefix + name, recorded[name]),
            tolerance=model_tolerance(name),
        )
        for name in names
    ]


@torch.inference_mode()
def record(model: VGGT, images: Tensor, query_xy: Tensor | None, names: Iterable[str]) -> Arrays:
    """Run a model and keep outputs and intermediates.

    Args:
        model: On any device; the inputs go there.
        images: (B, S, 3, H, W) in [0, 1].
        query_xy: (B, N, 2) px, or None for no tracks.
        names: Golden names of what to keep.

    Raises:
        ValueError: If nothing in the model has one of the names.
    """
    wanted = list(names)
    device = model.aggregator.camera_token.device
    calls: dict[str, list[Tensor]] = {}
    with ExitStack() as hooks:
        for name in wanted:
            if path := _module_of(name):
                hooks.callback(_tap(model, path, name, calls).remove)
        layers = hooks.enter_context(_kept_layers(model.aggregator, wanted))
        output = model(images.to(device), None if query_xy is None else query_xy.to(device))
    special = 1 + model.config.num_register_tokens
    found: Arrays = {}
    for name in wanted:
        if name in calls:
            value = _joined(name, calls[name], query_xy)
        elif layer := _LAYER.fullmatch(name):
            value = layers[int(layer[1])][:, :, : special if layer[2] else None]
        elif isinstance(output_value := getattr(output, name, None), Tensor):
            value = output_value
        else:
            raise ValueError(f"this model gives nothing that is called {name}")
        found[name] = value.to(torch.promote_types(value.dtype, torch.float32)).cpu().numpy()
    return found


def _module_of(name: str) -> str | None:
    """Return the module that takes or gives an intermediate; None for outputs and layers."""
    for pattern, path in _MODULES:
        if match := re.fullmatch(pattern, name):
            return match.expand(path)
    return None


def _tap(model: VGGT, path: str, name: str, calls: dict[str, list[Tensor]]) -> RemovableHandle:
    """Keep what goes into a module, or what comes out of it, whenever it is called."""
    try:
        module = model.get_submodule(path)
    except AttributeError as error:
        raise ValueError(f"this model has no {path}, which {name} is of") from error
    kept = calls.setdefault(name, [])
    if _IS_INPUT.fullmatch(name):
        return module.register_forward_pre_hook(lambda _, args: kept.append(args[0].clone()))
    return module.register_forward_hook(lambda _, args, out: kept.append(out.clone()))


@contextmanager
def _kept_layers(aggregator: Aggregator, names: list[str]) -> Iterator[Mapping[int, Tensor]]:
    """Have the aggregator return the layers that are wanted besides those that heads read."""
    layers: dict[int, Tensor] = {}
    wanted = {int(match[1]) for name in names if (match := _LAYER.fullmatch(name))}
    read = aggregator.read_layers
    hook = aggregator.register_forward_hook(lambda _, args, out: layers.update(out))
    aggregator.read_layers = read | wanted
    try:
        yield layers
    finally:
        aggregator.read_layers = read
        hook.remove()


def _joined(name: str, calls: list[Tensor], query_xy: Tensor | None) -> Tensor:
    """Return what the calls of a module amount to."""
    if former := _FORMER.fullmatch(name):
        return calls[int(former[1])]  # called once in each of the tracker's iterations
    whole = torch.cat(calls)  # several calls are chunks
    if name.startswith("track.corr") and query_xy is not None:
        return whole[: query_xy.shape[:2].numel()]  # of the first iteration
    return whole
