"""The ways to another start, each from what the ladder knows at that time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm._checks import Float64
from vggt_sfm.ba.bundle import (
    Bundle,
    pixels_a_reference_pixel,
    read_bundle,
    with_focal_lengths,
    write_bundle,
)
from vggt_sfm.ba.global_cameras import global_cameras
from vggt_sfm.ba.left_out import resected
from vggt_sfm.ba.relift import with_cameras
from vggt_sfm.ba.seed import seed_reconstruction
from vggt_sfm.ba.selection import largest_component
from vggt_sfm.inference.given import GivenPredictor
from vggt_sfm.pipelines.keys import database_key, how_to_predict
from vggt_sfm.pipelines.ladder import Ladder, Start
from vggt_sfm.pipelines.stage import Artifact, fingerprint
from vggt_sfm.pipelines.stages import PREDICT, TRACK
from vggt_sfm.scene import Scene
from vggt_sfm.tracking.config import LARGEST_ZOOM
from vggt_sfm.tracking.seeding import sample_depth

if TYPE_CHECKING:
    import pycolmap

Rung = Callable[[Ladder], Start | str]
"""Returns another start, or why there is none."""

_MOST_FOR_ALL_PAIRS = 50  # images: beyond, matching every pair takes too long


def left_out(ladder: Ladder) -> Start | str:
    """Keep what is placed well, and place the other images by its points."""
    lost = ladder.misplaced
    if ladder.best.adjusted.report.status != "refined" or not lost:
        return "no part of the model is placed well"
    if len(ladder.scene.value.frames) - len(lost) < 2:
        return "fewer than two images are placed well"
    found, poses = _placed_again(ladder, ladder.best.start, lost)
    if not found:
        return "points of the other images place none of them"
    return poses


def _placed_again(ladder: Ladder, start: Start, lost: Collection[str]) -> tuple[int, Start]:
    """Put the best cameras into a start; place lost ones by what the others see, where possible."""
    model = read_bundle(ladder.best.adjusted.model)
    seed = _with(ladder, read_bundle(start.seed), model.cam_from_world, model.cameras)
    poses = resected(seed, lost, ladder.config.track.seed)
    found = np.isfinite(poses).all(axis=(1, 2)).sum() - (len(seed.names) - len(lost))
    return int(found), _changed(start, _with(ladder, seed, poses, seed.cameras))


def focal(longer_sides: float) -> Rung:
    """Start from predicted poses with another focal length."""

    def rung(ladder: Ladder) -> Start | str:
        start = ladder.plain.start
        return _changed(start, with_focal_lengths(read_bundle(start.seed), longer_sides))

    return rung


def reference(name: str, order: list[int]) -> Rung:
    """Ask the network again, with other images first."""

    def rung(ladder: Ladder) -> Start | str:
        if isinstance(ladder.predictor.value, GivenPredictor):
            return "the prediction was given"
        scene = ladder.scene
        reordered = Scene(
            frames=tuple(scene.value.frames[s] for s in order),
            pixel_maps=tuple(scene.value.pixel_maps[s] for s in order),
        )
        predictions = ladder.run(
            PREDICT,
            how_to_predict(ladder.config.predict),
            aside=name,
            scene=Artifact(fingerprint((scene.key, order)), reordered),
            predictor=ladder.predictor,
        )
        poses = predictions.value.cam_from_world[np.argsort(order)]
        start = ladder.plain.start
        seed = read_bundle(start.seed)
        return _changed(start, _with(ladder, seed, poses, seed.cameras))

    return rung


def more_matches(ladder: Ladder) -> Start | str:
    """Look closer at the photographs, and over whole images; start from the best cameras."""
    config = ladder.config.track
    closer = replace(
        config,
        database=None,
        sift=len(ladder.scene.value.frames) <= _MOST_FOR_ALL_PAIRS,
        feature_zoom=LARGEST_ZOOM,
        max_features=4 * config.max_features,  # where little is found, twice was tried already
        peak_threshold=config.peak_threshold / 4,
    )
    tracks = ladder.run(
        TRACK,
        closer,
        aside="more matches",
        scene=ladder.scene,
        predictions=ladder.predictions,
        database=Artifact(database_key(config.database), config.database),
    )
    seed = seed_reconstruction(
        ladder.scene.value,
        ladder.predictions.value,
        tracks.value,
        ladder.config.seed,
        ladder.knowledge.value,
    )
    ladder.closer = start = Start(seed=seed, tracks=tracks)
    ladder.closer_unconnected = _unconnected(read_bundle(seed))
    if ladder.best.adjusted.report.status != "refined":
        return start
    return _placed_again(ladder, start, ladder.best.trouble.images)[1]


def _unconnected(bundle: Bundle) -> frozenset[str]:
    reached = largest_component(bundle, np.ones(len(bundle.xy), bool))
    return frozenset(np.array(bundle.names)[~reached].tolist())


def without_prediction(ladder: Ladder) -> Start | str:
    """Place all images by the relative poses of pairs alone."""
    start, best = ladder.closer or ladder.best.start, ladder.best.adjusted
    seed = read_bundle(start.seed)
    if best.report.status == "refined":  # its focal lengths may be better than the prediction's
        seed = replace(seed, cameras=read_bundle(best.model).cameras)
    found = global_cameras(
        seed,
        np.ones(len(seed.xy), bool),
        px=pixels_a_reference_pixel(seed),
        seed=ladder.config.track.seed,
    )
    if found is None:
        return "too few pairs of images agree"
    return _changed(start, _with(ladder, seed, found.cam_from_world, found.cameras))


def _with(
    ladder: Ladder,
    seed: Bundle,
    cam_from_world: Float64,
    cameras: tuple[pycolmap.Camera, ...],
) -> Bundle:
    """Put other cameras into a start; NaN keeps what is there. Points follow predicted depth."""
    rows_of = {frame.name: s for s, frame in enumerate(ladder.scene.value.frames)}
    depth = np.full(len(seed.xy), np.nan)
    for s, name in enumerate(seed.names):
        rows, frame = np.flatnonzero(seed.image_of == s), rows_of[name]
        network_xy = ladder.scene.value.pixel_maps[frame].to_network(seed.xy[rows])
        depth[rows] = sample_depth(ladder.predictions.value.depth[frame], network_xy)
    return with_cameras(seed, cam_from_world, cameras, depth)


def _changed(start: Start, bundle: Bundle) -> Start:
    return replace(start, seed=write_bundle(bundle, start.seed, np.ones(len(bundle.xy), bool)))
