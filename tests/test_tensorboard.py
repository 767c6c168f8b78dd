"""What TensorBoard finds in a run's folder, read with TensorBoard's own reader."""

import json
import math

import pytest
from rich.console import Console
from short_run import DRAWN, SHORT
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.hparams.backend_context import Context

from stnlab.config import compose
from stnlab.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorboard")
    outcome = train(
        compose(
            [
                *SHORT,
                DRAWN,
                "dataset=same-image",
                "model=multi-stn",
                "init=left-right",
                f"output_dir={folder}",
            ]
        ),
        Console(quiet=True),
    )
    events = EventAccumulator(str(outcome.path))
    events.Reload()
    return outcome, events


def test_scalars_of_every_epoch(run):
    _, events = run
    for tag in ("loss/train", "loss/val", "accuracy/train", "accuracy/val"):
        assert [event.step for event in events.Scalars(tag)] == [20, 40]


def test_thetas_of_both_views(run):
    _, events = run
    tags = events.Tags()
    for view in (0, 1):
        names = ("theta11", "theta13", "theta23", "determinant", "share outside")
        assert {f"theta of view {view}/{name}" for name in names} <= set(tags["histograms"])
        assert f"warp of view {view}/rotation, degrees" in tags["histograms"]
    left, right = (
        events.Histograms(f"theta of view {v}/theta13")[0].histogram_value for v in (0, 1)
    )
    assert left.max < 0 < right.min


def test_what_is_taken_back_and_the_figures_of_the_trained_network(short):
    outcome = train(short("dataset=rot90", "trainer.keep_epochs=true", DRAWN), Console(quiet=True))
    events = EventAccumulator(str(outcome.path), {"images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"warp/rotation, degrees", "warp/shift_x, pixels"} <= set(tags["histograms"])
    assert len(events.Scalars("recovered/rotation, slope")) == 2
    assert "recovered/scale, slope" not in tags["scalars"]  # of which none was applied
    assert 0 < events.Scalars("share outside/step")[0].value < 0.5
    strips = {f"film-strip-{kind}.png" for kind in ("angle", "shift", "scale", "epoch")}
    assert strips <= {each.name for each in (outcome.path / "figures").iterdir()}
    shown = {"rotation recovered", *(f"film strip, {kind}" for kind in ("angle", "epoch"))}
    for name in shown:
        assert [image.step for image in events.Images(f"digits/{name}")] == [40]


def test_digits_before_and_after(run):
    _, events = run
    images = events.Images("digits/before above, after below")
    assert [image.step for image in images] == [40]
    assert images[0].width > 3 * 6 * 56
    assert images[0].height == 2 * (3 * (28 + 1 + 28) + 18)  # a line of labels below each row


def test_panels_are_200_steps_apart(short):
    """To draw one takes as long as some hundred steps, and an epoch may be one step."""
    settings = (DRAWN, "trainer.max_epochs=7", "trainer.limit_train_batches=80")
    events = EventAccumulator(str(train(short(*settings), Console(quiet=True)).path), {"images": 0})
    events.Reload()
    images = events.Images("digits/before above, after below")
    assert [image.step for image in images] == [240, 480, 560]


def test_hyperparameters_beside_results(run):
    outcome, events = run
    found = {}
    for tag, content in events.summary_metadata.items():
        if content.plugin_data.plugin_name == "hparams":
            data = plugin_data_pb2.HParamsPluginData.FromString(content.plugin_data.content)
            found[tag] = data
    started = found["_hparams_/session_start_info"].session_start_info.hparams
    assert started["model"].string_value == "multi-stn"
    assert started["init"].string_value == "left-right"
    assert started["seed"].number_value == 0
    metrics = json.loads((outcome.path / "metrics.json").read_text())
    for name, part in (("test", metrics), ("test at the best epoch", metrics["best"])):
        shown = started[f"{name}/clean/accuracy"].number_value
        assert shown == pytest.approx(part["test"]["clean"]["accuracy"])
    # Results are columns there, and no charts of one dot elsewhere.
    assert {tag.split("/")[0] for tag in events.Tags()["scalars"]} == {
        *("loss", "accuracy", "learning rate", "theta of view 0", "theta of view 1"),
        "share outside",
    }


def test_the_rates_of_every_part_of_the_network(short):
    own = ["model.localization.lr=0.0001", "schedule=cosine", "trainer.log_every_n_steps=1"]
    events = EventAccumulator(str(train(short(*own), Console(quiet=True)).path))
    events.Reload()
    for name, lr in (("network", 1e-3), ("transformer", 1e-4)):
        found = events.Scalars(f"learning rate/{name}")
        steps = [event.step - 1 for event in found]  # an event's step counts what is done
        assert steps[-1] == 39
        rates = [lr * (1 + math.cos(math.pi * step / 40)) / 2 for step in steps]
        assert [event.value for event in found] == pytest.approx(rates)


def test_runs_of_a_sweep_are_told_apart(tmp_path):
    """As TensorBoard's own backend gives them to its HParams tab."""
    swept = [
        [f"model.localization.lr={lr}", f"optimizer.weight_decay={decay}"]
        for lr in ("null", "0.0001")
        for decay in ("0.0", "0.01")
    ]
    for number, keys in enumerate(swept):
        short = [*SHORT, "trainer.max_epochs=1", "trainer.limit_train_batches=1"]
        place = [f"output_dir={tmp_path}", f"cell={number}"]
        train(compose([*short, *place, *keys]), Console(quiet=True))
    names, rows = hparams_tab(tmp_path)
    assert names[:2] == ["model.localization.lr", "optimizer.weight_decay"]
    assert sorted(row[:2] for row in rows) == [
        ["0.0001", "0.0"],
        ["0.0001", "0.01"],
        ["null", "0.0"],
        ["null", "0.01"],
    ]
    assert {"dataset", "model", "init", "padding", "seed", "trainer.precision"} <= set(names[2:])
    assert "test/clean/accuracy" in names[2:]


def hparams_tab(folder):
    """The names of the columns, and a row of each run."""
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    context = Context(TBContext(data_provider=provider))
    metadata = context.hparams_metadata(RequestContext(), "")
    experiment = context.experiment_from_metadata(
        RequestContext(),
        "",
        include_metrics=True,
        hparams_run_to_tag_to_content=metadata,
        data_provider_hparams=[],
    )
    assert "accuracy/val" in {each.name.tag for each in experiment.metric_infos}
    names = [each.name for each in experiment.hparam_infos]
    started = [
        plugin_data_pb2.HParamsPluginData.FromString(
            tags["_hparams_/session_start_info"]
        ).session_start_info.hparams
        for tags in metadata.values()
    ]
    return names, [[as_text(each[name]) for name in names] for each in started]


def as_text(value):
    return value.string_value if value.HasField("string_value") else str(value.number_value)
