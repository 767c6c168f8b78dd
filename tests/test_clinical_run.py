"""Runs on series, from the command line to the report, on synthetic episodes."""

import csv
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from stnlab.config import compose
from stnlab.data.mimic.synthetic import Settings, ensure_episodes
from stnlab.errors import UserError
from stnlab.evaluation import clinical
from stnlab.layers.network import build_network
from stnlab.report import write_report
from stnlab.run import train
from stnlab.trained import load

SETTINGS = Settings(num_train=120, num_val=40, num_test=60)
SYNTHETIC = [
    "dataset=mimic",
    "dataset.source=synthetic",
    "dataset.num_train=120",
    "dataset.num_val=40",
    "dataset.num_test=60",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
]
MODELS = ["cnn", "ts-stn", "lstm", "logistic", "time-in-range", "fcn"]


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "episodes"
    ensure_episodes(root, SETTINGS)
    return root


@pytest.fixture
def of_series(episodes, tmp_path):
    def composed(*overrides):
        root, out = f"dataset.root={episodes}", f"output_dir={tmp_path / 'outputs'}"
        return compose([*SYNTHETIC, root, out, *overrides])

    return composed


def run(config):
    return train(config, Console(quiet=True))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_leaves_a_whole_folder(of_series, model):
    outcome = run(of_series(f"model={model}"))
    metrics, found = outcome.metrics, clinical.read_predictions(outcome.path / "predictions.csv")
    _, p, y = found
    test = metrics["test"]
    assert (test["n"], test["positives"]) == (60, 18)
    assert test["auroc"] == pytest.approx(clinical.auroc(y, p))
    assert test["auroc_ci95"][0] <= test["auroc"] <= test["auroc_ci95"][1]
    assert metrics["best"]["selected_by"] == "val auroc"
    best = clinical.read_predictions(outcome.path / "predictions-best.csv")
    assert metrics["best"]["test"]["auroc"] == pytest.approx(clinical.auroc(best[2], best[1]))
    assert metrics["data"]["synthetic"] is True
    assert "SYNTHETIC" in metrics["data"]["name"]
    assert metrics["data"]["positives"] == {"train": 36, "val": 12, "test": 18}
    has_warp = model == "ts-stn"
    assert (outcome.path / "theta.csv").exists() == has_warp
    assert ("planted" in metrics) == has_warp
    assert sorted(each.name for each in (outcome.path / "figures").glob("*")) == (
        ["clusters.png", "share-outside.svg", "theta.png", "warped-series.png"] if has_warp else []
    )


@pytest.mark.parametrize(
    ("warp", "num"), [("monotone", 16), ("cpab", 15), ("time-affine", 2)], ids=str
)
@pytest.mark.parametrize("per_channel", [False, True])
def test_every_warp_of_time_leaves_a_whole_folder(of_series, warp, num, per_channel):
    own = f"warp.per_channel={str(per_channel).lower()}"
    outcome = run(of_series("model=ts-stn", f"warp={warp}", own))
    num_warps = 17 if per_channel else 1  # variables
    with (outcome.path / "theta.csv").open() as file:
        header = next(csv.reader(file))
    assert len(header) == 1 + num * num_warps + 2
    assert outcome.metrics["planted"].keys() == {"r_tempo", "r_phase"}
    assert outcome.metrics["collapsed"] in (True, False)
    figures = {each.name for each in (outcome.path / "figures").glob("*")}
    which = "time-warps.png" if per_channel or warp != "time-affine" else "theta.png"
    assert figures == {"clusters.png", "share-outside.svg", "warped-series.png", which}
    found = load(outcome.path).predict(np.zeros((2, 17, 48), np.float32))
    shape = (2, 76 if per_channel else 1, 48)
    assert found.moments.shape == found.inverse_moments.shape == shape


def test_the_same_seed_gives_the_same_numbers_and_best_is_the_best_epoch(of_series):
    first, again = (run(of_series("model=ts-stn", f"name={name}")) for name in "ab")
    for name in ("predictions.csv", "predictions-best.csv", "theta.csv"):
        assert (first.path / name).read_bytes() == (again.path / name).read_bytes()
    with (first.path / "history.csv").open() as file:
        scores = [float(row["val_auroc"]) for row in csv.DictReader(file)]
    assert first.metrics["best"]["epoch"] == 1 + int(np.argmax(scores))


