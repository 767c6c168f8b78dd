"""The challenge's two scores, against numbers worked out by hand."""

import csv
import json
import shutil

import numpy as np
import pytest
import yaml
from rich.console import Console
from test_physionet2012 import record, write_set

from stnlab.config import compose
from stnlab.evaluation import challenge2012, clinical
from stnlab.report import write_report
from stnlab.report.published import read_challenge
from stnlab.run import train


def test_event_1_is_the_smaller_of_sensitivity_and_positive_predictivity():
    y = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    p = np.array([0.9, 0.8, 0.3, 0.1, 0.7, 0.2, 0.2, 0.1])
    # At 0.7 three are said to die: 2 of the 4 deaths, and 2 of the 3 die.
    assert challenge2012.event1(y, p, 0.7) == pytest.approx((1 / 2, 1 / 2, 2 / 3))
    # At 0.1 all are.
    assert challenge2012.event1(y, p, 0.1) == pytest.approx((1 / 2, 1, 1 / 2))
    assert challenge2012.event1(y, p, 0.95) == (0, 0, 0)
    assert challenge2012.event1(np.zeros(8, int), p, 0.5) == (0, 0, 0)


def test_the_threshold_is_the_best_one_there_is():
    rng = np.random.default_rng(0)
    for decimals in (1, 2, 8):
        y = (rng.random(300) < 0.2).astype(np.int64)
        p = (1 / (1 + np.exp(1.5 - 2 * y - rng.normal(size=300)))).round(decimals)
        every = {t: challenge2012.event1(y, p, t).score for t in np.unique(p)}
        chosen = challenge2012.event1_threshold(y, p)
        assert chosen == max(t for t, score in every.items() if score == max(every.values()))


def test_the_threshold_needs_a_death():
    assert challenge2012.event1_threshold(np.zeros(4, int), np.linspace(0, 1, 4)) is None


def test_event_2_by_hand():
    # Ten groups of two; the risks of a group are equal: 0.05, 0.15 … 0.95. One dies in each of the
    # groups from the sixth on, and the order of the file does not matter.
    risks = np.arange(0.05, 1, 0.1)
    p = np.repeat(risks, 2)
    y = np.tile([0, 1], 10) * (p > 0.5)
    h = sum(
        (deaths - 2 * r) ** 2 / (2 * r * (1 - r) + 0.001)
        for r, deaths in zip(risks, [0] * 5 + [1] * 5, strict=True)
    )
    assert challenge2012.event2(y, p) == pytest.approx(h / 0.9)
    backwards = np.argsort(-p, kind="stable")
    assert challenge2012.event2(y[backwards], p[backwards]) == pytest.approx(h / 0.9)
    # What is over the tens is left out: the highest, as in the challenge's own code.
    assert challenge2012.event2(np.append(y, 0), np.append(p, 0.99)) == pytest.approx(h / 0.9)


@pytest.mark.parametrize("p", [np.full(40, 0.2), np.linspace(0, 1, 9)])
def test_event_2_needs_ten_patients_and_a_range(p):
    assert challenge2012.event2(np.ones(len(p), int), p) is None


def test_predictions_that_fit_score_low_and_ones_that_do_not_high():
    rng = np.random.default_rng(1)
    p = rng.random(4000)
    y = (rng.random(4000) < p).astype(np.int64)
    # Where the predictions are the truth, H is near chi squared of ten degrees of freedom.
    assert challenge2012.event2(y, p) < 25
    assert challenge2012.event2(y, p**2) > 300


def _add_a_seed(run, event2):
    """Another run beside it, of seed 1, which ended with another event 2."""
    other = run.with_name("seed=1")
    shutil.copytree(run, other)
    for name, content in (("config.yaml", yaml.safe_load), ("metrics.json", json.loads)):
        kept = content((other / name).read_text())
        if name == "config.yaml":
            kept["seed"] = 1
        else:
            kept["test"]["challenge2012"]["event2"] = event2
        (other / name).write_text(json.dumps(kept))
    (other / "checksums.sha256").unlink()


def test_a_run_chooses_its_threshold_on_the_held_out_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = {}
    for name, flip in (("as it is", 0), ("other outcomes", 1)):
        root = tmp_path / name
        for letter, first in (("a", 100_000), ("b", 200_000)):
            stays = {
                str(first + i): (i % 3 == 0) ^ (flip and letter == "b" and i < 10)
                for i in range(60)
            }
            records = {
                f"r{stay}": record(stay, f"00:07,HR,{70 + 8 * (i % 7) + 9 * int(dies)}")
                for i, (stay, dies) in enumerate(stays.items())
            }
            write_set(root, letter, {stay: int(dies) for stay, dies in stays.items()}, **records)
        config = compose(
            [
                *("dataset=physionet2012", "dataset.val_size=20", "model=logistic"),
                *("trainer.max_epochs=2", "trainer.accelerator=cpu", f"name='{name}'"),
                *(f"dataset.root='{root}'", f"output_dir={tmp_path / 'outputs'}"),
            ]
        )
        found[name] = train(config, Console(quiet=True))
    one, other = (each.metrics["test"]["challenge2012"] for each in found.values())
    assert one["threshold"] == other["threshold"]
    assert one["event1"] != other["event1"]
    _, p, y = clinical.read_predictions(found["as it is"].path / "predictions.csv")
    assert one == challenge2012.scores(y, p, one["threshold"])
    assert "challenge2012" in found["as it is"].metrics["best"]["test"]
    _add_a_seed(found["as it is"].path, event2=one["event2"] + 50)
    folder = found["as it is"].path.parent.parent
    write_report([folder], folder)
    text = (folder / "report.md").read_text()
    assert f"| logistic | {100 * one['event1']:.2f} ± " in text
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        (row,) = (r for r in csv.DictReader(file) if r["metric"] == "test.challenge2012.event2")
    assert float(row["std"]) > 30
    assert row["ci95_low"]  # its deviation is no share of a score, and says nothing of a collapse
    assert "The official ranking of event 1 on set b: Johnson 53.10." in text
    assert "Citi" not in text  # who is ranked on set c alone


def test_the_official_ranking_is_that_of_the_challenge():
    entries = {(each.set, each.event, each.rank): each for each in read_challenge()}
    assert (entries["c", "1", "1"].name, entries["c", "1", "1"].score) == ("Johnson", 0.5353)
    assert (entries["c", "2", "1"].name, entries["c", "2", "1"].score) == ("Citi", 17.88)
    assert sum(bool(each.rank) for each in read_challenge()) == 18
