"""Nearest centroids after alignment, how settings are chosen, and ranks over several datasets."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from own_data import waves
from scipy import stats
from short_run import SHORT

from stnlab import baselines, choose
from stnlab.config import SweepConfig, compose
from stnlab.errors import UserError
from stnlab.layers.alignment import NearestCentroid
from stnlab.report import write_report
from stnlab.report.across import critical_difference, rank
from stnlab.run.run import train
from stnlab.sweep.plan import plan
from stnlab.trained import load


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def shapes(number, num_steps=20, channels=2, seed=0):
    """Views (N, 1, C, steps) and classes (N,), of which there are 3."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(number, 1, channels, num_steps, generator=rng), torch.arange(number) % 3


# --- the layer


def test_a_centroid_is_its_classs_mean_and_the_nearest_one_wins():
    views, targets = shapes(30)
    layer = NearestCentroid(3, 2, 20)
    layer.fit(zip(views.split(7), targets.split(7), strict=True))
    for label in range(3):
        torch.testing.assert_close(layer.centroids[label], views[targets == label, 0].mean(dim=0))
    distances = ((views - layer.centroids) ** 2).mean(dim=(2, 3))
    torch.testing.assert_close(layer(views), -distances)
    assert (layer(layer.centroids[:, None]).argmax(dim=1) == torch.arange(3)).all()


def test_the_loss_is_the_variance_within_classes():
    views, targets = shapes(31)
    expected = [views[targets == label].var(dim=0, correction=0).mean() for label in range(3)]
    torch.testing.assert_close(NearestCentroid(3, 2, 20).loss(views, targets), sum(expected) / 3)
    whole = NearestCentroid(3, 2, 20, within_classes=False).loss(views, targets)
    torch.testing.assert_close(whole, views.var(dim=0, correction=0).mean())
    alone = NearestCentroid(3, 2, 20).loss(views[:1], targets[:1])  # and no class of the others
    assert alone.item() == 0


def test_steps_past_the_end_count_for_nothing():
    views, targets = shapes(12)
    lengths = torch.tensor([20, 12, 15, 9] * 3)
    layer = NearestCentroid(3, 2, 20)
    layer.fit([(views, targets, lengths)])
    spoilt = views.masked_fill(torch.arange(20) >= lengths[:, None, None, None], 99.0)
    again = NearestCentroid(3, 2, 20)
    again.fit([(spoilt, targets, lengths)])
    torch.testing.assert_close(again.centroids, layer.centroids)
    torch.testing.assert_close(layer(spoilt, lengths), layer(views, lengths))
    torch.testing.assert_close(
        layer.loss(spoilt, targets, lengths), layer.loss(views, targets, lengths)
    )
    full = torch.full((12,), 20)
    torch.testing.assert_close(layer(views, full), layer(views))
    torch.testing.assert_close(layer.loss(views, targets, full), layer.loss(views, targets))
    own = [views[place, 0, :, 16] for place in range(12) if targets[place] == 1]
    there = [length > 16 for length, label in zip(lengths, targets, strict=True) if label == 1]
    mean = torch.stack([x for x, is_there in zip(own, there, strict=True) if is_there]).mean(dim=0)
    torch.testing.assert_close(layer.centroids[1, :, 16], mean)


# --- the model


@pytest.fixture(scope="module")
def shifted(tmp_path_factory):
    """Three shapes at random phases: aligned, their class means tell them apart."""
    root = tmp_path_factory.mktemp("shifted")
    rng = np.random.default_rng(0)
    for part, number in (("TRAIN", 36), ("TEST", 60)):
        at = np.arange(40) - rng.uniform(12, 28, (number, 1))
        y = np.arange(number) % 3
        forms = np.stack([np.exp(-((at / 3) ** 2)), -np.exp(-((at / 3) ** 2)), np.tanh(at / 2)])
        x = forms[y, np.arange(number)] + rng.normal(0, 0.05, (number, 40))
        rows = [f"{label} " + " ".join(map(str, row)) for label, row in zip(y, x, strict=True)]
        (root / f"Shifted_{part}.txt").write_text("\n".join(rows) + "\n")
    return root


