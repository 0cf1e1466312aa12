"""Dataclasses as JSON and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from vggt_sfm.io.plain import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class Inner:
    weight: float = 1.0
    word: Literal["a", "b"] = "a"
    pair: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Needed:
    x: float
    y: float
    z: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    several: tuple[Inner, ...] = ()
    path: Path | None = None
    count: int | None = None
    flag: bool = False
    needed: Needed | None = None

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError("Outer.count: 13 brings bad luck")


def test_round_trip_through_json() -> None:
    value = Outer(several=(Inner(weight=0.1), Inner(word="b")), path=Path("x/y"), flag=True)
    assert from_plain(Outer, json.loads(json.dumps(to_plain(value)))) == value


def test_missing_fields_keep_their_defaults_and_whole_numbers_become_floats() -> None:
    value = from_plain(Outer, {"inner": {"weight": 3}})
    assert value == Outer(inner=Inner(weight=3.0))
    assert isinstance(value.inner.weight, float)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"inner": {"wieght": 1}}, r"inner: unknown wieght; known: weight, word, pair"),
        ({"inner": {"weight": "heavy"}}, r"inner\.weight: expected .*float.*, got 'heavy'"),
        ({"inner": {"word": "c"}}, r"inner\.word: expected a \| b, got 'c'"),
        ({"inner": {"pair": [1.0]}}, r"inner\.pair: expected"),
        ({"inner": 3}, r"inner: expected a table, got 3"),
        ({"count": True}, r"count: expected .*int.*, got True"),
        ({"count": 2.5}, r"count: expected .*int.*, got 2\.5"),
        ({"flag": 1}, r"flag: expected .*bool.*, got 1"),
        ({"count": 13}, r"13 brings bad luck"),
        ({"needed": {}}, r"needed: x, y is missing"),
    ],
)
def test_what_does_not_fit_is_named(plain: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_plain(Outer, plain)
