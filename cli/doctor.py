"""``vggt-sfm doctor``."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click

import vggt_sfm
from vggt_sfm.cli.native import missing_library
from vggt_sfm.cli.options import common_options
from vggt_sfm.errors import CapabilityError, install_line
from vggt_sfm.models.hub import hub_cache
from vggt_sfm.models.records import EMBEDDED_WEIGHTS, RECORDS, gigabytes
from vggt_sfm.models.store import locate

# distribution -> what to try in a process of its own: a native library can end the process.
_NATIVE = {
    "torch": "import torch",
    "pycolmap": "import pycolmap, pycolmap.cost_functions",
    "pyceres": "import pyceres",
    "opencv-python": "import cv2",
    "h5py": "import h5py",
}
_GPU = (
    "import torch; cuda = torch.cuda.is_available(); mps = torch.backends.mps.is_available(); "
    "print(torch.cuda.get_device_name() if cuda else 'Apple GPU' if mps else '')"
)
# what it is for, its modules, the extra that installs them
_EXTRAS = (
    ("heic photos", ("pi_heif",), "heic"),
    ("videos", ("av",), "video"),
    ("viewer, and the scene in reports", ("viser",), "viewer"),
    ("export to glb and exr", ("trimesh", "OpenEXR"), "export"),
)
_PATIENCE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the doctor's report."""

    name: str
    ok: bool
    found: str
    advice: str | None = None
    """What to do about it."""


@click.command("doctor")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder that results shall go to.  [default: this folder]",
)
@common_options
def command(output: Path, as_json: bool, level: int) -> None:
    """Check this installation and say what is missing."""
    checks = [
        Check(name="vggt-sfm", ok=True, found=vggt_sfm.__version__),
        Check(name="python", ok=True, found=f"{platform.python_version()} ({sys.executable})"),
        *(_check_import(name, code) for name, code in _NATIVE.items()),
        _check_gpu(),
        _check_weights(),
        _check_cache(),
        *(_check_extra(*extra) for extra in _EXTRAS),
        _check_writable(output),
    ]
    missing = [check for check in checks if not check.ok]
    for check in checks:
        mark = "ok     " if check.ok else "MISSING"
        click.echo(f"{mark}  {check.name}: {check.found}", err=True)
        if check.advice:
            click.echo(f"         {check.advice}", err=True)
    if missing:
        raise CapabilityError(
            f"missing: {', '.join(check.name for check in missing)}; "
            + "; ".join(check.advice for check in missing if check.advice)
        )
    if as_json:
        click.echo(json.dumps({"ok": True, "schema": 1, "checks": [asdict(c) for c in checks]}))


def _check_import(distribution: str, code: str) -> Check:
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Check(
            name=distribution,
            ok=False,
            found="not installed",
            advice=f"pip install {distribution}",
        )
    failure = _failure(code)
    if failure is None:
        return Check(name=distribution, ok=True, found=version)
    advice = missing_library(failure) or f"pip install --force-reinstall {distribution}=={version}"
    return Check(name=distribution, ok=False, found=f"{version}, but {failure}", advice=advice)


def _failure(code: str) -> str | None:
    """Return why some code fails in a fresh interpreter, or None."""
    done = _python(code)
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ends the process with status {done.returncode}"


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )


def _check_gpu() -> Check:
    done = _python(_GPU)
    name = done.stdout.strip() if done.returncode == 0 else ""
    return Check(name="gpu", ok=True, found=name or "none, the CPU will do the work")


def _check_weights() -> Check:
    if EMBEDDED_WEIGHTS.is_file():
        return Check(
            name="embedded model", ok=True, found=gigabytes(EMBEDDED_WEIGHTS.stat().st_size)
        )
    return Check(
        name="embedded model",
        ok=False,
        found=f"no {EMBEDDED_WEIGHTS}",
        advice="pip install --force-reinstall vggt-sfm",
    )


def _check_cache() -> Check:
    """Say which models were fetched, and whether more can be."""
    folder = hub_cache()
    here = [name for name, known in RECORDS.items() if known.repository and locate(known)]
    existing = _nearest_folder(folder)
    writable = os.access(existing, os.W_OK)
    return Check(
        name="weights cache",
        ok=True,
        found=f"{folder}, {', '.join(here) or 'no fetched model'}"
        + ("" if writable else ", cannot be written to"),
        advice=None if writable else "optional: set HF_HUB_CACHE to a folder for models",
    )


def _check_extra(what: str, modules: tuple[str, ...], extra: str) -> Check:
    there = all(importlib.util.find_spec(module) is not None for module in modules)
    return Check(
        name=what,
        ok=True,
        found="yes" if there else "no",
        advice=None if there else f"optional: {install_line(extra)}",
    )


def _nearest_folder(path: Path) -> Path:
    """Return the folder itself, or where it would have to be made."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _check_writable(folder: Path) -> Check:
    existing = _nearest_folder(folder.absolute())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Check(
            name="output",
            ok=False,
            found=f"cannot write to {existing}: {error.strerror}",
            advice="choose another folder with -o",
        )
    return Check(name="output", ok=True, found=f"can write to {existing}")
