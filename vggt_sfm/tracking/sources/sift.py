"""SIFT features, matched over the whole image by pycolmap."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pycolmap

from vggt_sfm._checks import Int64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.scene import Scene
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.features import (
    Features,
    match_until_enough,
    verified_places,
)
from vggt_sfm.tracking.masks import ReadMask, no_mask
from vggt_sfm.tracking.matches import (
    ReadImage,
    VerifiedMatches,
    verified_matches,
)

_logger = get_logger(__name__)

# Between two blocks of pairs pycolmap looks for Ctrl-C; smaller blocks rebuild search indices.
_PAIRS_A_BLOCK = 200
_COLMAP_WARNING = 1


class SiftSource:
    """Matches of SIFT features, exhaustive over the pairs that are asked for."""

    name = "sift"

    def __init__(
        self, config: TrackConfig, read_image: ReadImage, read_mask: ReadMask = no_mask
    ) -> None:
        self._config = config
        self._read_image = read_image
        self._read_mask = read_mask

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
            return verified_matches(self.name, [np.empty((0, 2))] * len(scene.frames), {})
        return match_until_enough(
            scene.frames,
            self._config,
            self._read_image,
            self._read_mask,
            progress,
            lambda features: self._match_features(features, scene, pairs, progress),
        )

    def _match_features(
        self, features: list[Features], scene: Scene, pairs: Int64, progress: Progress
    ) -> VerifiedMatches:
        candidates = self._match_descriptors(features, pairs, progress)
        verified: dict[tuple[int, int], Int64] = {}
        with progress.task("verify", len(candidates)) as task:
            for (first, second), rows in candidates.items():
                verified[first, second] = verified_places(
                    (features[first], features[second]),
                    (scene.frames[first].size, scene.frames[second].size),
                    rows,
                    self._config,
                )
                task.advance()
        return verified_matches(self.name, [found.positions for found in features], verified)

    def _match_descriptors(
        self, features: list[Features], pairs: Int64, progress: Progress
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
            _quiet_pycolmap(),
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


def _write_database(path: Path, features: list[Features]) -> None:
    """Write features under the names 0, 1, … (file names may hold spaces; a pair list may not)."""
    with pycolmap.Database.open(path) as database:
        camera = pycolmap.Camera(model="SIMPLE_PINHOLE", width=1, height=1, params=[1, 0.5, 0.5])
        camera_id = database.write_camera(camera)
        for s, found in enumerate(features):
            image = pycolmap.Image(name=str(s), camera_id=camera_id, image_id=s + 1)
            image_id = database.write_image(image, use_image_id=True)
            database.write_keypoints(image_id, found.keypoints)
            descriptors = pycolmap.FeatureDescriptors(
                pycolmap.FeatureExtractorType.SIFT, found.descriptors
            )
            database.write_descriptors(image_id, descriptors)


@contextmanager
def _quiet_pycolmap() -> Iterator[None]:
    """Hold back pycolmap's progress lines, which would go to stderr as they please."""
    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = max(level, _COLMAP_WARNING)
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = level
