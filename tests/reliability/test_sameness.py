"""One seed gives the same numbers beside another run: one way of several, on one kind of run.

``python tests/reliability/sameness.py`` is the whole. ``test_sweep.py`` compares a sweep with
``train.py``, ``test_run.py`` a run with one after another, ``test_killed.py`` one that went on with
one that never stopped.
"""

import subprocess
import sys
from pathlib import Path


def test_company_changes_no_number():
    script = Path(__file__).with_name("sameness.py")
    chosen = ["--kind", "pairs", "--epochs", "1", "--variant", "beside another"]
    command = [sys.executable, str(script), *chosen]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| same | identical |" in done.stdout
