"""What is known of cameras, from its file to the model, with a SIMULATED predictor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import foreign
import numpy as np
import photos
import pycolmap
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt_sfm.ba.config import SeedConfig
from vggt_sfm.errors import InputError
from vggt_sfm.geometry.rigid import invert
from vggt_sfm.io.colmap import read_sparse, write_sparse
from vggt_sfm.io.opened import OpenedModel
from vggt_sfm.pipelines import reconstruct as module
from vggt_sfm.pipelines.config import IngestConfig, ReconstructConfig
from vggt_sfm.pipelines.opened import open_model
from vggt_sfm.pipelines.placed import in_metres
from vggt_sfm.pipelines.reconstruct import reconstruct
from vggt_sfm.pipelines.result import ReconstructResult
from vggt_sfm.placing.config import Distance, PlaceConfig
from vggt_sfm.placing.report import PlacementReport
from vggt_sfm.priors.config import PriorConfig
from vggt_sfm.tracking.config import TrackConfig

pytestmark = pytest.mark.usefixtures("simulated_predictor")

Float64 = NDArray[np.float64]

COUNT = 5
NAMES = [f"img{n}.jpg" for n in range(1, COUNT + 1)]
FEW = TrackConfig(max_features=300)
# The known world: larger, turned and elsewhere.
SCALE, SHIFT = 20.0, np.array([100.0, 200.0, 300.0])
TURN = Rotation.from_rotvec([0.5, -1.0, 0.3])
# Adjusted cameras of the room are exact to about a hundredth of what separates them, here 62.
CLOSE = 1.0


def true_poses() -> Float64:
    """(5, 3, 4) in the known world."""
    world_from_cam = invert(np.stack([view.cam_from_world for view in photos.views(COUNT)]))
    centers = SCALE * TURN.apply(world_from_cam[:, :, 3]) + SHIFT
    rotations = TURN.as_matrix() @ world_from_cam[:, :, :3]
    return invert(np.concatenate([rotations, centers[:, :, None]], axis=2))


def run(room: Path, output: Path, prior: PriorConfig, **options: Any) -> ReconstructResult:
    config = ReconstructConfig(report=False, track=FEW, prior=prior, **options)
    return reconstruct(room, output, config)


def ran(result: ReconstructResult) -> list[str]:
    return [stage.name for stage in result.report.stages if not stage.cached]


def poses(model: pycolmap.Reconstruction) -> Float64:
    images = sorted(model.images.values(), key=lambda image: image.name)
    return np.stack([image.cam_from_world().matrix() for image in images])


def off(mine: Float64, truth: Float64) -> float:
    """How far the worst centre is off, units of the known world."""
    apart = invert(mine)[..., 3] - invert(truth)[..., 3]
    return float(np.linalg.norm(apart, axis=-1).max())


def known_model(folder: Path, names: Sequence[str], known: Float64) -> str:
    placed = [pycolmap.Rigid3d(pose) for pose in known]
    made = foreign.made_model(names, [foreign.camera("PINHOLE")], placed, grid=(0, 0))
    write_sparse(folder / "sparse" / "0", made.model)
    return str(folder)


def known_positions(path: Path) -> str:
    lines = [
        " ".join([name, *map(str, center)])
        for name, center in zip(NAMES, invert(true_poses())[:, :, 3], strict=True)
    ]
    path.write_text("\n".join(lines))
    return str(path)


def test_a_result_lies_in_the_world_of_known_cameras(room: Path, tmp_path: Path) -> None:
    known = true_poses()[:3]
    prior = PriorConfig(poses=known_model(tmp_path / "known", NAMES[:3], known))
    result = run(room, tmp_path / "out", prior)
    assert result.report.status == "adjusted"
    found = poses(result.reconstruction())
    assert off(found, true_poses()) < CLOSE
    turns = Rotation.from_matrix(found[:, :, :3] @ np.swapaxes(true_poses()[:, :, :3], 1, 2))
    assert np.degrees(turns.magnitude()).max() < 0.5  # the prediction is off by 3
    placement = result.report.placement
    assert placement is not None
    assert (placement.source, placement.applied) == ("none", False)  # nobody says what its unit is
    assert open_model(tmp_path / "out").unit == "scene"


def test_held_cameras_stay_and_the_others_come_to_them(room: Path, tmp_path: Path) -> None:
    known = true_poses()[[0, 2, 4]]
    said = known_model(tmp_path / "known", NAMES[::2], known)
    held = PriorConfig(poses=said, rotation_sigma_deg=0, position_sigma=0)
    result = run(room, tmp_path / "out", held)
    assert result.report.status == "adjusted"
    found = poses(read_sparse(tmp_path / "out" / "sparse" / "0"))
    # Through quaternions, and to the solver's world and back.
    np.testing.assert_allclose(found[::2], known, rtol=0, atol=1e-12 * np.abs(known).max())
    assert off(found[1::2], true_poses()[1::2]) < CLOSE
    sources = [image.camera_source for image in result.report.images]
    assert sources == ["known", "simulated"] * 2 + ["known"]


def test_positions_in_metres_place_a_run_once(room: Path, tmp_path: Path) -> None:
    result = run(room, tmp_path / "out", PriorConfig(poses=known_positions(tmp_path / "p.txt")))
    placement = result.report.placement
    assert placement is not None
    assert (placement.source, placement.applied) == ("positions", True)
    assert placement.scale == pytest.approx(SCALE)
    assert placement.new_from_old is not None
    assert placement.new_from_old.scale == 1  # the model is there, so nothing moves it again
    assert off(poses(result.reconstruction()), true_poses()) < CLOSE
    opened = open_model(tmp_path / "out")
    assert opened.unit == "m"
    assert np.array_equal(poses(opened.model), poses(result.reconstruction()))
    assert opened.before is not None
    assert off(poses(opened.before), true_poses()) < CLOSE
    assert b"comment unit m" in (tmp_path / "out" / "points.ply").read_bytes()[:200]


def test_a_run_in_a_known_world_is_opened_as_it_was(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[OpenedModel] = []

    def keep(opened: OpenedModel, *arguments: Any) -> tuple[OpenedModel, PlacementReport]:
        kept.append(in_metres(opened, *arguments)[0])
        return in_metres(opened, *arguments)

    monkeypatch.setattr(module, "in_metres", keep)
    said = known_model(tmp_path / "known", NAMES[:3], true_poses()[:3])
    prior = PriorConfig(poses=said, intrinsics="290,160,120,-0.01")
    distance = Distance(start=NAMES[0], end=NAMES[-1], metres=4)
    result = run(
        room,
        tmp_path / "out",
        prior,
        seed=SeedConfig(camera_model="SIMPLE_RADIAL"),
        place=PlaceConfig(distances=(distance,)),
    )
    assert result.report.status == "adjusted"
    then, now = kept[0], open_model(tmp_path / "out")
    assert then.unit == now.unit == "m"
    assert set(now.depths) == set(NAMES)
    for name, depth in now.depths.items():
        np.testing.assert_allclose(depth.depth, then.depths[name].depth, rtol=1e-6)
    assert then.before is not None
    assert now.before is not None
    np.testing.assert_allclose(poses(now.before), poses(then.before), atol=1e-9)
    assert now.before.num_points3D() == then.before.num_points3D()
    cameras = [camera.params.tolist() for camera in now.before.cameras.values()]
    assert cameras == [[290, 160, 120, -0.01]]


def test_known_intrinsics_are_held_to_the_last_digit(room: Path, tmp_path: Path) -> None:
    path = tmp_path / "cameras.txt"
    params = [288.123456789, 287.9876543210987, 160.1, 119.9, 1e-3, -2e-3, 1e-4, 0.0]
    path.write_text(f"1 OPENCV 320 240 {' '.join(map(repr, params))}\n")
    result = run(room, tmp_path / "out", PriorConfig(intrinsics=str(path)))
    assert result.report.status == "adjusted"
    (camera,) = read_sparse(tmp_path / "out" / "sparse" / "0").cameras.values()
    assert camera.model.name == "OPENCV"
    assert camera.params.tolist() == params


@pytest.fixture(scope="module")
def two_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small photographs of nothing, without EXIF data, in two folders."""
    folder = tmp_path_factory.mktemp("folders") / "images"
    for n, name in enumerate(IN_FOLDERS):
        foreign.save_noise(folder / name, (96, 72), seed=n)
    return folder


