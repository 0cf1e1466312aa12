"""Parts of the network and cameras against their goldens, one function for each kind."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vggt_sfm._checks import Float64
from vggt_sfm.benchmarks.goldens import (
    CASES,
    INTRINSICS_TOLERANCE,
    PIECE_TOLERANCE,
    Goldens,
    Match,
    model_tolerance,
)
from vggt_sfm.geometry.cameras import unproject
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.models import VGGT
from vggt_sfm.models.heads.correlation import CorrelationPyramid
from vggt_sfm.models.heads.dense import axis_coordinates, position_embedding
from vggt_sfm.models.heads.track import flow_embedding, place_embedding
from vggt_sfm.models.layers import grid_positions, rope
from vggt_sfm.models.pose_encoding import decode_cameras, encode_cameras
from vggt_sfm.scene import Size

CASE = "pieces"
INPUTS = frozenset(
    {
        "pose.enc",
        "geom.depth",
        "rope.in",
        "rope.positions_yx",
        "track.flow_in",
        "corr.fmaps",
        "corr.targets",
        "corr.coords_xy",
        "corr.degenerate.fmaps",
        "corr.degenerate.coords_xy",
    }
)
"""Arrays of small.npz that others are computed from."""

LEFT_OUT = frozenset({"geom.mask0"})
"""Where depth exceeds 1e-8: the reference returns it; no function of this project does."""

_UV_ASPECT = 518 / 392
_POSE_SIZE = Size(518, 392)
_GEOM_SIZE = Size(6, 5)


def all_matches(goldens: Goldens, folder: Path, model: VGGT) -> list[Match]:
    """Compare everything in this module.

    Args:
        goldens: Of small.npz.
        folder: Where the golden files are.
        model: The small one.
    """
    return [
        *encoder_positions(goldens, model),
        *rotations(goldens),
        *dense_positions(goldens),
        *tracker_embeddings(goldens),
        *correlations(goldens),
        *cameras(goldens),
        *rectified_field_of_view(folder, model),
    ]


def encoder_positions(goldens: Goldens, model: VGGT) -> list[Match]:
    """Compare the encoder's position table at several sizes."""
    encoder = model.aggregator.get_submodule("patch_embed")
    make: Callable[[int, int], Tensor] = encoder.position_table  # type: ignore[assignment]
    matches = []
    for name in goldens.names("posembed."):
        rows, columns = map(int, re.findall(r"\d+", name))
        table = make(rows, columns).detach().cpu().numpy()
        matches.append(_match(goldens, f"posembed.{name}", table))
    return matches


def rotations(goldens: Goldens) -> list[Match]:
    """Compare patch positions and the rotation of attention heads by them."""
    positions = torch.from_numpy(goldens.arrays["rope.positions_yx"][0])
    heads = torch.from_numpy(goldens.arrays["rope.in"])
    turned = rope(positions, heads.shape[-1]).rotate(heads)
    return [
        _match(goldens, "pos.grid_3x4_yx", grid_positions(3, 4)[None].numpy()),
        _match(goldens, "rope.out", turned.numpy()),
    ]


def dense_positions(goldens: Goldens) -> list[Match]:
    """Compare the dense heads' image coordinates and their embedding."""
    diagonal = float(np.hypot(_UV_ASPECT, 1))
    x, y = axis_coordinates(6, _UV_ASPECT / diagonal), axis_coordinates(4, 1 / diagonal)
    uv = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    embedding = position_embedding(torch.empty(1, 16, 4, 6), _UV_ASPECT).permute(1, 2, 0)
    return [
        _match(goldens, "dpt.uv_w6_h4", uv.numpy()),
        _match(goldens, "dpt.uv_embed16_w6_h4", embedding.numpy()),
    ]


def tracker_embeddings(goldens: Goldens) -> list[Match]:
    """Compare the tracker's embeddings of displacements and of places."""
    flow = flow_embedding(torch.from_numpy(goldens.arrays["track.flow_in"]), 64)
    y, x = grid_positions(5, 7).float().unbind(-1)
    places = place_embedding(torch.stack([x, y], dim=-1), (5, 7), 388)
    return [
        _match(goldens, "track.flow_embedding64", flow.numpy()),
        _match(goldens, "track.sincos_pos_388_h5_w7", places.T.reshape(1, -1, 5, 7).numpy()),
    ]


