"""Files cut off or with a byte flipped, at random: found and named, or without consequence.

A case is drawn from a seed of its own, so that each is the same every time.
"""

import gzip
import hashlib
import random
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from short_run import SHORT

from stnlab.config import PROJECT_DIR, compose, folder, identity, to_plain, with_defaults
from stnlab.data import mnist
from stnlab.errors import UserError
from stnlab.folder import RunFolder, State
from stnlab.report import write_report
from stnlab.report.results import RunState, read_study
from stnlab.run import train
from stnlab.run.recorder import Recorder, load_checkpoint

RESULTS = ("config.yaml", "history.csv", "metrics.json", "robustness.csv")


def damaged(content, seed):
    """``content`` cut off, or with one to four bytes changed, and the place of the damage."""
    draw = random.Random(seed)
    where = draw.randrange(len(content))
    if seed % 4 == 0:
        return content[:where], where
    found = bytearray(content)
    for place in range(where, min(where + draw.choice((1, 1, 4)), len(content))):
        found[place] ^= draw.randrange(1, 256)
    return bytes(found), where


def attempt(function, *arguments):
    """What a function gives, and with what it refuses: one of the two is None."""
    try:
        return function(*arguments), None
    except UserError as error:
        return None, str(error)


@pytest.fixture
def quiet():
    return Console(quiet=True)


def numbers(metrics):
    return {key: metrics[key] for key in ("test", "best", "collapsed", "collapsed_reason")}


# -- A checkpoint --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file in the form of a checkpoint, with 70 kB of weights and of an optimizer's moments."""
    weights = {f"layer{each}.weight": torch.rand(50, 90) for each in range(4)}
    moments = {each: {"exp_avg": torch.rand(50, 90), "step": torch.tensor(3.0)} for each in (0, 1)}
    content = {
        "state_dict": weights,
        "callbacks": {"Recorder": {"history": [{"epoch": 1, "val_accuracy": 0.5}]}},
        "global_step": 20,
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 0.001}]}],
    }
    path = tmp_path_factory.mktemp("checkpoint") / "last.ckpt"
    torch.save(content, path)
    return path


def as_lists(node):
    """``node`` without tensors, so that it can be compared."""
    if isinstance(node, dict):
        return {name: as_lists(value) for name, value in node.items()}
    if isinstance(node, list):
        return [as_lists(value) for value in node]
    return node.tolist() if isinstance(node, torch.Tensor) else node


@pytest.mark.parametrize("batch", range(10))
def test_a_damaged_checkpoint_is_refused_or_the_same(checkpoint, tmp_path, batch):
    """200 cases; those that are not refused have their damage between the parts of the file."""
    content, expected = checkpoint.read_bytes(), as_lists(load_checkpoint(checkpoint))
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    num_refused = 0
    for seed in range(20 * batch, 20 * batch + 20):
        path.write_bytes(damaged(content, seed)[0])
        found, refusal = attempt(load_checkpoint, path)
        if refusal is None:
            assert as_lists(found) == expected
        else:
            assert "last.ckpt is damaged" in refusal
            assert f"Move {path.parent} away to start this run from its beginning" in refusal
            num_refused += 1
    assert num_refused >= 16


def test_a_flipped_bit_of_a_weight_is_refused(checkpoint, tmp_path):
    """Torch itself reads it without a word."""
    content = checkpoint.read_bytes()
    weight = torch.load(checkpoint, weights_only=True)["state_dict"]["layer2.weight"]
    place = content.index(weight.numpy().tobytes()) + 1234
    path = tmp_path / "last.ckpt"
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    silent = torch.load(path, weights_only=True)["state_dict"]["layer2.weight"]
    assert not torch.equal(silent, weight)
    with pytest.raises(UserError, match=r"last\.ckpt is damaged \(BadZipFile\)"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": {}}, torch.zeros(3)])
def test_another_file_of_torch_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"last\.ckpt is damaged \(it is no checkpoint of a run\)"):
        load_checkpoint(tmp_path / "last.ckpt")


# -- A run with damaged checkpoints --------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A whole run, and a run of the same config that was stopped after the first of two epochs."""
    place = tmp_path_factory.mktemp("runs")
    whole, stopped = (
        compose([*SHORT, "model=cnn", f"name={name}", f"output_dir={place}"])
        for name in ("whole", "stopped")
    )
    outcome = train(whole, Console(quiet=True))
    began = Recorder.on_train_epoch_start

    def stop(self, trainer, module):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        began(self, trainer, module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "on_train_epoch_start", stop)
        with pytest.raises(UserError, match="stopped after epoch 1 of 2"):
            train(stopped, Console(quiet=True))
    return outcome, stopped


