"""A run killed at any moment ends as one that was never disturbed: a few kills of many.

``python tests/reliability/kill.py --kills 50`` is the whole.
"""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kind", ["digits", "clinical"])
def test_three_kills_change_nothing(kind):
    harness = Path(__file__).with_name("kill.py")
    command = [sys.executable, str(harness), "--kills", "3", "--kind", kind, "--seed", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
