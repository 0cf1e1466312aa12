"""Runs one case of the fuzz test as the pipeline would, and says what is wrong with the outcome."""

from __future__ import annotations

import json
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import numpy as np
import pycolmap

from vggt_sfm._checks import Float64
from vggt_sfm._log import SilentProgress
from vggt_sfm.ba.adjust import adjust
from vggt_sfm.ba.config import BundleConfig
from vggt_sfm.ba.report import BundleReport, ImageReport
from vggt_sfm.ba.seed import drop_points_behind_cameras, seed_reconstruction
from vggt_sfm.benchmarks.fuzz_cases import Case
from vggt_sfm.benchmarks.fuzz_inputs import Inputs, build_inputs
from vggt_sfm.io.colmap import poses_by_name, read_sparse, write_sparse
from vggt_sfm.scene import Scene

_STATUSES = get_args(get_type_hints(BundleReport)["status"])
_IMAGE_STATUSES = get_args(get_type_hints(ImageReport)["status"])
_OF_INPUTS = ("Predictions", "Tracks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a case ended."""

    kind: Literal["valid", "refused", "invalid", "exception", "crash"]
    """``refused``: by Predictions or Tracks, whose promises the case breaks; only the last three
    are failures."""
    detail: str = ""
    """The report's status and reason, or what is wrong."""
    warnings: tuple[str, ...] = ()
    """Python warnings on the way."""
    seconds: float = 0.0

    @property
    def is_failure(self) -> bool:
        """Whether something has to be mended."""
        return self.kind not in ("valid", "refused")


def run_case(case: Case) -> Outcome:
    """Run a case in this process; what it raises is part of the outcome."""
    started = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kind, detail = _run(case)
    return Outcome(
        kind=kind,
        detail=detail,
        warnings=tuple(
            sorted({f"{Path(w.filename).name}:{w.lineno}: {w.message}" for w in caught})
        ),
        seconds=time.monotonic() - started,
    )


def _run(case: Case) -> tuple[Literal["valid", "refused", "invalid", "exception"], str]:
    try:
        status, complaints = _reconstruct(build_inputs(case))
    except Exception as error:  # noqa: BLE001 - the border of the test
        broken = case.may_be_refused and isinstance(error, ValueError)
        if broken and str(error).startswith(_OF_INPUTS):
            return "refused", str(error)
        return "exception", traceback.format_exc(limit=-4)
    if complaints:
        return "invalid", f"{status}: {'; '.join(complaints)}"
    return "valid", status


def _reconstruct(inputs: Inputs) -> tuple[str, list[str]]:
    """Return the status of the adjustment and what is wrong with its model and report."""
    scene, predictions, tracks, seeding, bundle = inputs
    seed = seed_reconstruction(scene, predictions, tracks, seeding)
    visible = drop_points_behind_cameras(seed)
    adjusted, report = adjust(seed, bundle, SilentProgress())
    refined = report.status == "refined"
    complaints = [f"seed: {fault}" for fault in model_faults(seed, scene)]
    complaints += [f"adjusted: {fault}" for fault in model_faults(adjusted, scene)]
    complaints += report_faults(report, adjusted, scene)
    complaints += _promise_faults(report, adjusted, seed, bundle)
    # What the pipeline writes
    product = adjusted if refined else visible
    complaints += [f"product: {fault}" for fault in model_faults(product, scene)]
    complaints += [f"product: {fault}" for fault in _projection_faults(product)]
    complaints += round_trip_faults(product)
    return f"{report.status} {report.reason}".strip(), complaints


def model_faults(model: pycolmap.Reconstruction, scene: Scene) -> list[str]:
    """Say what is wrong with a model of a scene; empty where nothing is."""
    return list(dict.fromkeys([*_image_faults(model, scene), *_point_faults(model)]))


def _image_faults(model: pycolmap.Reconstruction, scene: Scene) -> Iterator[str]:
    images = {image.name: image for image in model.images.values()}
    if sorted(images) != sorted(frame.name for frame in scene.frames):
        yield f"{len(images)} images for {len(scene.frames)} frames"
        return
    for frame in scene.frames:
        image = images[frame.name]
        camera = model.camera(image.camera_id)
        if not image.has_pose or image.image_id not in model.reg_image_ids():
            yield "an image without pose"
            continue
        pose = image.cam_from_world()
        if not abs(np.linalg.norm(pose.rotation.quat) - 1) < 1e-6:
            yield f"quaternion {pose.rotation.quat.tolist()}"
        if not np.isfinite(pose.translation).all():
            yield f"translation {pose.translation.tolist()}"
        if not np.isfinite(camera.params).all():
            yield f"camera parameters {list(camera.params)}"
        if not all(camera.params[i] > 0 for i in camera.focal_length_idxs()):
            yield f"focal length {camera.mean_focal_length()}"
        if (camera.width, camera.height) != frame.size:
            yield f"{camera.width}x{camera.height} for {frame.size}"
        xy = np.array([point.xy for point in image.points2D]).reshape(-1, 2)
        if not ((xy >= 0) & (xy <= frame.size)).all():
            yield "an observation outside its image"


def _point_faults(model: pycolmap.Reconstruction) -> Iterator[str]:
    for point in model.points3D.values():
        elements = point.track.elements
        if len({element.image_id for element in elements}) < max(2, len(elements)):
            yield "a point that fewer than two images see, or one sees twice"
        if not np.isfinite(point.xyz).all():
            yield f"a point at {point.xyz.tolist()}"
        if not (np.isfinite(point.error) and point.error >= 0):
            yield f"a point with an error of {point.error} px"


def _promise_faults(
    report: BundleReport,
    adjusted: pycolmap.Reconstruction,
    seed: pycolmap.Reconstruction,
    config: BundleConfig,
) -> Iterator[str]:
    """Compare with the start: what is not refined stays, and what is refined fits."""
    if report.status != "refined":
        if _content(adjusted) != _content(seed):
            yield "it is not refined and yet differs from the seed"
        return
    if not report.inlier_ratio_after >= report.inlier_ratio_before:
        yield "fewer observations fit than before"
    # Pixel options hold at this width, see BundleConfig.
    px = max(max(camera.width, camera.height) for camera in seed.cameras.values()) / 518
    if not adjusted.compute_mean_reprojection_error() <= config.max_error_px * px:
        yield f"observations kept with {adjusted.compute_mean_reprojection_error()} px on average"
    before, after = poses_by_name(seed), poses_by_name(adjusted)
    for image in report.images:
        name = image.name
        if image.status in ("predicted only", "rejected") and not np.allclose(
            after[name], before[name], rtol=1e-9, atol=1e-12
        ):
            yield "a predicted pose was moved"


def _projection_faults(model: pycolmap.Reconstruction) -> Iterator[str]:
    for point in model.points3D.values():
        for element in point.track.elements:
            image = model.image(element.image_id)
            if not (image.cam_from_world() * point.xyz)[2] > 0:
                yield "a point that is not in front of its camera"
                return


def report_faults(report: BundleReport, model: pycolmap.Reconstruction, scene: Scene) -> list[str]:
    """Say what is wrong with the report of an adjustment, given the model it returned."""
    faults = []
    try:
        json.dumps(asdict(report), allow_nan=False)
    except (TypeError, ValueError) as error:
        faults.append(f"report: {error}")
    if report.status not in _STATUSES:
        faults.append(f"report: status {report.status}")
    if (report.status == "refined") == bool(report.reason):
        faults.append(f"report: status {report.status} with reason {report.reason!r}")
    if [image.name for image in report.images] != [frame.name for frame in scene.frames]:
        faults.append("report: other images than the scene's")
    elif any(image.status not in _IMAGE_STATUSES for image in report.images):
        faults.append("report: an unknown status of an image")
    elif not _fits_the_status(report):
        faults.append(f"report: {report.status} with {report.num_refined} refined images")
    if sum(image.inliers for image in report.images) != model.compute_num_observations():
        faults.append("report: other observations than the model's")
    if not all(0 <= r <= 1 for r in (report.inlier_ratio_before, report.inlier_ratio_after)):
        faults.append("report: an inlier ratio beyond 0 to 1")
    return faults


def _fits_the_status(report: BundleReport) -> bool:
    """Say whether images were adjusted exactly where the report says so."""
    if report.status != "refined":
        return report.num_refined == 0
    return any(image.status in ("refined", "registered") for image in report.images)


def round_trip_faults(model: pycolmap.Reconstruction) -> list[str]:
    """Write and read a model; say what has changed."""
    with tempfile.TemporaryDirectory() as folder:
        write_sparse(Path(folder) / "0", model)
        back = read_sparse(Path(folder) / "0")
    return [] if _content(back) == _content(model) else ["product: not the same after reading"]


def _content(model: pycolmap.Reconstruction) -> dict[str, object]:
    """Return everything a model says, for comparison; numbers as bytes, so that NaN equals NaN."""
    return {
        "cameras": {
            i: (camera.model, camera.width, camera.height, _bytes(camera.params))
            for i, camera in model.cameras.items()
        },
        "images": {
            i: (
                image.name,
                image.camera_id,
                _bytes(image.cam_from_world().params),
                _bytes([point.xy for point in image.points2D]),
                [point.point3D_id for point in image.points2D],
            )
            for i, image in model.images.items()
        },
        "points": {
            i: (
                _bytes(point.xyz),
                _bytes(point.error),
                _bytes(point.color),
                [(element.image_id, element.point2D_idx) for element in point.track.elements],
            )
            for i, point in model.points3D.items()
        },
    }


def _bytes(values: Float64 | list[Float64] | float) -> bytes:
    return np.array(values, np.float64).tobytes()
