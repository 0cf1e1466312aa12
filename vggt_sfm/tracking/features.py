"""SIFT features of photographs, extracted by OpenCV and described as COLMAP describes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from vggt_sfm._checks import Float32, Float64, Int64, UInt8
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Frame, Size
from vggt_sfm.tracking.config import LARGEST_ZOOM, TrackConfig
from vggt_sfm.tracking.masks import ReadMask, on_usable_pixels
from vggt_sfm.tracking.matches import ReadImage, VerifiedMatches, matched_counts
from vggt_sfm.tracking.verification import verified_rows

_logger = get_logger(__name__)

# Measured on shared/data: on 11 photographs a zoom of 1.4 is as exact as 2 at half its cost; 60
# photographs of a scene overlap more than they need to, and lose nothing at 1.
_FEW_FRAMES, _ZOOM_OF_FEW, _ZOOM_OF_MANY = 24, 1.4, 1.0
LOOKING_CLOSER = "few points were matched; matching again with a closer look"
_LAYERS = 3  # scales an octave
_UINT8_SCALE = 512  # of unit vectors, as COLMAP and SIFT's author store them


class Features(NamedTuple):
    """What SIFT finds in one photograph."""

    keypoints: Float32  # (K, 4) x, y, scale, orientation, original px
    descriptors: UInt8  # (K, 128)
    positions: Float64  # (U, 2) the distinct x, y
    position_of: Int64  # (K,) row in ``positions``: a point with two orientations is one point


def extract_features(
    frames: Sequence[Frame],
    config: TrackConfig,
    read_image: ReadImage,
    read_mask: ReadMask,
    progress: Progress,
) -> list[Features]:
    """Extract the features of each frame.

    Args:
        frames: The photographs.
        config: Zoom, contrast and number of features.
        read_image: Returns a frame's upright (H, W, 3) RGB pixels.
        read_mask: Returns a frame's usable pixels; features on others are left out.
        progress: Counts images.

    Returns:
        One entry a frame; positions in original px whatever the zoom.
    """
    sift = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=config.max_features,
        nOctaveLayers=_LAYERS,
        contrastThreshold=config.peak_threshold * _LAYERS,
        enable_precise_upscale=True,
    )
    features = []
    with progress.task("features", len(frames)) as task:
        for frame in frames:
            keypoints, descriptors = _detect(sift, read_image(frame), config)
            usable = on_usable_pixels(keypoints[:, :2].astype(np.float64), read_mask(frame))
            features.append(_features(keypoints[usable], descriptors[usable]))
            _logger.debug("sift: %s has %d features", frame.name, int(usable.sum()))
            task.advance()
    return features


def _detect(sift: cv2.Feature2D, image: UInt8, config: TrackConfig) -> tuple[Float32, UInt8]:
    """Return (K, 4) x, y, scale, orientation in px of the image, and (K, 128) descriptors."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    zoom = min(config.feature_zoom or LARGEST_ZOOM, config.max_image_size / max(grey.shape))
    if zoom < LARGEST_ZOOM:
        small = [max(1, round(side * zoom / LARGEST_ZOOM)) for side in grey.shape[::-1]]
        grey = cv2.resize(grey, small, interpolation=cv2.INTER_AREA)
    found, described = sift.detectAndCompute(grey, None)
    if not found:
        return np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8)
    xy = np.array([k.pt for k in found]) + 0.5  # OpenCV counts from the centre of the first pixel
    scale = np.array(image.shape[1::-1], np.float32) / grey.shape[::-1]
    others = np.array([(k.size / 2 * scale.max(), np.deg2rad(k.angle)) for k in found])
    keypoints = np.hstack([xy * scale, others]).astype(np.float32)
    return keypoints, _root(np.asarray(described, np.float32))


def _root(descriptors: Float32) -> UInt8:
    """Make SIFT's descriptors RootSIFT, whose distances match better.

    Source: Arandjelović and Zisserman, "Three things everyone should know to improve object
    retrieval", CVPR 2012.
    """
    share = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    values = np.round(np.sqrt(share) * _UINT8_SCALE)
    return np.asarray(np.clip(values, 0, 255).astype(np.uint8))


def _features(keypoints: Float32, descriptors: UInt8) -> Features:
    positions, position_of = np.unique(keypoints[:, :2], axis=0, return_inverse=True)
    return Features(
        keypoints,
        np.array(descriptors, np.uint8),
        positions.astype(np.float64),
        position_of.ravel(),
    )


def match_until_enough(
    frames: Sequence[Frame],
    config: TrackConfig,
    read_image: ReadImage,
    read_mask: ReadMask,
    progress: Progress,
    match: Callable[[list[Features]], VerifiedMatches],
) -> VerifiedMatches:
    """Match features, and once more with a closer look where too few points were matched.

    Args:
        frames: The photographs.
        config: May name the zoom; how many points are enough.
        read_image: As for ``extract_features``.
        read_mask: Likewise.
        progress: Likewise.
        match: Matches the features of all frames.

    Returns:
        The matches that count.
    """

    def match_with(config: TrackConfig) -> VerifiedMatches:
        return match(extract_features(frames, config, read_image, read_mask, progress))

    found = match_with(usual_look(config, len(frames)))
    points = np.quantile(matched_counts(found), 0.25)
    if config.feature_zoom is not None or points >= config.enough_points:
        return found
    _logger.info("%s: %s", found.source, LOOKING_CLOSER)
    return match_with(closer_look(config))


def usual_look(config: TrackConfig, frames: int) -> TrackConfig:
    """Return the options with the zoom that so many frames are looked at with."""
    if config.feature_zoom is not None:
        return config
    return replace(config, feature_zoom=_ZOOM_OF_FEW if frames <= _FEW_FRAMES else _ZOOM_OF_MANY)


def closer_look(config: TrackConfig) -> TrackConfig:
    """Return options that find several times as many features, at as many times the cost."""
    return replace(
        config,
        feature_zoom=LARGEST_ZOOM,
        peak_threshold=config.peak_threshold / 2,
        max_features=config.max_features * 2,
    )


def verified_places(
    features: tuple[Features, Features], sizes: tuple[Size, Size], rows: Int64, config: TrackConfig
) -> Int64:
    """Keep the matches of a pair that one geometry explains.

    Args:
        features: Of both frames.
        sizes: Of both frames, px.
        rows: (n, 2) rows of their keypoints.
        config: Largest error, number of inliers and seed.

    Returns:
        (m, 2) rows of their distinct ``positions``, ascending.
    """
    first, second = features
    both = [first.position_of[rows[:, 0]], second.position_of[rows[:, 1]]]
    places = np.unique(np.stack(both, axis=1), axis=0)
    kept = verified_rows(
        (first.positions[places[:, 0]], second.positions[places[:, 1]]),
        sizes,
        max_error_px=config.max_error_px,
        min_inliers=config.min_inliers,
        seed=config.seed,
    )
    return np.asarray(places[kept])
