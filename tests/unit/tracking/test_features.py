"""Where SIFT features lie, on images whose features are known, and how closely it looks."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import plain_scene

from vggt_sfm._log import SilentProgress
from vggt_sfm.scene import Size
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.features import (
    LOOKING_CLOSER,
    Features,
    closer_look,
    extract_features,
    match_until_enough,
    usual_look,
)
from vggt_sfm.tracking.masks import no_mask
from vggt_sfm.tracking.matches import VerifiedMatches, verified_matches
from vggt_sfm.tracking.threads import opencv_threads

BLOBS = np.array([[40.3, 30.2], [100.25, 50.5], [60.5, 90.75], [140.8, 100.1]])
SIGMA = 3.0


def blobs() -> NDArray[np.uint8]:
    """Bright blobs on grey, centred at BLOBS; the first pixel's centre is at 0.5."""
    y, x = np.mgrid[:128, :180] + 0.5
    image = np.full(x.shape, 60.0)
    for bx, by in BLOBS:
        image += 150 * np.exp(-((x - bx) ** 2 + (y - by) ** 2) / (2 * SIGMA**2))
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def clouds() -> NDArray[np.uint8]:
    """Blurred noise: many features of all contrasts."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (128, 180, 3), dtype=np.uint8), (0, 0), 2)
    return np.asarray(cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX))  # type: ignore[call-overload]


def extract(image: NDArray[np.uint8], config: TrackConfig) -> Features:
    frame = plain_scene(1, Size(image.shape[1], image.shape[0])).frames[0]
    (found,) = extract_features([frame], config, lambda f: image, no_mask, SilentProgress())
    return found


@pytest.mark.parametrize("zoom", [1.0, 1.4, 2.0])
def test_features_are_where_the_blobs_are(zoom: float) -> None:
    found = extract(blobs(), TrackConfig(feature_zoom=zoom))
    distance = np.linalg.norm(found.keypoints[None, :, :2] - BLOBS[:, None], axis=2)
    assert distance.min(axis=1).max() < 0.15  # half a pixel off is another convention
    nearest = found.keypoints[distance.argmin(axis=1)]
    np.testing.assert_allclose(nearest[:, 2], SIGMA, rtol=0.25)  # as big as the blobs, any zoom


def test_a_limit_on_size_reduces_the_zoom() -> None:
    limited = extract(blobs(), TrackConfig(feature_zoom=2.0, max_image_size=180))
    equal = extract(blobs(), TrackConfig(feature_zoom=1.0))
    np.testing.assert_array_equal(limited.keypoints, equal.keypoints)


def test_descriptors_are_root_sift() -> None:
    descriptors = extract(clouds(), TrackConfig()).descriptors.astype(float)
    assert len(descriptors) > 20
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 512, rtol=0.02)


def test_the_number_of_features_is_limited() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (128, 180, 3), dtype=np.uint8)
    assert len(extract(image, TrackConfig(max_features=50)).positions) <= 50


def test_opencv_uses_the_threads_that_were_asked_for_and_forgets_them() -> None:
    before = cv2.getNumThreads()
    with opencv_threads(before + 1):
        assert cv2.getNumThreads() == before + 1
        with opencv_threads(0):
            assert cv2.getNumThreads() == cv2.getNumberOfCPUs()
    assert cv2.getNumThreads() == before


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 400)])
def test_tiny_images_have_no_features_and_no_error(size: tuple[int, int]) -> None:
    assert extract(np.full((*size, 3), 9, np.uint8), TrackConfig()).keypoints.shape == (0, 4)


@pytest.mark.parametrize(("points", "looks"), [(149, 2), (150, 1)])
def test_few_matches_are_a_reason_for_a_closer_look(
    points: int, looks: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    seen = []

    def match(features: list[Features]) -> VerifiedMatches:
        seen.append(features)
        xy = np.zeros((points, 2)) + np.arange(points)[:, None]
        rows = np.stack([np.arange(points)] * 2, axis=1)
        return verified_matches("test", [xy, xy], {(0, 1): rows})

    frames = plain_scene(2, Size(180, 128)).frames
    match_until_enough(frames, TrackConfig(), lambda f: clouds(), no_mask, SilentProgress(), match)
    assert len(seen) == looks
    assert (LOOKING_CLOSER in caplog.text) == (looks == 2)  # the comparison of cost reads it
    if looks == 2:
        assert len(seen[1][0].keypoints) > len(seen[0][0].keypoints)


def test_many_photographs_are_not_enlarged_and_a_given_zoom_is_kept() -> None:
    usual = TrackConfig()
    assert usual_look(usual, 24).feature_zoom == 1.4
    assert usual_look(usual, 25).feature_zoom == 1.0
    given = replace(usual, feature_zoom=0.7)
    assert usual_look(given, 100) == given
    closer = closer_look(usual)
    assert closer.feature_zoom == 2.0
    assert closer.max_features > usual.max_features
    assert closer.peak_threshold < usual.peak_threshold
