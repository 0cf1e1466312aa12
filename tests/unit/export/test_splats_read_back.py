"""What gsplat sees in an export: the right model, and the photographs' pixels where it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import foreign
import numpy as np
import pycolmap
import pytest
import readers_gsplat
from PIL import Image
from readers_gsplat import SplatView, dot_centre, read_gsplat

from vggt_sfm.export.words import ExportConfig
from vggt_sfm.pipelines.exporting import export, export_opened
from vggt_sfm.pipelines.opened import open_model

# The text that the reader goes through holds 17 digits.
SAME_PX = 1e-6
# A dot that is resampled and rounded to 8 bits moves by some hundredths of a pixel.
DOT_PX = 0.05
# A wide dot's centre of brightness is not its middle any more once a fisheye lens is straightened.
BENT_PX = 1.0
# A planted half pixel must stand out.
WRONG_PX = 0.3
SIZE = (320, 240)
DOT_SIGMA = 5.0
REACH = 4 * DOT_SIGMA
FACTORS = (2, 4, 8)
EVERY = list(foreign.LENSES)


def dots(lens: pycolmap.Camera) -> foreign.Made:
    """Two slightly different views of a dozen points on an uneven wall."""
    placed = foreign.poses(2, seed=4, spread=0.04)
    x = np.linspace(-0.45, 0.42, 4)
    y = np.linspace(-0.26, 0.3, 3)
    wall = np.array([[a, b, 1.0] for a in x for b in y])
    xyz = wall * np.random.default_rng(0).uniform(3.5, 4.5, (12, 1))
    names = ["b/dots.png", "a 2.png"]
    made = foreign.made_model(names, [lens], placed, grid=(3, 2))
    made.xyz_of = dict.fromkeys(names, xyz)
    return made


def light_at(xy: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the light of dots at (…, 2) px of the true camera."""
    away = ((xy[..., None, :] - centres) ** 2).sum(axis=-1)
    return np.exp(-away / (2 * DOT_SIGMA**2)).sum(axis=-1)


def pixel_grid(size: tuple[int, int]) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5), axis=-1)


def drawn(made: foreign.Made, name: str) -> np.ndarray:
    """Return the photograph that the true camera takes of bright dots at the points."""
    light = light_at(pixel_grid(SIZE), foreign.projected(made.model, name, made.xyz_of[name]))
    return np.repeat(np.rint(np.minimum(light, 1) * 250).astype(np.uint8)[..., None], 3, axis=2)


def expected_light(made: foreign.Made, view: SplatView) -> np.ndarray:
    """Return the light that a pinhole camera with the view's K would see: dots are not round."""
    rays = (pixel_grid(view.size) - view.K[:2, 2]) / view.K[[0, 1], [0, 1]]
    homogeneous = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1).reshape(-1, 3)
    xy = made.model.cameras[1].img_from_cam(homogeneous).reshape(*rays.shape)
    light = light_at(xy, foreign.projected(made.model, view.name, made.xyz_of[view.name]))
    return np.repeat(light[..., None], 3, axis=2)


def write_dots(folder: Path, made: foreign.Made) -> None:
    foreign.write_workspace(folder, made)
    for name in made.xyz_of:
        Image.fromarray(drawn(made, name)).save(folder / "images" / name)


def dot_errors(views: list[SplatView], made: foreign.Made, factor: int) -> np.ndarray:
    """Return the distances, px of the reduced photographs, between dots and projections."""
    errors = []
    for view in views:
        pixels, expected = view.pixels(), expected_light(made, view)
        for xy in view.project(made.xyz_of[view.name]):
            reach = REACH / factor
            if (xy > reach + 1).all() and (xy < np.array(view.size) - reach - 1).all():
                there = dot_centre(expected, xy, reach)
                # Not the dot's own centre, but the point itself must be where the dot is.
                assert np.linalg.norm(there - xy) < BENT_PX / factor
                errors.append(np.linalg.norm(dot_centre(pixels, xy, reach) - there))
    assert len(errors) >= 10
    return np.array(errors)


@pytest.mark.parametrize("model", EVERY)
def test_dots_are_where_the_pinhole_camera_projects_them(tmp_path: Path, model: str) -> None:
    made = dots(foreign.camera(model, SIZE))
    write_dots(tmp_path, made)
    export(tmp_path, ["gsplat"], config=ExportConfig(image_factors="2,4,8"))
    for factor in (1, *FACTORS):
        views, _ = read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat", factor)
        assert [view.name for view in views] == ["a 2.png", "b/dots.png"]
        assert dot_errors(views, made, factor).max() < DOT_PX, factor


@pytest.mark.parametrize("factor", [1, *FACTORS])
def test_a_shift_of_half_a_pixel_is_noticed(tmp_path: Path, factor: int) -> None:
    made = dots(foreign.camera("OPENCV", SIZE))
    write_dots(tmp_path, made)
    export(tmp_path, ["gsplat"], config=ExportConfig(image_factors="2,4,8"))
    views, _ = read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat", factor)
    for view in views:
        view.K[:2, 2] += 0.5
    assert np.median(dot_errors(views, made, factor)) > WRONG_PX


def test_forgotten_distortion_is_noticed(tmp_path: Path) -> None:
    made = dots(foreign.camera("OPENCV", SIZE))
    write_dots(tmp_path, made)
    export(tmp_path, ["gsplat"])
    for view in read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat")[0]:
        Image.fromarray(drawn(made, view.name)).resize(view.size).save(view.photo)
    views, _ = read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat")
    assert dot_errors(views, made, 1).max() > WRONG_PX


