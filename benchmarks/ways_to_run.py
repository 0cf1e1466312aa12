"""The ways in which a VGGT can be run: kernels, chunks and arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from vggt_sfm.models import VGGT, VGGTOutput
from vggt_sfm.models.checkpoint import load_vggt
from vggt_sfm.models.heads import correlation, updateformer

PLAIN = "float32"
AUTOCAST = "bfloat16 autocast"
STORED = "bfloat16 stored"

_POSES = ("pose_enc_iters",)
_DENSE = ("depth", "depth_conf", "world_points", "world_points_conf")
_TRACKS = ("track_iters", "vis", "conf")
OUTPUTS = (*_POSES, *_DENSE, *_TRACKS)

SAME_NUMBERS = {**dict.fromkeys((*_POSES, *_DENSE), 1.1), **dict.fromkeys(_TRACKS, 1.25)}
"""What another order of the same float32 sums may do to plain float32's error, as a factor.

The tracker's iterations magnify each other's rounding, so that few scenes decide about its mean.
"""
BFLOAT16 = {
    **dict.fromkeys(_POSES, 2.0**14),
    **dict.fromkeys(_DENSE, 2.0**13),
    **dict.fromkeys(_TRACKS, 2.0**15),
}
"""What bfloat16 may. It rounds 2**16 times as coarsely, but residual streams stay float32, and of
the heads only the tracker follows autocast: a dense head that did would exceed its limit.
"""

WHOLE = 1 << 20
"""More frames than any scene has."""

_TRACKER_TOKENS, _TRACKER_ELEMENTS = 200, 1 << 15  # a few rows at once

Run = Callable[[Tensor, Tensor], VGGTOutput]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to run the network."""

    name: str
    limits: Mapping[str, float] | None
    """For each output the largest factor to plain float32's error; None for the same bits."""
    run: Run
    twin: str = PLAIN
    """What it is compared with."""


def ways_to_run(model: VGGT, folder: Path) -> list[Way]:
    """Return all ways; the first is plain float32.

    Args:
        model: In float32, on any device.
        folder: Where a checkpoint of the model can be written; all ways load it, because where
            weights lie in memory decides how some kernels sum.
    """
    path = folder / "precision.safetensors"
    save_file({k: v.cpu().contiguous() for k, v in model.state_dict().items()}, path)
    device = model.aggregator.camera_token.device
    single = load_vggt(path, model.config, device=device)
    stored = load_vggt(path, model.config, device=device, precision="bfloat16")
    return [
        Way(name=PLAIN, limits=dict.fromkeys(OUTPUTS, 1.0), run=_whole(single)),
        Way(name="chunks of 8 frames", limits=SAME_NUMBERS, run=single),
        Way(name="small chunks", limits=SAME_NUMBERS, run=_in_small_chunks(single)),
        *(
            Way(
                name=f"{backend.name.split('_')[0].lower()} attention",
                limits=SAME_NUMBERS,
                run=_with_attention(backend, _whole(single)),
            )
            for backend in attention_kernels(device)
        ),
        Way(name=AUTOCAST, limits=BFLOAT16, run=_in_bfloat16(_whole(single), device)),
        Way(name=STORED, limits=None, run=_in_bfloat16(_whole(stored), device), twin=AUTOCAST),
    ]


def attention_kernels(device: torch.device) -> list[SDPBackend]:
    """Return the float32 attention kernels that there are."""
    backends = (
        SDPBackend.MATH,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.CUDNN_ATTENTION,
    )
    x = torch.zeros(1, 1, 8, 8, device=device)
    found = []
    for backend in backends:
        with warnings.catch_warnings(), sdpa_kernel(backend):
            warnings.simplefilter("ignore")  # they say why a kernel is not there
            try:
                F.scaled_dot_product_attention(x, x, x)
            except RuntimeError:
                continue
        found.append(backend)
    return found


def _with_attention(backend: SDPBackend, run: Run) -> Run:
    def with_it(x: Tensor, xy: Tensor) -> VGGTOutput:
        with sdpa_kernel(backend):
            return run(x, xy)

    return with_it


def _in_bfloat16(run: Run, device: torch.device) -> Run:
    def in_it(x: Tensor, xy: Tensor) -> VGGTOutput:
        with torch.autocast(device.type, torch.bfloat16):
            return run(x, xy)

    return in_it


def _whole(model: VGGT) -> Run:
    return lambda x, xy: model(x, xy, frames_per_chunk=WHOLE)


def _in_small_chunks(model: VGGT) -> Run:
    def in_them(x: Tensor, xy: Tensor) -> VGGTOutput:
        # The tracker chooses its chunks by memory.
        with (
            patch.object(updateformer, "_TOKENS_AT_ONCE", _TRACKER_TOKENS),
            patch.object(correlation, "_ELEMENTS_AT_ONCE", _TRACKER_ELEMENTS),
        ):
            output: VGGTOutput = model(x, xy, frames_per_chunk=1)
        return output

    return in_them