def correlations(goldens: Goldens) -> list[Match]:
    """Compare correlation windows, also those of maps that shrink to one pixel."""
    points = torch.from_numpy(goldens.arrays["corr.targets"])
    matches = []
    for prefix in ("corr.", "corr.degenerate."):
        maps, xy = (
            torch.from_numpy(goldens.arrays[prefix + name]) for name in ("fmaps", "coords_xy")
        )
        windows = CorrelationPyramid(maps, 3, 2).look_up(points, xy)
        matches.append(_match(goldens, f"{prefix}out_levels3_radius2", windows.numpy()))
    return matches


def cameras(goldens: Goldens) -> list[Match]:
    """Compare pose encodings, unprojection and the inverse of rigid motions."""
    arrays = goldens.arrays
    poses, intrinsics = decode_cameras(arrays["pose.enc"], _POSE_SIZE)
    back = encode_cameras(arrays["pose.extrinsics"], arrays["pose.intrinsics_392x518"], _POSE_SIZE)
    _, small = decode_cameras(arrays["pose.enc"][0], _GEOM_SIZE)
    # The reference puts pixel centres at integers where this project has them at halves.
    xy = np.stack(
        np.meshgrid(np.arange(float(_GEOM_SIZE.width)), np.arange(float(_GEOM_SIZE.height))), -1
    )
    depth = arrays["geom.depth"][..., 0].astype(np.float64)
    world = np.stack(
        [unproject(xy, d, k, p) for d, k, p in zip(depth, small, poses[0], strict=True)]
    )
    inverse = _square(invert(poses[0]))
    return [
        _match(goldens, "pose.extrinsics", poses),
        _relative_match(goldens, "pose.intrinsics_392x518", intrinsics),
        _match(goldens, "pose.enc_back", back),
        _match(goldens, "geom.intrinsics", small),
        _match(goldens, "geom.world_points", world),
        _match(goldens, "geom.cam_points0", unproject(xy, depth[0], small[0], np.eye(3, 4))),
        _match(goldens, "geom.se3_inverse_np", inverse),
        _match(goldens, "geom.se3_inverse_torch", inverse),
    ]


def rectified_field_of_view(folder: Path, model: VGGT) -> list[Match]:
    """Compare the camera head where the field of view's activation makes a difference.

    Args:
        folder: Where the golden files are.
        model: The small one.
    """
    goldens = Goldens(folder, "relu_fov.npz")
    camera_head = copy.deepcopy(model.get_submodule("camera_head"))
    images, _ = goldens.inputs(CASES["A"])
    with torch.inference_mode():
        camera_head.get_parameter("pose_branch.fc2.bias")[7:9] = -1.0
        layers = model.aggregator(images.to(model.aggregator.camera_token.device))
        estimates = camera_head(layers[model.config.depth - 1]).cpu().numpy()
    name = "R.pose_enc_iters"
    return [
        Match(
            case="relu_fov",
            name="pose_enc_iters",
            difference=goldens.difference(name, estimates),
            tolerance=model_tolerance("pose_enc_iters"),
        )
    ]


def _match(goldens: Goldens, name: str, array: NDArray[Any]) -> Match:
    return Match(
        case=CASE,
        name=name,
        difference=goldens.difference(name, array),
        tolerance=PIECE_TOLERANCE,
    )


def _relative_match(goldens: Goldens, name: str, array: NDArray[Any]) -> Match:
    expected = goldens.arrays[name].astype(np.float64)
    off = np.abs(array - expected)
    # what is zero in the golden has to be zero
    relative = np.divide(
        off, np.abs(expected), out=np.where(off > 0, np.inf, 0), where=expected != 0
    )
    return Match(
        case=CASE,
        name=name,
        difference=float(relative.max()),
        tolerance=INTRINSICS_TOLERANCE,
        relative=True,
    )


def _square(motions: Float64) -> Float64:
    """Add the row that makes (N, 3, 4) motions (N, 4, 4)."""
    last = np.broadcast_to([0.0, 0, 0, 1], (len(motions), 1, 4))
    return np.concatenate([motions, last], axis=1)
