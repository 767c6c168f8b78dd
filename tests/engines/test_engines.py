"""The engines are real, do what a sweep needs of them, and leave nothing behind."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engines.local_ray import OVERRIDES, RaySandbox
from engines.local_slurm import SlurmCluster, processes, running_slurm

APP = """\
import os, pathlib, signal, hydra

@hydra.main(version_base=None, config_path=None)
def main(config):
    if config.killed:
        os.kill(os.getpid(), signal.SIGKILL)
    job = os.environ.get("SLURM_ARRAY_TASK_ID", "-")
    pathlib.Path(config.out, str(config.x)).write_text(job)

main()
"""


def command(folder: Path, *overrides: str, killed: bool = False) -> list[str]:
    """A sweep of four jobs, each of which leaves a file in ``folder``/out."""
    (folder / "app.py").write_text(APP)
    (folder / "out").mkdir()
    return [
        sys.executable,
        "app.py",
        "--multirun",
        "+x=1,2,3,4",
        f"+out={folder / 'out'}",
        f"+killed={killed}",
        *overrides,
    ]


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "out").iterdir())}


@pytest.mark.usefixtures("slurm")
def test_slurm_runs_a_sweep(tmp_path: Path) -> None:
    sweep = command(tmp_path, "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5")
    done = subprocess.run(sweep, cwd=tmp_path, check=True, timeout=120, capture_output=True)
    assert written(tmp_path) == {"1": "0", "2": "1", "3": "2", "4": "3"}
    assert b"sacct" not in done.stderr


@pytest.mark.usefixtures("slurm")
def test_slurm_reports_a_killed_job(tmp_path: Path) -> None:
    sweep = command(tmp_path, "hydra/launcher=submitit_slurm", killed=True)
    done = subprocess.run(
        sweep, cwd=tmp_path, check=False, timeout=120, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "has not produced any output (state: FAILED)" in done.stderr


def test_slurm_requeues(slurm: SlurmCluster, tmp_path: Path) -> None:
    started, again = tmp_path / "started", tmp_path / "again"
    script = (
        f"test -n \"$SLURM_RESTART_COUNT\" && touch '{again}' || {{ touch '{started}'; sleep 60; }}"
    )
    answer = subprocess.run(
        ["sbatch", "--parsable", "--output=/dev/null", f"--wrap={script}"],
        cwd=slurm.folder,
        check=True,
        capture_output=True,
        text=True,
    )
    wait_for(started)
    subprocess.run(["scontrol", "requeue", answer.stdout.strip()], check=True)
    wait_for(again)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.1)


@pytest.mark.usefixtures("slurm")
def test_slurm_leaves_nothing_behind(tmp_path: Path) -> None:
    before = os.environ["SLURM_CONF"], os.environ["PATH"]
    started = tmp_path / "started"
    folders = []

    def fail_with_a_stubborn_job() -> None:
        script = f"trap '' TERM; touch '{started}'; sleep 600 & sleep 600"
        with running_slurm(num_cpus=3) as cluster:
            folders.append(cluster.folder)
            submit = ["sbatch", "--output=/dev/null", f"--wrap={script}"]
            subprocess.run(submit, cwd=cluster.folder, check=True, capture_output=True)
            wait_for(started)
            addresses = listening(processes(cluster.folder))
            assert addresses
            assert all(address.startswith("127.") for address in addresses)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_with_a_stubborn_job()
    assert not processes(folders[0])
    assert not folders[0].exists()
    assert (os.environ["SLURM_CONF"], os.environ["PATH"]) == before


def listening(pids: set[int]) -> set[str]:
    """The addresses of the TCP ports on which these processes listen."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                target = str(descriptor.readlink())
                inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    assert not [row for row in rows("tcp6") if row[3] == "0A" and row[9] in inodes]
    ours = [row[1] for row in rows("tcp") if row[3] == "0A" and row[9] in inodes]
    return {socket.inet_ntoa(bytes.fromhex(local[:8])[::-1]) for local in ours}


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]


def test_ray_runs_a_sweep(ray: RaySandbox, tmp_path: Path) -> None:
    sweep = ray.command(command(tmp_path, *OVERRIDES))
    # Without a token Ray writes one to ~/.ray; sweep.py sees to that by itself.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = {**ray.environment(), **token}
    subprocess.run(
        sweep, cwd=tmp_path, env=environment, check=True, timeout=120, capture_output=True
    )
    assert written(tmp_path) == {"1": "-", "2": "-", "3": "-", "4": "-"}
    assert not [entry for entry in Path("/proc").iterdir() if mentions(entry, str(ray.folder))]


def mentions(process: Path, text: str) -> bool:
    try:
        return text in (process / "cmdline").read_text(errors="replace")
    except OSError:
        return False