IN_FOLDERS = ("left/1.jpg", "left/2.jpg", "right/1.jpg", "right/2.jpg")


def test_the_content_of_a_prior_counts_and_not_its_name(two_folders: Path, tmp_path: Path) -> None:
    def priors_of(poses: str, intrinsics: str) -> list[str]:
        prior = PriorConfig(poses=str(tmp_path / poses), intrinsics=intrinsics)
        return ran(run(two_folders, tmp_path / "out", prior, ba=False))

    known_model(tmp_path / "a", IN_FOLDERS, true_poses()[:4])
    assert priors_of("a", "80,48,36")[:3] == ["ingest", "predict", "know"]
    assert priors_of("a", "80,48,36.0") == ["seed", "export"]
    (tmp_path / "a").rename(tmp_path / "b")
    assert priors_of("b", "80,48,36") == ["seed", "export"]
    known_model(tmp_path / "b", IN_FOLDERS, true_poses()[1:])
    assert priors_of("b", "80,48,36") == ["know", "track", "seed", "export"]
    assert priors_of("b", "81,48,36") == ["know", "track", "seed", "export"]
    (tmp_path / "cameras.txt").write_text("7 PINHOLE 96 72 80 80 48 36\n")
    path = str(tmp_path / "cameras.txt")
    assert priors_of("b", path) == ["know", "track", "seed", "export"]
    (tmp_path / "cameras.txt").write_text("# of another day\n7 PINHOLE 96 72 80 80 48 36\n")
    assert priors_of("b", path) == ["seed", "export"]


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"intrinsics": "288,160"}, "--intrinsics 288,160: neither a file nor 3 numbers f,cx,cy"),
        ({"poses": "nowhere.txt"}, "--pose-prior nowhere.txt: no such file or folder"),
        ({"poses": "gps"}, "--pose-prior gps: 0 photographs have a position"),
    ],
)
def test_what_does_not_fit_is_told_before_the_network_runs(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    prior: dict[str, str], message: str,
) -> None:  # fmt: skip
    def never(*_: object, **__: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr("simulated.SimulatedPredictor.__call__", never)
    with pytest.raises(InputError, match=message):
        run(room, tmp_path / "out", PriorConfig(**prior))
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [stage["name"] for stage in told["stages"]] == ["ingest"]


@pytest.mark.parametrize(
    ("sharing", "count"), [("auto", 2), ("one", 1), ("folder", 2), ("exif", 1), ("image", 4)]
)
@pytest.mark.parametrize("intrinsics", [None, "80,48,36"])
def test_cameras_says_which_photographs_share_intrinsics(
    two_folders: Path, tmp_path: Path, sharing: Any, count: int, intrinsics: str | None
) -> None:
    prior = PriorConfig(intrinsics=intrinsics, intrinsics_sigma=0.1)
    run(two_folders, tmp_path, prior, ba=False, ingest=IngestConfig(cameras=sharing))
    assert len(read_sparse(tmp_path / "sparse" / "0").cameras) == count


def test_a_rig_says_it_before_cameras_does(two_folders: Path, tmp_path: Path) -> None:
    rig = tmp_path / "rig_config.json"
    rig.write_text(json.dumps([{"cameras": [{"image_prefix": "left/", "ref_sensor": True}]}]))
    ingest = IngestConfig(cameras="image", rig=rig)
    run(two_folders, tmp_path / "out", PriorConfig(), ba=False, ingest=ingest)
    model = read_sparse(tmp_path / "out" / "sparse" / "0")
    owners = {image.name: image.camera_id for image in model.images.values()}
    assert len({owners[f"left/{n}.jpg"] for n in (1, 2)}) == 1
    assert len(model.cameras) == 3


def test_one_photograph_is_where_it_is_known_to_be(room: Path, tmp_path: Path) -> None:
    known = true_poses()[:1]
    said = known_model(tmp_path / "known", NAMES[:1], known)
    prior = PriorConfig(poses=said, rotation_sigma_deg=0, position_sigma=0)
    result = run(room / NAMES[0], tmp_path / "out", prior)
    assert result.report.status == "one image"
    np.testing.assert_allclose(poses(result.reconstruction()), known, rtol=1e-12)
