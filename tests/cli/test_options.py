"""Options made from config dataclasses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Literal

import click
import pytest
from click.testing import CliRunner

from vggt_sfm.cli.options import build_config, config_options
from vggt_sfm.cli.reconstruct import command
from vggt_sfm.io.plain import to_plain, type_hints
from vggt_sfm.pipelines.config import ReconstructConfig


@dataclass(frozen=True, kw_only=True)
class Section:
    max_size: int = 7
    """Largest size,
    in two lines."""
    kind: Literal["a", "b"] = "a"
    """Which kind."""
    weight: float | None = None
    """How heavy."""
    use: bool = True
    """Whether to use it."""
    quick: bool = False
    """Whether to hurry."""

    def __post_init__(self) -> None:
        if self.max_size < 0:
            raise ValueError("Section.max_size: is negative")


@dataclass(frozen=True, kw_only=True)
class Length:
    start: str
    """From."""
    end: str
    """To."""
    metres: float
    """How far."""

    def __post_init__(self) -> None:
        if self.metres < 0:
            raise ValueError("Length.metres: is negative")


@dataclass(frozen=True, kw_only=True)
class Many:
    lengths: tuple[Length, ...] = ()
    """Lengths."""
    kinds: tuple[Literal["a", "b", "c"], ...] = ("a", "b")
    """Kinds."""
    words: tuple[str, ...] = ()
    """Words."""


@dataclass(frozen=True, kw_only=True)
class Config:
    part: Section = field(default_factory=Section)
    many: Many = field(default_factory=Many)
    strict: bool = False
    """Be strict."""


def _build(*words: str, file: Path | None = None) -> Config:
    built: list[Config] = []

    @click.command()
    @config_options(Config, {"part.kind": "--kind", "part.quick": "--quick/--no-quick"})
    def probe(**given: object) -> None:
        built.append(build_config(Config, file, given))

    result = CliRunner().invoke(probe, list(words), standalone_mode=False)
    if result.exception:
        raise result.exception
    return built[0]


def test_nothing_given_is_the_default() -> None:
    assert _build() == Config()


def test_each_kind_of_field_can_be_given() -> None:
    words = ["--part.max-size", "3", "--kind", "b", "--part.weight", "2", "--part.no-use"]
    expected = Config(part=Section(max_size=3, kind="b", weight=2.0, use=False), strict=True)
    assert _build(*words, "--strict") == expected


def test_options_that_may_be_given_several_times() -> None:
    words = ["--many.lengths", "my photo.jpg", "b.jpg@1,2", "2", "--many.lengths", "c", "d", "0.5"]
    words += ["--many.kinds", "c", "--many.kinds", "a", "--many.words", "x y"]
    lengths = (
        Length(start="my photo.jpg", end="b.jpg@1,2", metres=2.0),
        Length(start="c", end="d", metres=0.5),
    )
    expected = Many(lengths=lengths, kinds=("c", "a"), words=("x y",))
    assert _build(*words) == Config(many=expected)


def test_several_values_of_a_file_stay_unless_others_are_given(tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(
        '[many]\nkinds = ["c"]\nwords = ["w", "v"]\n'
        '[[many.lengths]]\nstart = "a"\nend = "b"\nmetres = 2\n'
    )
    lengths = (Length(start="a", end="b", metres=2.0),)
    expected = Config(many=Many(lengths=lengths, kinds=("c",), words=("w", "v")))
    assert _build(file=toml) == expected
    other = Many(lengths=lengths, kinds=("b",), words=("w", "v"))
    assert _build("--many.kinds", "b", file=toml) == Config(many=other)
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"config": to_plain(expected)}))
    assert _build(file=run) == expected
    toml.write_text('[[many.lengths]]\nstart = "a"\n')
    with pytest.raises(click.UsageError, match=r"many\.lengths\[\]: end, metres is missing"):
        _build(file=toml)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--many.lengths", "a", "b"], "requires 3 arguments"),
        (["--many.lengths", "a", "b", "far"], "'far' is not a valid float"),
        (["--many.lengths", "a", "b", "-1"], "Length.metres: is negative"),
        (["--many.kinds", "d"], "'d' is not one of"),
    ],
)
def test_a_wrong_value_of_several_is_a_usage_error(words: list[str], message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        _build(*words)


def test_short_switches_work_both_ways(tmp_path: Path) -> None:
    assert _build("--quick") == Config(part=Section(quick=True))
    toml = tmp_path / "run.toml"
    toml.write_text("[part]\nquick = true\n")
    assert _build(file=toml) == Config(part=Section(quick=True))
    assert _build("--no-quick", file=toml) == Config()


def test_options_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text('strict = true\n[part]\nmax_size = 1\nkind = "b"\n')
    expected = Config(part=Section(max_size=2, kind="b"), strict=True)
    assert _build("--part.max-size", "2", file=toml) == expected
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"ok": True, "config": to_plain(expected)}))
    assert _build(file=run) == expected
    run.write_text(json.dumps(to_plain(expected)))
    assert _build("--no-strict", file=run) == Config(part=expected.part)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("part = 3", "part: expected a table, got 3"),
        ("[part]\nmaxsize = 3", "part: unknown maxsize; known: max_size, kind, weight, use, quick"),
        ("[part]\nmax_size = -1", "is negative"),
        ("[part", "Expected"),
    ],
)
def test_wrong_file_is_a_usage_error_that_says_where(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(click.UsageError, match=message):
        _build(file=tmp_path / "run.toml")


def test_help_shows_the_texts_and_defaults_of_the_fields() -> None:
    @click.command()
    @config_options(Config, {"part.kind": "--kind"})
    def probe(**_: object) -> None:
        pass

    shown = " ".join(CliRunner().invoke(probe, ["--help"]).stdout.split())
    assert "--part.max-size INTEGER Largest size, in two lines. [default: 7]" in shown
    assert "--kind [a|b] Which kind. [default: a]" in shown
    assert "--part.use / --part.no-use Whether to use it. [default: on]" in shown
    assert "--many.lengths START END METRES Lengths. --many.kinds [a|b|c] Kinds." in shown
    assert "Kinds. [default: a, b]" in shown
    assert shown.index("--kind") < shown.index("--part.max-size")


def test_every_field_of_the_product_has_an_option_with_a_text() -> None:
    options = {name for parameter in command.params for name in parameter.opts}
    hints = type_hints(ReconstructConfig)
    short = {
        "exports.image_factors": "--image-factors",
        "ingest.masks": "--masks",
        "ingest.every": "--every",
        "ingest.max_frames": "--max-frames",
        "place.gps": "--gps",
        "place.positions": "--positions",
        "ingest.cameras": "--cameras",
        "ingest.rig": "--rig",
        "place.distances": "--distance",
        "prior.intrinsics": "--intrinsics",
        "prior.poses": "--pose-prior",
        "seed.camera_model": "--camera-model",
        "predict.weights": "--weights",
        "predict.model": "--model",
        "predict.device": "--device",
        "predict.precision": "--precision",
        "predict.offline": "--offline",
        "predict.commercial_only": "--commercial-only",
        "predict.point_source": "--point-source",
        "track.database": "--database",
        "track.seed": "--seed",
    }
    for outer in fields(ReconstructConfig):
        kind = hints[outer.name]
        inner = [f"{outer.name}.{one.name}" for one in fields(kind)] if is_dataclass(kind) else []
        for name in inner or [outer.name]:
            assert short.get(name, f"--{name.replace('_', '-')}") in options
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or getattr(parameter, "help", None)
