"""The search in windows, against one that looks at every pair of points."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vggt_sfm.tracking.guidance import Window
from vggt_sfm.tracking.search import _LEAST_COSINE, SearchPoints, search

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
ANYWHERE = Window(np.inf, np.inf)
NO_LINES = np.zeros((3, 3))


def unit(values: Float64) -> Float32:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def slow(
    first: SearchPoints,
    second: SearchPoints,
    places: Float64,
    window: Window,
    F: Float64,
    max_ratio: float,
) -> list[tuple[int, int]]:
    """The same, one candidate at a time."""

    def allowed(a: int, b: int) -> bool:
        if window == ANYWHERE:
            return True
        line = F @ np.array([*first.xy[a], 1.0])
        length = np.hypot(line[0], line[1]) or 1.0
        off_line = abs(line @ np.array([*second.xy[b], 1.0])) / length
        return bool(
            np.linalg.norm(places[a] - second.xy[b]) <= window.radius and off_line <= window.band
        )

    def score(a: int, b: int) -> float:
        return float(first.descriptors[a].astype(np.float64) @ second.descriptors[b])

    candidates = {
        a: sorted(((score(a, b), b) for b in range(len(second.xy)) if allowed(a, b)), reverse=True)
        for a in range(len(first.xy))
    }
    found = []
    for a, ranked in candidates.items():
        if not ranked:
            continue
        best, b = ranked[0]
        rival = ranked[1][0] if len(ranked) > 1 else -1.0
        wanted_back = max((score(c, b), -c) for c in candidates if allowed(c, b))
        angles = np.arccos(np.clip([best, rival], -1, 1))
        if best > _LEAST_COSINE and angles[0] < max_ratio * angles[1] and -wanted_back[1] == a:
            found.append((a, b))
    return found


@pytest.mark.parametrize("window", [Window(30, 12), Window(8, 400), Window(500, 5), ANYWHERE])
def test_random_points_agree_with_looking_at_all(window: Window, rng: np.random.Generator) -> None:
    total = 0
    for _ in range(6):
        xy = rng.uniform(0, 200, (90, 2)).astype(np.float32)
        true = rng.uniform(0, 1, (90, 24)) ** 3
        first = SearchPoints(xy, unit(true))
        there = rng.permutation(90)[:70]
        second = SearchPoints(
            (xy[there] + rng.normal(0, 6, (70, 2))).astype(np.float32),
            unit(true[there] + rng.uniform(0, 0.25, (70, 24))),
        )
        places = xy.astype(np.float64) + rng.normal(0, 4, xy.shape)
        places[rng.random(90) < 0.1] = np.nan
        F = rng.normal(size=(3, 3)) * [[1e-4, 1e-4, 1], [1e-4, 1e-4, 1], [1, 1, 100]]
        rows = search(first, second, places, window, F, max_ratio=0.8)
        expected = slow(first, second, places, window, F, 0.8)
        assert [tuple(row) for row in rows.tolist()] == expected
        total += len(rows)
    assert total > 5


def test_what_lies_outside_of_a_window_is_not_found() -> None:
    look = unit(np.eye(4)[:1] + 0.1)
    first = SearchPoints(np.array([[50.0, 50.0]], np.float32), look)
    lines = np.array([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y stays
    for dx, dy, seen in ((0, 0, 1), (9, 0, 1), (11, 0, 0), (0, 3, 1), (0, 5, 0), (8, 8, 0)):
        second = SearchPoints(np.array([[150.0 + dx, 50.0 + dy]], np.float32), look)
        places = np.array([[150.0, 50.0]])
        rows = search(first, second, places, Window(10, 4), lines, max_ratio=0.8)
        assert len(rows) == seen
        assert len(search(first, second, places, ANYWHERE, lines, max_ratio=0.8)) == 1
        nowhere = places * np.nan
        assert not len(search(first, second, nowhere, Window(10, 4), lines, max_ratio=0.8))
        assert len(search(first, second, nowhere, ANYWHERE, lines, max_ratio=0.8)) == 1


def test_a_window_hides_the_rivals_outside_of_it() -> None:
    look = unit(np.array([[1.0, 0.2, 0.1]]))
    first = SearchPoints(np.array([[10.0, 10.0]], np.float32), look)
    twins = SearchPoints(
        np.array([[10.0, 10.0], [90.0, 10.0]], np.float32), np.concatenate([look, look])
    )
    assert not len(search(first, twins, first.xy * 1.0, ANYWHERE, NO_LINES, max_ratio=0.8))
    places = first.xy.astype(np.float64)
    rows = search(first, twins, places, Window(20, 20), NO_LINES, max_ratio=0.8)
    np.testing.assert_array_equal(rows, [[0, 0]])


def test_a_point_is_matched_once_and_by_the_likest() -> None:
    base = np.array([1.0, 0.5, 0.2])
    first = SearchPoints(
        np.array([[10.0, 10.0], [12.0, 10.0]], np.float32),
        unit(np.stack([base + np.array([0, 0.1, 0]), base])),
    )
    second = SearchPoints(np.array([[11.0, 10.0]], np.float32), unit(base[None]))
    for window in (Window(20, 20), ANYWHERE):
        rows = search(first, second, first.xy * 1.0, window, NO_LINES, max_ratio=0.9)
        np.testing.assert_array_equal(rows, [[1, 0]])


def test_nothing_in_nothing_out_and_far_places_do_no_harm() -> None:
    none = SearchPoints(np.empty((0, 2), np.float32), np.empty((0, 8), np.float32))
    some = SearchPoints(np.ones((3, 2), np.float32), unit(np.eye(8)[:3] + 0.1))
    for window in (Window(5, 5), ANYWHERE):
        for first, second in ((none, some), (some, none), (none, none)):
            places = np.ones((len(first.xy), 2))
            rows = search(first, second, places, window, NO_LINES, max_ratio=0.8)
            assert rows.shape == (0, 2)
            assert rows.dtype == np.int64
    places = np.array([[1e300, 1.0], [-1e300, np.inf], [1.0, 1.0]])
    rows = search(some, some, places, Window(5, 5), NO_LINES, max_ratio=0.8)
    np.testing.assert_array_equal(rows, [[2, 2]])


def test_many_points_are_searched_for_in_parts(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    points = SearchPoints(np.zeros((50, 2), np.float32), unit(rng.uniform(0, 1, (50, 16)) ** 3))
    whole = search(points, points, np.zeros((50, 2)), ANYWHERE, NO_LINES, max_ratio=0.8)
    monkeypatch.setattr("vggt_sfm.tracking.search._MOST_AT_ONCE", 7)
    parts = search(points, points, np.zeros((50, 2)), ANYWHERE, NO_LINES, max_ratio=0.8)
    np.testing.assert_array_equal(whole, np.repeat(np.arange(50)[:, None], 2, axis=1))
    np.testing.assert_array_equal(parts, whole)
