"""A complete run goes on to more epochs, or says why not; a run starts from another's weights."""

import dataclasses
import gzip
import json
import shutil

import pytest
import torch
import yaml
from rich.console import Console
from short_run import DRAWN, SHORT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from test_clinical_run import SYNTHETIC
from test_run import numbers, read_csv

from stnlab.checkpoints import load_checkpoint
from stnlab.config import SweepConfig, compose, folder, to_plain
from stnlab.errors import UserError
from stnlab.folder import RunFolder
from stnlab.run import run as run_module
from stnlab.run import train
from stnlab.sweep.ledger import Status, look, share_done
from stnlab.sweep.plan import plan

QUIET = Console(quiet=True)
# Epochs of 5 steps.
RUN = [*SHORT, "trainer.limit_train_batches=5", "trainer.max_epochs=1", "model=cnn", "name=run"]
MORE = "trainer.max_epochs=3"


@pytest.fixture(scope="module")
def of_one_epoch(tmp_path_factory):
    """A complete run of one epoch."""
    place = tmp_path_factory.mktemp("one")
    return train(compose([*RUN, f"output_dir={place}"]), QUIET).path


@pytest.fixture(scope="module")
def of_three(tmp_path_factory):
    """A run that was given three epochs at once."""
    place = tmp_path_factory.mktemp("three")
    return train(compose([*RUN, MORE, f"output_dir={place}"]), QUIET).path


@pytest.fixture
def run(of_one_epoch, tmp_path):
    """Compose the run, in a folder where one of its epochs is complete."""
    shutil.copytree(of_one_epoch, tmp_path / "run" / "cnn" / "seed=0")
    return lambda *overrides: compose([*RUN, f"output_dir={tmp_path}", *overrides])


def files(path):
    return {
        str(each.relative_to(path)): each.read_bytes()
        for each in path.rglob("*")
        if each.is_file() and not each.name.startswith("events.")
    }


def require_same(one, other):
    """Two runs' metrics, history, tables and weights, bit for bit."""
    metrics = [json.loads((path / "metrics.json").read_text()) for path in (one, other)]
    assert numbers(metrics[0]) == numbers(metrics[1])
    histories = [read_csv(path / "history.csv") for path in (one, other)]
    for row in (*histories[0], *histories[1]):
        del row["seconds"]
    assert histories[0] == histories[1]
    tables = [{each.name for each in path.glob("*.csv")} for path in (one, other)]
    assert tables[0] == tables[1]
    for name in tables[0] - {"history.csv"}:
        assert (one / name).read_bytes() == (other / name).read_bytes()
    for name in ("last.ckpt", "best.ckpt"):
        first, second = (load_checkpoint(path / "checkpoints" / name) for path in (one, other))
        assert first["global_step"] == second["global_step"]
        assert str(first["optimizer_states"]) == str(second["optimizer_states"])
        for key, weight in first["state_dict"].items():
            assert torch.equal(weight, second["state_dict"][key])


def test_it_equals_a_run_given_that_number_at_once(run, of_one_epoch, of_three):
    went_on = train(run(MORE), QUIET)
    assert not went_on.already_complete
    require_same(went_on.path, of_three)
    assert yaml.safe_load((went_on.path / "config.yaml").read_text())["trainer"]["max_epochs"] == 3
    assert RunFolder(went_on.path).damage() == {}
    assert not list(went_on.path.rglob(".*"))
    kept = went_on.path / "epochs=1"
    assert files(kept) == files(of_one_epoch)
    assert RunFolder(kept).damage() == {}
    assert train(run(MORE), QUIET).already_complete


def test_a_history_that_was_packed_goes_on(run, tmp_path):
    folder = RunFolder(tmp_path / "run" / "cnn" / "seed=0")
    history = folder.history.read_bytes()
    packed = folder.path / "history.csv.gz"
    packed.write_bytes(gzip.compress(history))
    folder.history.unlink()
    assert folder.damage() == {}
    kept = folder.go_on(to_plain(run(MORE)))
    assert folder.history.read_bytes() == history
    assert not packed.exists()
    assert RunFolder(kept).damage() == {}


def test_no_figure_is_of_the_network_as_it_was(tmp_path):
    place = [*RUN, f"output_dir={tmp_path}"]
    before = {
        each.name for each in (train(compose([*place, DRAWN]), QUIET).path / "figures").iterdir()
    }
    assert "confusion.png" in before
    path = train(compose([*place, MORE]), QUIET).path
    assert not (path / "figures").exists()
    assert {each.name for each in (path / "epochs=1" / "figures").iterdir()} == before