def test_an_interrupted_run_ends_as_if_it_had_not_been(of_series, monkeypatch):
    from stnlab.run.recorder import Recorder

    whole = run(of_series("model=logistic", "name=whole"))
    saved = Recorder.on_train_epoch_end

    def stop_after_the_first(self, trainer, module):
        saved(self, trainer, module)
        raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "on_train_epoch_end", stop_after_the_first)
    with pytest.raises(UserError, match="stopped after epoch 1 of 2"):
        run(of_series("model=logistic", "name=cut"))
    monkeypatch.undo()
    resumed = run(of_series("model=logistic", "name=cut"))
    for name in ("predictions.csv", "predictions-best.csv"):
        assert (whole.path / name).read_bytes() == (resumed.path / name).read_bytes()


def test_standardised_with_the_training_part_alone(of_series):
    parts = of_series().dataset.load()
    place = parts.columns.index("Heart Rate")
    for part, is_standard in ((parts.train, True), (parts.test, False)):
        values = part.x[:, place]
        assert (abs(values.mean()) < 1e-4 and abs(values.std() - 1) < 1e-3) == is_standard
    mean, std = parts.scale["Heart Rate"]
    assert 70 < mean < 120
    assert 5 < std < 40


def test_the_run_says_that_it_is_synthetic(train_py, episodes, tmp_path):
    process = train_py(*SYNTHETIC, f"dataset.root={episodes}", "model=logistic")
    out, _ = process.communicate()
    assert process.returncode == 0
    assert "SYNTHETIC" in out
    assert "60 stays, 18 deaths" in out
    assert (tmp_path / "outputs/mimic/logistic/seed=0/metrics.json").exists()


def test_a_report_on_series(of_series, tmp_path):
    for model in ("ts-stn", "cnn"):
        for seed in (0, 1):
            run(of_series(f"model={model}", f"seed={seed}", "name=study"))
    folder = tmp_path / "outputs" / "study"
    plan = {
        "study": "study",
        "cells": [
            {
                "cell": cell,
                "dataset": "mimic-synthetic",
                "model": model,
                "init": init,
                "padding": padding,
                "seeds": [0, 1],
            }
            for cell, model, init, padding in (
                ("ts-stn-identity-border", "ts-stn", "identity", "border"),
                ("cnn", "cnn", "NA", "NA"),
            )
        ],
        "claims": [
            {
                "text": "It helps",
                "kind": kind,
                "metric": "best.test.auroc",
                "pairs": [["ts-stn-identity-border", "cnn"]],
            }
            for kind in ("paired", "patients")
        ],
    }
    (folder / "sweep.json").write_text(json.dumps(plan))
    write_report([folder], folder)
    text = (folder / "report.md").read_text()
    assert "SYNTHETIC episodes" in text
    assert "nothing here is about patients" in text
    assert "18 deaths (30.0%)" in text
    assert "85.10" not in text  # SEED's number for real patients
    study = json.loads((folder / "summary.json").read_text())["studies"][0]
    for claim in study["claims"]:  # the metric and its epoch, and the other epoch beside
        pair = claim["pairs"][0]
        assert claim["metric"] == "AUROC of the best validation epoch"
        assert claim["other_metric"] == "AUROC of the last epoch"
        cells = {cell["cell"]: cell["metrics"]["test.auroc"]["mean"] for cell in study["cells"]}
        at_last = cells["ts-stn-identity-border"] - cells["cnn"]
        assert pair["other_epoch"]["difference"] == pytest.approx(at_last)
    bullets = [line for line in text.splitlines() if line.startswith("- **") and "helps" in line]
    assert len(bullets) == 2
    for line in bullets:
        assert "** in AUROC of the best validation epoch, **" in line
        assert "** in AUROC of the last epoch: It helps. " in line
        assert "At the last epoch: " in line
    over_seeds, over_patients = (claim["pairs"][0] for claim in study["claims"])
    assert over_patients["difference"] == pytest.approx(over_seeds["difference"])
    assert over_patients["ci95"] != over_seeds["ci95"]
    figures = sorted(each.name for each in (folder / "figures").iterdir())
    for kind in ("curves", "reliability", "learning", "seeds"):
        assert f"study-{kind}.svg" in figures
    assert "study-ts-stn-identity-border-theta.png" in figures
    assert "Side by side" not in text
    both = tmp_path / "both"
    write_report([folder, folder], both)
    beside = (both / "report.md").read_text().split("## Side by side")[1]
    difference = study["claims"][0]["pairs"][0]["difference"]
    words = "| ts-stn-identity-border − cnn | AUROC of the best validation epoch, over seeds |"
    (line,) = [line for line in beside.splitlines() if line.startswith(words)]
    assert line.count(f"{100 * difference:+.2f} (".replace("-", "−")) == 2


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=stn"], "warps images, and these are series of time. Use model=ts-stn"),
        (["model=ts-stn", "init=left-right"], "init=left-right does not go with model=ts-stn"),
        (["dataset.shown_variable=HeartRate"], "Did you mean 'Heart Rate'"),
        (["distortion.rotation=10"], "distortion.rotation is 10.0; allowed: 0 for dataset=mimic"),
        (["dataset.mortality=1"], "dataset.mortality is 1.0; allowed: above 0 and below 1"),
        (["dataset.num_test=1"], "dataset.num_test is 1; allowed: 2 or more"),
        (["model=lstm", "model.dropout=1"], "model.dropout is 1.0"),
        (["model=lstm", "model.num_layers=0"], "model.num_layers is 0"),
        (["model=time-in-range", "model.knots=[1,0]"], "model.knots is [1.0, 0.0]"),
        (["model=cnn", "model.classifier.kernel_size=40"], "sizes that leave one of 48 steps"),
        (["dataset.imputation=mean"], "dataset.imputation"),
        (["dataset.source=web"], "dataset.source"),
    ],
)
def test_a_wrong_choice_is_refused(of_series, overrides, words):
    with pytest.raises(UserError) as error:
        of_series(*overrides)
    assert words in str(error.value)


