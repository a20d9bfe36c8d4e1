"""Adapters that no connection uses cost a start next to nothing: their code is not loaded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hub.registry import ROOT, manifests

LOADED = """
import json, sys
{code}
print("\\n" + json.dumps(sorted(name for name in sys.modules if name.startswith("adapters."))))
"""
MANIFESTS = "from hub.registry import manifests; manifests()"
HELP = """
from hub.cli import cli
cli(["--help"], standalone_mode=False)
"""
USE = "from hub.registry import manifest; manifest('demo').adapter_class()"


def loaded(code: str) -> list[str]:
    """The modules of adapters that a new process has loaded after that."""
    command = [sys.executable, "-c", LOADED.format(code=code)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("code", [MANIFESTS, HELP], ids=["manifests", "help"])
def test_no_adapter_is_loaded_at_start(code: str) -> None:
    assert len(manifests()) > 40
    assert loaded(code) == []


def test_only_the_adapter_that_is_used_is_loaded() -> None:
    found = loaded(USE)
    assert "adapters.demo.adapter" in found
    assert {name.split(".")[1] for name in found} == {"demo"}
