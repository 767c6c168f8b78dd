"""Ctrl-C and SIGTERM: a stop within seconds, a sentence, a status; the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import commands
import pytest
from engines.local_slurm import SlurmUnavailableError, running_slurm
from short_run import SHORT

from stnlab.run.recorder import load_checkpoint
from stnlab.stopping import StoppedError, TerminatedError, stoppable

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
LONG = ["model=cnn", *SHORT, "trainer.max_epochs=500"]
# More where others want the cores, too.
SECONDS_TO_STOP = 10 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.fixture(autouse=True)
def _nothing_lives_on(monkeypatch):
    """End what a test that failed has started."""
    started = []
    start = subprocess.Popen.__init__

    def remember(process, *arguments, **settings):
        start(process, *arguments, **settings)
        if process.args[:2] != commands.WARM:
            started.append(process)

    monkeypatch.setattr(subprocess.Popen, "__init__", remember)
    yield
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_for(process, *paths):
    while not all(path.exists() for path in paths):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def checkpoint(tmp_path, seed=0):
    return tmp_path / "outputs" / "rot90" / "cnn" / f"seed={seed}" / "checkpoints" / "last.ckpt"


def leftovers(path):
    return [each for each in path.rglob("*") if each.suffix in (".tmp", ".lock")]


def session(leader):
    """The live processes of a session."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it has ended
        if int(its_session) == leader and state != "Z":
            members.append(int(stat.parent.name))
    return members


@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_a_run_stops(train_py, tmp_path, number):
    process = train_py(*LONG)
    wait_for(process, checkpoint(tmp_path))
    process.send_signal(number)
    _, err = process.communicate(timeout=SECONDS_TO_STOP)
    assert process.returncode == STATUS[number]
    kept = load_checkpoint(checkpoint(tmp_path))["global_step"] // 20
    assert err == (f"stopped after epoch {kept} of 500. The same command goes on from there.\n")
    assert leftovers(tmp_path) == []


def test_a_multirun_does_not_go_on_with_its_next_run(train_py, tmp_path):
    process = train_py("-m", *LONG, "seed=0,1")
    wait_for(process, checkpoint(tmp_path))
    process.terminate()
    _, err = process.communicate(timeout=SECONDS_TO_STOP)
    assert process.returncode == 143
    assert "stopped after epoch" in err
    assert not checkpoint(tmp_path, seed=1).exists()


@pytest.mark.parametrize(
    ("number", "to_all", "num_workers"),
    [(signal.SIGINT, True, 2), (signal.SIGTERM, False, 2), (signal.SIGTERM, True, 1)],
    ids=["Ctrl-C", "SIGTERM to the sweep", "SIGTERM to all, one process"],
)
def test_a_sweep_stops_with_its_workers(start_py, tmp_path, number, to_all, num_workers):
    process = start_py(
        "sweep.py",
        *LONG,
        "seeds=[0,1,2]",
        f"hydra.launcher.n_jobs={num_workers}",
        start_new_session=True,
    )
    wait_for(process, *(checkpoint(tmp_path, seed) for seed in range(num_workers)))
    (os.killpg if to_all else os.kill)(process.pid, number)
    _, err = process.communicate(timeout=SECONDS_TO_STOP)
    assert process.returncode == STATUS[number]
    assert err.startswith("stopped. What is complete stays")
    assert err.count("\n") == 1
    deadline = time.monotonic() + SECONDS_TO_STOP
    while left := session(process.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert not list(tmp_path.rglob("error.txt"))


# --- the parts


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminatedError)]
)
def test_the_first_signal_raises_and_others_do_not(number, error):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stoppable() as is_outermost, stoppable() as is_inner:
        assert (is_outermost, is_inner) == (True, False)
        with pytest.raises(error):
            signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert 0 < signal.alarm(10) <= SECONDS_TO_STOP
    assert signal.alarm(0) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert StoppedError("stopped", error()).exit_status == STATUS[number]


def test_what_does_not_stop_is_stopped():
    program = (
        "import signal, time\n"
        "import stnlab.stopping as stopping\n"
        "stopping._SECONDS_TO_STOP = 1\n"
        "with stopping.stoppable():\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    except BaseException:\n"
        "        while True:\n"
        "            time.sleep(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    assert done.returncode == -signal.SIGALRM


# --- Slurm


@pytest.fixture(scope="module")
def slurm():
    try:
        with running_slurm() as cluster:
            yield cluster
    except SlurmUnavailableError as error:
        pytest.skip(str(error))


def job_id(folder):
    (log,) = {path.name.removesuffix("_0_log.out") for path in folder.rglob("*_0_log.out")}
    return log


@pytest.mark.usefixtures("slurm")
def test_jobs_go_on_in_their_folders(tmp_path):
    """Of Slurm's preemption: SIGTERM and a requeue. Of its warning before the time is up: USR2, on
    which submitit requeues the job. Of a lone SIGTERM the sweep starts the run anew.
    """
    sweeps = {}
    for command in ("scontrol requeue", "scancel --signal=USR2", "scancel --signal=TERM"):
        folder = tmp_path / command
        folder.mkdir()
        sweeps[command] = (
            folder,
            commands.start(
                "sweep.py",
                "model=cnn",
                *SHORT,
                "trainer.max_epochs=60",
                "seeds=[0]",
                "hydra/launcher=submitit_slurm",
                "hydra.launcher.timeout_min=5",
                "hydra.launcher.max_num_timeout=3",
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ),
        )
    left = dict(sweeps)
    while left:
        for command, (folder, process) in list(left.items()):
            assert process.poll() is None, process.communicate()
            if checkpoint(folder).exists():
                assert not (checkpoint(folder).parents[1] / "metrics.json").exists()
                subprocess.run([*command.split(), job_id(folder)], check=True)
                del left[command]
        time.sleep(0.05)
    for command, (folder, process) in sweeps.items():
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, f"{command}: {out}{err}"
        run = checkpoint(folder).parents[1]
        assert json.loads((run / "metrics.json").read_text())["status"] == "complete"
        # Each of the run's two parts began an event file.
        assert len(list(run.glob("events.*"))) == 2, command
        assert leftovers(folder / "outputs" / "rot90") == []
