"""The track stage: matches of all sources, joined, placed in 3D and coloured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vggt_sfm._checks import Bool, Float64, Int64, UInt8
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Predictions, Scene, Tracks
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.coverage import where_sparse, without_crowds
from vggt_sfm.tracking.guidance import Guidance
from vggt_sfm.tracking.linking import Observations, link
from vggt_sfm.tracking.masks import (
    ReadMask,
    on_usable_pixels,
    usable_matches,
    without_masked,
)
from vggt_sfm.tracking.matches import MatchSource, ReadImage, VerifiedMatches
from vggt_sfm.tracking.pairs import all_pairs, choose_pairs, covisibility
from vggt_sfm.tracking.refinement import refine_positions
from vggt_sfm.tracking.seeding import seed_points
from vggt_sfm.tracking.sources.database import DatabaseSource
from vggt_sfm.tracking.sources.guided import GuidedSource
from vggt_sfm.tracking.sources.predicted import PredictedSource
from vggt_sfm.tracking.sources.sift import SiftSource

_logger = get_logger(__name__)

_REFERENCE_WIDTH_PX = 518
# By how much a position may be wrong before it is refined: the network's, px of its input, and
# those of features, px of the photograph.
_COARSE_REACH = 2.5
_EXACT_REACH_PX = 1.0


def build_tracks(
    config: TrackConfig,
    scene: Scene,
    predictions: Predictions,
    progress: Progress,
    *,
    read_image: ReadImage,
    read_mask: ReadMask,
) -> Tracks:
    """Find multi-view tracks and seed each from predicted depth and cameras.

    Args:
        config: Sources and thresholds.
        scene: The frames, in the order that ids follow.
        predictions: Cameras, depth and, where the network has them, matches.
        progress: Counts images and pairs.
        read_image: Returns a frame's upright (H, W, 3) RGB pixels.
        read_mask: Returns a frame's upright (H, W) usable pixels, or None.

    Returns:
        Tracks of at least two views. Scenes without any match give zero tracks.
    """
    predictions = _usable(predictions, scene, read_mask)
    guidance = Guidance(scene, predictions)
    found = _found(config, scene, predictions, guidance, progress, read_image, read_mask)
    observations = _linked(config, scene, guidance, found, read_image, read_mask, progress)
    xyz = seed_points(scene, predictions, observations)
    has_depth: Bool = np.asarray(np.isfinite(xyz).all(axis=1))
    observations, xyz = _keep_tracks(observations, has_depth), xyz[has_depth]
    color = _colors(scene, observations, len(xyz), read_image, progress)
    names = tuple(matches.source for matches in found)
    # a track is of the most exact source that saw it
    source_of = np.full(len(xyz), len(names), np.uint8)
    np.minimum.at(source_of, observations.track_index, observations.source)
    _logger.info(
        "tracks: %d with %d observations (%s); %d without depth dropped",
        len(xyz),
        len(observations.xy),
        ", ".join(f"{name} {np.sum(source_of == k)}" for k, name in enumerate(names)),
        np.sum(~has_depth),
    )
    return Tracks(
        track_index=observations.track_index,
        frame_index=observations.frame_index,
        xy=observations.xy,
        xyz=xyz,
        color=color,
        source=source_of,
        source_names=names,
    )


def _usable(predictions: Predictions, scene: Scene, read_mask: ReadMask) -> Predictions:
    """Return the predictions without matches on masked pixels."""
    if predictions.matches is None:
        return predictions
    return replace(predictions, matches=usable_matches(predictions.matches, scene, read_mask))


def _found(
    config: TrackConfig,
    scene: Scene,
    predictions: Predictions,
    guidance: Guidance,
    progress: Progress,
    read_image: ReadImage,
    read_mask: ReadMask,
) -> list[VerifiedMatches]:
    """Return the matches of the sources that are on, the most exact first."""
    every = all_pairs(len(scene.frames))
    wanted: list[tuple[MatchSource, Int64]] = []
    if config.database is not None:
        wanted.append((DatabaseSource(config, config.database, read_mask), every))
    if config.guided:
        score = covisibility(guidance, predictions)
        source = GuidedSource(config, guidance, score, read_image, read_mask)
        wanted.append((source, choose_pairs(score, config.neighbors)))
    if config.sift:
        wanted.append((SiftSource(config, read_image, read_mask), every))
    if config.predicted and predictions.matches is not None:
        wanted.append((PredictedSource(config, predictions.matches), every))
    return [source.match(scene, pairs, progress) for source, pairs in wanted]


def _linked(
    config: TrackConfig,
    scene: Scene,
    guidance: Guidance,
    found: list[VerifiedMatches],
    read_image: ReadImage,
    read_mask: ReadMask,
    progress: Progress,
) -> Observations:
    """Join all matches; the network's own fill what the others left, at refined positions."""
    widths = np.array([max(frame.size) for frame in scene.frames]) / _REFERENCE_WIDTH_PX
    radii = config.merge_px * widths, config.conflict_px * widths
    coarse = len(found) - 1 if found and found[-1].source == PredictedSource.name else None
    if coarse is None:
        return link(found, *radii)
    # its positions are means, which may lie on the other side of a mask's border
    found = [*found[:-1], without_masked(found[-1], scene.frames, read_mask)]
    exact = link(found[:-1], *radii)
    filling = where_sparse(found[-1], exact, scene.frames)
    observations = link([*found[:-1], filling], *radii)
    observations = _keep_tracks(observations, without_crowds(observations, coarse, scene.frames))
    if not config.refine:
        return observations
    network_px = np.array([1 / min(m.scale) for m in scene.pixel_maps])[observations.frame_index]
    reach_px = np.where(observations.source == coarse, _COARSE_REACH * network_px, _EXACT_REACH_PX)
    xy, refined = refine_positions(observations, reach_px, scene, guidance, read_image, progress)
    for s, frame in enumerate(scene.frames):
        rows = np.flatnonzero(observations.frame_index == s)
        usable = on_usable_pixels(xy[rows], read_mask(frame))
        xy[rows[~usable]] = observations.xy[rows[~usable]]
    _logger.debug("tracks: %d positions refined", len(refined))
    return observations._replace(xy=xy)


def _keep_tracks(observations: Observations, keep: Bool) -> Observations:
    """Drop tracks and renumber the rest."""
    rows = keep[observations.track_index]
    renumbered = np.cumsum(keep) - 1
    return Observations(
        renumbered[observations.track_index[rows]].astype(np.int64),
        observations.frame_index[rows],
        observations.xy[rows],
        observations.source[rows],
    )


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
