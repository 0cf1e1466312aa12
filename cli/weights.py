"""``vggt-sfm weights``."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from vggt_sfm._log import get_logger
from vggt_sfm.cli.console import open_console
from vggt_sfm.cli.options import common_options
from vggt_sfm.errors import WeightsError
from vggt_sfm.models.choice import EMBEDDED
from vggt_sfm.models.hashes import promised_sha256, remembered
from vggt_sfm.models.records import RECORDS, VGGT_1B, WeightsRecord, gigabytes, record
from vggt_sfm.models.shards import checkpoint_entry, checkpoint_parts
from vggt_sfm.models.store import (
    FoundWeights,
    fetch_weights,
    locate,
    not_here,
    weights_at,
)

_logger = get_logger(__name__)
_HEADINGS = ("model", "where", "size", "commercial use", "licence", "from")


def _complete_name(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [CompletionItem(name) for name in RECORDS if name.startswith(incomplete)]


def _complete_target(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    names = _complete_name(ctx, parameter, incomplete)
    return names or [CompletionItem(incomplete, type="file")]


_name_argument = click.argument("name", shell_complete=_complete_name)


@click.group("weights")
@common_options
@click.pass_context
def command(ctx: click.Context, as_json: bool, level: int) -> None:
    """List, fetch and check the models that are known by name."""
    ctx.default_map = {name: {"as_json": as_json, "level": level} for name in command.commands}


@command.command("list")
@common_options
def list_command(as_json: bool, level: int) -> None:
    """List the known models, and which of them are on this machine."""
    entries = [_describe(known) for known in RECORDS.values()]
    if as_json:
        _print_json(models=entries)
        return
    rows = [_HEADINGS, *map(_row, entries)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    click.echo(
        "~ is an estimate. Revisions are not pinned, and sizes and sha256 of models on the hub "
        "not known here: the hub tells them when a model is fetched."
    )


@command.command("fetch")
@_name_argument
@click.option("--revision", help="Branch, tag or commit on the hub.  [default: its main branch]")
@common_options
def fetch_command(name: str, revision: str | None, as_json: bool, level: int) -> None:
    """Fetch a model into the Hugging Face cache.

    What comes from where, its size and its licence are said first. A fetch that was interrupted
    goes on where it ended.
    """
    known = record(name)
    if revision is not None:
        # what is known of one revision is not known of another
        known = replace(known, revision=revision, size_bytes=None, sha256=None)
    progress = open_console(level)
    found = fetch_weights(known, progress=progress)
    _logger.info("%s is here; use it: vggt-sfm reconstruct PHOTOS --model %s", name, name)
    _print_found(found, as_json)


@command.command("path")
@_name_argument
@common_options
def path_command(name: str, as_json: bool, level: int) -> None:
    """Print where a model is on this machine; nothing is fetched."""
    there = locate(record(name))
    if there is None:
        raise not_here(record(name))
    if as_json:
        _print_json(name=name, path=str(there.path), commit=there.commit)
    else:
        click.echo(there.path)


@command.command("verify")
@click.argument("target", required=False, metavar="[NAME|PATH]", shell_complete=_complete_target)
@common_options
def verify_command(target: str | None, as_json: bool, level: int) -> None:
    """Read weights again and check their sha256, names and shapes.

    A model, a checkpoint file or a folder with one; without it every known model that is here.
    """
    open_console(level)
    checked = [_verify(path, known) for path, known in _targets(target)]
    if as_json:
        _print_json(checked=checked)
        return
    for entry in checked:
        same = entry["compared_with"] or "nothing is known to compare it with"
        fits = f", names and shapes of {entry['architecture']}" if entry["architecture"] else ""
        click.echo(f"{entry['path']}: sha256 {entry['sha256']} ({same}){fits}")


def _targets(target: str | None) -> list[tuple[Path, WeightsRecord | None]]:
    if target is not None and target not in RECORDS:
        if not Path(target).expanduser().exists():
            raise WeightsError(
                f"{target}: neither a file nor a folder, nor a known model ({', '.join(RECORDS)})"
            )
        return [(Path(target), None)]
    wanted = RECORDS.values() if target is None else [RECORDS[target]]
    places = [(locate(known), known) for known in wanted]
    if target is not None and places[0][0] is None:
        raise not_here(RECORDS[target])
    return [(place.path, known) for place, known in places if place is not None]


def _verify(path: Path, known: WeightsRecord | None) -> dict[str, str | None]:
    """Check one checkpoint; a WeightsError says what is wrong with it."""
    parts = checkpoint_parts(checkpoint_entry(path))
    read_before = all(remembered(part) for part in parts)
    named_by_hub = all(promised_sha256(part) for part in parts)
    found = weights_at(path, known, again=True)
    if found.record and found.record.sha256:
        compared: str | None = "as in its record"
    elif named_by_hub:
        compared = "as the hub says"
    else:
        compared = "as when it was first read" if read_before else None
    return {
        "name": found.record.name if found.record else None,
        "path": str(found.path),
        "sha256": found.sha256,
        "compared_with": compared,
        "architecture": _check_architecture(found),
    }


def _check_architecture(found: FoundWeights) -> str | None:
    """Check names and shapes; return whose, or None where the sha256 says more."""
    name = found.record.preset if found.record else VGGT_1B
    if name == EMBEDDED:
        return None
    from vggt_sfm.models.checkpoint import check_checkpoint
    from vggt_sfm.models.config import VGGTConfig

    check_checkpoint(found.path, VGGTConfig.preset(name))
    return name


def _describe(known: WeightsRecord) -> dict[str, Any]:  # Any: JSON
    there = locate(known)
    size = known.size_bytes
    if there is not None:
        size = sum(part.stat().st_size for part in checkpoint_parts(there.path))
    place = "embedded" if known.repository is None else "cached"
    return {
        **asdict(known),
        "where": "not here" if there is None else place,
        "path": None if there is None else str(there.path),
        "commit": None if there is None else there.commit,
        "size_bytes": size,
        "estimated_bytes": known.estimated_bytes,
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    size, licence = entry["size_bytes"], entry["licence"]
    return (
        entry["name"],
        entry["where"],
        f"~{gigabytes(entry['estimated_bytes'])}" if size is None else gigabytes(size),
        "yes" if licence["commercial"] else "no",
        licence["name"],
        entry["repository"] or "this package",
    )


def _print_found(found: FoundWeights, as_json: bool) -> None:
    if not as_json:
        click.echo(found.path)
        return
    _print_json(
        name=found.record.name if found.record else None,
        path=str(found.path),
        sha256=found.sha256,
        commit=found.commit,
        licence=found.licence,
    )


def _print_json(**content: object) -> None:
    click.echo(json.dumps({"ok": True, "schema": 1, **content}))
