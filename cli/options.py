"""Command-line options made from config dataclasses, so that a knob exists in one place."""

from __future__ import annotations

import ast
import inspect
import json
import logging
import textwrap
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click

from vggt_sfm.io.plain import from_plain, to_plain, type_hints

T = TypeVar("T")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]  # Any: what click decorates

MODEL_ALIASES = {
    "predict.weights": "--weights",
    "predict.model": "--model",
    "predict.device": "--device",
    "predict.precision": "--precision",
    "predict.offline": "--offline/--no-offline",
    "predict.commercial_only": "--commercial-only/--no-commercial-only",
}
"""Short flags of what chooses a model."""
_CLICK_TYPES = {int: click.INT, float: click.FLOAT, str: click.STRING, Path: click.Path()}


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``--verbose``; the command gets ``as_json`` and ``level``."""
    verbose = click.option(
        "-v",
        "--verbose",
        "level",
        is_flag=True,
        flag_value=logging.DEBUG,
        default=logging.INFO,
        type=int,
        help="Show details, and where an unexpected error comes from.",
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object on stdout."
    )
    return as_json(verbose(function))


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add FOLDER and ``--images``, which open a model; the command gets ``folder``, ``images``."""
    images = click.option(
        "--images",
        type=click.Path(path_type=Path),
        help="Folder of the photographs, if they are not where the run found them, or in images "
        "beside the model.",
    )
    return click.argument("folder", type=click.Path(path_type=Path))(images(function))


def config_options(config: type, aliases: Mapping[str, str]) -> Decorator:
    """Make an option of every field of a config dataclass and of its sections.

    Args:
        config: The dataclass; fields that are dataclasses are sections.
        aliases: Short flags by dotted field, such as ``{"predict.device": "--device"}``.

    Returns:
        A decorator. Options that were not given are None.
    """
    options = []
    for field in fields(config):
        kind = type_hints(config)[field.name]
        if is_dataclass(kind) and isinstance(kind, type):
            docs = _field_docs(kind)
            options += [
                _option(f"{field.name}.{inner.name}", inner, type_hints(kind), docs, aliases)
                for inner in fields(kind)
            ]
        else:
            options.append(
                _option(field.name, field, type_hints(config), _field_docs(config), aliases)
            )
    # Short flags first: they are what most users need.
    options.sort(key=lambda pair: "." in pair[0] and pair[0] not in aliases)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for _, option in reversed(options):
            function = option(function)
        return function

    return decorate


def build_config(kind: type[T], file: Path | None, given: Mapping[str, object]) -> T:
    """Combine defaults, a config file and options, the later ones winning.

    Args:
        kind: The config dataclass.
        file: A TOML file, a JSON file or the ``run.json`` of an earlier run.
        given: Values by parameter name as ``config_options`` made them; None is not given.

    Returns:
        The config.

    Raises:
        click.UsageError: If the file or a value does not fit.
    """
    plain = _read_file(file) if file else {}
    for name, value in given.items():
        if value is not None:
            *sections, field = name.split("__")
            target = plain
            for section in sections:
                target = target.setdefault(section, {})
            target[field] = to_plain(value)
    try:
        return from_plain(kind, plain)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _read_file(path: Path) -> dict[str, Any]:  # Any: JSON
    try:
        text = path.read_text(encoding="utf-8")
        plain = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--config {path}: {error}") from error
    if isinstance(plain, dict) and isinstance(plain.get("config"), dict):
        plain = plain["config"]
    if not isinstance(plain, dict):
        raise click.UsageError(f"--config {path}: holds no table of options")
    return plain


def _option(
    dotted: str,
    field: Field[Any],
    hints: Mapping[str, Any],
    docs: Mapping[str, str],
    aliases: Mapping[str, str],
) -> tuple[str, Decorator]:
    section, _, _ = dotted.rpartition(".")
    prefix = f"--{section}." if section else "--"
    word = field.name.replace("_", "-")
    kind = _without_none(hints[field.name])
    if kind is bool:
        flag = f"{prefix}{word}/{prefix}no-{word}"
        declared: dict[str, Any] = {"is_flag": True}
    else:
        flag = f"{prefix}{word}"
        declared = _repeated(kind) if get_origin(kind) is tuple else {"type": _click_type(kind)}
    text = field.metadata.get("help") or docs[field.name]
    default = _default_text(field)
    option = click.option(
        aliases.get(dotted, flag),
        dotted.replace(".", "__"),
        default=None,
        help=f"{text}  [default: {default}]" if default else text,
        **declared,
    )
    return dotted, option


def _click_type(kind: Any) -> Any:  # Any: a type hint, and what click takes for one
    if get_origin(kind) is Literal:
        return click.Choice([str(choice) for choice in get_args(kind)])
    return _CLICK_TYPES[kind]


def _repeated(kind: Any) -> dict[str, Any]:
    """Declare an option that may be given several times, for a field ``tuple[X, ...]``."""
    inner = get_args(kind)[0]
    if isinstance(inner, type) and is_dataclass(inner):
        return _repeated_words(inner)
    return {"type": _click_type(inner), "multiple": True, "callback": _none_if_not_given}


def _repeated_words(inner: type[Any]) -> dict[str, Any]:
    """Declare a repeatable option that takes a word for each field of a dataclass."""
    hints = type_hints(inner)

    def build(context: click.Context, parameter: click.Parameter, given: Any) -> Any:
        try:
            built = [inner(**dict(zip(hints, words, strict=True))) for words in given or ()]
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error
        return tuple(built) or None

    return {
        "type": tuple(_click_type(hint) for hint in hints.values()),
        "multiple": True,
        "metavar": " ".join(name.upper() for name in hints),
        "callback": build,
    }


def _none_if_not_given(_context: click.Context, _parameter: click.Parameter, given: Any) -> Any:
    """Tell an option that was not given from one that empties what a config file says."""
    return given or None


def _default_text(field: Field[Any]) -> str | None:
    default = field.default if field.default is not MISSING else None
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return ", ".join(map(str, default)) or None
    return None if default is None else str(default)


def _without_none(hint: Any) -> Any:  # Any: a type hint
    if get_origin(hint) in (Union, types.UnionType):
        return next(kind for kind in get_args(hint) if kind is not type(None))
    return hint


def _field_docs(kind: type) -> dict[str, str]:
    """Return the texts that stand below the fields of a dataclass."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef))
    docs = {}
    for statement, text in pairwise(body):
        match statement, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(words))
            ):
                docs[name] = " ".join(words.split())
    return docs