def aligned(root, out, *overrides):
    own = ["dataset=ucr", f"dataset.root={root}", "dataset.problem=Shifted", "model=alignment"]
    settings = ["trainer.accelerator=cpu", "optimizer.lr=0.003", "dataset.batch_size=64"]
    return train(compose([*own, *settings, f"output_dir={out}", *overrides]))


def test_it_learns_to_align_and_says_so_again_when_it_is_loaded(shifted, tmp_path):
    outcome = aligned(
        shifted,
        tmp_path,
        *("warp=cpab", "warp.num_cells=8", "warp.roughness=0.001", "trainer.max_epochs=40"),
    )
    history = rows_of(outcome.path / "history.csv")
    first, last = (float(history[place]["train_loss"]) for place in (0, -1))
    assert last < 0.7 * first
    trained = load(outcome.path)
    rows = [line.split() for line in (shifted / "Shifted_TEST.txt").read_text().splitlines()]
    x = np.array([[list(map(float, row[1:]))] for row in rows])
    labels = trained.predict(x).labels
    right = np.mean([trained.classes[n] == row[0] for n, row in zip(labels, rows, strict=True)])
    assert right == pytest.approx(outcome.metrics["test"]["accuracy"])
    dataset = trained.config.dataset
    train_part = dataset.load().train
    views, theta = trained.network.look(train_part.x)
    assert theta.shape[2] == len(trained.parameter_names) == 7  # neither slope nor offset
    for label in range(3):
        mean = views[train_part.y == label, 0].mean(dim=0)
        torch.testing.assert_close(trained.network.classifier.centroids[label], mean)


def test_an_interrupted_run_ends_with_the_same_centroids(shifted, tmp_path):
    whole = aligned(shifted, tmp_path / "a", "trainer.max_epochs=2")
    aligned(shifted, tmp_path / "b", "trainer.max_epochs=1")
    longer = aligned(shifted, tmp_path / "b", "trainer.max_epochs=2")
    one, other = (load(each.path).network.state_dict() for each in (whole, longer))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_without_labels_all_go_to_one_mean(shifted, tmp_path):
    outcome = aligned(shifted, tmp_path, "model.within_classes=false", *SHORT)
    assert outcome.metrics["test"]["n"] == 60


def test_images_are_not_aligned():
    with pytest.raises(UserError, match=r"model=alignment does not go with dataset=rot90"):
        compose(["dataset=rot90", "model=alignment", "warp=time-affine"])


# --- baselines


def test_baselines_of_shapes_that_are_told_apart(shifted, tmp_path, capsys):
    pytest.importorskip("tslearn", reason="pip install 'stnlab[ucr]'")
    out = tmp_path / "baselines.csv"
    assert baselines.main(["Shifted", "--root", str(shifted), "--out", str(out)]) == 0
    rows = {row["method"]: row for row in rows_of(out)}
    assert list(rows) == ["Euclidean centroid", "DBA centroid", "soft-DTW centroid", "1-NN DTW"]
    assert float(rows["1-NN DTW"]["accuracy"]) > 0.9
    assert float(rows["DBA centroid"]["accuracy"]) > 0.9
    assert {row["n"] for row in rows.values()} == {"60"}
    assert "Shifted: 1-NN DTW" in capsys.readouterr().out


def test_the_euclidean_centroid_needs_no_package(shifted):
    first = next(baselines.baselines("Shifted", str(shifted)))
    assert first.method == baselines.EUCLIDEAN
    parts = compose(
        ["dataset=ucr", f"dataset.root={shifted}", "dataset.problem=Shifted", "model=logistic"]
    ).dataset.load()
    layer = NearestCentroid(3, 1, 40)
    layer.fit([(parts.train.x[:, None], parts.train.y)])
    found = (layer(parts.test.x[:, None]).argmax(dim=1) == parts.test.y).double().mean().item()
    assert first.accuracy == pytest.approx(found)


