"""First estimates of intrinsics: from EXIF, else from the model's matches."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64, Int64
from vggt_sfm.models.tiny.focal import EpipolarPair, focal_ratios
from vggt_sfm.models.tiny.relative import fundamental_matrix
from vggt_sfm.scene import Matches, Scene

_FOCAL_PAIRS = 80
_FOCAL_THRESHOLD = 1.5e-3  # of the longer side


def estimate_intrinsics(matches: Matches, scene: Scene) -> Float64:
    """Intrinsics (S, 3, 3), network px: EXIF where known, else solved for, one value a camera.

    The principal point is the middle of the photo.
    """
    ratios = _focal_ratios(matches, scene)
    result = []
    for frame, m, ratio in zip(scene.frames, scene.pixel_maps, ratios, strict=True):
        focal = frame.focal_prior_px or ratio * max(m.original)
        center = m.to_network(np.array(m.original) / 2)
        result.append(
            [[focal * m.scale[0], 0, center[0]], [0, focal * m.scale[1], center[1]], [0, 0, 1]]
        )
    return np.array(result, np.float64)


def _focal_ratios(matches: Matches, scene: Scene) -> Float64:
    """Focal length over the longer side of each frame, (S,), from pairs with many matches."""
    camera_of = cameras_of(scene)
    counts = np.diff(matches.offsets)
    strongest = np.argsort(-counts, kind="stable")[:_FOCAL_PAIRS]
    pairs = []
    for p in strongest:
        i, j = matches.pairs[p]
        # in original pixels over the longer side: square pixels, and one unit for all sizes
        scales = [1 / max(scene.pixel_maps[s].original) for s in (i, j)]
        xy, _ = matches.of_pair(int(p))
        points = [
            scene.pixel_maps[s].to_original(xy[:, columns]) * scale
            for s, columns, scale in zip((i, j), ([0, 1], [2, 3]), scales, strict=True)
        ]
        found = fundamental_matrix(np.concatenate(points, axis=1), _FOCAL_THRESHOLD)
        if found is None:
            continue
        centers = [
            np.array(scene.pixel_maps[s].original) / 2 * scale
            for s, scale in zip((i, j), scales, strict=True)
        ]
        pairs.append(
            EpipolarPair(
                i=int(camera_of[i]),
                j=int(camera_of[j]),
                F=found[0],
                weight=float(found[1].sum()),
                center_i=centers[0],
                center_j=centers[1],
            )
        )
    return focal_ratios(pairs, int(camera_of.max()) + 1)[camera_of]


def cameras_of(scene: Scene) -> Int64:
    """The number of each frame's camera, from 0, (S,)."""
    keys = [frame.camera_key for frame in scene.frames]
    number = {key: n for n, key in enumerate(sorted(set(keys)))}
    return np.array([number[key] for key in keys], np.int64)
