"""Dataclasses as plain JSON values and back, guided by their type hints."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Plain = Any  # Any: JSON, whose recursive type mypy cannot follow through json.loads


def to_plain(value: object) -> Plain:
    """Turn dataclasses, tuples and paths into dicts, lists and strings that JSON can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"no plain form for {type(value).__name__}")


def from_plain(kind: type[T], plain: Plain, where: str = "") -> T:
    """Build a value of a type from its plain form.

    Args:
        kind: A dataclass, NamedTuple, tuple, dict by strings, Literal, Path, scalar type, a union
            with None, or Any, which takes everything.
        plain: What ``to_plain`` returned, possibly after a trip through JSON. Fields of a
            dataclass that are missing keep their defaults.
        where: How messages call the value, such as ``track.max_features``.

    Returns:
        The value.

    Raises:
        ValueError: If the plain form does not fit the type; the message says where.
    """
    return cast("T", _build(kind, plain, where))


def _build(kind: Any, plain: Plain, where: str) -> Any:  # Any: a type hint, of whatever form
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return plain
    if is_dataclass(kind):
        return _build_dataclass(cast("type[Any]", kind), plain, where)
    if origin in (Union, types.UnionType):
        if plain is None and type(None) in arguments:
            return None
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _build(inner, plain, where)
    if origin is Literal and plain in arguments:
        return plain
    if origin is dict and isinstance(plain, Mapping):
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in plain.items()}
    if origin is tuple and isinstance(plain, list | tuple):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            arguments = (arguments[0],) * len(plain)
        if len(arguments) == len(plain):
            pairs = zip(arguments, plain, strict=True)
            return tuple(_build(inner, item, f"{where}[]") for inner, item in pairs)
    if isinstance(kind, type) and issubclass(kind, tuple) and isinstance(plain, list | tuple):
        return kind(*plain)
    if kind is Path and isinstance(plain, str):
        return Path(plain)
    if kind is float and isinstance(plain, int | float) and not isinstance(plain, bool):
        return float(plain)
    if kind in (str, bool, int) and type(plain) is kind:
        return plain
    expected = " | ".join(map(str, arguments)) if origin is Literal else str(kind)
    raise ValueError(f"{where}: expected {expected}, got {plain!r}")


def _build_dataclass(kind: type[Any], plain: Plain, where: str) -> Any:
    if not isinstance(plain, Mapping):
        raise ValueError(f"{where}: expected a table, got {plain!r}")
    hints = type_hints(kind)
    unknown = sorted(set(plain) - set(hints))
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(hints)}")
    missing = [
        field.name for field in fields(kind) if _is_required(field) and field.name not in plain
    ]
    if missing:
        raise ValueError(f"{where or kind.__name__}: {', '.join(missing)} is missing")
    prefix = f"{where}." if where else ""
    return kind(**{name: _build(hints[name], item, prefix + name) for name, item in plain.items()})


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def type_hints(kind: type) -> dict[str, Any]:
    """Return the resolved type of each field of a dataclass."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