def test_what_baselines_cannot_do_is_said(monkeypatch, shifted, capsys):
    assert baselines.main(["Shiftet", "--root", str(shifted)]) == 1
    assert "Did you mean 'Shifted'?" in capsys.readouterr().err
    for name in ("tslearn", "tslearn.barycenters"):
        monkeypatch.setitem(sys.modules, name, None)
    assert baselines.main(["Shifted", "--root", str(shifted)]) == 1
    assert "pip install 'stnlab[ucr]'" in capsys.readouterr().err


# --- choosing

BY = ["--by", "dataset.problem,model.name"]


@pytest.fixture(scope="module")
def swept(shifted, tmp_path_factory):
    """A sweep over rates and folds: (plan, folder)."""
    out = tmp_path_factory.mktemp("swept")
    line = [
        *("dataset=ucr", f"dataset.root={shifted}", "dataset.problem=Shifted"),
        *("dataset.num_folds=2", "dataset.fold=0,1", "model=logistic"),
        *("optimizer.lr=0.00001,0.01", "trainer.max_epochs=6", "trainer.accelerator=cpu"),
        f"output_dir={out}",
    ]
    (planned,) = plan(SweepConfig(name="choice", seeds=[0]), line)
    for run in planned.runs:
        train(run.config)
    return planned.path


def test_settings_are_those_of_the_best_mean_over_folds(swept, tmp_path, capsys):
    out = tmp_path / "choice.csv"
    assert choose.main([str(swept), *BY, "--epochs", "2,6", "--out", str(out)]) == 0
    (row,) = rows_of(out)
    scores = {}
    for path in swept.glob("*/seed=0/history.csv"):
        history = rows_of(path)
        lr = next(word for word in path.parts if "lr=" in word).split("lr=")[1].split("-data")[0]
        for epoch in (2, 6):
            scores.setdefault((lr, epoch), []).append(float(history[epoch - 1]["val_accuracy"]))
    assert len(scores) == 4
    best = max(np.mean(each) for each in scores.values())
    assert float(row["validation_accuracy"]) == pytest.approx(best, abs=1e-6)
    assert (row["runs"], row["candidates"]) == ("2", "2")
    assert row["trainer.max_epochs"] in ("2", "6")
    assert f"optimizer.lr={row['optimizer.lr']}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "7"], "no val_accuracy of epoch 7"),
        (["--epochs", "x"], "--epochs: 'x' is no number of epochs"),
        (["--epochs", "2", "--by", "dataset.problm"], "Did you mean 'dataset.problem'?"),
    ],
)
def test_what_cannot_be_chosen_is_said(swept, capsys, arguments, message):
    assert choose.main([str(swept), *BY, *arguments]) == 1
    assert message in capsys.readouterr().err


def test_what_was_chosen_can_be_given_to_hydra():
    chosen = {
        "model.localization.lr": None,
        "model.localization.channels": [8, 10],
        "warp.roughness": 0.001,
        "model.within_classes": False,
        "dataset.root": "a,b=c",
    }
    group = {"dataset.problem": "GunPoint", "model.name": "alignment", "warp.name": "cpab"}
    words = choose.Choice(group, chosen, 0.9, 5, 2).overrides.split(" ")
    assert words[:3] == ["dataset.problem=GunPoint", "model=alignment", "warp=cpab"]
    parsed = OverridesParser.create().parse_overrides(words[3:])
    assert {each.key_or_group: each.value() for each in parsed} == chosen


