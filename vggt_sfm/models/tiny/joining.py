"""Cameras of all frames from the relative poses of pairs: rotations, scales, then centres.

Each step is a robust average over all pairs, so a few wrong pairs do no harm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from vggt_sfm._checks import Bool, Float64, Int64
from vggt_sfm.models.tiny.relative import Edge

_ROUNDS = 12
_RIDGE = 1e-9


def main_component(edges: Sequence[Edge], frames: int) -> Int64:
    """Frames of the largest connected part of the pair graph, ascending; ties go to the first."""
    return np.flatnonzero(_main_part([e.i for e in edges], [e.j for e in edges], frames))


def _main_part(i: Sequence[int] | Int64, j: Sequence[int] | Int64, nodes: int) -> Bool:
    """Mark the (nodes,) members of the largest connected part."""
    graph = csr_matrix((np.ones(len(i)), (i, j)), shape=(nodes, nodes))
    _, label = connected_components(graph, directed=False)
    return np.asarray(label == np.bincount(label).argmax())


def average_rotations(edges: Sequence[Edge], frames: int) -> Float64:
    """World rotations from relative ones.

    Args:
        edges: Pairs of one connected component.
        frames: Number of frames S.

    Returns:
        (S, 3, 3) cam_from_world rotations; the identity for frames without an edge.

    Source: iteratively reweighted Lie-algebra averaging, Chatterjee and Govindu, ICCV 2013.
    """
    R = _spanning_tree_rotations(edges, frames)
    i, j = np.array([e.i for e in edges]), np.array([e.j for e in edges])
    relative = np.stack([e.rotation for e in edges])
    strength = np.sqrt([e.weight for e in edges])
    for _ in range(_ROUNDS):
        # R_j = relative R_i up to an error that is shared out over both frames
        error = Rotation.from_matrix(R[j].transpose(0, 2, 1) @ relative @ R[i]).as_rotvec()
        weight = strength / np.sqrt(np.linalg.norm(error, axis=1) + np.deg2rad(0.5))
        step = _weighted_differences(i, j, error, weight, frames)
        R = R @ Rotation.from_rotvec(step).as_matrix()
        if np.abs(step).max() < 1e-6:
            break
    return R


def _spanning_tree_rotations(edges: Sequence[Edge], frames: int) -> Float64:
    cost = [1.0 / e.weight for e in edges]
    graph = csr_matrix((cost, ([e.i for e in edges], [e.j for e in edges])), (frames, frames))
    tree = minimum_spanning_tree(graph)
    tree = tree + tree.T
    lookup = {(e.i, e.j): e.rotation for e in edges}
    R = np.tile(np.eye(3), (frames, 1, 1))
    degree = np.bincount([f for e in edges for f in (e.i, e.j)], minlength=frames)
    order, parent = breadth_first_order(tree, int(degree.argmax()), directed=False)
    for frame in order[1:]:
        source = int(parent[frame])
        known = lookup.get((source, int(frame)))
        R[frame] = (known if known is not None else lookup[(int(frame), source)].T) @ R[source]
    return R


def _weighted_differences(
    i: Int64, j: Int64, difference: Float64, weight: Float64, nodes: int
) -> Float64:
    """Solve ``x_j - x_i = difference`` for (nodes, d) values in weighted least squares."""
    square = weight**2
    ends = np.concatenate([i, j]), np.concatenate([j, i])
    adjacency = coo_matrix((np.tile(square, 2), ends), shape=(nodes, nodes)).tocsr()
    degree = np.bincount(np.concatenate([i, j]), np.tile(square, 2), nodes)
    # the differences leave a constant free, in each part; a little weight on zero decides
    ridge = _RIDGE * degree.max()
    laplacian = diags_array(degree + ridge) - adjacency
    right = np.zeros((nodes, difference.shape[1]))
    np.add.at(right, j, square[:, None] * difference)
    np.subtract.at(right, i, square[:, None] * difference)
    return np.asarray(splu(laplacian.tocsc()).solve(right))


def edge_scales(depths: Sequence[Sequence[tuple[int, Float64]]], edges: int) -> Float64:
    """Lengths of the pairs' baselines, from the depths that pairs with a common frame agree on.

    Args:
        depths: For each frame, its edges as (edge number, (cells,) depth in units of that edge's
            baseline, NaN where the edge has no match).
        edges: Number of edges E.

    Returns:
        (E,) scale of each edge; NaN where no chain of shared depths reaches the main part.
    """
    a, b, ratio, weight = [], [], [], []
    for seen in depths:
        for m, (first, depth_first) in enumerate(seen):
            for second, depth_second in seen[m + 1 :]:
                difference = np.log(depth_first) - np.log(depth_second)
                difference = difference[np.isfinite(difference)]
                if len(difference) < 8:
                    continue
                a.append(first)
                b.append(second)
                ratio.append(float(np.median(difference)))
                spread = float(np.median(np.abs(difference - ratio[-1])))
                weight.append(np.sqrt(min(len(difference), 200)) / (spread + 0.05))
    if not a:
        return np.where(np.arange(edges) == 0, 1.0, np.nan)
    firsts, seconds = np.array(a), np.array(b)
    log_scale = _robust_differences(
        firsts, seconds, np.array(ratio)[:, None], np.array(weight), edges, 0.05
    )
    main = _main_part(firsts, seconds, edges)
    scale = np.exp(log_scale[:, 0] - np.median(log_scale[main, 0]))
    return np.where(main, scale, np.nan)


def _robust_differences(
    i: Int64, j: Int64, difference: Float64, strength: Float64, nodes: int, unit: float
) -> Float64:
    """Like :func:`_weighted_differences`, with the influence of large residuals bounded."""
    weight = strength
    x = np.zeros((nodes, difference.shape[1]))
    for _ in range(_ROUNDS):
        x = _weighted_differences(i, j, difference, weight, nodes)
        residual = np.linalg.norm(x[j] - x[i] - difference, axis=1)
        weight = strength / np.sqrt(1.0 + residual / unit)
    return x


def camera_centers(edges: Sequence[Edge], scales: Float64, R: Float64) -> Float64:
    """Camera centres from world rotations and baselines of known length.

    Args:
        edges: E pairs.
        scales: (E,) lengths of their baselines.
        R: (S, 3, 3) cam_from_world rotations.

    Returns:
        (S, 3) centres in the world; frames that no usable edge reaches get their nearest
        possible value, the mean of all.
    """
    i, j = np.array([e.i for e in edges]), np.array([e.j for e in edges])
    # centre of j seen from i, turned into the world
    to_j = np.stack([-R[e.j].T @ e.direction for e in edges]) * scales[:, None]
    strength = np.sqrt([e.weight for e in edges])
    strength = strength * np.array([min(1.0, e.parallax_deg / 2.0) + 0.05 for e in edges])
    # long baselines carry proportionally long errors
    strength = strength / np.maximum(scales, 0.05 * np.median(scales))
    unit = 0.1 * float(np.median(scales))
    return _robust_differences(i, j, to_j, strength, len(R), unit)
