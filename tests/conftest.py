"""What several tests need: a short run, in a folder of its own."""

import subprocess
import sys

import pytest

from stnlab.config import PROJECT_DIR, compose

# A run of seconds: 2 epochs of 20 steps.
SHORT = [
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=20",
    "trainer.limit_val_batches=2",
    "trainer.limit_test_batches=2",
    "trainer.accelerator=cpu",
]


@pytest.fixture
def short(tmp_path):
    """Compose a short run whose outputs go to the test's folder."""

    def composed(*overrides):
        return compose([*SHORT, f"output_dir={tmp_path / 'outputs'}", *overrides])

    return composed


@pytest.fixture
def train_py(tmp_path):
    """Start ``train.py`` with overrides, from another folder than the project's."""

    def start(*overrides, **settings):
        return subprocess.Popen(
            [sys.executable, str(PROJECT_DIR / "train.py"), *overrides],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,
        )

    return start
