"""A sweep killed again and again ends as one that was never disturbed."""

import os
import random
import signal
import subprocess
import sys

from short_run import ALONE, SHORT

SIX_RUNS = ["dataset=rot90", "model=cnn,stn", "seeds=[0,1,2]", *SHORT, "name=short"]
NUM_KILLS = 6


def test_kills_change_nothing(tmp_path, start_py, sweep_py):
    undisturbed = tmp_path / "undisturbed"
    status, _, err = sweep_py(*SIX_RUNS, ALONE, f"output_dir={undisturbed}")
    assert (status, err) == (0, "")

    moments = random.Random(chosen := random.randrange(10**6))
    for number in range(NUM_KILLS):
        has_workers = number % 2
        where = [] if has_workers else [ALONE]
        process = start_py("sweep.py", *SIX_RUNS, *where, start_new_session=True)
        try:
            process.communicate(timeout=moments.uniform(1, 9 if has_workers else 6))
        except subprocess.TimeoutExpired:
            if has_workers:
                process.kill()  # they live on for a while, and must not be in the way
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    status, out, err = sweep_py(*SIX_RUNS, ALONE)
    assert (status, err) == (0, ""), f"moments of random.Random({chosen}): {out}"

    disturbed = tmp_path / "outputs"
    for name in ("short/summary.csv", "short/cnn/seed=1/robustness.csv"):
        assert (disturbed / name).read_bytes() == (undisturbed / name).read_bytes()
    leftovers = [path for path in disturbed.rglob(".*") if path.is_file()]
    assert leftovers == []


def test_a_worker_that_begins_after_its_sweep_is_gone_ends():
    program = (
        "import time\n"
        "from stnlab.sweep.job import end_with_the_launcher\n"
        "end_with_the_launcher(launcher=1 << 30)\n"
        "time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    assert done.returncode == 1
