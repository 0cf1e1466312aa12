"""Every data set is read from its official layout, and its cameras are the true ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import official
import photos
import pytest
from scipy.spatial.transform import Rotation

from vggt_sfm.benchmarks.datasets.bags import Dataset, Truth
from vggt_sfm.benchmarks.datasets.co3d import Co3d
from vggt_sfm.benchmarks.datasets.folders import Folders
from vggt_sfm.benchmarks.datasets.imc import Imc
from vggt_sfm.benchmarks.datasets.manifest import freeze, limited, read_manifest, write_manifest
from vggt_sfm.benchmarks.datasets.re10k import Re10k
from vggt_sfm.benchmarks.datasets.scannet1500 import Scannet1500
from vggt_sfm.benchmarks.datasets.seven_scenes import SevenScenes
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.metrics.pose import relative_pose_errors

SMALL = (48, 36)
ROOM = photos.views(6, *SMALL)


class Written(NamedTuple):
    """A data set of one room on disk, and which view each image shows."""

    dataset: Dataset
    view_of: Callable[[str], photos.View]


def _by_number(image: str) -> photos.View:
    return ROOM[int("".join(c for c in Path(image).name if c.isdigit()))]


def re10k(root: Path) -> Written:
    official.write_re10k(root, {"000c3ab189999a83": ROOM, "000db54a47bd43fe": ROOM[:3]})
    return Written(Re10k(root), lambda image: ROOM[(int(Path(image).stem) - 1000000) // 33367])


def co3d(root: Path) -> Written:
    turn = [ROOM[n % 6] for n in range(50)]
    sequences = {"110_13051_23361": turn, "189_20393_38136": ROOM, "540_79043_153212": turn}
    official.write_co3d(root, "apple", sequences)
    return Written(Co3d(root), lambda image: turn[int(Path(image).stem[5:]) - 1])


def imc(root: Path) -> Written:
    official.write_imc(root, "mount_rushmore", ROOM, [5])
    return Written(Imc(root), lambda image: ROOM[int(Path(image).stem.split("_")[1])])


def scannet1500(root: Path) -> Written:
    official.write_scannet1500(root, [(ROOM[0], ROOM[3]), (ROOM[2], ROOM[5])])
    shown = {"scene0707_00/15": 0, "scene0707_00/585": 3, "scene0708_00/15": 2}
    return Written(
        Scannet1500(root),
        lambda image: ROOM[shown.get(f"{Path(image).parts[1]}/{Path(image).stem}", 5)],
    )


def seven_scenes(root: Path) -> Written:
    official.write_seven_scenes(root, "chess", ROOM)
    return Written(SevenScenes(root, stride=2), _by_number)


def folders(root: Path) -> Written:
    official.write_folder(root / "room", ROOM)
    return Written(Folders(root), _by_number)


ALL = [re10k, co3d, imc, scannet1500, seven_scenes, folders]


@pytest.mark.parametrize("write", ALL)
def test_cameras_of_the_official_layout_are_the_true_ones(
    write: Callable[[Path], Written], tmp_path: Path
) -> None:
    dataset, view_of = write(tmp_path)
    bags = freeze(dataset, 0).bags
    assert bags
    assert len({bag.name for bag in bags}) == len(bags)
    for bag in bags:
        assert len(bag.images) >= 2
        assert all((tmp_path / image).is_file() for image in bag.images)
        truth = dataset.truth(bag)
        assert truth is not None
        shown = [view_of(image) for image in bag.images]
        assert is_true(truth, shown)
        for mistake in MISTAKES:
            assert not is_true(mistake(truth), shown), f"{mistake.__name__} would go unnoticed"
        if truth.intrinsics is not None:
            assert not is_true(integer_pixel_centres(truth), shown)


def is_true(truth: Truth, shown: list[photos.View]) -> bool:
    """Whether cameras are those that the photographs were rendered with."""
    cameras = np.stack([view.cam_from_world for view in shown])
    errors = relative_pose_errors(truth.cam_from_world, cameras, fold_translation=False)
    if errors.pose_deg.max() > 1e-3:
        return False
    focal = ROOM[0].focal
    K = np.array([[focal, 0, SMALL[0] / 2], [0, focal, SMALL[1] / 2], [0, 0, 1]])
    return truth.intrinsics is None or np.allclose(truth.intrinsics, K, rtol=1e-6, atol=1e-6)


def camera_to_world(truth: Truth) -> Truth:
    return replace(truth, cam_from_world=invert(truth.cam_from_world))


def opengl_axes(truth: Truth) -> Truth:
    return replace(truth, cam_from_world=np.diag([1.0, -1.0, -1.0]) @ truth.cam_from_world)


def quaternions_in_the_other_order(truth: Truth) -> Truth:
    xyzw = Rotation.from_matrix(truth.cam_from_world[:, :, :3]).as_quat()
    turned = Rotation.from_quat(xyzw[:, [3, 0, 1, 2]]).as_matrix()
    return replace(
        truth, cam_from_world=np.concatenate([turned, truth.cam_from_world[:, :, 3:]], axis=2)
    )


def integer_pixel_centres(truth: Truth) -> Truth:
    assert truth.intrinsics is not None
    K = truth.intrinsics.copy()
    K[:, :2, 2] -= 0.5
    return replace(truth, intrinsics=K)


MISTAKES = (camera_to_world, opengl_axes, quaternions_in_the_other_order)


@pytest.mark.parametrize("write", ALL)
def test_a_manifest_is_the_same_for_the_same_seed_and_survives_the_disk(
    write: Callable[[Path], Written], tmp_path: Path
) -> None:
    dataset, _ = write(tmp_path / "data")
    frozen = freeze(dataset, 4)
    assert freeze(dataset, 4) == frozen
    write_manifest(tmp_path / "manifest.json", frozen)
    assert read_manifest(tmp_path / "manifest.json", dataset.name) == frozen
    with pytest.raises(InputError, match=f"a manifest of {dataset.name}, not of other"):
        read_manifest(tmp_path / "manifest.json", "other")


@pytest.mark.parametrize("kind", [Re10k, Co3d, Imc, Scannet1500, SevenScenes, Folders])
def test_a_missing_data_set_is_named_with_its_source(
    kind: Callable[[Path], Dataset], tmp_path: Path
) -> None:
    dataset = kind(tmp_path)
    with pytest.raises(InputError) as told:
        freeze(dataset, 0)
    assert str(tmp_path) in str(told.value)
    assert dataset.source in str(told.value)


def test_co3d_takes_good_and_long_sequences_and_draws_ten_frames(tmp_path: Path) -> None:
    dataset, _ = co3d(tmp_path)
    (bag,) = freeze(dataset, 0).bags
    assert bag.name == "apple/110_13051_23361"
    assert bag.groups == (("category", "apple"),)
    assert len(set(bag.images)) == 10
    assert list(bag.images) != sorted(bag.images), "the first drawn frame is the reference"
    assert freeze(dataset, 1).bags != (bag,)


def test_imc_lists_bags_by_size_in_the_order_of_names(tmp_path: Path) -> None:
    official.write_imc(tmp_path, "london_bridge", ROOM, [2, 5])
    two, five = freeze(Imc(tmp_path), 0).bags
    assert (dict(two.groups)["bag size"], dict(five.groups)["bag size"]) == ("2", "5")
    assert dict(five.groups)["scene"] == "london_bridge"
    assert list(five.images) == sorted(five.images)


def test_a_manifest_that_was_edited_is_refused(tmp_path: Path) -> None:
    dataset, _ = re10k(tmp_path / "data")
    path = tmp_path / "manifest.json"
    write_manifest(path, freeze(dataset, 0))
    plain = json.loads(path.read_text())
    plain["bags"][0]["images"].reverse()
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match="not the one that its sha256 was written for"):
        read_manifest(path, "re10k")
    path.write_text("[]")
    with pytest.raises(InputError, match="not a manifest"):
        read_manifest(path, "re10k")


def test_a_limit_takes_some_of_every_group(tmp_path: Path) -> None:
    official.write_imc(tmp_path, "london_bridge", ROOM, [2, 3])
    official.write_imc(tmp_path, "mount_rushmore", ROOM, [2, 3])
    bags = freeze(Imc(tmp_path), 0).bags
    assert [dict(bag.groups)["bag size"] for bag in limited(bags, 2)] == ["2", "3"]
    assert limited(bags, None) == list(bags) == limited(bags, 9)


def test_two_view_scenes_and_scenes_without_truth(tmp_path: Path) -> None:
    folders(tmp_path)
    gt = tmp_path / "room" / "gt"
    (tmp_path / "room" / "kept").mkdir()
    for file in list(gt.iterdir()):
        file.rename(tmp_path / "room" / "kept" / file.name)
    (tmp_path / "room" / "kept").rename(gt / "first pair")
    (tmp_path / "free" / "images").mkdir(parents=True)
    for n in (10, 9):
        photos.save(tmp_path / "free" / "images" / f"{n}.png", ROOM[0])
    dataset = Folders(tmp_path)
    free, pair = freeze(dataset, 0).bags
    assert free.images == ("free/images/9.png", "free/images/10.png")
    assert dataset.truth(free) is None
    assert pair.name == "room/first pair"
    assert dataset.truth(pair) is not None
    (gt / "first pair" / "images.bin").write_bytes(b"broken")
    (_, broken) = freeze(dataset, 0).bags
    with pytest.raises(InputError, match="first pair"):
        dataset.truth(broken)


def test_sets_of_scenes_are_pooled_and_what_lies_in_a_scene_is_none(tmp_path: Path) -> None:
    for scene in ("set/2", "set/10", "alone", "alone/dense"):
        official.write_folder(tmp_path / scene, ROOM[:2])
    dataset = Folders(tmp_path)
    bags = freeze(dataset, 0).bags
    assert [bag.name for bag in bags] == ["alone", "set/2", "set/10"]
    assert [dict(bag.groups)["set"] for bag in bags] == ["alone", "set", "set"]
    assert all(dataset.truth(bag) is not None for bag in bags)
    (only,) = freeze(Folders(tmp_path / "set" / "2"), 0).bags
    assert only.name == "2"
    assert Folders(tmp_path / "set" / "2").truth(only) is not None