def test_of_parts_the_options_are_told_apart_and_not_their_classes(shifted, tmp_path, capsys):
    line = [
        *("dataset=ucr", f"dataset.root={shifted}", "dataset.problem=Shifted", "dataset.fold=0"),
        *("model=logistic,cnn", "trainer.max_epochs=1", "trainer.accelerator=cpu"),
        f"output_dir={tmp_path}",
    ]
    (planned,) = plan(SweepConfig(name="parts", seeds=[0]), line)
    for run in planned.runs:
        train(run.config)
    assert choose.main([str(planned.path), "--by", "dataset.problem", "--epochs", "1"]) == 0
    out = capsys.readouterr().out
    assert "model=" in out
    assert "parts." not in out


def test_a_run_that_is_missing_is_named(tmp_path, capsys):
    assert choose.main([str(tmp_path), "--epochs", "2"]) == 1
    assert "holds no sweep" in capsys.readouterr().err


# --- over several datasets


def test_ranks_are_friedmans_and_nemenyis():
    names = [f"set {n}" for n in range(8)]
    rng = np.random.default_rng(0)
    values = {"a": 0.9, "b": 0.8, "c": 0.7}
    accuracies = {(r, d): v + rng.normal(0, 0.001) for r, v in values.items() for d in names}
    found = rank(accuracies, names)
    assert found.ranks == {"a": 1.0, "b": 2.0, "c": 3.0}
    columns = [[accuracies[row, name] for name in names] for row in values]
    assert found.p == pytest.approx(stats.friedmanchisquare(*columns).pvalue)
    assert found.apart == [("a", "c")]
    # Demšar (2006), table 5: q of 2, 4 and 10 rows at 95% is 1.960, 2.569 and 3.164.
    for num_rows, q in ((2, 1.960), (4, 2.569), (10, 3.164)):
        expected = q * (num_rows * (num_rows + 1) / (6 * 30)) ** 0.5
        assert critical_difference(num_rows, 30) == pytest.approx(expected, rel=1e-3)
    alike = rank(dict.fromkeys(accuracies, 0.5), names)
    assert (set(alike.ranks.values()), alike.p, alike.apart) == ({2.0}, 1.0, [])
    assert rank(accuracies, names[:2]) is None


def test_a_report_over_several_datasets_has_one_table(tmp_path):
    for name in ("A", "B", "C"):
        labels = np.arange(24) % 3
        for part in ("TRAIN", "TEST"):
            x = waves(labels, 24, 1, seed=ord(name) + len(part))[:, 0]
            rows = [f"{y} " + " ".join(map(str, row)) for y, row in zip(labels, x, strict=True)]
            (tmp_path / f"{name}_{part}.txt").write_text("\n".join(rows) + "\n")
    line = [
        *("dataset=ucr", f"dataset.root={tmp_path}", "dataset.problem=A,B,C"),
        "model=logistic,fcn",
        *("trainer.max_epochs=1", "trainer.accelerator=cpu"),
        f"output_dir={tmp_path / 'outputs'}",
    ]
    (planned,) = plan(SweepConfig(name="across", seeds=[0]), line)
    assert {run.cell for run in planned.runs} == {
        f"{model}-{name}" for model in ("logistic", "fcn") for name in ("A", "B", "C")
    }
    planned.path.mkdir(parents=True)
    (planned.path / "sweep.json").write_text(json.dumps(planned.record("sweep")))
    for run in planned.runs:
        train(run.config)
    found = [
        baselines.Baseline(name, baselines.EUCLIDEAN, 0.5, 24, "numpy", 0.0)
        for name in ("A", "B", "C")
    ]
    (planned.path / "baselines.csv").write_text(baselines.as_csv(found))
    write_report([planned.path], planned.path)
    report = (planned.path / "report.md").read_text()
    assert "| dataset | test series | logistic | fcn | Euclidean centroid |" in report
    assert "| B | 24 |" in report
    assert "Ranks of 3 rows over 3 datasets" in report
    assert "1.91 or more apart" in report
    (planned.path / "baselines.csv").write_text("problem\nA\n")
    with pytest.raises(UserError, match=r"baselines\.csv cannot be read"):
        write_report([planned.path], planned.path)