@pytest.mark.parametrize("model", EVERY)
def test_observations_are_where_the_pinhole_cameras_see_the_points(
    tmp_path: Path, model: str
) -> None:
    cameras = [foreign.camera(model), foreign.camera(model, (120, 200), camera_id=5)]
    made = foreign.made_model([f"{n}.png" for n in range(4)], cameras, foreign.poses(4, seed=8))
    foreign.write_workspace(tmp_path, made)
    export(tmp_path, ["gsplat"])
    views, points = read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat")
    assert sorted(points) == sorted(made.model.points3D)
    for view in views:
        pose = made.model.find_image_with_name(view.name).cam_from_world().matrix()
        assert np.abs(view.cam_from_world - pose).max() < 1e-12
        assert len(view.seen) == 30
        xyz = np.array([points[point_id] for point_id in view.seen])
        assert np.abs(view.project(xyz) - np.array(list(view.seen.values()))).max() < SAME_PX
        assert view.pixels().shape[1::-1] == view.size


def test_observations_where_a_lens_has_no_inverse_are_left_out(tmp_path: Path) -> None:
    made = foreign.simple_workspace(tmp_path, ["a.png", "b.png"])
    # Bent so far that nothing in front of the camera is seen in the corners.
    made.model.cameras[1].model = pycolmap.CameraModelId.SIMPLE_RADIAL
    made.model.cameras[1].params = [90.0, 80.0, 60.0, -0.5]
    made.model.write_binary(tmp_path / "sparse" / "0")
    export(tmp_path, ["gsplat"])
    views, points = read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat")
    assert 0 < len(points) < 24
    model = pycolmap.Reconstruction(tmp_path / "vggt-sfm-export" / "gsplat" / "sparse" / "0")
    assert np.isfinite(model.compute_mean_reprojection_error())
    for view in views:
        assert np.isfinite(list(view.seen.values())).all()


def test_photographs_without_distortion_keep_their_bytes_and_intrinsics(tmp_path: Path) -> None:
    made = foreign.simple_workspace(tmp_path)
    export(tmp_path, ["gsplat"])
    views, _ = read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat")
    fx, fy, cx, cy = made.model.cameras[1].params
    for view in views:
        assert view.photo.read_bytes() == (tmp_path / "images" / view.name).read_bytes()
        np.testing.assert_array_equal(view.K, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def test_sizes_that_no_factor_divides_are_cut_and_not_stretched(tmp_path: Path) -> None:
    odd = (163, 125)
    made = foreign.made_model(["a.png"], [foreign.camera("PINHOLE", odd)], foreign.poses(1))
    foreign.write_workspace(tmp_path, made)
    ramp = np.tile(np.arange(163, dtype=np.uint8), (125, 1))
    Image.fromarray(np.repeat(ramp[..., None], 3, axis=2)).save(tmp_path / "images" / "a.png")
    export(tmp_path, ["gsplat"], config=ExportConfig(image_factors="2,4,8"))
    for factor in FACTORS:
        (view,), _ = read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat", factor)
        assert view.size == (163 // factor, 125 // factor)
        expected = np.arange(163 // factor) * factor + (factor - 1) / 2
        assert np.abs(view.pixels()[0, :, 0] - expected).max() <= 0.5


def test_a_missing_reduced_photograph_is_noticed(tmp_path: Path) -> None:
    """The reader pairs by order, so that one file less shifts all that follow."""
    foreign.simple_workspace(tmp_path)
    export(tmp_path, ["gsplat"], config=ExportConfig(image_factors="2"))
    (tmp_path / "vggt-sfm-export" / "gsplat" / "images_2" / "a.png").unlink()
    with pytest.raises(AssertionError):
        read_gsplat(tmp_path / "vggt-sfm-export" / "gsplat", 2)


def test_masks_lie_over_undistorted_photographs_and_have_their_sizes(tmp_path: Path) -> None:
    made = foreign.made_model(["a.png", "b.png"], [foreign.camera("OPENCV")], foreign.poses(2))
    foreign.write_workspace(tmp_path, made)
    half = np.full((120, 160), 255, np.uint8)
    half[:, :80] = 0
    Image.fromarray(half).save(tmp_path / "half.png")
    opened = open_model(tmp_path)
    frames = dict(opened.frames)
    frames["a.png"] = replace(frames["a.png"], mask_path=str(tmp_path / "half.png"))
    export_opened(replace(opened, frames=frames), ["gsplat"], tmp_path / "out")
    folder = tmp_path / "out" / "gsplat"
    assert readers_gsplat.relative_files(folder / "masks") == ["a.png.png", "b.png.png"]
    views, _ = read_gsplat(folder)
    for view in views:
        with Image.open(folder / "masks" / f"{view.name}.png") as image:
            mask = np.asarray(image)
        assert mask.shape == view.size[::-1]
        assert set(np.unique(mask)) <= {0, 255}
        # Well inside, the border of the mask is where column 80 has moved to.
        middle = mask[mask.shape[0] // 2]
        if view.name == "b.png":
            assert (mask[2:-2, 2:-2] == 255).all()
        else:
            ray = foreign.camera("OPENCV").cam_from_img(np.array([80.0, 55.7]))
            column = int(view.K[0, 0] * ray[0] + view.K[0, 2])
            assert (middle[: column - 2] == 0).all()
            assert (middle[column + 2 : -2] == 255).all()
