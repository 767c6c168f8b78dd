"""Making MIMIC-III's episodes, killed again and again: OUT is whole, or is not there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mimic3_tables import every_rule

# Kills itself just before the n-th time that it opens a file to write, renames or makes a folder.
KILLED = """
import os, signal, sys
from pathlib import Path
from stnlab.mimic3 import build
raw, out, jobs, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
build._SMALL, build._MIN_SHARE, steps = 0, 40, 0

def hook(event, arguments):
    global steps
    if event not in ("open", "os.rename", "os.mkdir", "shutil.rmtree"):
        return
    if event == "open" and str(arguments[1]).startswith("r"):
        return
    if str(arguments[0]).startswith(str(out.parent)):
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
build.build(raw, out, None, build.Settings(jobs=jobs), lambda _: None)
print(steps)
"""


def run(raw, out, jobs=1, last=0):
    command = [sys.executable, "-c", KILLED, *map(str, (raw, out, jobs, last))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def files_of(out):
    """All files' contents but the log, which has times."""
    files = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "log.json"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The tables, what becomes of them, and in how many steps."""
    folder = tmp_path_factory.mktemp("tables")
    raw = every_rule().write(folder / "raw")
    ended = run(raw, folder / "out" / "made")
    assert ended.returncode == 0, ended.stderr
    return raw, files_of(folder / "out" / "made"), int(ended.stdout)


def test_ten_kills(undisturbed, tmp_path):
    raw, expected, num_steps = undisturbed
    out = tmp_path / "out" / "made"
    assert num_steps > 90
    steps = [1, 3, 4, 5, 20, num_steps // 2, *range(num_steps - 3, num_steps + 1)]
    for last in steps:
        killed = run(raw, out, last=last)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        if out.exists():
            assert files_of(out) == expected
    assert run(raw, out).returncode == 0
    assert files_of(out) == expected
    assert [path.name for path in out.parent.iterdir()] == ["made"]


def test_processes_end_with_the_one_that_began_them(undisturbed, tmp_path):
    """Their standard error is ours: it ends with the last of them."""
    raw, expected, _ = undisturbed
    out = tmp_path / "out" / "made"
    assert run(raw, out, jobs=2, last=8).returncode == -signal.SIGKILL
    assert not out.exists()
    ended = run(raw, out, jobs=2)
    assert ended.returncode == 0, ended.stderr
    assert files_of(out) == expected
    assert Path(out.parent).is_dir()
