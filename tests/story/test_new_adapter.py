"""``hub new-adapter`` writes a vendor that passes its contract tests; no shared file is edited."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from hub.registry import ROOT

PARTS = (
    "hub",
    "adapters",
    "mappings",
    "webhooks",
    "tests",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)


def test_the_skeleton_passes_and_touches_nothing_else(tmp_path: Path) -> None:
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / part)
    before = _files(tmp_path)
    _run(tmp_path, "-m", "hub", "new-adapter", "acme_crm", "--title", "Acme CRM")
    made = _files(tmp_path) - before
    assert {path.parts[:2] for path in made} == {("adapters", "acme_crm"), ("mappings", "acme_crm")}
    _run(tmp_path, "-m", "pytest", "-q", "tests/contract", "-k", "acme_crm")
    _run(tmp_path, "-m", "ruff", "check", "adapters/acme_crm")
    _run(tmp_path, "-m", "ruff", "format", "--check", "adapters/acme_crm")


def _files(root: Path) -> set[Path]:
    return {
        path.relative_to(root)
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".pytest_cache" not in path.parts
    }


def _run(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
