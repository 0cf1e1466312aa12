"""Photographs found by names that others gave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggt_sfm.errors import InputError
from vggt_sfm.io.images import ImageFile
from vggt_sfm.io.named_files import files_by_names


def _files(*names: str) -> list[ImageFile]:
    return [ImageFile(name=name, path=Path("/photos") / name) for name in names]


@pytest.mark.parametrize(
    ("name", "files", "found"),
    [
        ("a.jpg", ["a.jpg", "b/a.jpg", "a.png"], "a.jpg"),
        ("a", ["a.jpg", "b.jpg"], "a.jpg"),
        ("a.png", ["a.jpg", "b.jpg"], "a.jpg"),
        ("img.001", ["img.jpg", "img.001.jpg"], "img.001.jpg"),
        ("/data/left/a.jpg", ["left/a.jpg", "right/a.jpg"], "left/a.jpg"),
        ("left\\a", ["left/a.jpg", "right/a.jpg"], "left/a.jpg"),
        ("left/a.png", ["left/a.jpg", "right/a.png"], "left/a.jpg"),
        ("a.jpg", ["left/a.jpg", "left/b.jpg"], "left/a.jpg"),
        ("other/a.jpg", ["left/a.jpg", "left/b.jpg"], "left/a.jpg"),
    ],
)
def test_best_fit_is_meant(name: str, files: list[str], found: str) -> None:
    assert [file.name for file in files_by_names([name], _files(*files))] == [found]


def test_names_without_a_photograph_are_counted() -> None:
    with pytest.raises(
        InputError, match=r"for 4 of 5 names \(b, c, d, …\) among 1 files such as a"
    ):
        files_by_names(["a", "b", "c", "d", "e"], _files("a.jpg"))


def test_what_may_be_two_photographs_is_not_guessed() -> None:
    with pytest.raises(InputError, match=r"'a' may be 2 photographs: left/a.jpg, right/a.jpg"):
        files_by_names(["a"], _files("left/a.jpg", "right/a.jpg"))
    with pytest.raises(InputError, match=r"'a' and 'x/a.jpg' are both a.jpg"):
        files_by_names(["a", "x/a.jpg"], _files("a.jpg", "b.jpg"))
    with pytest.raises(InputError, match="no photograph for 1 of 1 names"):
        files_by_names([""], _files("a.jpg"))
