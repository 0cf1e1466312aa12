"""What is in the wheel, and that it works away from the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME_OF = {
    "vggt_sfm": "vggt_sfm",
    "pipelines": "vggt_sfm/pipelines",
    "cli": "vggt_sfm/cli",
    "benchmarks": "vggt_sfm/benchmarks",
}


def test_wheel_holds_every_source_file_and_only_our_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix().replace(folder, home, 1)
        for folder, home in HOME_OF.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    expected |= {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "vggt_sfm" / "models" / "weights").iterdir()
        if path.is_file()
    }
    expected |= {"vggt_sfm/py.typed", "vggt_sfm/report/report.html.j2"}
    assert {name for name in shipped if "/baselines/" not in name} == expected


def test_wheel_works_where_the_repository_is_not(installed: Path, tmp_path: Path) -> None:
    code = (
        "import json, vggt_sfm, vggt_sfm.cli.main, vggt_sfm.pipelines.stage as stage\n"
        "print(json.dumps([vggt_sfm.__file__, vggt_sfm.cli.main.__file__, stage.__file__]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert all(Path(path).is_relative_to(installed) for path in json.loads(done.stdout))


def test_metadata_names_the_command_the_licence_and_the_version(installed: Path) -> None:
    (info,) = installed.glob("*.dist-info")
    assert "vggt-sfm = vggt_sfm.cli.main:main" in (info / "entry_points.txt").read_text()
    metadata = (info / "METADATA").read_text()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Dist: pyceres==2.6" in metadata
    assert "git+" not in metadata
    assert (info / "licenses" / "LICENSE").read_text().count("\n") > 200


def test_constraints_pin_what_the_project_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {line.split(">")[0].split("=")[0].split("[")[0] for line in wanted}
    assert names <= set(pinned)
    assert (pinned["torch"], pinned["pycolmap"], pinned["pyceres"]) == ("2.13.0", "4.2.1", "2.6")
