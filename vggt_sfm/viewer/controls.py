"""The controls of the live viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vggt_sfm.viewer.content import Content
from vggt_sfm.viewer.points import Points
from vggt_sfm.viewer.texts import facts_table, overview, shown_of

if TYPE_CHECKING:
    import viser

SPARSE, DENSE = "sparse", "dense"
AFTER, BEFORE = "after adjustment", "before adjustment"
_BOTH = "both"
_PERCENTILE = 30  # enough to take off most of what floats in the air


class Controls:
    """What the controls say; those without a meaning for the scene are not on the page."""

    def __init__(self, gui: viser.GuiApi, scene: Content) -> None:
        self._scene = scene
        gui.add_html(facts_table(overview(scene)))
        with gui.add_folder("Points"):
            self._add_points(gui)
        with gui.add_folder("Cameras"):
            self._states = gui.add_dropdown(
                "cameras",
                (AFTER, BEFORE, _BOTH),
                initial_value=AFTER,
                visible=len(scene.cameras_before) > 0,
                hint="Blue: after the adjustment. Orange: before. Lines join the two.",
            )
            self._axes = gui.add_checkbox("axes of the world", initial_value=False)
            self._dark = gui.add_checkbox("dark", initial_value=False)

    def _add_points(self, gui: viser.GuiApi) -> None:
        scene = self._scene
        has_sparse, has_dense = len(scene.sparse.xyz) > 0, len(scene.dense.xyz) > 0
        lengths = np.append(scene.sparse.track_length, scene.before.track_length)
        longest = int(lengths.max(initial=0))
        shortest = int(lengths.min(initial=longest))
        self._sets = gui.add_dropdown(
            "points",
            (SPARSE, DENSE, _BOTH),
            initial_value=_BOTH if has_dense else SPARSE,
            visible=has_sparse and has_dense,
            hint="Sparse: points of the model. Dense: every pixel, by its predicted depth.",
        )
        self._percentile = gui.add_slider(
            "confidence percentile",
            0,
            99,
            1,
            initial_value=_PERCENTILE if has_dense else 0,
            visible=has_dense,
            hint="Hides this share of the dense points: those that are least sure.",
        )
        self._track_length = gui.add_slider(
            "minimum track length",
            shortest,
            longest,
            1,
            initial_value=shortest,
            visible=longest > shortest,
            hint="Hides sparse points that fewer photographs see.",
        )
        self._point_scale = gui.add_slider("point size", 0.1, 4.0, 0.1, initial_value=1.0)
        self._said = gui.add_html("")

    @property
    def point_sets(self) -> tuple[str, ...]:
        """Which points are wanted."""
        return (SPARSE, DENSE) if self._sets.value == _BOTH else (self._sets.value,)

    @property
    def camera_states(self) -> tuple[str, ...]:
        """Which cameras, and points that belong to them, are wanted."""
        return (AFTER, BEFORE) if self._states.value == _BOTH else (self._states.value,)

    @property
    def percentile(self) -> float:
        """Of the confidence; dense points below it are hidden."""
        return float(self._percentile.value)

    @property
    def track_length(self) -> int:
        """Of sparse points, at least."""
        return int(self._track_length.value)

    @property
    def point_scale(self) -> float:
        """Factor on the usual size of points."""
        return float(self._point_scale.value)

    @property
    def axes(self) -> bool:
        """Whether the axes of the world are wanted."""
        return bool(self._axes.value)

    @property
    def dark(self) -> bool:
        """Whether a dark page is wanted."""
        return bool(self._dark.value)

    def on_points(self, refresh: Callable[[], None]) -> None:
        """Call a function when other points are wanted."""
        self._sets.on_update(lambda _: refresh())
        self._percentile.on_update(lambda _: refresh())
        self._track_length.on_update(lambda _: refresh())

    def on_cameras(self, refresh: Callable[[], None]) -> None:
        """Call a function when other cameras are wanted."""
        self._states.on_update(lambda _: refresh())

    def on_size(self, refresh: Callable[[], None]) -> None:
        """Call a function when points should have another size."""
        self._point_scale.on_update(lambda _: refresh())

    def on_look(self, refresh: Callable[[], None]) -> None:
        """Call a function when things should look otherwise."""
        self._axes.on_update(lambda _: refresh())
        self._dark.on_update(lambda _: refresh())

    def say(self, sparse: int, before: int, dense: int) -> None:
        """Tell how many points are shown, and of how many where that is not all."""
        scene = self._scene
        sets: tuple[tuple[str, int, Points], ...] = (
            ("sparse", sparse, scene.sparse),
            ("before adjustment", before, scene.before),
            ("dense", dense, scene.dense),
        )
        self._said.content = facts_table(
            [
                (name, shown_of(shown, len(points.xyz), points.total))
                for name, shown, points in sets
                if shown or (points.total and points is not scene.before)
            ]
        )
