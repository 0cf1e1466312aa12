"""From photographs and a model to the extended model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pycolmap

from vggt_sfm._checks import Int64
from vggt_sfm._log import Progress, get_logger
from vggt_sfm.io.opened import observed
from vggt_sfm.localizing.config import LocalizeConfig
from vggt_sfm.localizing.extend import extend
from vggt_sfm.localizing.localize import Outcome, Photographs, localize
from vggt_sfm.localizing.matching import match_new
from vggt_sfm.localizing.poses import Pose
from vggt_sfm.localizing.refine import refine_new
from vggt_sfm.localizing.tracks import PointTracks, link_to_model
from vggt_sfm.tracking.config import TrackConfig
from vggt_sfm.tracking.features import LOOKING_CLOSER, closer_look, usual_look
from vggt_sfm.tracking.masks import ReadMask
from vggt_sfm.tracking.matches import ReadImage
from vggt_sfm.tracking.threads import opencv_threads

_logger = get_logger(__name__)


def register_photographs(
    model: pycolmap.Reconstruction,
    photos: Photographs,
    config: LocalizeConfig,
    *,
    read_image: ReadImage,
    read_mask: ReadMask,
    progress: Progress,
) -> tuple[pycolmap.Reconstruction, list[Outcome]]:
    """Find new photographs in a model, and add those that were found.

    Where some that have matches were not found, all are looked for once more with more features,
    among the photographs of the model that have matches.

    Args:
        model: The model, unchanged; it need not have points.
        photos: Its photographs and the new ones.
        config: Options.
        read_image: Returns a frame's (H, W, 3) RGB pixels.
        read_mask: Returns a frame's usable pixels.
        progress: Counts images, pairs and attempts.

    Returns:
        The model with the new images, points and observations, and the rest of it to the last bit
        as it was; and what became of each new photograph.
    """
    search = _Search(model, config, read_image, read_mask, progress)
    look = TrackConfig(seed=config.seed)
    found = search(photos, usual_look(look, len(photos.frames)))
    if any(outcome.pose is None and outcome.matched for outcome in found.outcomes):
        _logger.info("%s", LOOKING_CLOSER)
        again = search(photos.with_old(found.partners), closer_look(look))
        found = again if len(again.poses) >= len(found.poses) else found
    if not found.poses:
        return pycolmap.Reconstruction(model), found.outcomes
    extended = extend(model, found.photos, found.tracks, found.poses, config, read_image)
    refine_new(extended, model, config.max_error_px)
    return extended, found.outcomes


class _Found(NamedTuple):
    """What one look at the photographs has found."""

    photos: Photographs
    partners: Int64  # rows of old photographs with matches
    tracks: PointTracks
    outcomes: list[Outcome]

    @property
    def poses(self) -> dict[int, Pose]:
        """Poses of the new photographs that have one, by row."""
        pairs = zip(self.photos.new, self.outcomes, strict=True)
        return {s: outcome.pose for s, outcome in pairs if outcome.pose is not None}


@dataclass(frozen=True, slots=True)
class _Search:
    """Matches and localizes, with features of one kind."""

    model: pycolmap.Reconstruction
    config: LocalizeConfig
    read_image: ReadImage
    read_mask: ReadMask
    progress: Progress

    def __call__(self, photos: Photographs, look: TrackConfig) -> _Found:
        with opencv_threads(self.config.threads):
            matches = match_new(
                photos.frames,
                photos.first_new,
                self.config.neighbors,
                look,
                read_image=self.read_image,
                read_mask=self.read_mask,
                progress=self.progress,
            )
        images = [self.model.image(image_id) for image_id in photos.image_ids]
        seen = {s: observed(self.model, image) for s, image in enumerate(images)}
        tracks = link_to_model(matches, photos.frames, seen)
        outcomes = localize(self.model, photos, tracks, self.config, self.progress)
        partners = np.unique(matches.pairs[matches.pairs < photos.first_new])
        return _Found(photos, partners, tracks, outcomes)