def test_series_models_are_refused_on_digits():
    with pytest.raises(UserError, match="reads series of time, and these are images"):
        compose(["dataset=rot90", "model=lstm"])


def test_too_few_stays_to_test_on_are_refused(of_series):
    batch_of_one_class = of_series("model=logistic", "trainer.limit_test_batches=1")
    # A batch holds 250 stays, more than these 60: all are tested, and both outcomes are there.
    assert run(batch_of_one_class).metrics["test"]["n"] == 60


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("mimic", r"(?s)dataset=physionet2012.*dataset.source=synthetic"),
        ("physionet2012", r"dataset.download=true"),
    ],
)
def test_without_the_data_the_ways_on_are_named(tmp_path, dataset, words):
    config = compose(
        [f"dataset={dataset}", f"dataset.root={tmp_path / 'none'}", f"output_dir={tmp_path}"]
    )
    assert config.model.name == "ts-stn"
    with pytest.raises(UserError, match=words):
        run(config)


def test_running_standardisation_is_that_of_all_that_was_seen():
    from stnlab.layers.series import RunningStandardise

    values = torch.randn(65, 3, generator=torch.Generator().manual_seed(0)) * 4 + 7
    values[:, 2] = 5  # constant
    layer = RunningStandardise(3)
    for batch in values.split(16):  # the last is one row
        layer(batch)
    found = layer.eval()(values)
    expected = (values - values.mean(0)) / values.std(0, unbiased=False)
    torch.testing.assert_close(found[:, :2], expected[:, :2], atol=1e-4, rtol=1e-4)
    assert found[:, 2].abs().max() < 1e-4


def test_time_in_range_answers_high_and_low_values_differently():
    config = compose(["dataset=physionet2012", "model=time-in-range"])
    network = build_network(config).eval()
    series = torch.zeros(3, 82, 48)
    series[0, 14], series[2, 14] = -2.0, 2.0
    with torch.no_grad():
        weight = network.classifier.in_range.weight
        weight[1].fill_(1.0)
        logits = network(series)[:, 1] - network(series)[1, 1]
    assert logits[2] > 0 > logits[0]