@pytest.fixture
def stopped(runs, tmp_path):
    """The interrupted run, in a copy: its config and its folder."""
    config = runs[1]
    source = folder(config)
    config = compose_again(config, tmp_path)
    shutil.copytree(source, folder(config))
    return config, RunFolder(folder(config))


def compose_again(config, place):
    return replace(config, output_dir=str(place))


def weights_of(run_folder):
    return load_checkpoint(run_folder.last_checkpoint)["state_dict"]


def rows_of(path):
    """Without the seconds, which differ."""
    return [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]


def assert_the_same(outcome, whole):
    assert numbers(outcome.metrics) == numbers(whole.metrics)
    one, other = (RunFolder(each.path) for each in (outcome, whole))
    for name, weight in weights_of(one).items():
        assert torch.equal(weight, weights_of(other)[name])
    assert rows_of(one.history) == rows_of(other.history)


def damage_file(path, seed=0):
    content = path.read_bytes()
    path.write_bytes(damaged(content[: len(content) // 2], 4 * seed)[0])


def test_a_run_goes_on_from_its_best_checkpoint(runs, stopped, quiet, caplog):
    config, run_folder = stopped
    damage_file(run_folder.last_checkpoint)
    assert_the_same(train(config, quiet), runs[0])
    assert "last.ckpt is damaged; the run goes on from best.ckpt" in caplog.text


def test_a_run_whose_checkpoints_are_all_damaged_says_what_to_do(runs, stopped, quiet):
    config, run_folder = stopped
    damage_file(run_folder.last_checkpoint)
    damage_file(run_folder.best_checkpoint)
    with pytest.raises(
        UserError, match=r"last\.ckpt is damaged .*Move .*checkpoints away to start"
    ):
        train(config, quiet)
    shutil.rmtree(run_folder.checkpoints)
    assert_the_same(train(config, quiet), runs[0])


def test_a_checkpoint_of_another_network_is_refused(stopped, quiet):
    config, run_folder = stopped
    content = load_checkpoint(run_folder.last_checkpoint)
    content["state_dict"] = {"weight": torch.zeros(3)}
    torch.save(content, run_folder.last_checkpoint)
    with pytest.raises(UserError, match=r"last\.ckpt is damaged \(it is of another network\)"):
        train(config, quiet)


def test_a_history_that_lags_behind_the_checkpoint_is_written_anew(runs, tmp_path, quiet):
    """As a run that is killed after its last checkpoint, before its row, leaves it."""
    config = compose_again(compose_like(runs[0]), tmp_path)
    shutil.copytree(runs[0].path, folder(config))
    run_folder = RunFolder(folder(config))
    run_folder.metrics.unlink()
    run_folder.history.write_text("epoch,train_lo")
    assert_the_same(train(config, quiet), runs[0])


def compose_like(outcome):
    return compose([*SHORT, "model=cnn", "name=whole", f"output_dir={outcome.path.parents[2]}"])


def test_a_best_checkpoint_of_another_epoch_is_refused(runs, tmp_path):
    checkpoint = load_checkpoint(RunFolder(runs[0].path).best_checkpoint)
    run_folder = RunFolder(tmp_path)
    run_folder.checkpoints.mkdir()
    torch.save(checkpoint, run_folder.best_checkpoint)
    found = Recorder(run_folder, "accuracy", {})
    best = checkpoint["callbacks"][found.state_key]["history"][-1]
    found.history = [best]
    assert found.best_weights().keys() == checkpoint["state_dict"].keys()
    found.history = [best, {**best, "epoch": 9, "val_accuracy": 1.0}]
    with pytest.raises(UserError, match=r"best\.ckpt is damaged \(it is of another epoch\)"):
        found.best_weights()


def test_a_new_run_trusts_no_checkpoint_that_was_there(tmp_path):
    config = compose(["model=cnn", f"output_dir={tmp_path}"])
    run_folder = RunFolder(folder(config))
    run_folder.checkpoints.mkdir(parents=True)
    run_folder.best_checkpoint.write_bytes(b"of another run")
    assert run_folder.claim(to_plain(config), overwrite=False) is State.fresh
    assert not run_folder.best_checkpoint.exists()


# -- The files of a complete run -----------------------------------------------------------------


@pytest.fixture
def complete(tmp_path):
    """A folder as a complete run leaves it, made without one: its config, plain, and itself."""
    config = compose(["dataset=RTS", "model=cnn", f"output_dir={tmp_path}"])
    return to_plain(config), write_run(folder(config), to_plain(config))


def write_run(path, plain):
    run_folder = RunFolder(path)
    path.mkdir(parents=True)
    run_folder.config.write_text(yaml.safe_dump(plain, sort_keys=False))
    run_folder.history.write_text("epoch,val_accuracy\n1,0.5123\n2,0.6178\n")
    run_folder.robustness.write_text("factor,amount,accuracy,n\nrotation,0,0.9731,10000\n")
    scores = {"clean": {"n": 10000, "loss": 0.0871, "accuracy": 0.9731}}
    run_folder.finish(
        {
            "status": "complete",
            "test": scores,
            "best": {"epoch": 2, "test": scores},
            "collapsed": False,
            "seconds": {"train": 12.34},
        }
    )
    return run_folder


def test_the_checksums_are_those_of_sha256sum(complete):
    _, run_folder = complete
    lines = run_folder.checksums.read_text().splitlines()
    assert sorted(line.split("  ")[1] for line in lines) == sorted(RESULTS)
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((run_folder.path / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", [*RESULTS, "checksums.sha256"])
def test_a_damaged_file_of_a_complete_run_is_named(complete, name):
    """30 cases a file."""
    plain, run_folder = complete
    assert run_folder.look(plain) == (State.complete, [])
    path = run_folder.path / name
    content = path.read_bytes()
    for seed in range(30):
        path.write_bytes(damaged(content, seed)[0])
        with pytest.raises(UserError, match=r"[Mm]ove .* away|name=…") as caught:
            run_folder.look(plain)
        # A sum that is wrong may be the file's or its own: both are named.
        assert name in str(caught.value)
    path.write_bytes(content)
    assert run_folder.look(plain) == (State.complete, [])


def test_a_digit_changed_in_a_result_is_found(complete):
    plain, run_folder = complete
    run_folder.metrics.write_text(run_folder.metrics.read_text().replace("0.9731", "0.9831", 1))
    with pytest.raises(
        UserError,
        match=r"metrics\.json does not match its sum in checksums\.sha256: it was damaged or "
        r"edited after the run\. Move .* away.* Where the change is meant, move checksums",
    ):
        run_folder.look(plain)
    run_folder.checksums.unlink()
    assert run_folder.look(plain) == (State.complete, [])


def test_a_run_of_before_there_were_checksums_is_complete(complete):
    plain, run_folder = complete
    run_folder.checksums.unlink()
    assert run_folder.damage() == {}
    assert run_folder.look(plain) == (State.complete, [])


def test_the_runs_in_results_are_complete():
    paths = sorted((PROJECT_DIR / "results").glob("*/*/seed=*"))
    assert len(paths) >= 48
    for path in paths:
        assert RunFolder(path).damage() == {}
        assert RunFolder(path).read_metrics()["status"] == "complete"


def test_killed_between_the_checksums_and_the_result(complete, monkeypatch):
    plain, run_folder = complete
    run_folder.metrics.unlink()
    run_folder.checkpoints.mkdir()
    run_folder.last_checkpoint.write_bytes(b"")
    replaced = Path.replace

    def killed(self, target):
        if Path(target).name == "metrics.json":
            raise KeyboardInterrupt
        return replaced(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            run_folder.finish({"status": "complete", "note": "first"})
    assert run_folder.look(plain) == (State.interrupted, [])
    scores = {"status": "complete", "test": {}, "best": {"test": {}}, "seconds": {}}
    run_folder.finish(scores)
    assert run_folder.look(plain) == (State.complete, [])
    assert run_folder.read_metrics() == scores


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "NaN", '{"status": "complete"}', '{"status": "complete", "test": 3}'],
)
def test_a_result_without_what_is_read_of_it_is_refused(complete, content):
    plain, run_folder = complete
    run_folder.metrics.write_text(content)
    with pytest.raises(UserError, match=r"metrics\.json (cannot be read|is not a run's result)"):
        run_folder.look(plain)


def known_in(plain):
    return {key: value for key, value in identity(plain).items() if value is not None}


def test_a_damaged_config_of_an_interrupted_run_is_never_another_run_in_silence(complete):
    """60 cases: refused, told as another config's, or a change of what decides no number."""
    plain, run_folder = complete
    run_folder.metrics.unlink()
    run_folder.checkpoints.mkdir()
    run_folder.last_checkpoint.write_bytes(b"")
    content = run_folder.config.read_bytes()
    seen = set()
    for seed in range(60):
        run_folder.config.write_bytes(damaged(content, seed)[0])
        looked, refusal = attempt(run_folder.look, plain)
        if looked is None:
            assert "config.yaml" in refusal
            seen.add("refused")
            continue
        state, differences = looked
        seen.add(state)
        if state is State.interrupted:
            found = yaml.safe_load(run_folder.config.read_text())
            found = with_defaults(found, plain)  # what is cut off reads as an earlier version's
            assert known_in(found) == known_in(plain)  # a null is as if the key were absent
        else:
            assert differences
    assert seen >= {"refused", State.other_config}


@pytest.mark.parametrize(
    "content",
    [
        "a: &a {x: 1}\nb: &b {x: *a, y: *a}\nc: {x: *b, y: *b}\n",  # doubles with each line
        "a: &a [*a]\n",
        "[" * 5000,
        "a: 2001-99-99\n",
        "!!python/object/apply:os.system [true]\n",
        "a: !!int ''\n",
    ],
)
def test_an_odd_config_is_refused(complete, content):
    plain, run_folder = complete
    run_folder.checksums.unlink()
    run_folder.config.write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        run_folder.look(plain)


def test_a_run_leaves_checksums_and_is_refused_when_one_is_wrong(runs, tmp_path, quiet):
    config = compose_again(compose_like(runs[0]), tmp_path)
    shutil.copytree(runs[0].path, folder(config))
    run_folder = RunFolder(folder(config))
    assert train(config, quiet).already_complete
    names = [line.split("  ")[1] for line in run_folder.checksums.read_text().splitlines()]
    assert sorted(names) == sorted([*RESULTS, "preprocessing.json"])
    text = run_folder.history.read_text()
    run_folder.history.write_text(text.replace("0.", "1.", 1))
    with pytest.raises(UserError, match=r"history\.csv does not match its sum"):
        train(config, quiet)


# -- A report over damaged files -----------------------------------------------------------------


@pytest.fixture
def study(complete):
    """Two complete runs of one cell."""
    plain, run_folder = complete
    write_run(run_folder.path.parent / "seed=1", {**plain, "seed": 1})
    return run_folder.path.parents[1]


@pytest.mark.parametrize("name", [*RESULTS, "checksums.sha256"])
def test_a_report_believes_no_damaged_file(study, name):
    path = study / "cnn" / "seed=1" / name
    content = path.read_bytes()
    for seed in range(10):
        path.write_bytes(damaged(content, seed)[0])
        found = read_study(study)
        runs = {run.seed: run for cell in found.cells for run in cell.runs}
        run = runs[1]
        if name in ("history.csv", "robustness.csv"):
            assert run.state is RunState.complete
            assert f"cnn/seed=1/{name} does not match its sum" in " ".join(found.notes)
            assert not (run.history if name == "history.csv" else run.robustness)
        else:
            assert run.state is RunState.unreadable
            assert run.reason
            assert run.value("test.clean.accuracy") is None
        assert runs[0].value("test.clean.accuracy") == 0.9731
    write_report([study], study)
    assert name in (study / "report.md").read_text()


# -- MNIST ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(mnist._FILES))
def test_a_damaged_file_of_mnist_is_named(tmp_path, name):
    """8 cases a file."""
    path = tmp_path / f"{name}.gz"
    content = (mnist.BUNDLED_ROOT / path.name).read_bytes()
    expected = hashlib.sha256(gzip.decompress(content)).hexdigest()
    num_refused = 0
    for seed in range(8):
        path.write_bytes(damaged(content, seed)[0])
        found, refusal = attempt(mnist._read_checked, tmp_path, name, *mnist._FILES[name])
        if refusal is None:  # the time or the name in the header of the packed file
            assert hashlib.sha256(found).hexdigest() == expected
        else:
            assert f"dataset.root: {path} " in refusal
            assert "It is left as it is." in refusal
            num_refused += 1
    assert num_refused >= 6


def test_a_file_that_unpacks_to_gigabytes_is_refused_before_it_does(tmp_path):
    name = "t10k-labels-idx1-ubyte"
    with gzip.open(tmp_path / f"{name}.gz", "wb", compresslevel=1) as file:
        for _ in range(200):
            file.write(bytes(1_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"more than 10,008 bytes"):
            mnist._read_checked(tmp_path, name, *mnist._FILES[name])
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
