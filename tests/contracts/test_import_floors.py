"""Imports only go down; torch and pycolmap stay behind their borders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports_command; "
    code += "lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_floors_hold(installed: Path) -> None:
    done = _lint(installed)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        (
            "ba/report.py",
            "import vggt_sfm.tracking.config",
            "ba.report -> vggt_sfm.tracking",
        ),
        ("geometry/rigid.py", "import vggt_sfm.scene", "geometry.rigid -> vggt_sfm.scene"),
        ("io/ply.py", "import torch", "vggt_sfm.io.ply -> torch"),
        ("cli/main.py", "import pycolmap", "vggt_sfm.cli.main -> pycolmap"),
    ],
)
def test_a_planted_import_is_found(installed: Path, module: str, line: str, complaint: str) -> None:
    path = installed / "vggt_sfm" / module
    original = path.read_text()
    path.write_text(f"{original}\n{line}\n")
    try:
        done = _lint(installed)
    finally:
        path.write_text(original)
    assert done.returncode == 1
    assert complaint in done.stdout
