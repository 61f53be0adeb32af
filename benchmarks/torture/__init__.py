"""Kills, stops, damage and full disks; see __main__.py. What it shares with tests lies in tests/support."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
