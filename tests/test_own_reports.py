"""Reports on a user's own data: every sentence is about that data, and SEED is not in it."""

import json
import re

import numpy as np
import pytest
from own_data import WAVES, waves, write_tree
from short_run import DRAWN, SHORT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from stnlab.config import compose
from stnlab.errors import UserError
from stnlab.report import write_report
from stnlab.report.results import read_study
from stnlab.run.run import train
from stnlab.schema import SweepConfig
from stnlab.sweep.plan import plan

# Words of other people's data, and of SEED's.
FOREIGN = r"digit|(?-i:MNIST|SEED|PIL)|60,000|patient|stays|deaths|mortality|hour"


def swept(*overrides):
    """The folder of a sweep over two seeds, run in this process, with its report."""
    (made,) = plan(SweepConfig(seeds=[0, 1]), [*SHORT, DRAWN, "trainer.max_epochs=1", *overrides])
    for run in made.runs:
        train(run.config)
    (made.path / "sweep.json").write_text(json.dumps(made.record("python sweep.py …")))
    write_report([made.path], made.path)
    return made.path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A sweep over 32x32 RGB images, of a class whose name is awkward."""
    root = tmp_path_factory.mktemp("pictures")
    classes = ("bar", "$corner_", "slope | 45°")
    write_tree(root / "data" / "train", 12, 32, 32, 3, classes)
    write_tree(root / "data" / "test", 5, 32, 32, 3, classes, seed=10)
    return swept(
        *("dataset=images", f"dataset.root={root / 'data'}", "dataset.name=shapes"),
        *("model=cnn,stn", "distortion=RTS", f"output_dir={root / 'outputs'}"),
    )


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A sweep over series of three classes."""
    root = tmp_path_factory.mktemp("series")
    labels = np.arange(60) % 3
    np.savez(root / "waves.npz", x=waves(labels, 50), y=labels, classes=WAVES)
    return swept(
        *("dataset=series", f"dataset.root={root / 'waves.npz'}", "dataset.name=waves"),
        *("model=lstm,ts-stn", f"output_dir={root / 'outputs'}"),
    )


def text_of(folder):
    """A report without where it lies."""
    return (folder / "report.md").read_text().split("## To do it again")[0]


def test_a_report_on_images_speaks_of_these_images(pictures):
    text = text_of(pictures)
    assert not re.search(FOREIGN, text, re.IGNORECASE)
    assert "| row | n | accuracy on clean test images, % |" in text
    assert "shapes: 32 images to train on, 4 held out for validation, 15 to test on." in text
    assert "shapes: training images are distorted anew at every epoch (rotation 45, tran" in text
    assert "best validation accuracy are both tested" in text
    assert "Accuracy on test images distorted in one way at a time" in text
    assert "Test images under rotation 120 (above)" in text
    assert "Which class was taken for which: test images by their class" in text


def test_a_report_on_series_speaks_of_these_series(series):
    text = text_of(series)
    assert not re.search(FOREIGN, text, re.IGNORECASE)
    assert "| row | n | accuracy on test series of the last epoch, % |" in text
    assert "| row | accuracy on test series of the best validation epoch, % |" in text
    assert "waves: 43 series to train on, 5 held out for validation, 12 to test on." in text
    assert "distorted" not in text
    assert "One variable of three test series, the first in which it was measured" in text


def test_rows_that_differ_in_their_model_are_told_nothing_of_it(pictures, series):
    for folder in (pictures, series):
        assert "To know before comparing rows" not in text_of(folder)


def test_a_summary_has_the_runs_own_accuracy(series):
    summary = json.loads((series / "summary.json").read_text())
    for cell in summary["studies"][0]["cells"]:
        for seed, value in cell["metrics"]["test.accuracy"]["values"].items():
            metrics = json.loads((series / cell["cell"] / f"seed={seed}/metrics.json").read_text())
            assert value == pytest.approx(metrics["test"]["accuracy"])


def test_a_plan_says_what_is_tested_before_anything_is(series, tmp_path):
    record = json.loads((series / "sweep.json").read_text())
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    cell = read_study(tmp_path).cells[0]
    assert (cell.examples, cell.tested.value) == ("series", "whole")
    write_report([tmp_path], tmp_path)
    text = text_of(tmp_path)
    assert "accuracy on test series of the last epoch" in text
    assert not re.search(FOREIGN, text, re.IGNORECASE)


def results_of(events):
    """What the HParams tab shows of a run."""
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams


def test_tensorboard_has_the_accuracy_and_the_series(series):
    events = EventAccumulator(str(series / "ts-stn-identity-border" / "seed=0")).Reload()
    assert "accuracy/val" in events.Tags()["scalars"]
    assert {"test/accuracy", "test at the best epoch/accuracy"} <= set(results_of(events))
    assert "series/before and after the warp" in events.Tags()["images"]


def test_tensorboard_has_the_accuracies_and_the_images(pictures):
    events = EventAccumulator(str(pictures / "stn-identity-zeros" / "seed=0")).Reload()
    best = "test at the best epoch/distorted/accuracy"
    assert {"test/clean/accuracy", best} <= set(results_of(events))
    assert "images/before above, after below" in events.Tags()["images"]


def test_a_report_on_undistorted_images_says_so(tmp_path):
    write_tree(tmp_path / "data", 10, 28, 28)
    folder = swept(
        *("dataset=images", f"dataset.root={tmp_path / 'data'}", "dataset.name=plain"),
        *("model=fcn", "dataset.val_size=0", f"output_dir={tmp_path / 'outputs'}"),
    )
    text = text_of(folder)
    assert "plain: 24 images to train on, none held out, 6 to test on." in text
    assert "plain: training images are not distorted" in text
    assert "The last epoch is tested; no epoch is chosen." in text


def test_a_name_of_the_projects_own_data_is_refused(tmp_path):
    write_tree(tmp_path / "data", 10, 28, 28)
    with pytest.raises(UserError, match=r"dataset.name is 'RTS'; allowed: a name of its own"):
        compose(["dataset=images", f"dataset.root={tmp_path / 'data'}", "dataset.name=RTS"])
