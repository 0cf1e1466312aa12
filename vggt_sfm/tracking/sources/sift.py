"""SIFT features at full resolution, matched by descriptor and verified by geometry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm._checks import Float32, Float64, Int64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Frame, Scene
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.matches import ReadImage, VerifiedMatches
from vggt_sfm.tracking.verification import verified_rows

_logger = get_logger(__name__)

# Between two blocks of pairs pycolmap looks for Ctrl-C; smaller blocks rebuild search indices.
_PAIRS_A_BLOCK = 200
_COLMAP_WARNING = 1
# On ten tourist photos whose images had 120 to 560 matched points, doubling raised the AUC@5
# after adjustment from about 45 to 84; scenes with more points did not gain from it.
_ENOUGH_POINTS = 250
_LARGEST_TO_DOUBLE_PX = 1600


class _Features(NamedTuple):
    keypoints: Float32  # (K, 4) x, y, scale, orientation, original px
    descriptors: pycolmap.FeatureDescriptors
    positions: Float64  # (U, 2) the distinct x, y
    position_of: Int64  # (K,) row in ``positions``: a point with two orientations is one point


class SiftSource:
    """Matches of SIFT features, exhaustive over the pairs that are asked for."""

    name = "sift"

    def __init__(self, config: TrackConfig, read_image: ReadImage) -> None:
        self._config = config
        self._read_image = read_image

    def match(self, scene: Scene, pairs: Int64, progress: Progress) -> VerifiedMatches:
        """Extract, match and verify; images without features simply have no matches.

        Args:
            scene: The frames, read at their full upright size.
            pairs: (P, 2) frame indices, first < second.
            progress: Counts images, then pairs.

        Returns:
            Verified matches of the pairs that have any.
        """
        if not len(pairs):
            return VerifiedMatches(
                source=self.name,
                keypoints=(np.empty((0, 2)),) * len(scene.frames),
                pairs=np.empty((0, 2), np.int64),
                matches=(),
            )
        if self._config.first_octave is not None:
            return self._match_at(self._config.first_octave, scene, pairs, progress)
        verified = self._match_at(0, scene, pairs, progress)
        if (
            _is_sparse(verified)
            and max(max(frame.size) for frame in scene.frames) <= _LARGEST_TO_DOUBLE_PX
        ):
            _logger.info("sift: few matches at full size; matching again at double size")
            verified = self._match_at(-1, scene, pairs, progress)
        return verified

    def _match_at(
        self, first_octave: int, scene: Scene, pairs: Int64, progress: Progress
    ) -> VerifiedMatches:
        with _quiet_pycolmap():
            features = self._extract(first_octave, scene.frames, progress)
            candidates = self._match_descriptors(features, pairs, progress)
            verified: dict[tuple[int, int], Int64] = {}
            with progress.task("verify", len(candidates)) as task:
                for (first, second), rows in candidates.items():
                    points = np.stack(
                        [
                            features[first].position_of[rows[:, 0]],
                            features[second].position_of[rows[:, 1]],
                        ],
                        axis=1,
                    )
                    kept = self._verify(scene, features, (first, second), np.unique(points, axis=0))
                    if len(kept):
                        verified[first, second] = kept
                    task.advance()
        _logger.debug("sift: %d of %d pairs verified", len(verified), len(pairs))
        return VerifiedMatches(
            source=self.name,
            keypoints=tuple(found.positions for found in features),
            pairs=np.array(list(verified), np.int64).reshape(-1, 2),
            matches=tuple(verified.values()),
        )

    def _extract(
        self, first_octave: int, frames: tuple[Frame, ...], progress: Progress
    ) -> list[_Features]:
        options = pycolmap.FeatureExtractionOptions()
        options.use_gpu = False
        options.num_threads = self._config.threads or -1
        options.sift.max_num_features = self._config.max_features
        options.sift.first_octave = first_octave
        extractor = pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
        features = []
        with progress.task("features", len(frames)) as task:
            for frame in frames:
                bitmap = pycolmap.Bitmap.from_array(self._read_image(frame)).clone_as_grey()
                if max(frame.size) > self._config.max_image_size:
                    bitmap.thumbnail(self._config.max_image_size)
                found, descriptors = extractor.extract(bitmap)
                keypoints = pycolmap.keypoints_to_matrix(found)
                keypoints[:, 0] *= frame.size.width / bitmap.width
                keypoints[:, 1] *= frame.size.height / bitmap.height
                positions, position_of = np.unique(keypoints[:, :2], axis=0, return_inverse=True)
                features.append(
                    _Features(
                        keypoints, descriptors, positions.astype(np.float64), position_of.ravel()
                    )
                )
                _logger.debug("sift: %s has %d features", frame.name, len(keypoints))
                task.advance()
        return features

    def _match_descriptors(
        self, features: list[_Features], pairs: Int64, progress: Progress
    ) -> dict[tuple[int, int], Int64]:
        """Return (n, 2) feature rows of every pair that has enough candidates, in pair order."""
        rich = [len(found.keypoints) >= self._config.min_inliers for found in features]
        wanted = [(int(i), int(j)) for i, j in pairs if rich[i] and rich[j]]
        if not wanted:
            return {}
        options = pycolmap.FeatureMatchingOptions()
        options.use_gpu = False
        options.num_threads = self._config.threads or -1
        options.skip_geometric_verification = True
        options.sift.max_ratio = self._config.max_ratio
        with (
            tempfile.TemporaryDirectory(prefix="vggt-sfm-sift-") as folder,
            progress.task("match", None),
        ):
            database_path = Path(folder) / "features.db"
            _write_database(database_path, features)
            pairing = pycolmap.ImportedPairingOptions()
            pairing.match_list_path = Path(folder) / "pairs.txt"
            pairing.block_size = _PAIRS_A_BLOCK
            pairing.match_list_path.write_text("".join(f"{i} {j}\n" for i, j in wanted))
            pycolmap.match_image_pairs(
                database_path,
                matching_options=options,
                pairing_options=pairing,
                device=pycolmap.Device.cpu,
            )
            with pycolmap.Database.open(database_path) as database:
                found = {
                    (i, j): database.read_matches(i + 1, j + 1).astype(np.int64).reshape(-1, 2)
                    for i, j in wanted
                }
        return {pair: rows for pair, rows in found.items() if len(rows)}

    def _verify(
        self, scene: Scene, features: list[_Features], pair: tuple[int, int], rows: Int64
    ) -> Int64:
        first, second = pair
        kept = verified_rows(
            (features[first].positions[rows[:, 0]], features[second].positions[rows[:, 1]]),
            (scene.frames[first].size, scene.frames[second].size),
            max_error_px=self._config.max_error_px,
            min_inliers=self._config.min_inliers,
            seed=self._config.seed,
        )
        return rows[kept]


def _is_sparse(verified: VerifiedMatches) -> bool:
    """Say whether a quarter of the images have too few matched points."""
    matched: list[list[Int64]] = [[] for _ in verified.keypoints]
    for (i, j), rows in zip(verified.pairs.tolist(), verified.matches, strict=True):
        matched[i].append(rows[:, 0])
        matched[j].append(rows[:, 1])
    counts = [len(np.unique(np.concatenate(rows))) if rows else 0 for rows in matched]
    return bool(np.quantile(counts, 0.25) < _ENOUGH_POINTS)


def _write_database(path: Path, features: list[_Features]) -> None:
    """Write features under the names 0, 1, … (file names may hold spaces; a pair list may not)."""
    with pycolmap.Database.open(path) as database:
        camera = pycolmap.Camera(model="SIMPLE_PINHOLE", width=1, height=1, params=[1, 0.5, 0.5])
        camera_id = database.write_camera(camera)
        for s, found in enumerate(features):
            image = pycolmap.Image(name=str(s), camera_id=camera_id, image_id=s + 1)
            image_id = database.write_image(image, use_image_id=True)
            database.write_keypoints(image_id, found.keypoints)
            database.write_descriptors(image_id, found.descriptors)


@contextmanager
def _quiet_pycolmap() -> Iterator[None]:
    """Hold back pycolmap's progress lines, which would go to stderr as they please."""
    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = max(level, _COLMAP_WARNING)
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = level
