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
# By how much a position of the network may be wrong before it is refined, px of its input.
_COARSE_REACH = 2.5


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
    observations = _linked(config, scene, found, read_mask)
    if config.refine:
        observations = _refined(
            scene, observations, _coarse(found), guidance, read_image, read_mask, progress
        )
    xyz = seed_points(scene, predictions, observations)
    has_depth: Bool = np.asarray(np.isfinite(xyz).all(axis=1))
    observations, xyz = _keep_tracks(observations, has_depth), xyz[has_depth]
    color = _colors(scene, observations, len(xyz), read_image, progress)
    names = tuple(matches.source for matches in found)
    # a track is of the most exact source that saw it
    source_of = np.full(len(xyz), len(names), np.uint8)
    np.minimum.at(source_of, observations.track_index, observations.source)
    tracks = Tracks(
        track_index=observations.track_index,
        frame_index=observations.frame_index,
        xy=observations.xy,
        xyz=xyz,
        color=color,
        source=source_of,
        source_names=names,
    )
    _log(tracks, int(np.sum(~has_depth)))
    return tracks


def _log(tracks: Tracks, num_dropped: int) -> None:
    _logger.info(
        "tracks: %d with %d observations (%s); %d without depth dropped",
        len(tracks.xyz),
        len(tracks.xy),
        ", ".join(
            f"{name} {np.sum(tracks.source == k)}" for k, name in enumerate(tracks.source_names)
        ),
        num_dropped,
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
    config: TrackConfig, scene: Scene, found: list[VerifiedMatches], read_mask: ReadMask
) -> Observations:
    """Join all matches; the network's own fill what the others left."""
    widths = np.array([max(frame.size) for frame in scene.frames]) / _REFERENCE_WIDTH_PX
    radii = config.merge_px * widths, config.conflict_px * widths
    coarse = _coarse(found)
    if coarse == len(found):
        return link(found, *radii)
    # its positions are means, which may lie on the other side of a mask's border
    extra = without_masked(found[coarse], scene.frames, read_mask)
    exact = link(found[:coarse], *radii)
    observations = link([*found[:coarse], where_sparse(extra, exact, scene.frames)], *radii)
    return _keep_tracks(observations, without_crowds(observations, coarse, scene.frames))


def _coarse(found: list[VerifiedMatches]) -> int:
    """Return the number of the network's own matches, the last; one more where there are none."""
    return len(found) - (len(found) > 0 and found[-1].source == PredictedSource.name)


def _refined(
    scene: Scene,
    observations: Observations,
    coarse: int,
    guidance: Guidance,
    read_image: ReadImage,
    read_mask: ReadMask,
    progress: Progress,
) -> Observations:
    """Align positions at the photographs' resolution; those of the network may be far off."""
    network_px = np.array([1 / min(m.scale) for m in scene.pixel_maps])[observations.frame_index]
    reach_px = np.where(observations.source == coarse, _COARSE_REACH * network_px, 0.0)
    xy, rows = refine_positions(observations, reach_px, scene, guidance, read_image, progress)
    for s, frame in enumerate(scene.frames):
        here = rows[observations.frame_index[rows] == s]
        usable = on_usable_pixels(xy[here], read_mask(frame))
        xy[here[~usable]] = observations.xy[here[~usable]]
    _logger.debug("tracks: %d positions refined", len(rows))
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
