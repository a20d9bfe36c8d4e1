"""``make city ONCE=1`` comes to an end in which everybody agrees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_city_comes_to_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demo.city", "--once", "--seconds", "20", "--seed", "3"]
    done = subprocess.run(
        [*command, "--root", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "all agree" in done.stdout
