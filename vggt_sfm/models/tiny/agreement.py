"""Depth of several frames made to agree."""

from __future__ import annotations

import cv2
import numpy as np

from vggt_sfm._checks import Float32, Float64
from vggt_sfm.models.tiny.sweep import partners
from vggt_sfm.models.tiny.thinned import scaled, thin, thin_centers, thin_index

_GROSS = 0.5  # of the logarithm: what is farther off is in front of the point, or behind
_NEAREST = 1e-6


def agree(
    depth: Float32,
    confidence: Float32,
    cam_from_world: Float64,
    intrinsics: Float64,
    links: Float64,
) -> Float32:
    """Scale every frame's depth by what others show at the same places.

    Each pixel is put where its depth says and looked up in the frames that share most with its own;
    the new log depth is the mean of all that are near, by their confidence.

    Args:
        depth: (S, H, W), above 0.
        confidence: (S, H, W) inverse of the expected error of the log depth.
        cam_from_world: (S, 3, 4), in the unit of the depth.
        intrinsics: (S, 3, 3) px.
        links: (S, S) how much frames have in common; 0: not to be asked.

    Returns:
        (S, H, W).
    """
    log_depth, trust = np.log(thin(depth)), thin(confidence)
    centers = thin_centers(*depth.shape[1:])
    rays = np.concatenate([centers, np.ones_like(centers[..., :1])], -1)
    result = []
    for s, others in enumerate(partners(links)):
        pose = cam_from_world[s]
        camera = rays @ np.linalg.inv(intrinsics[s]).T * np.exp(log_depth[s])[..., None]
        world = (camera - pose[:, 3]) @ pose[:, :3]
        total, weight = np.zeros(log_depth[s].shape), trust[s].astype(np.float64)
        for other in others:
            residual, seen = _look(
                world, cam_from_world[other], intrinsics[other], log_depth[other], trust[other]
            )
            total += seen * residual
            weight += seen
        result.append(scaled(depth[s], total / weight))
    return np.stack(result)


def _look(
    world: Float64, pose: Float64, K: Float64, log_depth: Float32, trust: Float32
) -> tuple[Float64, Float64]:
    """By how much a frame's log depth exceeds that of (h, w, 3) points, and how sure it is.

    Returns:
        (h, w) and (h, w); 0 where the frame does not see the point.
    """
    camera = world @ pose[:, :3].T + pose[:, 3]
    z = camera[..., 2]
    at = (camera @ K.T)[..., :2] / np.maximum(z, _NEAREST)[..., None]
    column, row = np.moveaxis(thin_index(at), -1, 0).astype(np.float32)
    residual, sure = (
        cv2.remap(values, column, row, cv2.INTER_NEAREST, borderValue=np.nan).astype(np.float64)
        for values in (log_depth, trust)
    )
    residual -= np.log(np.maximum(z, _NEAREST))
    seen = (z > _NEAREST) & (np.abs(residual) < _GROSS)  # not where it is NaN
    return np.where(seen, residual, 0.0), np.where(seen, sure, 0.0)
