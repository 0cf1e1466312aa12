"""The embedded model: photographs to cameras, depth and matches in one pass."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path
from torch import nn

from vggt_sfm._checks import Float32, Float64
from vggt_sfm._log import Progress
from vggt_sfm.errors import WeightsError
from vggt_sfm.models.choice import TINY_STRIDE
from vggt_sfm.models.tiny.agreement import agree
from vggt_sfm.models.tiny.context import PairContext
from vggt_sfm.models.tiny.depth_head import DEPTH_SCALE, DepthHead, spread
from vggt_sfm.models.tiny.fitting import fit
from vggt_sfm.models.tiny.matching import HIDDEN
from vggt_sfm.models.tiny.network import COARSE, Features, TinyBackbone, TinyConfig
from vggt_sfm.models.tiny.pair_matcher import PairMatcher
from vggt_sfm.models.tiny.solve import Solution, solve_cameras
from vggt_sfm.models.tiny.sparse import match_depths, normalize_scale, sparse_depths
from vggt_sfm.models.tiny.sweep import shared_matches, sweep
from vggt_sfm.scene import Matches, PixelMap, Predictions, Scene

_ALL_PAIRS_UP_TO = 12  # frames
# Of more frames, cameras are as good where only doubtful pairs are told what the other view shows.
_ALWAYS_TOLD_UP_TO = 4
# of the frames most like a frame: the nearest for certain matches, a farther one for its baseline
_RANKS = (0, 2, 6)
_LOOP_STEPS = 4  # from pair to pair: what is at least so far apart may close a loop
_FRAMES_A_LOOP = 3  # a loop for every so many frames, at most
_POOLED_CELLS = 200  # of each frame, compared to find out how alike frames are
# of a pair: cameras and depth gain by all of them, tracks have enough of the most confident
_MOST_MATCHES, _MOST_FOR_TRACKS = 1000, 500
_DEPTH_GROUP = 12  # frames that attend to each other: all of them would cost time squared


class Solved(NamedTuple):
    """What is known of S frames before their depth is completed; the median depth is one unit."""

    features: list[Features]  # S, each on its own (B = 1)
    matches: Matches
    solution: Solution
    sparse: Float32  # (S, r, c) depth of the matches in cells of 16 px, NaN where there is none


class TinyModel(nn.Module):
    """Backbone and depth head, with the solver that joins their matches to cameras."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.backbone = TinyBackbone(config)
        self.context = PairContext(config) if config.context_pairs else None
        self.depth_head = DepthHead(config.coarse)

    @classmethod
    def load(cls, weights: Path, device: torch.device) -> TinyModel:
        """Load a .safetensors file and the configuration in the .json beside it.

        Raises:
            WeightsError: If either is missing, damaged or of another architecture.
        """
        try:
            card = json.loads(weights.with_suffix(".json").read_text())
            model = cls(TinyConfig(**card["config"]))
            state = {k: v.float() for k, v in load_file(weights).items()}
            model.load_state_dict(state)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{weights}: cannot be loaded as the embedded model: {error}"
            ) from error
        return model.to(device).eval()

    @torch.no_grad()
    def predict(self, images: Float32, scene: Scene, progress: Progress) -> Predictions:
        """Predict cameras, depth and matches.

        Args:
            images: (S, 3, H, W) in [0, 1]; H and W are multiples of 16.
            scene: The frames and their pixel maps into ``images``.
            progress: Where the frames and pairs are counted.
        """
        height, width = images.shape[2:]
        return self._with_depth(self.solve(images, scene, progress), height, width)

    @torch.no_grad()
    def solve(self, images: Float32, scene: Scene, progress: Progress) -> Solved:
        """Describe and match frames and solve for their cameras; arguments as in ``predict``."""
        features = self._describe(images, scene.pixel_maps, progress)
        similarity = _similarity(features)
        matches = self._match(features, choose_pairs(similarity), progress)
        solution = solve_cameras(matches, scene, similarity)
        frames, _, height, width = images.shape
        small = _multiple(height / DEPTH_SCALE), _multiple(width / DEPTH_SCALE)
        rows, columns = small[0] // COARSE, small[1] // COARSE
        sparse = sparse_depths(solution, frames, height, width, rows, columns)
        solution, sparse = normalize_scale(solution, sparse)
        return Solved(features, matches, solution, sparse)

    def _describe(
        self, images: Float32, maps: Iterable[PixelMap], progress: Progress
    ) -> list[Features]:
        device = next(self.parameters()).device
        features = []
        with progress.task("describe images", len(images)) as task:
            for image, pixel_map in zip(images, maps, strict=True):
                batch = torch.as_tensor(image, device=device)[None]
                described = self.backbone(batch.contiguous(memory_format=torch.channels_last))
                features.append(_hide_padding(described, pixel_map))
                task.advance()
        return features

    def _match(
        self, features: list[Features], pairs: list[tuple[int, int]], progress: Progress
    ) -> Matches:
        xy, confidence, offsets = [], [], [0]
        matcher = self.matcher(features)
        with progress.task("match pairs", len(pairs)) as task:
            for i, j in pairs:
                points, trust = matcher.match(i, j, most=_MOST_MATCHES)
                xy.append(points.cpu().numpy())
                confidence.append(trust.cpu().numpy())
                offsets.append(offsets[-1] + len(points))
                task.advance()
        return Matches(
            pairs=np.array(pairs, np.int64).reshape(-1, 2),
            offsets=np.array(offsets, np.int64),
            xy=np.concatenate(xy) if xy else np.empty((0, 4), np.float32),
            confidence=np.concatenate(confidence) if xy else np.empty(0, np.float32),
        )

    def matcher(self, features: list[Features]) -> PairMatcher:
        """Return what matches any two of S frames, each described on its own (B = 1)."""
        many = len(features) > _ALWAYS_TOLD_UP_TO
        return PairMatcher(self.backbone, self.context, features, sparing=many)

    def _with_depth(self, solved: Solved, height: int, width: int) -> Predictions:
        features, matches, solution, sparse = solved
        frames, rows, columns = sparse.shape
        log_sparse = torch.as_tensor(sparse, device=next(self.parameters()).device).log()
        links = shared_matches(solution.edges, frames)
        alike = sweep(
            torch.cat([f.coarse for f in features]),
            spread(log_sparse),
            torch.as_tensor(solution.cam_from_world).to(log_sparse),
            torch.as_tensor(solution.intrinsics).to(log_sparse),
            links,
        )
        lateral = [nn.functional.adaptive_avg_pool2d(f.lateral, (rows, columns)) for f in features]
        groups = [slice(k, k + _DEPTH_GROUP) for k in range(0, frames, _DEPTH_GROUP)]
        parts = [self.depth_head(torch.cat(lateral[g]), log_sparse[g], alike[g]) for g in groups]
        log_depth, log_error = (torch.cat(maps) for maps in zip(*parts, strict=True))
        full = nn.functional.interpolate(
            torch.stack([log_depth, log_error], 1), (height, width), mode="bilinear"
        )
        depth, confidence = full[:, 0].exp().cpu().numpy(), (-full[:, 1]).exp().cpu().numpy()
        points = match_depths(solution, frames)
        depth = np.stack([fit(d, p) for d, p in zip(depth, points, strict=True)])
        poses, K = solution.cam_from_world, solution.intrinsics
        return Predictions(
            cam_from_world=poses,
            intrinsics=K,
            depth=agree(depth, confidence, poses, K, links),
            depth_confidence=confidence,
            camera_sources=solution.sources,
            matches=matches.select(np.arange(len(matches.pairs)), _MOST_FOR_TRACKS),
        )


