"""The track stage: matches of all sources, joined, placed in 3D and coloured."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Bool, Float64, Int64, UInt8
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Predictions, Scene, Tracks
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.linking import Observations, link
from vggt_sfm.tracking.masks import ReadMask, without_masked
from vggt_sfm.tracking.matches import MatchSource, ReadImage
from vggt_sfm.tracking.seeding import seed_points
from vggt_sfm.tracking.sources.database import DatabaseSource
from vggt_sfm.tracking.sources.predicted import PredictedSource
from vggt_sfm.tracking.sources.sift import SiftSource

_logger = get_logger(__name__)

_REFERENCE_WIDTH_PX = 518


def build_tracks(
    config: TrackConfig,
    scene: Scene,
    predictions: Predictions,
    progress: Progress,
    *,
    read_image: ReadImage,
    read_mask: ReadMask,
    pairs: Int64 | None = None,
) -> Tracks:
    """Find multi-view tracks and seed each from predicted depth and cameras.

    Args:
        config: Sources and thresholds.
        scene: The frames, in the order that ids follow.
        predictions: Cameras, depth and, where the network has them, matches.
        progress: Counts images and pairs.
        read_image: Returns a frame's upright (H, W, 3) RGB pixels.
        read_mask: Returns a frame's upright (H, W) usable pixels, or None.
        pairs: (P, 2) frame pairs to match, first < second; all pairs when None.

    Returns:
        Tracks of at least two views. Scenes without any match give zero tracks.
    """
    if pairs is None:
        pairs = np.stack(np.triu_indices(len(scene.frames), k=1), axis=1).astype(np.int64)
    widths = np.array([max(frame.size) for frame in scene.frames])
    conflict_px = config.conflict_px * widths / _REFERENCE_WIDTH_PX
    linked, names = [], []
    for source in _sources(config, predictions, read_image):
        verified = source.match(scene, pairs, progress)
        verified = without_masked(verified, scene.frames, read_mask)
        linked.append(link(verified, conflict_px))
        names.append(verified.source)
    observations, source_of = _concatenate(linked)
    xyz = seed_points(scene, predictions, observations)
    has_depth: Bool = np.asarray(np.isfinite(xyz).all(axis=1))
    observations, placed = _keep_tracks(observations, has_depth)
    color = _colors(scene, observations, len(placed), read_image, progress)
    _logger.info(
        "tracks: %d with %d observations (%s); %d without depth dropped",
        len(placed),
        len(observations.xy),
        ", ".join(f"{name} {np.sum(source_of[placed] == k)}" for k, name in enumerate(names)),
        len(xyz) - len(placed),
    )
    return Tracks(
        track_index=observations.track_index,
        frame_index=observations.frame_index,
        xy=observations.xy,
        xyz=xyz[placed],
        color=color,
        source=source_of[placed],
        source_names=tuple(names),
    )


def _sources(
    config: TrackConfig, predictions: Predictions, read_image: ReadImage
) -> list[MatchSource]:
    sources: list[MatchSource] = []
    if config.sift:
        sources.append(SiftSource(config, read_image))
    if config.predicted and predictions.matches is not None:
        sources.append(PredictedSource(config, predictions.matches))
    if config.database is not None:
        sources.append(DatabaseSource(config, config.database))
    return sources


def _concatenate(linked: list[Observations]) -> tuple[Observations, UInt8]:
    """Join the tracks of several sources; also return the (N,) number of each one's source."""
    lengths = [int(found.track_index.max(initial=-1)) + 1 for found in linked]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    track = [found.track_index + start for found, start in zip(linked, starts, strict=False)]
    observations = Observations(
        np.concatenate([np.empty(0, np.int64), *track]),
        np.concatenate([np.empty(0, np.int64), *(found.frame_index for found in linked)]),
        np.concatenate([np.empty((0, 2)), *(found.xy for found in linked)]),
    )
    return observations, np.repeat(np.arange(len(linked)), lengths).astype(np.uint8)


def _keep_tracks(observations: Observations, keep: Bool) -> tuple[Observations, Int64]:
    """Drop tracks and renumber the rest; also return their old numbers."""
    rows = keep[observations.track_index]
    renumbered = np.cumsum(keep) - 1
    kept = Observations(
        renumbered[observations.track_index[rows]].astype(np.int64),
        observations.frame_index[rows],
        observations.xy[rows],
    )
    return kept, np.flatnonzero(keep).astype(np.int64)


def _colors(
    scene: Scene,
    observations: Observations,
    num_tracks: int,
    read_image: ReadImage,
    progress: Progress,
) -> UInt8:
    """Return each track's (N, 3) mean colour over its views."""
    total: Float64 = np.zeros((num_tracks, 3))
    with progress.task("colors", len(scene.frames)) as task:
        for s, frame in enumerate(scene.frames):
            rows = np.flatnonzero(observations.frame_index == s)
            if len(rows):
                image = read_image(frame)
                column, row = np.floor(observations.xy[rows]).astype(np.int64).T
                row, column = row.clip(0, len(image) - 1), column.clip(0, image.shape[1] - 1)
                total[observations.track_index[rows]] += image[row, column]
            task.advance()
    views = np.bincount(observations.track_index, minlength=num_tracks)
    return np.rint(total / np.maximum(views, 1)[:, None]).astype(np.uint8)
