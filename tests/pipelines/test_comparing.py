"""Models that COLMAP wrote, compared: against a slow twin, and with what people get wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import foreign
import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vggt_sfm.errors import InputError
from vggt_sfm.metrics.pose import auc_exact, auc_histogram
from vggt_sfm.pipelines.comparing import compare, compare_models
from vggt_sfm.pipelines.comparison import Comparison, Side
from vggt_sfm.pipelines.exporting import export
from vggt_sfm.pipelines.gates import Gates, LeastArea, missed

SIDES = [Side(letter=letter, path=letter, images=1, cameras=1) for letter in "AB"]
# Angles of equal poses, degrees, and lengths of scenes a few units wide.
ROUND_OFF = 1e-6


def named(count: int) -> list[str]:
    return [f"{n}.png" for n in range(count)]


def model(
    placed: list[pycolmap.Rigid3d],
    names: list[str] | None = None,
    cameras: list[pycolmap.Camera] | None = None,
) -> pycolmap.Reconstruction:
    names = names or named(len(placed))
    cameras = cameras or [foreign.camera("PINHOLE")]
    return foreign.made_model(names, cameras, placed, grid=(0, 0)).model


def disturbed(
    placed: list[pycolmap.Rigid3d], seed: int = 0, rad: float = 0.01, shift: float = 0.02
) -> list[pycolmap.Rigid3d]:
    rng = np.random.default_rng(seed)
    return [
        pycolmap.Rigid3d(
            pycolmap.Rotation3d(rad * rng.normal(size=3)) * pose.rotation,
            pose.translation + shift * rng.normal(size=3),
        )
        for pose in placed
    ]


def elsewhere(found: pycolmap.Reconstruction, seed: int, scale: float) -> pycolmap.Reconstruction:
    rng = np.random.default_rng(seed)
    turn = pycolmap.Rotation3d(Rotation.random(rng=rng).as_quat())
    copy = pycolmap.Reconstruction(found)
    copy.transform(pycolmap.Sim3d(scale, turn, 5 * rng.normal(size=3)))
    return copy


def compared(mine: pycolmap.Reconstruction, reference: pycolmap.Reconstruction) -> Comparison:
    return compare_models(mine, reference, *SIDES)


def figures(found: Comparison) -> list[float]:
    """All figures in an order that does not depend on which image is worst."""
    images = sorted(found.images, key=lambda delta: delta.name)
    return [
        *(found.auc_exact or {}).values(),
        *(found.auc_histogram or {}).values(),
        *(x for x in (found.ate_rmse, found.ate_median) if x is not None),
        *(delta.rotation_deg for delta in images),
        *(delta.distance or 0.0 for delta in images),
        *(delta.distance_share or 0.0 for delta in images),
    ]


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def test_figures_are_those_of_a_slow_twin(tmp_path: Path) -> None:
    placed = foreign.poses(7)
    truth, mine = model(placed), elsewhere(model(disturbed(placed)[:6]), 3, 0.4)
    for name, each in (("b", truth), ("a", mine)):
        (tmp_path / name).mkdir()
        each.write_text(tmp_path / name) if name == "a" else each.write(tmp_path / name)
    (found,) = compare(tmp_path / "a", tmp_path / "b")
    pose = {
        key: {im.name: im.cam_from_world() for im in each.images.values()}
        for key, each in (("a", mine), ("b", truth))
    }
    exact, folded = [], []
    for i, j in combinations(named(7), 2):
        errors = (180.0, np.inf, np.inf)
        if "6.png" not in (i, j):
            a, b = (pose[key][i] * pose[key][j].inverse() for key in "ab")
            between = a.rotation.inverse() * b.rotation
            off = angle_deg(a.translation, b.translation)
            errors = (float(np.degrees(between.angle())), off, min(off, 180 - off))
        exact.append(max(errors[0], errors[1]))
        folded.append(max(errors[0], errors[2]))
    for t in (1, 3, 5, 10, 30):
        assert found.auc_exact is not None
        assert found.auc_histogram is not None
        assert found.auc_exact[str(t)] == pytest.approx(auc_exact(np.array(exact), t), abs=1e-6)
        assert found.auc_histogram[str(t)] == pytest.approx(auc_histogram(np.array(folded), t))
    both = named(6)
    centers = {k: np.stack([p[n].inverse().translation for n in both]) for k, p in pose.items()}
    best = pycolmap.estimate_sim3d(centers["a"], centers["b"])
    off = [np.linalg.norm(best * a - b) for a, b in zip(centers["a"], centers["b"], strict=True)]
    assert found.ate_rmse == pytest.approx(np.sqrt(np.mean(np.square(off))))
    assert found.ate_median == pytest.approx(np.median(off))
    all_centers = [p.inverse().translation for p in pose["b"].values()]
    widest = max(np.linalg.norm(a - b) for a, b in combinations(all_centers, 2))
    assert found.extent == pytest.approx(widest)
    assert (found.common, found.failed_pairs, found.pairs) == (6, 6, 21)
    assert found.only_reference == ("6.png",)
    assert found.only_model == ()


def test_every_image_has_its_own_error_worst_first() -> None:
    """Turns about the own centre do not move it, so that they come out as they went in."""
    placed, degrees = foreign.poses(6), [0.5, 3.0, 0.0, 1.0, 0.2, 0.0]
    mine = [
        pycolmap.Rigid3d(pycolmap.Rotation3d([0, np.radians(d), 0]), np.zeros(3)) * pose
        for d, pose in zip(degrees, placed, strict=True)
    ]
    found = compared(model(mine), model(placed))
    assert [delta.name for delta in found.images[:4]] == ["1.png", "3.png", "0.png", "4.png"]
    for delta in found.images:
        expected = degrees[int(delta.name[0])]
        assert delta.rotation_deg == pytest.approx(expected, abs=ROUND_OFF)
        assert delta.distance == pytest.approx(0, abs=ROUND_OFF)
    assert found.rotation_worst_deg == pytest.approx(3.0, abs=ROUND_OFF)
    assert found.rotation_median_deg == pytest.approx(0.35, abs=ROUND_OFF)
    assert found.ate_rmse == pytest.approx(0, abs=ROUND_OFF)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.sampled_from([2, 3, 4, 8]))
def test_a_similarity_of_the_model_changes_nothing(seed: int, scale: float, count: int) -> None:
    placed = foreign.poses(count, seed)
    truth, mine = model(placed), model(disturbed(placed, seed))
    before, after = compared(mine, truth), compared(elsewhere(mine, seed, scale), truth)
    np.testing.assert_allclose(figures(after), figures(before), atol=ROUND_OFF)
    same = compared(elsewhere(truth, seed, scale), truth)
    assert same.auc_exact is not None
    assert min(same.auc_exact.values()) == pytest.approx(100, abs=ROUND_OFF)
    assert same.rotation_worst_deg == pytest.approx(0, abs=ROUND_OFF)
    assert max(delta.distance or 0 for delta in same.images) == pytest.approx(0, abs=ROUND_OFF)


def test_similarity_of_the_reference_changes_the_unit_only() -> None:
    placed = foreign.poses(6)
    truth, mine = model(placed), model(disturbed(placed))
    before, after = compared(mine, truth), compared(mine, elsewhere(truth, 1, 10.0))
    assert before.ate_rmse is not None
    assert after.ate_rmse == pytest.approx(10 * before.ate_rmse)
    for x, y in zip(before.images, after.images, strict=True):
        assert x.name == y.name
        assert y.distance_share == pytest.approx(x.distance_share, rel=1e-4)
        assert y.distance == pytest.approx(10 * (x.distance or 0), rel=1e-4)


def test_swapped_names_are_two_wrong_images() -> None:
    placed = foreign.poses(9)
    names = named(9)
    names[2], names[5] = names[5], names[2]
    found = compared(model(placed, names), model(placed))
    assert {delta.name for delta in found.images[:2]} == {"2.png", "5.png"}
    assert min(delta.rotation_deg for delta in found.images[:2]) > 5
    assert max(delta.rotation_deg for delta in found.images[2:]) < ROUND_OFF
    # 21 of 36 pairs are without them
    assert found.auc_exact is not None
    assert found.auc_exact["1"] == pytest.approx(100 * 21 / 36, abs=3)


def test_one_wrong_camera_is_one_wrong_camera_but_spoils_the_ate() -> None:
    placed = foreign.poses(8)
    mine = list(placed)
    mine[3] = pycolmap.Rigid3d(placed[3].rotation, placed[3].translation + np.array([20, 0, 0]))
    found = compared(elsewhere(model(mine), 0, 3.0), model(placed))
    assert found.images[0].name == "3.png"
    assert found.images[0].distance == pytest.approx(20)
    assert max(delta.distance or 0 for delta in found.images[1:]) < ROUND_OFF
    assert found.rotation_worst_deg == pytest.approx(0, abs=ROUND_OFF)
    assert found.ate_median is not None
    assert found.ate_median > 0.1


def test_missing_images_are_failed_pairs() -> None:
    placed = foreign.poses(10)
    far = pycolmap.Rigid3d(placed[9].rotation, placed[9].rotation * np.array([-100.0, 0, 0]))
    placed[9] = far
    found = compared(model(placed[:7]), model(placed))
    assert found.extent > 90  # that of the reference, whatever the model has
    assert (found.common, found.pairs, found.failed_pairs) == (7, 45, 24)
    assert found.auc_exact is not None
    assert found.auc_exact["5"] == pytest.approx(100 * 21 / 45, abs=ROUND_OFF)
    assert found.ate_rmse == pytest.approx(0, abs=ROUND_OFF)
    other = compared(model(placed), model(placed[:7]))
    assert other.only_model == ("7.png", "8.png", "9.png")
    assert other.auc_exact is not None
    assert other.auc_exact["5"] == pytest.approx(100, abs=ROUND_OFF)


def test_opposite_directions_differ_in_the_exact_area_only() -> None:
    placed = foreign.poses(5)
    mirrored = [pycolmap.Rigid3d(pose.rotation, -pose.translation) for pose in placed]
    found = compared(model(mirrored), model(placed))
    assert found.auc_exact == dict.fromkeys(("1", "3", "5", "10", "30"), 0)
    assert found.auc_histogram is not None
    assert min(found.auc_histogram.values()) == pytest.approx(100)


@pytest.mark.parametrize("kind", ["inverse", "axes"])
def test_poses_the_wrong_way_round_are_seen(kind: str) -> None:
    placed = foreign.poses(8)
    gl_axes = pycolmap.Rigid3d(pycolmap.Rotation3d([np.pi, 0, 0]), np.zeros(3))
    wrong = [pose.inverse() if kind == "inverse" else gl_axes * pose for pose in placed]
    found = compared(model(wrong), model(placed))
    assert found.auc_exact is not None
    assert found.auc_exact["10"] < 10
    assert found.rotation_median_deg is not None
    assert found.rotation_median_deg > 45


def test_few_images_in_common() -> None:
    placed = foreign.poses(4)
    one = compared(model(placed[:1]), model(placed))
    assert one.auc_exact == dict.fromkeys(("1", "3", "5", "10", "30"), 0)
    assert (one.images, one.ate_rmse, one.rotation_worst_deg) == ((), None, None)
    assert "1 image in common" in one.remarks[0]
    alone = compared(model(placed[:1]), model(placed[:1]))
    assert (alone.auc_exact, alone.auc_histogram, alone.pairs) == (None, None, 0)
    two = compared(model(placed[:2]), model(placed))
    assert two.ate_rmse is None
    assert two.rotation_worst_deg == pytest.approx(0, abs=ROUND_OFF)
    assert "2 images in common" in two.remarks[0]


def test_cameras_on_a_line_and_in_one_place() -> None:
    turns = [pose.rotation for pose in foreign.poses(5)]
    line = [pycolmap.Rigid3d(turn, turn * [n, 0, 0.0]) for n, turn in enumerate(turns)]
    found = compared(elsewhere(model(line), 2, 0.1), model(line))
    assert found.rotation_worst_deg == pytest.approx(0, abs=ROUND_OFF)
    assert found.ate_rmse == pytest.approx(0, abs=ROUND_OFF)
    assert "on a line" in found.remarks[0]
    place = [pycolmap.Rigid3d(turn, np.zeros(3)) for turn in turns]
    found = compared(elsewhere(model(place), 2, 0.1), model(place))
    assert found.rotation_worst_deg == pytest.approx(0, abs=ROUND_OFF)
    assert (found.ate_rmse, found.images[0].distance) == (None, None)
    assert "in one place" in found.remarks[0]


def test_no_image_in_common_is_one_line(tmp_path: Path) -> None:
    for folder, names in (("a", ["x/1.png"]), ("b", ["2.png", "3.png"]), ("c", [])):
        (tmp_path / folder).mkdir()
        model(foreign.poses(len(names)), names or None).write(tmp_path / folder)
    with pytest.raises(InputError, match=r"no image in common: 1 such as x/1.png, 2 such as 2.png"):
        compare(tmp_path / "a", tmp_path / "b")
    with pytest.raises(InputError, match="c: holds no image with a pose"):
        compare(tmp_path / "a", tmp_path / "c")


def test_names_match_whole_or_else_by_file_where_that_is_unique() -> None:
    placed = foreign.poses(4)
    deep = [f"images/{name}" for name in named(4)]
    found = compared(model(placed[::-1], deep[::-1]), model(placed))
    assert found.matched_by == "file name"
    assert found.rotation_worst_deg == pytest.approx(0, abs=ROUND_OFF)
    assert {delta.name for delta in found.images} == set(named(4))


def test_intrinsics_at_other_sizes_and_of_other_models() -> None:
    truth = foreign.camera("OPENCV")  # 130, 137 px, centre 84.3, 55.7, of 160 x 120
    mine = pycolmap.Camera(
        camera_id=4, model="SIMPLE_PINHOLE", width=320, height=240, params=[272.34, 170.6, 111.4]
    )
    placed = foreign.poses(3)
    found = compared(model(placed, cameras=[mine]), model(placed, cameras=[truth]))
    (delta,) = found.cameras
    assert (delta.images, delta.camera_id, delta.reference_id) == (3, 4, 1)
    assert (delta.model, delta.reference_model) == ("SIMPLE_PINHOLE", "OPENCV")
    assert delta.focal_percent == pytest.approx(2.0)  # 136.17 beside 133.5
    assert delta.principal_point_px == pytest.approx(1.0)
    assert found.remarks == ()


def test_cameras_are_paired_by_their_images_worst_first() -> None:
    longer = foreign.camera("PINHOLE", camera_id=2)
    longer.params = longer.params * np.array([0.9, 0.9, 1, 1])
    both = [foreign.camera("PINHOLE"), longer]
    placed = foreign.poses(5)
    found = compared(model(placed, cameras=both), model(placed))
    assert [(d.camera_id, d.images) for d in found.cameras] == [(2, 2), (1, 3)]
    assert [d.focal_percent for d in found.cameras] == pytest.approx([-10, 0])
    turned = foreign.camera("PINHOLE")
    turned.width, turned.height = turned.height, turned.width
    found = compared(model(placed, cameras=[turned]), model(placed))
    assert "5 images stand upright in one model only" in found.remarks[-1]


def test_truth_takes_both_and_a_transforms_json_is_a_model(tmp_path: Path) -> None:
    made = foreign.simple_workspace(tmp_path / "b")
    export(tmp_path / "b", ["nerfstudio"], tmp_path / "a")
    (tmp_path / "g").mkdir()
    elsewhere(made.model, 0, 2.0).write(tmp_path / "g")
    found = compare(tmp_path / "a", tmp_path / "b", tmp_path / "g")
    letters = [(each.model.letter, each.reference.letter) for each in found]
    assert letters == [("A", "G"), ("B", "G"), ("A", "B")]
    assert max(each.rotation_worst_deg or 0 for each in found) < ROUND_OFF
    assert found[0].model.path == str(tmp_path / "a")
    assert (found[0].reference.images, found[0].reference.cameras) == (3, 1)


def test_gates_name_what_is_missed() -> None:
    placed = foreign.poses(6)
    found = compared(model(placed[:5]), model(placed))  # 10 of 15 pairs
    gates = Gates(
        min_auc=(LeastArea(threshold_deg=5, percent=66.6),), max_ate=1e-6, max_rotation_deg=1e-3
    )
    assert missed(gates, found) == []
    strict = replace(gates, min_auc=(LeastArea(threshold_deg=5, percent=66.7),))
    assert missed(strict, found) == ["--min-auc 5 66.7: it is 66.67"]
    few = compared(model(placed[:2]), model(placed))
    assert missed(replace(gates, min_auc=()), few) == ["--max-ate 1e-06: it is not known"]
    with pytest.raises(ValueError, match="known: 1, 3, 5, 10, 30"):
        LeastArea(threshold_deg=7, percent=1)
