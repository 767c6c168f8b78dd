"""A sweep gives the same numbers on every engine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engines.local_ray import OVERRIDES, RaySandbox
from omegaconf import OmegaConf
from short_run import SHORT

from hydra_plugins.stnlab_sweeper import _settle_ray
from stnlab.config import PROJECT_DIR

SWEEP_PY = [sys.executable, str(PROJECT_DIR / "sweep.py"), "dataset=rot90", "name=short", *SHORT]
# A part of a user's own, and a folder of configs of his own, must reach every worker.
OWN_PART = """\
from dataclasses import dataclass

from stnlab.optimizers import Adam
from stnlab.parts import add_optimizer


@add_optimizer("halved")
@dataclass
class Halved(Adam):
    def arguments(self):
        return {**super().arguments(), "lr": self.lr / 2}
"""
OWN_CONFIG = """\
# Adam at half of its rate.
defaults:
  - /schema/optimizer/halved@_here_
  - _self_
lr: 0.001
betas: [0.9, 0.999]
eps: 1.0e-8
weight_decay: 0.0
amsgrad: false
"""


@pytest.fixture(scope="module")
def own_sweep(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A sweep of two networks of ours, trained by an optimizer of a user's."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_parts.py").write_text(OWN_PART)
    config = folder / "conf" / "optimizer" / "halved.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(OWN_CONFIG)
    own = ["--with", str(folder / "own_parts.py"), "--config-dir", str(folder / "conf")]
    return [*SWEEP_PY, *own, "model=cnn,stn", "optimizer=halved", "seeds=[0]"]


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
def on_joblib(tmp_path_factory: pytest.TempPathFactory, own_sweep: list[str]) -> Path:
    return sweep(tmp_path_factory.mktemp("joblib"), own_sweep)


def assert_same_numbers(one: Path, other: Path) -> None:
    assert (one / "summary.csv").read_bytes() == (other / "summary.csv").read_bytes()
    runs = sorted(path.relative_to(one) for path in one.glob("*/seed=*/metrics.json"))
    assert len(runs) == 2
    for run in runs:
        expected, found = (json.loads((each / run).read_text()) for each in (one, other))
        for key in ("test", "best", "collapsed", "views", "extensions"):
            assert found[key] == expected[key]


@pytest.mark.usefixtures("slurm")
def test_slurm_gives_the_same_numbers(
    on_joblib: Path, own_sweep: list[str], tmp_path: Path
) -> None:
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5"]
    found = sweep(tmp_path, [*own_sweep, *launcher])
    assert_same_numbers(on_joblib, found)
    assert any((tmp_path / "outputs" / ".submitit").rglob("*_result.pkl"))  # Slurm did it


# Gives a network namespace an outward address, runs a command in it, and writes down the addresses
# on which anything listened meanwhile (in hexadecimal, as the kernel has them).
WATCH = """\
import pathlib, subprocess, sys, time
out, *command = sys.argv[1:]
for setting in (
    "link add outward type veth peer name other",
    "addr add 10.9.9.9/24 dev outward",
    "link set outward up",
    "link set other up",
    "route add default via 10.9.9.1",
):
    subprocess.run(["ip", *setting.split()], check=True)
sweep, found = subprocess.Popen(command), set()
while sweep.poll() is None:
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A" or (table.startswith("udp") and state == "07"):
                found.add(local.split(":")[0])
    time.sleep(0.05)
pathlib.Path(out).write_text(" ".join(sorted(found)))
sys.exit(sweep.returncode)
"""
NEEDS_IP = "to see on which addresses Ray listens takes iproute2"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def on_ray(
    ray: RaySandbox, folder: Path, command: list[str], **environment: str
) -> tuple[Path, set[str]]:
    """A sweep on Ray, and the addresses on which anything listens while it goes on."""
    out = folder / "addresses"
    watch = [] if shutil.which("ip") is None else [sys.executable, "-c", WATCH, str(out)]
    command = ray.command([*watch, *command, *OVERRIDES])
    found = sweep(folder, command, {**ray.environment(), **environment})
    return found, set(out.read_text().split()) if watch else set()


def test_ray_gives_the_same_numbers_and_listens_on_loopback_alone(
    on_joblib: Path, own_sweep: list[str], ray: RaySandbox, tmp_path: Path
) -> None:
    found, addresses = on_ray(ray, tmp_path, own_sweep)
    assert_same_numbers(on_joblib, found)
    if shutil.which("ip") is None:
        pytest.skip(NEEDS_IP)
    assert addresses
    assert addresses <= LOOPBACK


@pytest.mark.skipif(shutil.which("ip") is None, reason=NEEDS_IP)
def test_without_our_settings_ray_listens_to_all(ray: RaySandbox, tmp_path: Path) -> None:
    """So that the test above can fail."""
    one_run = [*SWEEP_PY, "model=cnn", "seeds=[0]"]
    _, addresses = on_ray(ray, tmp_path, one_run, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="1")
    assert addresses & {"00000000", "0" * 32}


@pytest.mark.parametrize(
    ("given", "address", "is_ours"),
    [
        ({}, None, True),
        ({"RAY_AUTH_TOKEN": "theirs"}, "local", True),
        ({"RAY_AUTH_MODE": "disabled"}, None, False),
        ({}, "auto", False),
        ({"RAY_ADDRESS": "10.1.2.3:6379"}, None, False),
    ],
)
def test_a_ray_of_our_own_takes_a_token(monkeypatch, given, address, is_ours) -> None:
    for name in (
        "RAY_ADDRESS",
        "RAY_AUTH_MODE",
        "RAY_AUTH_TOKEN",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
    ):
        monkeypatch.setenv(name, "")  # so that what is set below is undone
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    _settle_ray(OmegaConf.create({"address": address}))
    assert (os.environ.get("RAY_AUTH_MODE") == "token") is is_ours
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    assert token == given.get("RAY_AUTH_TOKEN", token)
    assert (len(token) >= 6) is is_ours
