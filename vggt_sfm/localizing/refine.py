"""Adjusts what is new in an extended model, and nothing else."""

from __future__ import annotations

import numpy as np
import pycolmap

from vggt_sfm.io.opened import observed
from vggt_sfm.localizing.tracks import error_px

_LOSS_PX = 1.0  # of the Cauchy loss; COLMAP's where it refines the pose of a new image


def refine_new(
    model: pycolmap.Reconstruction, old: pycolmap.Reconstruction, max_error_px: float
) -> None:
    """Adjust the poses of new images, new cameras and new points together, in place.

    Args:
        model: The extended model.
        old: What it was before; all of that is held.
        max_error_px: Observations that were added and do not fit better in the end are taken out;
            px at 518.
    """
    problem = _problem(model, old)
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)
    options.refine_sensor_from_rig = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = _LOSS_PX
    options.ceres.solver_options.num_threads = 1  # equal runs give equal results
    pycolmap.create_default_bundle_adjuster(options, problem, model).solve()
    for frame_id in problem.constant_rig_from_world_poses:
        # Held ones come back with quaternions of length one, which moves their last bit.
        model.frame(frame_id).rig_from_world = old.frame(frame_id).rig_from_world
    for image_id in sorted(problem.images):
        _drop_outliers(model, old, image_id, max_error_px)
    model.update_point_3d_errors()


def _problem(
    model: pycolmap.Reconstruction, old: pycolmap.Reconstruction
) -> pycolmap.BundleAdjustmentConfig:
    """Choose the new images, and the old ones that see new points; hold what is old."""
    problem = pycolmap.BundleAdjustmentConfig()
    fresh = [point for i, point in model.points3D.items() if not old.exists_point3D(i)]
    seeing = {element.image_id for point in fresh for element in point.track.elements}
    new = {image_id for image_id in model.images if not old.exists_image(image_id)}
    for image_id in sorted(seeing | new):
        image = model.image(image_id)
        problem.add_image(image_id)
        if old.exists_image(image_id):
            problem.set_constant_rig_from_world_pose(image.frame_id)
        if old.exists_camera(image.camera_id):
            problem.set_constant_cam_intrinsics(image.camera_id)
        for point in image.points2D:
            if point.has_point3D() and old.exists_point3D(point.point3D_id):
                problem.add_constant_point(point.point3D_id)
    return problem


def _drop_outliers(
    model: pycolmap.Reconstruction,
    old: pycolmap.Reconstruction,
    image_id: int,
    max_error_px: float,
) -> None:
    image = model.image(image_id)
    is_old = old.exists_image(image_id)
    places = [k for k, point in enumerate(image.points2D) if point.has_point3D()]
    seen = observed(model, image)
    camera = model.camera(image.camera_id)
    limit = error_px(max_error_px, (camera.width, camera.height))
    bad = ~(seen.errors_px <= limit)  # none behind the camera either
    for row in np.flatnonzero(bad).tolist():
        if not (is_old and old.exists_point3D(int(seen.point_ids[row]))):
            model.delete_observation(image_id, places[row])
