"""A disk that is full, read-only, oddly named or taken away: one message, and nothing is lost."""

import contextlib
import os
import re
import shutil
import subprocess
import time

import pytest
from mimic3_tables import every_rule
from rich.console import Console
from short_run import SHORT

from stnlab.config import compose
from stnlab.errors import UserError
from stnlab.mimic3.build import Settings, build
from stnlab.run import train

CNN = ["model=cnn", *SHORT]
ONE_RUN = ["seeds=[0]", "hydra.launcher.n_jobs=1"]  # in the sweep's own process


@pytest.fixture
def disk(tmp_path):
    """A disk of 8 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk of its own takes root: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextlib.contextmanager
def room(disk, kib):
    """Within the block this much is free."""
    free = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 1024 * kib))
    yield
    ballast.unlink()


def on(disk, *overrides):
    return compose([*CNN, f"output_dir={disk / 'outputs'}", *overrides])


def numbers(metrics):
    return {key: metrics[key] for key in ("test", "best", "collapsed", "collapsed_reason")}


def files(path):
    return {each.name for each in path.rglob("*") if each.is_file()}


def end(process):
    out, err = process.communicate()
    assert "Traceback" not in err
    return process.returncode, out, err


# The room is up before config.yaml, an event, best.ckpt, last.ckpt, and in the second epoch.
@pytest.mark.parametrize(("kib", "kept"), [(0, 0), (4, 0), (40, 0), (400, 0), (720, 1)])
def test_a_full_disk(disk, kib, kept):
    quiet = Console(quiet=True)
    other = train(on(disk, "name=other"), quiet)
    before = {each: each.read_bytes() for each in other.path.rglob("*") if each.is_file()}
    with room(disk, kib):
        with pytest.raises(UserError, match="No space left on device") as failed:
            train(on(disk), quiet)
        assert not kib or f"{kept} of 2 epochs are kept" in str(failed.value)
        run = disk / "outputs" / "rot90"
        assert not [name for name in files(run) if name.endswith((".tmp", ".lock"))]
        assert ("last.ckpt" in files(run)) is bool(kept)
        assert {path: path.read_bytes() for path in before} == before
    assert numbers(train(on(disk), quiet).metrics) == numbers(other.metrics)


# The room is up before the rows are laid aside, at a list of stays, and among the episodes.
@pytest.mark.parametrize("kib", [0, 64, 400])
def test_a_full_disk_while_episodes_are_made(disk, tmp_path, kib):
    raw = every_rule().write(tmp_path / "raw")
    out = disk / "out"

    def make():
        return build(raw, out, None, Settings(jobs=1, whole=True), lambda _: None)

    with room(disk, kib):
        with pytest.raises(UserError, match=r"No space left on device\. Nothing was kept\. Make"):
            make()
        assert files(disk) == {"ballast"}
    assert make()["samples"]["train"]["stays"] > 0


def test_the_commands_on_a_full_disk(disk, train_py, sweep_py):
    output_dir = f"output_dir={disk / 'outputs'}"
    with room(disk, 400):
        status, _, err = end(train_py(*CNN, output_dir))
        assert status == 1
        assert err.startswith(f"error: output_dir: cannot write to {disk / 'outputs'}")
        assert "No space left on device" in err
        assert err.count("\n") == 1
    with room(disk, 400):
        status, out, err = sweep_py(*CNN, output_dir, "name=many", *ONE_RUN)
        assert status == 1
        assert "No space left on device" in out + err
        assert "Traceback" not in out + err


def test_a_read_only_disk(disk, sweep_py):
    complete = train(on(disk, "name=other"), Console(quiet=True))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refusal = r"cannot write to .*Read-only file system.*Name another folder with output_dir=… \."
    with pytest.raises(UserError, match=refusal):
        train(on(disk), Console(quiet=True))
    status, _, err = sweep_py(*CNN, f"output_dir={disk / 'outputs'}", *ONE_RUN)
    assert status == 1
    assert re.search(refusal, err)
    assert err.count("\n") == 1
    assert train(on(disk, "name=other"), Console(quiet=True)).already_complete
    assert (complete.path / "metrics.json").exists()


def test_a_complete_sweep_on_a_read_only_disk(disk, sweep_py):
    command = [*CNN, f"output_dir={disk / 'outputs'}", *ONE_RUN]
    assert sweep_py(*command)[0] == 0
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    status, out, err = sweep_py(*command, "num_threads=1")  # another command, to be recorded
    assert (status, err) == (0, "")
    assert "1 of 1 runs are complete" in out
    assert "mean ± sd" in out


def test_a_path_with_spaces_and_letters_of_the_world(tmp_path, sweep_py):
    folder = tmp_path / "zwei Wörter" / "数据 é"  # not there yet
    status, out, err = sweep_py(*CNN, f"output_dir='{folder}'", *ONE_RUN)
    assert (status, err) == (0, "")
    assert f"report: {folder / 'rot90' / 'report.html'}" in out
    assert {"metrics.json", "last.ckpt", "report.html"} <= files(folder)


def test_a_folder_deleted_while_its_run_goes_on(tmp_path, train_py):
    process = train_py(*CNN, "trainer.max_epochs=500")
    run = tmp_path / "outputs" / "rot90" / "cnn" / "seed=0"
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    run.rename(tmp_path / "away")
    status, _, err = end(process)
    assert status == 1
    assert "outputs/rot90/cnn/seed=0 (No such file or directory). 0 of 500 epochs are kept" in err
    assert err.count("\n") == 1
    shutil.rmtree(tmp_path / "away")
    assert files(tmp_path) == set()
