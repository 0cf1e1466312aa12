"""What a run starts from: photographs, and what the user knows of their cameras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vggt_sfm._log import get_logger
from vggt_sfm.ba.knowledge import KnownCamera, KnownRig
from vggt_sfm.inference.given import GivenPredictor
from vggt_sfm.io.images import ImageFile
from vggt_sfm.io.masks import find_masks
from vggt_sfm.models.choice import model_preprocessing
from vggt_sfm.pipelines.config import ReconstructConfig
from vggt_sfm.pipelines.gather import without_choice
from vggt_sfm.pipelines.keys import content_key, file_key, mask_key
from vggt_sfm.pipelines.run import Run
from vggt_sfm.pipelines.stage import Artifact, fingerprint
from vggt_sfm.pipelines.stages import INGEST, KNOW
from vggt_sfm.placing.place import check_place
from vggt_sfm.priors.intrinsics import known_cameras
from vggt_sfm.priors.poses import GivenPoses, given_poses
from vggt_sfm.priors.rig import known_rigs
from vggt_sfm.priors.world import KnownWorld, into_known_world
from vggt_sfm.scene import Predictions, Scene, SkippedFile

if TYPE_CHECKING:
    from vggt_sfm.inference import Predictor

_logger = get_logger(__name__)


def ingested(
    run: Run,
    files: list[ImageFile],
    left_out: tuple[SkippedFile, ...],
    config: ReconstructConfig,
    predictor: Predictor,
) -> Artifact[Scene]:
    """Read the photographs' headers; warn of files that are left out.

    Raises:
        InputError: If no photograph is left, or masks, the rig or places do not fit.
    """
    masks = find_masks(config.ingest.masks, files) if config.ingest.masks else {}
    preprocessing = (
        predictor.size
        if isinstance(predictor, GivenPredictor)
        else model_preprocessing(config.predict)
    )
    scene = run(
        INGEST,
        without_choice(config.ingest),
        files=Artifact(content_key(files), files),
        masks=Artifact(mask_key(masks), masks),
        rig=Artifact(file_key(config.ingest.rig), config.ingest.rig),
        preprocessing=Artifact(fingerprint(preprocessing), preprocessing),
    )
    skipped = (*scene.value.skipped, *left_out)
    scene = Artifact(scene.key, replace(scene.value, skipped=skipped))
    for entry in skipped:
        _logger.warning("left out %s: %s", entry.name, entry.reason)
    check_place(config.place, scene.value.frames)
    return scene


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Given:
    """What the user says of cameras, as given."""

    poses: Artifact[GivenPoses]
    cameras: Artifact[tuple[KnownCamera, ...]]
    rigs: Artifact[tuple[KnownRig, ...]]


def given_by_user(config: ReconstructConfig, scene: Scene) -> Given:
    """Read what the user knows of cameras; before long work, because it may not fit.

    Raises:
        InputError: If it does not.
    """
    poses = given_poses(config.prior, scene.frames)
    cameras = known_cameras(config.prior, config.seed.camera_model, scene.frames)
    rigs = known_rigs(config.ingest.rig, scene.frames)
    return Given(
        poses=Artifact(fingerprint(poses), poses),
        cameras=Artifact(fingerprint(cameras), cameras),
        rigs=Artifact(fingerprint(rigs), rigs),
    )


def in_known_world(
    run: Run,
    config: ReconstructConfig,
    given: Given,
    scene: Artifact[Scene],
    predictions: Artifact[Predictions],
) -> tuple[Artifact[KnownWorld], Artifact[Predictions]]:
    """Find the world in which the user knows cameras, and bring predictions there."""
    world = run(
        KNOW,
        replace(config.prior, poses=None, intrinsics=None),  # their content is an input
        given=given.poses,
        cameras=given.cameras,
        rigs=given.rigs,
        scene=scene,
        predictions=predictions,
    )
    if world.value == KnownWorld():
        return world, predictions
    moved = into_known_world(predictions.value, scene.value, world.value)
    return world, Artifact(world.key, moved)
