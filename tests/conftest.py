"""What several tests need: a short run, in a folder of its own."""

import os
import signal
import subprocess
import sys
from functools import partial

import pytest
from short_run import SHORT

from stnlab.config import PROJECT_DIR, compose

# torch's threads would wait for each other where tests run side by side; a run has one anyway.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell has what it starts in the background ignore Ctrl-C, and so would all runs of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def short(tmp_path):
    """Compose a short run whose outputs go to the test's folder."""

    def composed(*overrides):
        return compose([*SHORT, f"output_dir={tmp_path / 'outputs'}", *overrides])

    return composed


@pytest.fixture
def start_py(tmp_path):
    """Start a script of the project with overrides, from another folder than the project's."""

    def start(script, *overrides, **settings):
        return subprocess.Popen(
            [sys.executable, str(PROJECT_DIR / script), *overrides],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,
        )

    return start


@pytest.fixture
def train_py(start_py):
    """Start ``train.py`` with overrides."""
    return partial(start_py, "train.py")


@pytest.fixture
def sweep_py(start_py):
    """Run ``sweep.py`` with overrides to its end: exit status, output, errors."""

    def run(*overrides):
        process = start_py("sweep.py", *overrides)
        out, err = process.communicate()
        return process.returncode, out, err

    return run