def _multiple(size: float) -> int:
    return max(1, round(size / TINY_STRIDE)) * TINY_STRIDE


def _hide_padding(features: Features, pixel_map: PixelMap) -> Features:
    """Make cells that do not show the photo unmatchable."""
    x0, y0, x1, y1 = pixel_map.content_box()
    matchable = torch.full_like(features.matchable, HIDDEN)
    window = (..., slice(-(-y0 // COARSE), y1 // COARSE), slice(-(-x0 // COARSE), x1 // COARSE))
    matchable[window] = features.matchable[window]
    return Features(
        coarse=features.coarse,
        matchable=matchable,
        fine=features.fine,
        lateral=features.lateral,
    )


def _similarity(features: list[Features]) -> Float32:
    """How much of each frame is found in each other one, (S, S), from pooled descriptors."""
    count = len(features)
    pooled = torch.stack([_pooled(f) for f in features])  # (S, n, D)
    result = np.zeros((count, count), np.float32)
    for i in range(count - 1):
        cosine = pooled[i] @ pooled[i + 1 :].flatten(0, 1).T
        cosine = cosine.view(len(cosine), count - i - 1, -1)
        both = cosine.amax(2).square().mean(0) + cosine.amax(0).square().mean(1)
        result[i, i + 1 :] = result[i + 1 :, i] = both.cpu().numpy() / 2
    return result


def _pooled(features: Features) -> torch.Tensor:
    """Descriptors of the most matchable 2 × 2 coarse cells, (n, D)."""
    weight = features.matchable.sigmoid()[:, None]
    mean = nn.functional.avg_pool2d(features.coarse * weight, 2, ceil_mode=True).flatten(2)[0].T
    trust = nn.functional.avg_pool2d(weight, 2, ceil_mode=True).flatten()
    chosen = trust.topk(min(_POOLED_CELLS, len(trust))).indices
    return nn.functional.normalize(mean[chosen], dim=1)


def choose_pairs(similarity: Float32) -> list[tuple[int, int]]:
    """Choose which pairs to match: all of a few frames, else some of each frame's most similar.

    A spanning tree of the most similar pairs keeps the graph in one piece, and pairs of similar
    frames that are far apart in it keep long walks from drifting.

    Args:
        similarity: (S, S).

    Returns:
        Ascending pairs (i, j) with i < j.
    """
    count = len(similarity)
    if count <= _ALL_PAIRS_UP_TO:
        return list(combinations(range(count), 2))
    unlike: Float64 = similarity.max() + 1.0 - similarity.astype(np.float64)
    np.fill_diagonal(unlike, np.inf)
    nearest = np.argsort(unlike, axis=1, kind="stable")[:, _RANKS]
    np.fill_diagonal(unlike, 0.0)  # for SciPy: no edge
    tree = minimum_spanning_tree(unlike).tocoo()
    linked = [(i, int(j)) for i in range(count) for j in nearest[i]]
    linked += zip(tree.row.tolist(), tree.col.tolist(), strict=True)
    return sorted({(min(pair), max(pair)) for pair in linked + _loops(similarity, linked)})


def _loops(similarity: Float32, linked: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Choose pairs that close loops, one after the other, as each one brings others nearer."""
    count = len(similarity)
    graph = np.zeros((count, count), bool)
    graph[tuple(np.transpose(linked))] = True
    steps = shortest_path(graph, directed=False, unweighted=True)
    found: list[tuple[int, int]] = []
    while len(found) < count // _FRAMES_A_LOOP:
        alike = np.where(steps >= _LOOP_STEPS, similarity, 0.0)
        i, j = (int(s) for s in np.unravel_index(alike.argmax(), alike.shape))
        if alike[i, j] <= 0:
            break
        found.append((i, j))
        through = steps[:, [i]] + 1 + steps[[j]]
        steps = np.minimum(steps, np.minimum(through, through.T))
    return found
