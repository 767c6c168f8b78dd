"""What TensorBoard finds in a run's folder, read with TensorBoard's own reader."""

import json
import math

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from stnlab.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from short_run import SHORT

    from stnlab.config import compose

    folder = tmp_path_factory.mktemp("tensorboard")
    outcome = train(
        compose(
            [
                *SHORT,
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
    left, right = (
        events.Histograms(f"theta of view {v}/theta13")[0].histogram_value for v in (0, 1)
    )
    assert left.max < 0 < right.min


def test_digits_before_and_after(run):
    _, events = run
    images = events.Images("digits/before above, after below")
    assert len(images) == 2
    assert images[0].width > 3 * 6 * 56


def test_hyperparameters_with_final_metrics(run):
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
    clean = events.Scalars("test/clean/accuracy")[0].value
    assert clean == pytest.approx(metrics["test"]["clean"]["accuracy"])


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