def test_tensorboard_shows_the_run_as_it_is_now_and_as_it_was(run):
    path = train(run(MORE), QUIET).path
    for place, num_epochs in ((path, 3), (path / "epochs=1", 1)):
        events = EventAccumulator(str(place))
        events.Reload()
        content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
        assert found["trainer.max_epochs"].number_value == num_epochs
    events = EventAccumulator(str(path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/val")] == [5, 10, 15]


def test_series_go_on_too(tmp_path):
    place = [f"dataset.root={tmp_path / 'episodes'}", f"output_dir={tmp_path}"]
    overrides = [*SYNTHETIC, *place, "model=ts-stn", "trainer.max_epochs=2"]
    before = train(compose([*overrides, "name=went-on"]), QUIET)
    predictions = before.path / "predictions.csv"
    packed = packed_in_place(predictions)
    went_on = train(compose([*overrides, "name=went-on", "trainer.max_epochs=4"]), QUIET)
    at_once = train(compose([*overrides, "name=at-once", "trainer.max_epochs=4"]), QUIET)
    require_same(went_on.path, at_once.path)
    assert predictions.exists()
    assert not packed.exists()  # which would be the old ones
    assert (went_on.path / "epochs=2" / packed.name).exists()


def packed_in_place(path):
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


class Killed(BaseException):
    """What no handler expects, as a process that is gone."""


def killed(*_, **__):
    raise Killed


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("shutil", "copytree"),  # before anything is kept
        ("Path", "replace"),  # before what is kept is in its place
        ("Path", "unlink"),  # before the result is taken away
        ("RunFolder", "_begin"),  # after that, and before the config is the new one
        ("Recorder", "resume"),
        ("Run", "fit"),
        ("Run", "_test"),
        ("RunFolder", "finish"),
    ],
)
def test_killed_in_between_it_goes_on_or_is_what_it_was(
    run, monkeypatch, tmp_path, of_one_epoch, of_three, owner, name
):
    owners = {
        "shutil": "stnlab.folder.shutil",
        "Path": "stnlab.folder.Path",
        "RunFolder": "stnlab.folder.RunFolder",
        "Recorder": "stnlab.run.recorder.Recorder",
        "Run": "stnlab.run.run.Run",
    }
    went_on = RunFolder.go_on

    def killed_in_it(self, *arguments):
        with monkeypatch.context() as inner:
            inner.setattr(f"{owners[owner]}.{name}", killed)
            return went_on(self, *arguments)

    path = folder(run())
    with monkeypatch.context() as patch:
        if owner in ("shutil", "Path"):
            patch.setattr(RunFolder, "go_on", killed_in_it)
        else:
            patch.setattr(f"{owners[owner]}.{name}", killed)
        with pytest.raises(Killed):
            train(run(MORE), QUIET)
    assert (path / "metrics.json").exists() or (path / "epochs=1/metrics.json").exists()
    if name in ("copytree", "replace", "unlink", "_begin"):  # either number of epochs is open
        aside = shutil.copytree(path, tmp_path / "aside")
        assert numbers(train(run(), QUIET).metrics) == numbers(
            json.loads((of_one_epoch / "metrics.json").read_text())
        )
        shutil.rmtree(path)
        aside.rename(path)
    train(run(MORE), QUIET)
    require_same(path, of_three)
    assert files(path / "epochs=1").keys() == files(of_one_epoch).keys()
    assert not list(path.rglob(".*"))


def test_an_interrupted_run_may_be_given_more_epochs(run, of_three):
    (folder(run()) / "metrics.json").unlink()
    went_on = train(run(MORE), QUIET)
    require_same(went_on.path, of_three)
    assert not (went_on.path / "epochs=1").exists()


def test_fewer_epochs_are_another_run(run):
    path = train(run(MORE), QUIET).path
    before = files(path)
    with pytest.raises(
        UserError,
        match=r"complete run of another config \(trainer\.max_epochs was 3, is now 1\)\. A run "
        r"goes on to more epochs, and not back to fewer\. What this one was after 1 epochs is in "
        r".*epochs=1\. It is left as it is\. .*name=….*overwrite=true",
    ):
        train(run(), QUIET)
    assert files(path) == before


@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
def test_a_schedule_that_counts_the_steps_is_in_the_way(run, schedule):
    overrides = [f"schedule={schedule}", f"name={schedule}"]
    path = train(run(*overrides), QUIET).path
    before = files(path)
    with pytest.raises(
        UserError, match=rf"cannot go on .*under schedule={schedule} the rate of every step follows"
    ):
        train(run(*overrides, MORE), QUIET)
    assert files(path) == before


def test_without_its_last_checkpoint_it_cannot_go_on(run):
    path = folder(run())
    (path / "checkpoints" / "last.ckpt").unlink()
    before = files(path)
    with pytest.raises(UserError, match=r"cannot go on .*there is no .*last\.ckpt to go from"):
        train(run(MORE), QUIET)
    assert files(path) == before
    assert train(run(MORE, "overwrite=true"), QUIET).metrics["status"] == "complete"


def test_what_is_damaged_is_not_gone_on_from(run):
    path = folder(run())
    for name in ("last.ckpt", "best.ckpt"):
        (path / "checkpoints" / name).write_bytes(b"PK")
    before = files(path)
    with pytest.raises(UserError, match=r"last\.ckpt is damaged"):
        train(run(MORE), QUIET)
    assert files(path) == before


