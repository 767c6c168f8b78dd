"""Nothing grows from epoch to epoch and run to run, and nothing stays open: a short look.

``python tests/reliability/memory.py --epochs 100 --runs 50`` is the whole. It is a process of its
own, since other tests' memory would show in this one's.
"""

import subprocess
import sys
from pathlib import Path


def test_memory_and_open_files():
    script = Path(__file__).with_name("memory.py")
    command = [sys.executable, str(script), "--epochs", "12", "--runs", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left open: nothing" in done.stdout
