"""SIFT features of photographs, extracted by pycolmap at the photographs' own resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm._checks import Float32, Float64, Int64, UInt8
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Frame, Size
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.masks import ReadMask, on_usable_pixels
from vggt_sfm.tracking.matches import ReadImage, VerifiedMatches, matched_counts
from vggt_sfm.tracking.verification import verified_rows

_logger = get_logger(__name__)

_COLMAP_WARNING = 1
_LARGEST_TO_DOUBLE_PX = 1600


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
    *,
    first_octave: int,
) -> list[Features]:
    """Extract the features of each frame.

    Args:
        frames: The photographs.
        config: Number of features, largest size and threads.
        read_image: Returns a frame's upright (H, W, 3) RGB pixels.
        read_mask: Returns a frame's usable pixels; features on others are left out.
        progress: Counts images.
        first_octave: 0: the image as it is; -1: doubled first.

    Returns:
        One entry a frame; positions in original px wherever the image was reduced for it.
    """
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = config.threads or -1
    options.sift.max_num_features = config.max_features
    options.sift.first_octave = first_octave
    extractor = pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
    features = []
    with quiet_pycolmap(), progress.task("features", len(frames)) as task:
        for frame in frames:
            bitmap = pycolmap.Bitmap.from_array(read_image(frame)).clone_as_grey()
            if max(frame.size) > config.max_image_size:
                bitmap.thumbnail(config.max_image_size)
            found, descriptors = extractor.extract(bitmap)
            keypoints = pycolmap.keypoints_to_matrix(found)
            keypoints[:, 0] *= frame.size.width / bitmap.width
            keypoints[:, 1] *= frame.size.height / bitmap.height
            keypoints[:, 2] *= max(frame.size) / max(bitmap.width, bitmap.height)
            usable = on_usable_pixels(keypoints[:, :2].astype(np.float64), read_mask(frame))
            features.append(_features(keypoints[usable], np.asarray(descriptors.data)[usable]))
            _logger.debug("sift: %s has %d features", frame.name, int(usable.sum()))
            task.advance()
    return features


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
    """Match features at full size, and at double size where too few points were matched.

    Args:
        frames: The photographs.
        config: May name the first octave; how many points are enough.
        read_image: As for ``extract_features``.
        read_mask: Likewise.
        progress: Likewise.
        match: Matches the features of all frames.

    Returns:
        The matches that count.
    """

    def match_at(first_octave: int) -> VerifiedMatches:
        return match(
            extract_features(
                frames, config, read_image, read_mask, progress, first_octave=first_octave
            )
        )

    if config.first_octave is not None:
        return match_at(config.first_octave)
    found = match_at(0)
    sparse = np.quantile(matched_counts(found), 0.25) < config.enough_points
    if sparse and max(max(frame.size) for frame in frames) <= _LARGEST_TO_DOUBLE_PX:
        _logger.info("%s: few matches at full size; matching again at double size", found.source)
        found = match_at(-1)
    return found


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


@contextmanager
def quiet_pycolmap() -> Iterator[None]:
    """Hold back pycolmap's progress lines, which would go to stderr as they please."""
    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = max(level, _COLMAP_WARNING)
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = level
