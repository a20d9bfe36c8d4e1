"""The demo itself, as ``make demo ONCE=1`` runs it, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_three_real_systems_become_one_customer() -> None:
    folder = Path(os.environ.get("HUB_SYSTEMS_ROOT", ROOT / ".demo"))
    report_path = folder / "report.json"
    report_path.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--once", "--root", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(report_path.read_text("utf-8"))
    assert {system["name"] for system in report["systems"]} == {"tryton", "roundup", "mailbox"}
    assert all(system["version"] and system["records"] > 0 for system in report["systems"])
    assert set(report["merged"]["sources"]) >= {"erp", "desk", "mail"}
    assert report["not_merged"]["customers"] == ["王强", "赵敏"]
    assert report["customers"] < report["source_records"]
    assert report["webhook"]["status"] == 202
    assert {write["system"] for write in report["writes"]} == {"Roundup", "Mailbox", "Tryton"}
    assert all(write["confirmed"] for write in report["writes"])
