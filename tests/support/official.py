"""A rendered room on disk as each public data set is published, to the letter."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import photos
import pycolmap
from numpy.typing import NDArray

from vggt_sfm.io.colmap import write_sparse

Array = NDArray[np.float64]
_PYTORCH3D_FROM_OPENCV = np.diag([-1.0, -1.0, 1.0])


def _photo(path: Path, view: photos.View) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photos.save(path, view)


def _four_by_four(pose: Array) -> Array:
    return np.vstack([pose, [0, 0, 0, 1]])


def write_re10k(root: Path, videos: dict[str, list[photos.View]]) -> None:
    """Annotations of RealEstate10K, and frames as the user extracts them."""
    for video, found in videos.items():
        lines = ["https://www.youtube.com/watch?v=none"]
        for n, view in enumerate(found):
            stamp = str(1000000 + 33367 * n)
            _photo(root / "frames" / "test" / video / f"{stamp}.png", view)
            lens = [view.focal / view.width, view.focal / view.height, 0.5, 0.5, 0, 0]
            numbers = [*lens, *view.cam_from_world.ravel().tolist()]
            lines.append(" ".join([stamp, *(f"{number:.12g}" for number in numbers)]))
        (root / "test").mkdir(parents=True, exist_ok=True)
        (root / "test" / f"{video}.txt").write_text("\n".join(lines) + "\n")


def write_co3d(root: Path, category: str, sequences: dict[str, list[photos.View]]) -> None:
    """Annotations and images of a category of CO3Dv2; the last sequence is of poor quality."""
    frames, listed = [], []
    for sequence, found in sequences.items():
        for n, view in enumerate(found, 1):
            path = f"{category}/{sequence}/images/frame{n:06d}.jpg"
            _photo(root / path, view)
            listed.append([sequence, n, path])
            frames.append(_co3d_frame(sequence, n, path, view))
    qualities = [1.2] * (len(sequences) - 1) + [0.3]
    scores = [
        {"sequence_name": name, "category": category, "viewpoint_quality_score": quality}
        for name, quality in zip(sequences, qualities, strict=True)
    ]
    folder = root / category
    _write_jgz(folder / "frame_annotations.jgz", frames)
    _write_jgz(folder / "sequence_annotations.jgz", scores)
    (folder / "set_lists").mkdir()
    splits: dict[str, Any] = {"train": [], "val": [], "test": listed}
    (folder / "set_lists" / "set_lists_fewview_dev.json").write_text(json.dumps(splits))


def _co3d_frame(sequence: str, number: int, path: str, view: photos.View) -> dict[str, Any]:
    R, t = view.cam_from_world[:, :3], view.cam_from_world[:, 3]
    return {
        "sequence_name": sequence,
        "frame_number": number,
        "image": {"path": path, "size": [view.height, view.width]},
        "viewpoint": {
            # row vectors, x to the left and y up
            "R": (_PYTORCH3D_FROM_OPENCV @ R).T.tolist(),
            "T": (_PYTORCH3D_FROM_OPENCV @ t).tolist(),
            "focal_length": [2 * view.focal / view.height] * 2,
            "principal_point": [0.0, 0.0],
            "intrinsics_format": "ndc_isotropic",
        },
    }


def _write_jgz(path: Path, content: Any) -> None:
    path.write_bytes(gzip.compress(json.dumps(content).encode()))


def write_imc(root: Path, scene: str, found: list[photos.View], sizes: list[int]) -> None:
    """A phototourism scene with one bag of each size."""
    folder = root / scene / "set_100"
    (folder / "calibration").mkdir(parents=True)
    (folder / "sub_set").mkdir()
    names = [f"{(7919 * (n + 1)) % 100000:08d}_{n}" for n in range(len(found))]
    for name, view in zip(names, found, strict=True):
        _photo(folder / "images" / f"{name}.jpg", view)
        K = [[view.focal, 0, view.width / 2], [0, view.focal, view.height / 2], [0, 0, 1]]
        with h5py.File(folder / "calibration" / f"calibration_{name}.h5", "w") as file:
            file["K"], file["R"] = np.array(K), view.cam_from_world[:, :3]
            file["T"] = view.cam_from_world[:, 3]
    for size in sizes:
        lines = [f"{scene}/set_100/images/{name}.jpg" for name in names[:size]]
        (folder / "sub_set" / f"{size}bag_000.txt").write_text("\n".join(lines) + "\n")


def write_scannet1500(root: Path, pairs: list[tuple[photos.View, photos.View]]) -> None:
    """Pairs of ScanNet-1500, one a scene."""
    names, poses, intrinsics = [], [], {}
    for n, (first, second) in enumerate(pairs):
        scene = f"scene{707 + n:04d}_00"
        color = root / "scannet_test_1500" / scene / "color"
        _photo(color / "15.jpg", first)
        _photo(color / "585.jpg", second)
        names.append([707 + n, 0, 15, 585])
        relative = _four_by_four(second.cam_from_world) @ np.linalg.inv(
            _four_by_four(first.cam_from_world)
        )
        poses.append(relative[:3].ravel())
        # ScanNet's pixel centres are integers
        center = [first.width / 2 - 0.5, first.height / 2 - 0.5]
        intrinsics[scene] = np.array(
            [[first.focal, 0, center[0]], [0, first.focal, center[1]], [0, 0, 1]]
        )
    np.savez(root / "test.npz", name=np.array(names), rel_pose=np.array(poses))
    np.savez(root / "intrinsics.npz", **intrinsics)


def write_folder(scene: Path, found: list[photos.View]) -> None:
    """A scene of a user: images/ and gt/, a COLMAP model."""
    model = pycolmap.Reconstruction()
    view = found[0]
    size = (view.focal, view.width, view.height)
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", *size)
    model.add_camera_with_trivial_rig(camera)
    for n, view in enumerate(found):
        _photo(scene / "images" / f"{n}.png", view)
        image = pycolmap.Image(name=f"{n}.png", camera_id=1, image_id=n + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(view.cam_from_world))
    write_sparse(scene / "gt", model)


def write_seven_scenes(root: Path, scene: str, found: list[photos.View]) -> None:
    """A test sequence of 7-Scenes."""
    folder = root / scene / "seq-03"
    for n, view in enumerate(found):
        _photo(folder / f"frame-{n:06d}.color.png", view)
        world_from_cam = np.linalg.inv(_four_by_four(view.cam_from_world))
        lines = ["\t ".join(f"{x:.9e}" for x in row) for row in world_from_cam]
        (folder / f"frame-{n:06d}.pose.txt").write_text("\t \n".join(lines) + "\t \n")
    (root / scene / "TestSplit.txt").write_text("sequence3\n")
    (root / scene / "TrainSplit.txt").write_text("sequence1\nsequence2\n")
