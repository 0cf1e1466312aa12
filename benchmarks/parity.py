"""Is this the published network? Every golden array compared, and what each way to run it costs.

``python -m vggt_sfm.benchmarks.parity --spec SPECIFICATION`` prints two Markdown tables. With
``--full`` (the default) the network of VGGT-1B's size runs too: two CPU minutes and 7 GB.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import torch

from vggt_sfm.benchmarks import golden_photos, golden_pieces, markdown
from vggt_sfm.benchmarks.goldens import CASES, SMALL, TINY, Goldens, Match, seeded_model
from vggt_sfm.benchmarks.precision import OutputError, output_errors, small_scenes
from vggt_sfm.benchmarks.recording import compare_case
from vggt_sfm.benchmarks.ways_to_run import OUTPUTS, PLAIN
from vggt_sfm.errors import GateError


def golden_matches(folder: Path, device: torch.device, *, full: bool) -> list[Match]:
    """Compare every golden array but the inputs of others.

    Args:
        folder: Where the golden files are.
        device: Where the networks run.
        full: Whether to run the network of VGGT-1B's size.
    """
    goldens = Goldens(folder, "small.npz")
    small = seeded_model(folder, SMALL).to(device)
    matches = [match for case in "ABC" for match in compare_case(goldens, case, small)]
    matches += compare_case(goldens, "T", seeded_model(folder, TINY).to(device))
    matches += golden_pieces.all_matches(goldens, folder, small)
    with tempfile.TemporaryDirectory() as photos:
        frames = golden_photos.write_sources(goldens, Path(photos))
        matches += golden_photos.photo_matches(goldens, frames)
    del small
    if full:
        model = seeded_model(folder, CASES["full"].config).to(device)
        matches += compare_case(Goldens(folder, "full.npz"), "full", model)
    return matches


def precision_errors(folder: Path, device: torch.device) -> list[OutputError]:
    """Measure every way to run the small network against float64."""
    model = seeded_model(folder, SMALL).to(device)
    with tempfile.TemporaryDirectory() as checkpoint:
        scenes = small_scenes(Goldens(folder, "small.npz"))
        return output_errors(model, scenes, Path(checkpoint))


def golden_table(matches: Sequence[Match]) -> str:
    """Show the worst array of each group as Markdown."""
    groups: dict[tuple[str, str], list[Match]] = {}
    for match in matches:
        part, dot, _ = match.name.partition(".")
        groups.setdefault((match.case, f"{part}.*" if dot else part), []).append(match)
    rows = []
    for (case, group), members in groups.items():
        worst = max(members, key=lambda match: match.ratio)
        unit = " relative" if worst.relative else ""
        rows.append(
            [
                case,
                group,
                str(len(members)),
                worst.name,
                f"{worst.difference:.1e}{unit}",
                f"{worst.tolerance:.0e}{unit}" if worst.tolerance else "0 (same bytes)",
                f"{worst.ratio:.3f}",
                "pass" if all(match.within for match in members) else "FAIL",
            ]
        )
    titles = ["case", "arrays", "number", "worst", "off by", "tolerance", "worst ratio", ""]
    return markdown.table(titles, rows)


def precision_table(errors: Sequence[OutputError]) -> str:
    """Show outputs by ways to run the network as Markdown."""
    found = {(error.way, error.output): error for error in errors}
    ways = list(dict.fromkeys(error.way for error in errors))
    others = [way for way in ways if way != PLAIN]
    rows = []
    for output in OUTPUTS:
        plain = found[PLAIN, output]
        factors = [_factor(found[way, output]) for way in others]
        rows.append([output, f"{plain.rms:.1e}", f"{plain.worst:.1e}", *factors])
    return markdown.table(["output", f"{PLAIN}: rms error", "worst", *others], rows)


def _factor(error: OutputError) -> str:
    shown = f"× {error.factor:.3g}"
    if error.limit is None:
        return shown + (", same bits" if error.within else ", other bits: FAIL")
    return f"{shown} of {error.limit:g}" + ("" if error.within else ": FAIL")


@click.command()
@click.option(
    "--spec",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder of the specification; its folder golden is read.",
)
@click.option(
    "--full/--no-full", default=True, show_default=True, help="Also run VGGT-1B's own size."
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--json", "log", type=click.Path(path_type=Path), help="Write all figures here.")
@click.pass_context
def main(ctx: click.Context, spec: Path, full: bool, device: str, log: Path | None) -> None:
    """Compare every golden array and measure what each way to run the network costs."""
    wall, cpu = time.perf_counter(), time.process_time()
    folder, place = spec / "golden", torch.device(device)
    matches = golden_matches(folder, place, full=full)
    click.echo(golden_table(matches) + "\n")
    errors = precision_errors(folder, place)
    click.echo(precision_table(errors) + "\n")
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    beyond = [f"{m.case} {m.name}" for m in matches if not m.within]
    beyond += [f"{e.way} {e.output}" for e in errors if not e.within]
    click.echo(
        f"{len(matches)} arrays and {len(errors)} errors, {len(beyond)} beyond what is tolerated; "
        f"{seconds['wall']:.0f} s, {seconds['cpu']:.0f} CPU s, torch {torch.__version__}, {device}"
    )
    if log is not None:
        log.write_text(json.dumps(_figures(matches, errors, seconds, device), indent=1))
    if beyond:
        click.echo(f"beyond: {', '.join(beyond)}", err=True)
        ctx.exit(GateError.exit_code)


def _figures(
    matches: Sequence[Match], errors: Sequence[OutputError], seconds: dict[str, float], device: str
) -> dict[str, object]:
    return {
        "torch": torch.__version__,
        "device": device,
        "seconds": seconds,
        "goldens": [{**asdict(m), "ratio": m.ratio, "within": m.within} for m in matches],
        "precision": [asdict(error) for error in errors],
    }


if __name__ == "__main__":
    main()
