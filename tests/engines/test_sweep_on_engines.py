"""A sweep gives the same numbers on every engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from engines.local_ray import OVERRIDES, RaySandbox
from short_run import SHORT

from stnlab.config import PROJECT_DIR

SWEEP = [
    sys.executable,
    str(PROJECT_DIR / "sweep.py"),
    "dataset=rot90",
    "model=cnn,stn",
    "seeds=[0,1]",
    "name=short",
    *SHORT,
]


def sweep(folder: Path, command: list[str], environment: dict[str, str] | None = None) -> Path:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        check=False,
        timeout=300,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "outputs" / "short"


@pytest.fixture(scope="module")
def on_joblib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep(tmp_path_factory.mktemp("joblib"), SWEEP)


def assert_same_numbers(one: Path, other: Path) -> None:
    assert (one / "summary.csv").read_bytes() == (other / "summary.csv").read_bytes()
    runs = sorted(path.relative_to(one) for path in one.glob("*/seed=*/metrics.json"))
    assert len(runs) == 4
    for run in runs:
        expected, found = (json.loads((each / run).read_text()) for each in (one, other))
        for key in ("test", "best", "collapsed", "views"):
            assert found[key] == expected[key]


@pytest.mark.usefixtures("slurm")
def test_slurm_gives_the_same_numbers(on_joblib: Path, tmp_path: Path) -> None:
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5"]
    found = sweep(tmp_path, [*SWEEP, *launcher])
    assert_same_numbers(on_joblib, found)
    assert any((tmp_path / "outputs" / ".submitit").rglob("*_result.pkl"))  # Slurm did it


def test_ray_gives_the_same_numbers(on_joblib: Path, ray: RaySandbox, tmp_path: Path) -> None:
    found = sweep(tmp_path, ray.command([*SWEEP, *OVERRIDES]), {**os.environ, **ray.environment()})
    assert_same_numbers(on_joblib, found)
