"""Joining matches into tracks, against a search that walks the graph."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from vggt_sfm.tracking.linking import Observations, link
from vggt_sfm.tracking.matches import VerifiedMatches

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def matches_of(
    keypoints: list[list[tuple[float, float]]],
    matched: dict[tuple[int, int], list[tuple[int, int]]],
) -> VerifiedMatches:
    return VerifiedMatches(
        source="test",
        keypoints=tuple(np.array(xy, np.float64).reshape(-1, 2) for xy in keypoints),
        pairs=np.array(list(matched), np.int64).reshape(-1, 2),
        matches=tuple(np.array(rows, np.int64).reshape(-1, 2) for rows in matched.values()),
    )


def as_sets(found: Observations) -> set[frozenset[tuple[int, float, float]]]:
    tracks: dict[int, set[tuple[int, float, float]]] = defaultdict(set)
    for n, s, (x, y) in zip(found.track_index, found.frame_index, found.xy, strict=True):
        tracks[int(n)].add((int(s), float(x), float(y)))
    return {frozenset(track) for track in tracks.values()}


Node = tuple[int, int]


def components(edges: set[frozenset[Node]]) -> list[set[Node]]:
    """The same by walking from keypoint to keypoint."""
    found: list[set[Node]] = []
    for start in sorted({node for edge in edges for node in edge}):
        if any(start in component for component in found):
            continue
        stack, component = [start], set()
        while stack:
            node = stack.pop()
            if node not in component:
                component.add(node)
                stack += [other for edge in edges if node in edge for other in edge]
        found.append(component)
    return found


def walked(
    verified: VerifiedMatches, conflict_px: float
) -> set[frozenset[tuple[int, float, float]]]:
    edges = {
        frozenset([(int(i), int(a)), (int(j), int(b))])
        for (i, j), rows in zip(verified.pairs, verified.matches, strict=True)
        for a, b in rows
    }

    def neighbours(node: Node) -> set[Node]:
        return {other for edge in edges if node in edge for other in edge} - {node}

    def frames(component: set[Node]) -> dict[int, Node | None]:
        """The best keypoint of each frame, None where others are far from it."""
        chosen: dict[int, Node | None] = {}
        for s in {frame for frame, _ in component}:
            inside = [node for node in component if node[0] == s]
            best = min(inside, key=lambda node: (-len(neighbours(node)), node[1]))
            xy = verified.keypoints[s]
            far = [np.linalg.norm(xy[k] - xy[best[1]]) > conflict_px for _, k in inside]
            chosen[s] = None if any(far) else best
        return chosen

    for support in range(3):
        weak = set()
        for component in components(edges):
            if None in frames(component).values():
                inside = [edge for edge in edges if edge <= component]
                weak |= {
                    edge
                    for edge in inside
                    if len(set.intersection(*(neighbours(node) for node in edge))) <= support
                }
        edges -= weak
    tracks = set()
    for component in components(edges):
        best = [node for node in frames(component).values() if node is not None]
        if len(best) >= 2:
            tracks.add(frozenset((s, *map(float, verified.keypoints[s][k])) for s, k in best))
    return tracks


def test_random_graphs_agree_with_walking(rng: np.random.Generator) -> None:
    for _ in range(30):
        counts = rng.integers(0, 9, 5)
        keypoints = [rng.uniform(0, 6, (n, 2)).tolist() for n in counts]
        matched = {}
        for i in range(5):
            for j in range(i + 1, 5):
                n = min(counts[i], counts[j], rng.integers(0, 4))
                first, second = rng.permutation(counts[i])[:n], rng.permutation(counts[j])[:n]
                matched[i, j] = list(zip(first.tolist(), second.tolist(), strict=True))
        verified = matches_of(keypoints, matched)
        assert as_sets(
            link([verified], np.zeros(len(verified.keypoints)), np.full(5, 3.0))
        ) == walked(verified, 3.0)


def test_chain_becomes_one_track_sorted_by_frame() -> None:
    found = link(
        [matches_of([[(1, 1)], [(2, 2)], [(3, 3)]], {(1, 2): [(0, 0)], (0, 1): [(0, 0)]})],
        np.zeros(3),
        np.full(3, 3.0),
    )
    np.testing.assert_array_equal(found.track_index, [0, 0, 0])
    np.testing.assert_array_equal(found.frame_index, [0, 1, 2])
    np.testing.assert_array_equal(found.xy, [[1, 1], [2, 2], [3, 3]])


def linked(
    keypoints: list[list[tuple[float, float]]], matched: dict[Node, list[Node]]
) -> Observations:
    count = len(keypoints)
    return link([matches_of(keypoints, matched)], np.zeros(count), np.full(count, 3.0))


def test_a_far_conflict_costs_the_track_that_frame_and_a_near_one_does_not() -> None:
    near, far = (10.5, 10.0), (90.0, 10.0)
    # every match is borne out as well as the others: there is no telling which is wrong
    for other, expected in ((near, [0, 1, 2]), (far, [0, 1])):
        found = linked(
            [[(5, 5)], [(6, 6)], [(10, 10), other]],
            {(0, 1): [(0, 0)], (0, 2): [(0, 0), (0, 1)], (1, 2): [(0, 0), (0, 1)]},
        )
        np.testing.assert_array_equal(found.frame_index, expected)


def test_a_match_that_no_triangle_bears_out_does_not_spoil_a_track() -> None:
    far = (90.0, 10.0)
    found = linked(
        [[(5, 5)], [(6, 6)], [(10, 10), far]],
        {(0, 1): [(0, 0)], (0, 2): [(0, 0)], (1, 2): [(0, 0), (0, 1)]},
    )
    assert as_sets(found) == {frozenset({(0, 5.0, 5.0), (1, 6.0, 6.0), (2, 10.0, 10.0)})}
    # two tracks that one wrong match joins are two again
    found = linked(
        [[(5, 5), (50, 50)], [(6, 6), (60, 60)], [(7, 7), (70, 70)]],
        {
            (0, 1): [(0, 0), (1, 1), (0, 1)],
            (0, 2): [(0, 0), (1, 1)],
            (1, 2): [(0, 0), (1, 1)],
        },
    )
    assert as_sets(found) == {
        frozenset({(0, 5.0, 5.0), (1, 6.0, 6.0), (2, 7.0, 7.0)}),
        frozenset({(0, 50.0, 50.0), (1, 60.0, 60.0), (2, 70.0, 70.0)}),
    }
    # a chain that agrees with itself stays, though no triangle bears it out
    found = linked([[(5, 5)], [(6, 6)], [(7, 7)]], {(0, 1): [(0, 0)], (1, 2): [(0, 0)]})
    np.testing.assert_array_equal(found.frame_index, [0, 1, 2])


def test_the_better_connected_of_two_near_keypoints_stays() -> None:
    near = (10.5, 10.0)
    # Of two near keypoints the better connected one stays.
    assert (10.0, 10.0) in [
        tuple(xy)
        for xy in link(
            [
                matches_of(
                    [[(5, 5)], [(6, 6)], [near, (10, 10)]],
                    {(0, 1): [(0, 0)], (0, 2): [(0, 1)], (1, 2): [(0, 0), (0, 1)]},
                )
            ],
            np.zeros(3),
            np.full(3, 3.0),
        ).xy
    ]


def test_nothing_in_nothing_out() -> None:
    for keypoints in ([], [[]], [[], [(1.0, 1.0)]]):
        count = len(keypoints)
        found = link([matches_of(keypoints, {})], np.zeros(count), np.full(count, 3.0))
        assert found.xy.shape == (0, 2)
        assert len(found.track_index) == len(found.frame_index) == 0


def test_a_point_of_two_sources_is_one_point_at_the_first_ones_place() -> None:
    exact = matches_of([[(10, 10)], [(20, 20)], []], {(0, 1): [(0, 0)]})
    coarse = matches_of(
        [[(10.8, 10), (50, 50)], [(60, 60)], [(30, 30), (70, 70)]],
        {(0, 2): [(0, 0), (1, 1)], (0, 1): [(1, 0)]},
    )
    found = link([exact, coarse], np.ones(3), np.full(3, 3.0))
    assert as_sets(found) == {
        frozenset({(0, 10.0, 10.0), (1, 20.0, 20.0), (2, 30.0, 30.0)}),
        frozenset({(0, 50.0, 50.0), (1, 60.0, 60.0), (2, 70.0, 70.0)}),
    }
    np.testing.assert_array_equal(found.source, [0, 0, 1, 1, 1, 1])
    apart = link([exact, coarse], np.full(3, 0.5), np.full(3, 3.0))
    assert len(as_sets(apart)) == 3
