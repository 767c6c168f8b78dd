"""One run, end to end on real digits: its folder, its sameness, its refusals."""

import csv
import dataclasses
import json
import signal
import subprocess
import time

import pytest
import torch
import yaml
from rich.console import Console
from short_run import DRAWN, SHORT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._python_dispatch import TorchDispatchMode

from stnlab.config import compose, folder
from stnlab.errors import UserError
from stnlab.evaluation.robustness import settings
from stnlab.kernels import compiled
from stnlab.run import environment, train
from stnlab.run.recorder import load_checkpoint
from stnlab.task import Classification


def numbers(metrics):
    return {key: metrics[key] for key in ("test", "best", "collapsed", "collapsed_reason")}


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture
def quiet():
    return Console(quiet=True)


@pytest.mark.parametrize(
    "overrides",
    [
        ["dataset=rot90", "model=stn"],
        ["dataset=RTS", "model=cnn"],
        ["dataset=RTS", "model=fcn", "dataset.val_size=0"],
        ["dataset=two-channel", "model=multi-stn", "init=torch-default"],
        ["dataset=two-channel", "model=stn"],
        ["dataset=same-image", "model=multi-stn", "init=left-right", "padding=border"],
        ["dataset=same-image", "model=cnn", "distortion.backend=pil"],
        ["dataset=jaderberg-tc", "model=stn", "padding=black", "distortion.backend=pil"],
    ],
    ids=" ".join,
)
def test_a_run_leaves_a_complete_folder(short, quiet, overrides):
    config = short(DRAWN, *overrides)
    outcome = train(config, quiet)
    path = outcome.path
    assert path == folder(config)
    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics == outcome.metrics
    assert metrics["status"] == "complete"
    for found in (metrics["test"], metrics["best"]["test"]):
        for part in ("clean", "distorted"):
            assert 0 <= found[part]["accuracy"] <= 1
            assert found[part]["loss"] > 0
            assert found[part]["n"] == 500
    assert metrics["parameters"] > 0
    assert set(metrics["seconds"]) == {"setup", "train", "test"}
    assert metrics["environment"]["kernel"] == compiled.path()
    assert metrics["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert metrics["data"]["name"] == "MNIST"
    config_yaml = yaml.safe_load((path / "config.yaml").read_text())
    assert config_yaml["seed"] == 0
    has_transformer = "stn" in config.model.name
    assert (config_yaml["init"] == "NA") is not has_transformer
    history = read_csv(path / "history.csv")
    assert [row["epoch"] for row in history] == ["1", "2"]
    assert ("val_accuracy" in history[0]) is (config.dataset.val_size > 0)
    for name in ("last.ckpt", *(["best.ckpt"] if config.dataset.val_size else [])):
        assert "state_dict" in torch.load(path / "checkpoints" / name, weights_only=True)
    assert list(path.glob("events.out.tfevents.*"))
    is_single = config.dataset.name in ("rot90", "RTS", "jaderberg-tc")
    assert (path / "robustness.csv").exists() is is_single
    assert (path / "figures" / "robustness.svg").exists() is is_single
    assert (path / "figures" / "warps-training-distortion.png").exists() is has_transformer
    assert ("recovered" in metrics) is (is_single and has_transformer)
    is_turned = is_single and config.dataset.name != "jaderberg-tc"  # which is only placed
    recovered = path / "figures" / "rotation-recovered.png"
    assert recovered.exists() is (is_turned and has_transformer)
    assert (path / "steps.csv").exists() is has_transformer
    assert not list(path.rglob("*.tmp"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The metrics of a short run."""
    outputs = tmp_path_factory.mktemp("plain")
    return train(compose([*SHORT, f"output_dir={outputs}"]), Console(quiet=True)).metrics


@pytest.mark.parametrize("dataset", ["rot90", "two-channel", "mimic"])
def test_without_figures_all_else_is_the_same(short, quiet, dataset):
    own = ["dataset.source=synthetic", "dataset.num_train=200", "dataset.num_test=80"]
    model = {"rot90": "stn", "two-channel": "multi-stn", "mimic": "ts-stn"}[dataset]
    chosen = [f"dataset={dataset}", f"model={model}", *(own if dataset == "mimic" else [])]
    chosen.append("model.localization.batch_norm=true")  # whose statistics a look would change
    config = short(*chosen, "name=none")
    none, drawn = (train(each, quiet) for each in (config, short(*chosen, DRAWN, "name=drawn")))
    assert not (none.path / "figures").exists()
    assert (drawn.path / "figures").exists()
    assert [
        EventAccumulator(str(each.path)).Reload().Tags()["images"] == [] for each in (none, drawn)
    ] == [True, False]
    varying = {"seconds", "environment"}
    assert none.metrics.keys() == drawn.metrics.keys()
    for key in none.metrics.keys() - varying:
        assert none.metrics[key] == drawn.metrics[key]
    names = {each.name for each in none.path.iterdir() if "tfevents" not in each.name}
    assert names | {"figures"} == {
        each.name for each in drawn.path.iterdir() if "tfevents" not in each.name
    }
    again = dataclasses.replace(config, trainer=short(DRAWN).trainer)
    assert train(again, quiet).already_complete  # it decides nothing about a run's numbers


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.precision=64-true"],
        ["trainer.precision=bf16-mixed"],
        ["trainer.deterministic=true"],
        ["trainer.gradient_clip_val=0.1", "trainer.gradient_clip_algorithm=norm"],
        ["num_threads=2"],
    ],
    ids=" ".join,
)
def test_lightnings_own_settings(short, quiet, plain, overrides):
    changed = train(short("name=changed", *overrides), quiet).metrics
    torch.set_num_threads(1)
    loss = [m["test"]["clean"]["loss"] for m in (plain, changed)]
    assert loss[1] == pytest.approx(loss[0], abs=0.1)
    if "trainer.precision" in overrides[0] or "clip" in overrides[0]:
        assert loss[1] != loss[0]


def test_robustness_covers_seeds_amounts(short, quiet):
    path = train(short("model=cnn"), quiet).path
    rows = read_csv(path / "robustness.csv")
    factors = ("rotation", "translation", "scale")
    assert [(row["factor"], float(row["amount"])) for row in rows] == settings(factors)
    undistorted = {row["accuracy"] for row in rows if float(row["amount"]) == 0}
    clean = json.loads((path / "metrics.json").read_text())["test"]["clean"]["accuracy"]
    assert {float(accuracy) for accuracy in undistorted} == {clean}


def test_the_same_seed_gives_the_same_numbers(short, quiet):
    torch.rand(5)
    one, same, other = (
        train(short(f"name={name}", f"seed={seed}"), quiet).metrics
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert numbers(one) == numbers(same)
    assert numbers(one) != numbers(other)


def test_a_complete_run_is_not_run_again(short, quiet):
    config = short()
    first = train(config, quiet)
    again = train(config, quiet)
    assert again.already_complete
    assert again.metrics == first.metrics


def test_a_run_of_another_config_is_left_alone(short, quiet):
    first = train(short(), quiet)
    before = (first.path / "metrics.json").read_bytes()
    with pytest.raises(
        UserError,
        match=r"complete run of another config \(optimizer\.lr was 0\.001, is now 0\.01\)"
        r".*name=….*overwrite=true",
    ):
        train(short("optimizer.lr=0.01"), quiet)
    assert (first.path / "metrics.json").read_bytes() == before
    replaced = train(short("optimizer.lr=0.01", "overwrite=true"), quiet)
    assert not replaced.already_complete
    assert yaml.safe_load((first.path / "config.yaml").read_text())["optimizer"]["lr"] == 0.01


def test_a_killed_run_ends_with_the_numbers_of_an_undisturbed_one(short, quiet, train_py, tmp_path):
    """SIGKILL in the middle of the second of three epochs, then the same command again."""
    overrides = [*SHORT, "trainer.max_epochs=3", "trainer.limit_train_batches=150", "dataset=RTS"]
    undisturbed = train(short(*overrides[-3:], "name=undisturbed"), quiet)
    killed = folder(short(*overrides[-3:], "name=killed"))
    command = [*overrides, "name=killed", f"output_dir={tmp_path / 'outputs'}"]
    process = train_py(*command)
    checkpoint = killed / "checkpoints" / "last.ckpt"
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.3)  # an epoch takes about a second
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (killed / "metrics.json").exists()
    process = train_py(*command)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "epoch 1/3" not in out
    assert "epoch 3/3" in out
    resumed = json.loads((killed / "metrics.json").read_text())
    assert numbers(resumed) == numbers(undisturbed.metrics)
    one, other = (
        load_checkpoint(path / "checkpoints" / "last.ckpt") for path in (killed, undisturbed.path)
    )
    assert one["global_step"] == other["global_step"] == 450
    for name, weight in one["state_dict"].items():
        assert torch.equal(weight, other["state_dict"][name])
    files = [(path / "steps.csv").read_text() for path in (killed, undisturbed.path)]
    assert files[0] == files[1]
    assert [int(line.split(",")[0]) for line in files[0].split()[1:5]] == [8, 16, 24, 32]
    histories = [read_csv(path / "history.csv") for path in (killed, undisturbed.path)]
    for row in (*histories[0], *histories[1]):
        del row["seconds"]
    assert histories[0] == histories[1]


def test_an_interrupted_run_of_another_config_is_left_alone(short, quiet):
    path = train(short(), quiet).path
    (path / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"interrupted run of another config \(trainer\.max_epochs"):
        train(short("trainer.max_epochs=1"), quiet)
    assert (path / "checkpoints" / "last.ckpt").exists()


def test_a_run_killed_after_its_last_epoch_only_tests(short, quiet):
    config = short()
    first = train(config, quiet)
    (first.path / "metrics.json").unlink()
    assert numbers(train(config, quiet).metrics) == numbers(first.metrics)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", b"a: [", r"config\.yaml cannot be read.*Move .* away"),
        ("config.yaml", b"\xff\xfe", r"config\.yaml cannot be read"),
        ("config.yaml", b"text", r"config\.yaml is not a config"),
        ("metrics.json", b'{"status": ', r"metrics\.json cannot be read"),
        ("metrics.json", b"[]", r"metrics\.json is not a run's result"),
    ],
)
def test_a_damaged_file_is_named(short, quiet, name, content, message):
    config = short("model=cnn")
    path = train(config, quiet).path
    if not name.startswith("metrics"):
        (path / "metrics.json").unlink()
    (path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        train(config, quiet)
    assert (path / name).read_bytes() == content


def test_a_folder_that_cannot_be_written(short, quiet, tmp_path):
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(UserError, match=r"output_dir: cannot write to .* Name another folder"):
        train(short(), quiet)


def test_two_processes_in_one_folder(short, quiet, train_py, tmp_path):
    process = train_py(*SHORT, "trainer.max_epochs=50", f"output_dir={tmp_path / 'outputs'}")
    config = short("trainer.max_epochs=50")
    while not (folder(config) / "config.yaml").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    try:
        with pytest.raises(UserError, match=r"is being worked on by another process"):
            train(config, quiet)
    finally:
        process.kill()
        process.communicate()


WARP = r"\. The warp's means over these inputs: theta11 [-\w.+]+, .* Lower optimizer\.lr"


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        ([], rf"in epoch 1, step 2{WARP}"),
        (["model=cnn"], r"in epoch 1, step 2\. Lower optimizer\.lr"),
        # The last step of all is too large, and no loss of training is computed after it.
        (["trainer.limit_train_batches=1"], rf"on the validation part after epoch 1, step 1{WARP}"),
        (
            ["trainer.limit_train_batches=1", "trainer.max_epochs=1", "dataset.val_size=0"],
            rf"on the test part after epoch 1, step 1{WARP}",
        ),
    ],
    ids=["stn", "cnn", "last step, validation", "last step, test"],
)
def test_a_loss_that_is_no_number_stops_the_run(short, quiet, overrides, where):
    config = short("optimizer.lr=1.0e+30", *overrides)
    with pytest.raises(UserError, match=rf"^the loss became (nan|inf) {where}"):
        train(config, quiet)
    assert not (folder(config) / "metrics.json").exists()


class HostReads(TorchDispatchMode):
    """Counts how often the host asks for a value that the device may not have computed yet."""

    ASKING = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += func.name().partition(".")[0] in self.ASKING
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", ["cnn", "stn"])
def test_no_step_asks_for_a_value(short, quiet, monkeypatch, model):
    """A GPU would wait for each. The steps of a chunk are asked about together."""
    asked = []

    class Watched(Classification):
        def training_step(self, chunk, batch_idx):
            with HostReads() as reads:
                loss = super().training_step(chunk, batch_idx)
            asked.append((len(chunk), reads.number))
            return loss

    monkeypatch.setattr("stnlab.run.run.Classification", Watched)
    config = short(
        "dataset=RTS",
        f"model={model}",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=16",
        "trainer.gradient_clip_val=1.0",
    )
    train(config, quiet)
    assert asked == [(8, 1)] * 2


def test_an_accelerator_that_is_not_there(short, quiet):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(
        UserError, match=r"trainer: .*trainer\.accelerator=gpu.*trainer\.accelerator=auto"
    ):
        train(short("trainer.accelerator=gpu"), quiet)


def test_a_collapsed_run_says_so(short, quiet):
    metrics = train(short("trainer.limit_train_batches=1", "trainer.max_epochs=1"), quiet).metrics
    assert metrics["collapsed"] is True
    assert "near the" in metrics["collapsed_reason"]


def test_what_a_sweep_writes_to_results_is_no_change_of_the_code(tmp_path, monkeypatch):
    def git(*words):
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    for name in ("results/sweep.json", "src/code.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}")
    git("init")
    git("add", ".")
    git("commit", "-m", "x")
    monkeypatch.setattr(environment, "PROJECT_DIR", tmp_path)
    monkeypatch.setattr(environment, "IS_CHECKOUT", True)
    found = []
    for name in ("results/sweep.json", "src/code.py"):
        (tmp_path / name).write_text("{ }")
        found.append(environment.environment(torch.device("cpu"))["git_dirty"])
    assert found == [False, True]
