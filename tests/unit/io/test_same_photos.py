"""Photographs are found under longer and shorter names, and never under doubtful ones."""

from __future__ import annotations

import pytest

from vggt_sfm.io.named_files import same_photos


def test_equal_names_count_alone_where_there_are_some() -> None:
    names = ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    assert same_photos(names, ["b/1.jpg", "a/1.jpg", "elsewhere/2.jpg"]) == {
        "a/1.jpg": "a/1.jpg",
        "b/1.jpg": "b/1.jpg",
    }


@pytest.mark.parametrize("folder", ["images/", "/data/scene 1/", "C:\\photos\\"])
def test_folders_may_be_missing_on_either_side(folder: str) -> None:
    long = [f"{folder}{n}.jpg" for n in range(3)]
    short = [f"{n}.jpg" for n in range(3)]
    assert same_photos(short, long) == dict(zip(short, long, strict=True))
    assert same_photos(long, short) == dict(zip(long, short, strict=True))


def test_a_last_part_that_several_have_says_nothing() -> None:
    assert same_photos(["a/1.jpg", "b/1.jpg", "b/2.jpg"], ["1.jpg", "2.jpg"]) == {
        "b/2.jpg": "2.jpg"
    }
    assert same_photos(["1.jpg", "2.jpg"], ["a/1.jpg", "b/1.jpg", "b/2.jpg"]) == {
        "2.jpg": "b/2.jpg"
    }


def test_the_order_is_that_of_the_photographs() -> None:
    found = same_photos(["2.jpg", "1.jpg"], ["a/1.jpg", "a/2.jpg"])
    assert list(found) == ["2.jpg", "1.jpg"]


def test_other_photographs_are_not_found() -> None:
    assert same_photos(["1.jpg"], ["2.jpg", "1.png"]) == {}
    assert same_photos([], ["1.jpg"]) == {}
    assert same_photos(["1.jpg"], []) == {}
