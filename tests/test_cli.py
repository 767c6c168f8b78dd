"""The command line as a person meets it."""

import re
import signal
import time
from functools import partial

import pytest
from short_run import SHORT

from stnlab.config import CONF_DIR
from stnlab.config.composition import with_home


def run(train_py, *arguments):
    process = train_py(*arguments)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.mark.parametrize("script", ["train.py", "sweep.py"])
def test_help_names_every_choice(start_py, script):
    status, out, err = run(partial(start_py, script, fresh=True), "--help")
    assert (status, err) == (0, "")
    for path in CONF_DIR.glob("*/*.yaml"):
        is_shown = f"    {path.stem} " in out
        assert is_shown or (script == "train.py" and path.parent.name == "study")
    assert max(map(len, out.splitlines())) <= 105


def test_cfg_job_prints_the_config(train_py):
    status, out, _ = run(train_py, "--cfg", "job", "dataset=RTS")
    assert status == 0
    assert "rotation: 45.0" in out


def test_a_pipe_gets_a_line_an_epoch_and_a_table(train_py, tmp_path):
    status, out, err = run(train_py, *SHORT, "dataset=RTS", "model=cnn")
    assert (status, err) == (0, "")
    first, second, *lines = out.splitlines()
    assert first == "RTS, cnn, seed 0, 2 epochs; run folder: outputs/RTS/cnn/seed=0"
    assert re.fullmatch(r"[\d,]+ parameters, 20 steps an epoch", second)
    assert lines[0].startswith("epoch 1/2  train loss")
    assert "left" in lines[0]
    assert lines[1].startswith("epoch 2/2")
    assert [line.split()[0] for line in lines[3:5]] == ["clean", "distorted"]
    assert lines[-1] == "run folder: outputs/RTS/cnn/seed=0"
    assert (tmp_path / "outputs/RTS/cnn/seed=0/metrics.json").exists()
    assert not list((tmp_path / "outputs").rglob("*.lock"))
    status, again, _ = run(train_py, *SHORT, "dataset=RTS", "model=cnn")
    assert status == 0
    assert "not run again" in again


def test_a_mistake_is_one_line_and_leaves_nothing(train_py, tmp_path):
    status, out, err = run(train_py, "model.nme=x")
    assert status == 1
    assert out == ""
    assert err.startswith("error: unknown key 'model.nme'. Did you mean 'name'?")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_stack_traces_on_demand(train_py, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    status, _, err = run(train_py, "seed=x")
    assert status == 1
    assert "Traceback" in err


def test_ctrl_c_says_how_to_go_on(train_py, tmp_path):
    process = train_py(*SHORT, "trainer.max_epochs=500")
    checkpoint = tmp_path / "outputs/rot90/stn-identity-zeros/seed=0/checkpoints/last.ckpt"
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "The same command goes on from there." in err
    assert not list((tmp_path / "outputs").rglob("*.lock"))


def test_every_combination_with_multirun(train_py, tmp_path):
    status, _, err = run(train_py, "-m", *SHORT, "model=cnn,fcn", "seed=0,1")
    assert status == 0, err
    found = sorted(str(p.parent.relative_to(tmp_path)) for p in tmp_path.rglob("metrics.json"))
    assert found == [f"outputs/rot90/{m}/seed={s}" for m in ("cnn", "fcn") for s in (0, 1)]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("init_from=outputs/RTS/cnn/seed=0", r"init_from=outputs/RTS/cnn/seed\=0"),
        ("init_from=a/seed=0,b/seed=1", r"init_from=a/seed\=0,b/seed\=1"),
        (r"init_from=a/seed\=0", r"init_from=a/seed\=0"),
        ("init_from='a/seed=0'", "init_from='a/seed=0'"),
        ("init_from=null", "init_from=null"),
        ("name=a=b", "name=a=b"),
    ],
)
def test_a_runs_folder_needs_no_quotes(given, meant):
    assert with_home([given]) == [meant]
