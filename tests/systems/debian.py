"""Programs of Debian's that a test needs: installed where one may."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/lib/dovecot"


def program(name: str, package: str) -> str:
    """The path of a program; its package is installed when it is missing and we are root."""
    if found := shutil.which(name, path=PATH):
        return found
    if os.geteuid():
        pytest.skip(f"{name} is missing: install Debian's package {package}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for order in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
        subprocess.run(
            ["/usr/bin/apt-get", *order], check=True, env=quiet, stdout=subprocess.DEVNULL
        )
    found = shutil.which(name, path=PATH)
    assert found, f"the package {package} brings no {name}"
    return found