def test_another_key_that_differs_is_another_run(run):
    with pytest.raises(UserError, match=r"\(optimizer\.lr was .*; trainer\.max_epochs was 1, is"):
        train(run(MORE, "optimizer.lr=0.1"), QUIET)


@pytest.mark.usefixtures("run")
def test_a_sweep_goes_on_and_a_dry_run_says_so(tmp_path):
    sweep = compose([f"output_dir={tmp_path}"])
    keys = {each.name: getattr(sweep, each.name) for each in dataclasses.fields(sweep)}
    config = SweepConfig(**(keys | {"seeds": [0, 1], "name": "run"}))
    overrides = [each for each in (*RUN, MORE) if not each.startswith("name=")]
    ((first, second),) = (
        each.runs for each in plan(config, [*overrides, f"output_dir={tmp_path}"])
    )
    assert look(second).status is Status.missing
    standing = look(first)
    assert (standing.status, standing.metrics, share_done(standing)) == (
        Status.shorter,
        None,
        1 / 3,
    )
    train(first.config, QUIET)
    assert look(first).status is Status.done


# --- starting from another run


def test_a_run_starts_from_anothers_weights(run, of_one_epoch, monkeypatch):
    started = {}

    def fit(self):
        started.update({key: value.clone() for key, value in self.task.state_dict().items()})
        raise Killed

    monkeypatch.setattr(run_module.Run, "fit", fit)
    with pytest.raises(Killed):
        train(run(f"init_from={of_one_epoch}", "name=tuned"), QUIET)
    weights = load_checkpoint(of_one_epoch / "checkpoints" / "last.ckpt")["state_dict"]
    assert all(torch.equal(value, weights[key]) for key, value in started.items())


def test_the_weights_are_part_of_what_a_run_is(run, of_one_epoch, of_three, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(of_one_epoch, source)
    config = run(f"init_from={source}", "name=tuned")
    done = train(config, QUIET)
    noted = yaml.safe_load((done.path / "config.yaml").read_text())["init_from_sha256"]
    assert done.metrics["init_from"]["sha256"] == noted
    shutil.move(source, tmp_path / "elsewhere")  # the same weights, and the same run
    elsewhere = tmp_path / "elsewhere" / "checkpoints" / "last.ckpt"
    assert train(run(f"init_from={elsewhere}", "name=tuned"), QUIET).already_complete
    with pytest.raises(UserError, match=r"another config \(init_from_sha256 was"):
        train(run(f"init_from={of_three}", "name=tuned"), QUIET)
    with pytest.raises(UserError, match=r"another config \(init_from_sha256 was \w+, is now None"):
        train(run("name=tuned"), QUIET)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["dataset=same-image"],
            r"The first that differs is classifier\.\S+: 50×400 there, 50×\d+ here\. Between the "
            r"runs' configs: dataset\.name was rot90, is now same-image;.* leave init_from out",
        ),
        (["model=stn"], r"The first that differs is transformer\.\S+: none there, 8×1×7×7 here"),
    ],
    ids=["another size", "another model"],
)
def test_weights_of_another_network_are_refused(run, of_one_epoch, overrides, message):
    with pytest.raises(UserError, match=message):
        train(run(f"init_from={of_one_epoch}", "name=tuned", *overrides), QUIET)


def test_another_dataset_of_that_size_fits(run, of_one_epoch):
    outcome = train(run(f"init_from={of_one_epoch}", "name=tuned", "dataset=RTS"), QUIET)
    assert outcome.metrics["init_from"]["path"].endswith("last.ckpt")


@pytest.mark.parametrize(
    ("init_from", "message"),
    [
        ("nowhere", r"init_from is 'nowhere', but there is no nowhere\. Name the folder of a run"),
        ("", r"init_from is '', but there is no .*last\.ckpt"),
        ("x" * 5000, r"init_from is 'x+', but there is no"),
        ("{own}", r"init_from is .* which lies in this run's own folder"),
        ("{own}/metrics.json", r"which lies in this run's own folder"),
        (
            "{other}/metrics.json",
            r"init_from: .*metrics\.json cannot be read as a run's checkpoint",
        ),
    ],
    ids=["nowhere", "empty", "long", "its own folder", "a file of its own", "no checkpoint"],
)
def test_what_cannot_be_started_from(run, of_one_epoch, init_from, message):
    named = init_from.format(own=folder(run()), other=of_one_epoch)
    with pytest.raises(UserError, match=message):
        train(run(f"init_from={named!r}", *(["name=x"] if "{other}" in init_from else [])), QUIET)


def test_a_grid_over_starts_tells_its_cells_apart(of_one_epoch, of_three, tmp_path):
    sweep = compose([f"output_dir={tmp_path}"])
    keys = {each.name: getattr(sweep, each.name) for each in dataclasses.fields(sweep)}
    config = SweepConfig(**(keys | {"seeds": [0], "name": "grid"}))
    (found,) = plan(config, ["model=cnn", f"init_from=null,'{of_one_epoch}','{of_three}'"])
    cells = [each.cell for each in found.runs]
    assert len(set(cells)) == 3
    assert not any("sha256" in each for each in cells)
