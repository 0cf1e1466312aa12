"""A model is found in whatever form it comes."""

from __future__ import annotations

from pathlib import Path

import foreign
import pytest

from vggt_sfm.errors import InputError
from vggt_sfm.io.models import find_model, read_model
from vggt_sfm.pipelines.exporting import export
from vggt_sfm.pipelines.opened import open_model


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A COLMAP model in ``sparse/0``, and ``transforms.json`` of it beside its photographs."""
    foreign.simple_workspace(tmp_path)
    export(tmp_path, ["nerfstudio"], tmp_path / "nerf")
    return tmp_path


def test_every_form_is_read(workspace: Path) -> None:
    nerf = workspace / "nerf"
    assert find_model(workspace) == workspace / "sparse/0"
    assert find_model(nerf) == find_model(nerf / "transforms.json") == nerf / "transforms.json"
    other = (nerf / "transforms.json").rename(nerf / "transforms_train.json")
    for path in (workspace, workspace / "sparse", workspace / "sparse/0", other):
        names = {image.name for image in read_model(path).images.values()}
        assert names == {"a.png", "b.png", "c.png"}, path


def test_colmap_model_comes_first_unless_a_file_is_named(workspace: Path) -> None:
    file = (workspace / "nerf" / "transforms.json").rename(workspace / "transforms.json")
    assert read_model(workspace).num_points3D() > 0
    assert read_model(file).num_points3D() == 0


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder or file"):
        read_model(tmp_path / "gone")
    with pytest.raises(InputError, match=r"no COLMAP model there.*, and for transforms\.json"):
        read_model(tmp_path)


def test_photographs_lie_beside_the_file(workspace: Path) -> None:
    nerf = workspace / "nerf"
    opened = open_model(nerf / "transforms.json")
    assert {Path(f.path).parent for f in opened.frames.values()} == {nerf / "images"}
    assert len(opened.frames) == 3
    text = (nerf / "transforms.json").read_text().replace("images/", "train/")
    (nerf / "transforms.json").write_text(text)
    (nerf / "images").rename(nerf / "train")
    opened = open_model(nerf)
    assert set(opened.frames) == {"train/a.png", "train/b.png", "train/c.png"}
    assert len(open_model(nerf, images=nerf).frames) == 3
    (nerf / "train").rename(workspace / "elsewhere")
    assert not open_model(nerf).frames


def test_a_file_is_exported_beside_itself(workspace: Path) -> None:
    nerf = workspace / "nerf"
    (made,) = export(nerf / "transforms.json", ["colmap"])
    assert made.path == nerf / "vggt-sfm-export" / "colmap"
    assert read_model(made.path).num_images() == 3
    assert find_model(nerf) == nerf / "transforms.json"
