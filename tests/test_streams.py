"""Output that cannot be written: the work goes on, and its results are whole."""

import os
import pty
import subprocess
import sys

import commands
import pytest
from rich.console import Console
from short_run import SHORT

from stnlab.run import train
from stnlab.streams import that_may_break

CNN = [*SHORT, "model=cnn", "trainer.limit_train_batches=5"]


@pytest.fixture
def started(tmp_path):
    """A command whose streams lead where they are told to; its exit status."""

    def run(script, *overrides, **streams):
        return commands.run(script, *CNN, *overrides, cwd=tmp_path, **streams)

    return run


@pytest.mark.parametrize("script", ["train.py", "sweep.py"])
def test_a_full_disk_behind_standard_output(tmp_path, started, script):
    seeds = ["seeds=[0]", "hydra.launcher.n_jobs=1"] if script == "sweep.py" else []
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
        done = started(script, *seeds, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert done.stderr == (
        "stdout cannot be written (No space left on device): nothing more is shown, and the work "
        "goes on.\n"
    )
    run = tmp_path / "outputs" / "rot90" / "cnn" / "seed=0"
    assert (run / "metrics.json").exists()
    assert not (run / "error.txt").exists()
    assert (tmp_path / "outputs" / "rot90" / "report.html").exists() is (script == "sweep.py")


def test_both_streams_are_full(tmp_path, started):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert started("train.py", stdout=full, stderr=full).returncode == 0
    assert (tmp_path / "outputs" / "rot90" / "cnn" / "seed=0" / "metrics.json").exists()


def test_a_terminal_that_is_closed(tmp_path, started):
    """As behind a lost connection, where nohup kept the process."""
    ours, theirs = pty.openpty()
    os.close(ours)
    assert started("train.py", stdout=theirs, stderr=theirs).returncode == 0
    os.close(theirs)
    assert (tmp_path / "outputs" / "rot90" / "cnn" / "seed=0" / "metrics.json").exists()


def test_a_reader_that_is_gone(short, monkeypatch):
    """In a program of one's own, too."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as gone:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", gone)
        outcome = train(short("model=cnn"), Console())
    assert outcome.metrics["status"] == "complete"


def test_a_stream_that_can_be_written_is_the_same_after(capsys):
    before = sys.stdout, sys.stderr
    with that_may_break():
        print("said")
        with that_may_break():
            print("said again", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert tuple(capsys.readouterr()) == ("said\n", "said again\n")


def test_no_stream_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with that_may_break():
        print("lost")
    assert sys.stdout is None
