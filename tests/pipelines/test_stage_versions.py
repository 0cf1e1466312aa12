"""Code that makes a stage's result changed: did its meaning, and so its version, change too?

When this test fails, raise the stage's version in ``pipelines/stages.py`` if old results are not
what the new code would make. Then, in either case, run ``make stage-hashes``.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

RECORD = Path(__file__).with_name("stage_hashes.json")
ROOT = Path(__file__).resolve().parents[2]

# What each kept stage's result is made by, besides the function in pipelines/stages.py.
SOURCES = {
    "ingest": [
        "vggt_sfm/io/images.py",
        "vggt_sfm/io/exif.py",
        "vggt_sfm/io/masks.py",
        "vggt_sfm/io/preprocess.py",
        "vggt_sfm/io/shared_cameras.py",
    ],
    "predict": [
        "vggt_sfm/inference/*.py",
        "vggt_sfm/io/preprocess.py",
        "vggt_sfm/models/*.py",
        "vggt_sfm/models/*/*.py",
    ],
    "know": ["vggt_sfm/priors/*.py", "vggt_sfm/placing/*.py"],
    "track": ["vggt_sfm/tracking/*.py", "vggt_sfm/tracking/*/*.py", "vggt_sfm/_groups.py"],
    "adjust": ["vggt_sfm/ba/*.py", "vggt_sfm/_groups.py"],
}


def stage_hash(name: str) -> str:
    """Hash the code of a stage, without comments, docstrings and layout."""
    functions = ast.parse((ROOT / "pipelines" / "stages.py").read_text())
    trees: list[ast.AST] = [
        node
        for node in functions.body
        if isinstance(node, ast.FunctionDef) and node.name == f"run_{name}"
    ]
    assert trees, f"no run_{name} in pipelines/stages.py"
    paths = sorted({path for pattern in SOURCES[name] for path in ROOT.glob(pattern)})
    assert len(paths) >= len(SOURCES[name])
    trees += [ast.parse(path.read_text()) for path in paths]
    text = "\n".join(ast.dump(_without_docstrings(tree)) for tree in trees)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        body: list[Any] | None = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [
                entry
                for entry in body
                if not (isinstance(entry, ast.Expr) and isinstance(entry.value, ast.Constant))
            ]
    return tree


def current() -> dict[str, dict[str, Any]]:
    """Return version and hash of every kept stage."""
    from vggt_sfm.pipelines.stages import STAGES

    return {name: {"version": STAGES[name].version, "hash": stage_hash(name)} for name in SOURCES}


@pytest.mark.parametrize("name", SOURCES)
def test_changed_stage_has_a_new_version(name: str) -> None:
    recorded, now = json.loads(RECORD.read_text())[name], current()[name]
    assert now["version"] >= recorded["version"], f"the version of {name} went back"
    assert now == recorded, (
        f"the code of stage {name} changed: raise its version in pipelines/stages.py if its "
        "results changed, then run `make stage-hashes`"
    )


def test_every_kept_stage_is_guarded() -> None:
    from vggt_sfm.pipelines.stages import STAGES

    assert {stage.name for stage in STAGES.values() if stage.store} == set(SOURCES)


def test_layout_and_comments_do_not_count() -> None:
    plain = ast.dump(_without_docstrings(ast.parse("def f(x):\n    return x + 1\n")))
    dressed = 'def f(x):\n    """Add."""\n    # one\n    return (x +\n            1)\n'
    assert ast.dump(_without_docstrings(ast.parse(dressed))) == plain
    changed = ast.parse("def f(x):\n    return x + 2\n")
    assert ast.dump(_without_docstrings(changed)) != plain


if __name__ == "__main__":
    assert sys.argv[1:] == ["--write"]
    RECORD.write_text(json.dumps(current(), indent=1) + "\n")
