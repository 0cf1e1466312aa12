"""pycolmap's own pipelines, incremental and global, as functions and as a process.

``python -m vggt_sfm.benchmarks.colmap_run IMAGES FOLDER OPTIONS`` (JSON) prints a line of JSON:
CPU seconds by step, and the mean number of features of an image.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyceres
import pycolmap

DATABASE = "database.db"
MODEL = "largest"  # folder of the model with the most images, beside the database
_GLOG_ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapOptions:
    """What is asked of pycolmap; None and the defaults leave it as pycolmap has it."""

    shared_camera: bool = True
    """Whether all images are of one camera, else each of its own."""
    max_features: int | None = None
    first_octave: int | None = None
    max_image_size: int | None = None
    peak_threshold: float | None = None
    camera_model: str = "SIMPLE_RADIAL"
    camera_params: str = ""
    """Given intrinsics, by commas, which are then held."""
    seed: int | None = None
    threads: int = 1
    """-1: one a core."""


def quiet() -> None:
    """Keep the log of every step of pycolmap and pyceres from the terminal."""
    pycolmap.logging.minloglevel = pyceres.logging.minloglevel = _GLOG_ERROR


def incremental(
    images: Path, folder: Path, options: ColmapOptions
) -> tuple[pycolmap.Reconstruction | None, dict[str, float]]:
    """Extract, match exhaustively and map.

    Args:
        images: Folder of photographs.
        folder: Replaced; holds the database and the models.
        options: What differs from pycolmap's defaults.

    Returns:
        The model with the most images, if there is one, and the CPU seconds of the three steps.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    times = [time.process_time()]
    extract(images, folder / DATABASE, options)
    times.append(time.process_time())
    match(folder / DATABASE, options)
    times.append(time.process_time())
    model = map_images(images, folder, options)
    times.append(time.process_time())
    spent = [round(after - before, 3) for before, after in pairwise(times)]
    return model, dict(zip(("extract", "match", "map"), spent, strict=True))


def extract(
    images: Path, database: Path, options: ColmapOptions, names: Sequence[str] = ()
) -> None:
    """Write cameras, images and SIFT features into a database.

    Args:
        images: Folder of photographs.
        database: File, made if it is not there.
        options: Of the cameras and of the features.
        names: Only these photographs; all if there are none.
    """
    pycolmap.extract_features(
        database,
        images,
        list(names),
        camera_mode=(
            pycolmap.CameraMode.SINGLE if options.shared_camera else pycolmap.CameraMode.PER_IMAGE
        ),
        reader_options=pycolmap.ImageReaderOptions(
            camera_model=options.camera_model, camera_params=options.camera_params
        ),
        extraction_options=_extraction(options),
        device=pycolmap.Device.cpu,
    )


def match(database: Path, options: ColmapOptions, *, relative_poses: bool = False) -> None:
    """Match all pairs of a database and verify them; the seed decides chance.

    Args:
        database: With features.
        options: Only their seed and threads count.
        relative_poses: Whether to keep the relative pose of each pair.
    """
    verification = pycolmap.TwoViewGeometryOptions(compute_relative_pose=relative_poses)
    if options.seed is not None:
        pycolmap.set_random_seed(options.seed)
        verification.ransac.random_seed = options.seed
    pycolmap.match_exhaustive(
        database,
        matching_options=pycolmap.FeatureMatchingOptions(
            num_threads=options.threads, use_gpu=False
        ),
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )


def map_images(
    images: Path, folder: Path, options: ColmapOptions
) -> pycolmap.Reconstruction | None:
    """Return the model with the most images that incremental mapping makes of a database."""
    if options.seed is not None:
        pycolmap.set_random_seed(options.seed)
    database = folder / DATABASE
    models = pycolmap.incremental_mapping(database, images, folder, _mapping(options))
    return _largest(models)


def map_globally(
    images: Path, folder: Path, options: ColmapOptions
) -> pycolmap.Reconstruction | None:
    """Return the model with the most images that global mapping (GLOMAP) makes of a database."""
    mapping = pycolmap.GlobalPipelineOptions(num_threads=options.threads)
    mapping.mapper.num_threads = options.threads
    if options.seed is not None:
        pycolmap.set_random_seed(options.seed)
        mapping.random_seed = options.seed
    place = folder / "global"
    place.mkdir(exist_ok=True)
    return _largest(pycolmap.global_mapping(folder / DATABASE, images, place, mapping))


def _largest(models: Mapping[int, pycolmap.Reconstruction]) -> pycolmap.Reconstruction | None:
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def _extraction(options: ColmapOptions) -> pycolmap.FeatureExtractionOptions:
    extraction = pycolmap.FeatureExtractionOptions(num_threads=options.threads, use_gpu=False)
    if options.max_features is not None:
        extraction.sift.max_num_features = options.max_features
    if options.first_octave is not None:
        extraction.sift.first_octave = options.first_octave
    if options.peak_threshold is not None:
        extraction.sift.peak_threshold = options.peak_threshold
    if options.max_image_size is not None:
        extraction.max_image_size = options.max_image_size
    return extraction


def _mapping(options: ColmapOptions) -> pycolmap.IncrementalPipelineOptions:
    mapping = pycolmap.IncrementalPipelineOptions(num_threads=options.threads)
    if options.seed is not None:
        mapping.random_seed = options.seed
    if options.camera_params:
        mapping.ba_refine_focal_length = mapping.ba_refine_extra_params = False
        mapping.mapper.abs_pose_refine_focal_length = False
        mapping.mapper.abs_pose_refine_extra_params = False
    return mapping


def main(images: str, folder: str, options: str) -> None:
    """Run, keep the largest model and print one line of JSON."""
    quiet()
    model, steps = incremental(Path(images), Path(folder), ColmapOptions(**json.loads(options)))
    if model is not None:
        (Path(folder) / MODEL).mkdir()
        model.write_binary(Path(folder) / MODEL)
    with pycolmap.Database.open(Path(folder) / DATABASE) as database:
        features = database.num_keypoints() / max(database.num_images(), 1)
    sys.stdout.write(json.dumps({"steps": steps, "features": round(features)}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
