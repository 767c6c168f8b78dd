"""Reports on small made-up run folders, with numbers known by hand."""

import base64
import csv
import gzip
import hashlib
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from browser import dom_of, needs_chromium
from matplotlib.figure import Figure
from matplotlib.image import imsave
from PIL import Image
from rich.console import Console
from scipy import stats

from stnlab.errors import UserError
from stnlab.files import LOCK, locked
from stnlab.report import is_current, study_figures, write_report
from stnlab.report.__main__ import main
from stnlab.report.protocol import departures
from stnlab.report.published import read_published
from stnlab.report.results import read_study
from stnlab.report.statistics import Sample, _rank_test, compare, describe, paired
from stnlab.report.style import plain, save, say
from stnlab.sweep.outcome import print_table

COLUMNS = (
    "study,dataset,model,init,padding,metric,n,mean,std,ci95_low,ci95_high,collapsed,failed,"
    "published_mean,published_std,verdict"
)
POINTS = [("rotation", 0), ("rotation", 60), ("translation", 0), ("translation", 0.2)]


def config(dataset="RTS", model="stn", seed=0, **settings):
    has_transformer = "stn" in model
    plain = {
        "dataset": {"name": dataset, "batch_size": 64, "val_size": 5000, "permutations": 2},
        "distortion": {"rotation": 45.0, "translation": 0.1, "scale": 0.3, "backend": "tensor"},
        "model": {"name": model},
        "init": {"name": "identity"} if has_transformer else "NA",
        "padding": {"mode": "zeros"} if has_transformer else "NA",
        "trainer": {"max_epochs": 10},
        "seed": seed,
    }
    for key, value in settings.items():
        group, name = key.split("__")
        plain[group][name] = value
    return plain


def write_run(folder, accuracy, collapsed=None, plain=None, drop=0.1):
    """A complete run of ``folder``, ``<study>/<cell>/seed=<n>``."""
    (folder / "figures").mkdir(parents=True)
    seed = int(folder.name.removeprefix("seed="))
    scores = {
        part: {"n": 10000, "loss": 0.1, "accuracy": value}
        for part, value in (("clean", accuracy), ("distorted", accuracy - 0.02))
    }
    metrics = {
        "status": "complete",
        "test": scores,
        "best": {"epoch": 2, "test": scores},
        "collapsed": collapsed is not None,
        "collapsed_reason": collapsed,
        "seconds": {"train": 12.34},
        "environment": {"python": "3.11.7", "packages": {"torch": "2.15.0"}, "git_commit": "abc"},
        "data": {"name": "MNIST", "sha256": "00ff"},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "config.yaml").write_text(yaml.safe_dump(plain or config(seed=seed)))
    (folder / "history.csv").write_text("epoch,val_accuracy\n1,0.5\n2,0.6\n")
    points = [(*point, accuracy - drop * (point[1] > 0)) for point in POINTS]
    lines = [f"{factor},{amount},{value},10000" for factor, amount, value in points]
    (folder / "robustness.csv").write_text("\n".join(["factor,amount,accuracy,n", *lines]) + "\n")


def write_plan(folder, cells, claims=(), **more):
    folder.mkdir(parents=True, exist_ok=True)
    plan = {
        "study": folder.name,
        "command": f"python sweep.py study={folder.name}",
        "question": "Is it so?",
        "source": "SEED section 9",
        "cells": cells,
        "claims": list(claims),
    }
    (folder / "sweep.json").write_text(json.dumps(plan | more))


def cell(name, seeds, dataset="RTS"):
    model = name.split("-identity")[0]
    start = ("identity", "zeros") if "stn" in model else ("NA", "NA")
    return {
        "cell": name,
        "dataset": dataset,
        "model": model,
        "init": start[0],
        "padding": start[1],
        "seeds": seeds,
    }


STN = "stn-identity-zeros"
CLAIMS = [
    {"text": "stn beats cnn", "kind": "paired", "pairs": [[STN, "cnn"]]},
    {"text": "stn is more robust", "kind": "robustness", "pairs": [[STN, "cnn"]]},
]
# Differences 0.01, 0.02, 0.03: mean 0.02, sd 0.01, t = 0.02 / (0.01 / sqrt 3) = 3.4641, p = 0.0742.
STN_VALUES, CNN_VALUES = (0.98, 0.97, 0.99), (0.97, 0.95, 0.96)


@pytest.fixture
def study(tmp_path):
    """Three seeds of two cells, all complete."""
    folder = tmp_path / "outputs" / "RTS"
    write_plan(folder, [cell(STN, [0, 1, 2]), cell("cnn", [0, 1, 2])], CLAIMS)
    for seed, (stn, cnn) in enumerate(zip(STN_VALUES, CNN_VALUES, strict=True)):
        write_run(folder / STN / f"seed={seed}", stn, drop=0.05)
        write_run(folder / "cnn" / f"seed={seed}", cnn, plain=config(model="cnn", seed=seed))
    return folder


def report(folder, out=None):
    write_report([folder], out or folder)
    return (out or folder) / "report.md"


def rows_of(folder, metric="test.clean.accuracy"):
    with (folder / "summary.csv").open() as file:
        return {row["cell"]: row for row in csv.DictReader(file) if row["metric"] == metric}


# --- statistics


def test_mean_deviation_and_interval_are_students():
    sample = describe([1.0, 2.0, 3.0, 4.0, 5.0])
    assert sample.n == 5
    assert sample.mean == 3
    assert sample.sd == pytest.approx(math.sqrt(2.5))
    # t(0.975, 4) = 2.776445
    assert sample.interval == pytest.approx((3 - 2.776445 * 0.70710678, 3 + 2.776445 * 0.70710678))


@pytest.mark.parametrize("values", [[], [0.5]])
def test_too_few_values_have_no_spread_and_no_interval(values):
    sample = describe(values)
    assert sample == Sample(len(values), 0.5 if values else None, None, None, tuple(values))
    assert compare(sample, Sample(1, 0.4, None, None)).p is None
    assert paired(dict(enumerate(values)), {0: 0.4}).interval is None


def test_equal_values_need_no_warning():
    same = describe([0.1, 0.1, 0.1])
    assert same.sd == 0
    assert same.interval == (same.mean, same.mean)
    assert compare(same, same).verdict == "consistent"
    assert compare(same, describe([0.2, 0.2])).verdict == "different"
    # 0.3 - 0.2 and 0.2 - 0.1 are not the same number to a computer.
    difference = paired({0: 0.3, 1: 0.2}, {0: 0.2, 1: 0.1})
    assert difference.p is None
    assert difference.interval == pytest.approx((0.1, 0.1))


def test_welch_against_published_runs():
    # By hand: difference 0.06, error sqrt(0.02**2/5 + 0.01**2/5) = 0.01, 5.882 degrees of freedom;
    # t(0.975, 5.882) = 2.4586.
    comparison = compare(Sample(5, 0.96, 0.02, None), Sample(5, 0.90, 0.01, None))
    assert comparison.verdict == "different"
    assert comparison.interval == pytest.approx((0.06 - 0.024586, 0.06 + 0.024586), abs=1e-5)
    assert comparison.p == pytest.approx(0.00104, abs=5e-5)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    # Five runs of sd 0.005 on both sides: 0.00729 either way; the margin is 0.02.
    [
        (0.0, "consistent"),
        (0.0126, "consistent"),  # beyond chance, and yet within the margin
        (0.0128, "different"),
        (-0.0126, "consistent"),
        (-0.03, "different"),
    ],
)
def test_a_row_is_consistent_where_its_interval_lies_within_the_margin(difference, verdict):
    published = Sample(5, 0.9, 0.005, None)
    assert compare(Sample(5, 0.9 + difference, 0.005, None), published).verdict == verdict


def test_the_published_deviation_widens_the_margin():
    ours, published = Sample(50, 0.9, 0.005, None), Sample(50, 0.93, 0.05, None)
    assert compare(ours, published).margin == 0.05
    assert compare(ours, published).verdict == "consistent"
    assert compare(ours, published._replace(sd=0.03)).verdict == "different"


@pytest.mark.parametrize(
    ("ours", "published"),
    [
        # A toy sweep of two seeds, which was once "consistent" with 97.48.
        (Sample(2, 0.4648, 0.0914, None), Sample(1, 0.9748, None, None)),
        (Sample(5, 0.88, 0.04, None), Sample(5, 0.89, 0.01, None)),
        (Sample(1, 0.88, None, None), Sample(1, 0.89, None, None)),
    ],
)
def test_too_wide_an_interval_tells_nothing(ours, published):
    assert compare(ours, published).verdict == "cannot tell with these runs"


def test_how_many_seeds_would_tell():
    ours, published = Sample(5, 0.88, 0.03, None), Sample(1, 0.88, None, None)
    # One published run: the interval stays wider than two deviations, whatever we do.
    assert compare(ours, published).seeds_needed is None
    published = Sample(20, 0.88, 0.005, None)
    found = compare(ours, published)
    assert (found.verdict, found.seeds_needed) == ("cannot tell with these runs", 12)
    assert compare(ours._replace(n=12), published).verdict == "consistent"
    assert compare(ours._replace(n=11), published).verdict == "cannot tell with these runs"
    # Of pairs: mean 0.01, sd 0.01 need t(0.975, n - 1) < sqrt(n), which is so from 7 on.
    differences = paired({0: 0.01, 1: 0.02, 2: 0.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert (differences.is_beyond_chance, differences.seeds_needed) == (False, 7)


@pytest.mark.parametrize(
    ("single", "verdict"),
    # 95% prediction interval: sd 0.0015811, n 5: -+ 2.776445 * 0.0015811 * sqrt(1.2) = -+ 0.0048088
    [
        (0.903, "consistent"),
        (0.903 + 0.0151, "consistent"),
        (0.903 + 0.0153, "different"),
        (0.903 - 0.0153, "different"),
    ],
)
def test_a_single_published_run_is_met_with_a_prediction_interval(single, verdict):
    ours = describe([0.901, 0.902, 0.903, 0.904, 0.905])
    found = compare(ours, Sample(1, single, None, None))
    assert found.verdict == verdict
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(0.0048088, abs=1e-6)


def test_a_single_run_of_ours_is_met_the_same_way():
    published = describe([0.901, 0.902, 0.903, 0.904, 0.905])
    assert compare(Sample(1, 0.93, None, None), published).verdict == "different"


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("num_first", "num_second"), [(5, 5), (3, 6), (6, 4)])
def test_a_rank_test_counts_every_way(num_first, num_second, ties):
    rng = np.random.default_rng(num_first)
    values = rng.integers(0, 4, num_first + num_second) / 4 if ties else rng.random(num_first + 6)
    first, second = values[:num_first], values[num_first : num_first + num_second]
    one, other = ({**dict(enumerate(each))} for each in (first, second))
    every = stats.mannwhitneyu(first, second, method=stats.PermutationMethod())
    p, superiority = _rank_test(list(one.values()), list(other.values()))
    assert p == pytest.approx(every.pvalue)
    assert superiority == pytest.approx(every.statistic / (num_first * num_second))


def test_a_rank_test_of_many_runs():
    rng = np.random.default_rng(0)
    first, second = rng.random(20), rng.random(20) + 0.2
    exact = stats.mannwhitneyu(first, second, method="exact").pvalue
    assert _rank_test(first, second)[0] == pytest.approx(exact, rel=1e-9)
    many = rng.random(150), rng.random(150) + 0.05
    assert _rank_test(*many)[0] == pytest.approx(stats.mannwhitneyu(*many).pvalue)


# As SEED 75.32, 91.27, 92.61, 91.04, 10.34: ranks 1, 2, 3, 4 and 8 of ten.
WITH_COLLAPSES = (0.7532, 0.9127, 0.9261, 0.9104, 0.1034)
WITHOUT = (0.9218, 0.9166, 0.9348, 0.9200, 0.9352)


def test_runs_that_collapse_are_compared_by_ranks():
    found = paired(dict(enumerate(WITHOUT)), dict(enumerate(WITH_COLLAPSES)), collapsed=True)
    # U is 22 of 25: 7 of 252 ways to part the ranks are as far on either side.
    assert found.superiority == pytest.approx(22 / 25)
    assert found.p == pytest.approx(14 / 252)
    assert found.best_p == pytest.approx(2 / 252)
    assert (found.interval, found.d_z) == (None, None)
    assert found.is_above
    assert not found.is_beyond_chance
    all_below = paired(dict(enumerate(WITHOUT)), dict.fromkeys(range(5), 0.1), collapsed=True)
    assert all_below.p == pytest.approx(2 / 252)
    assert all_below.is_beyond_chance
    # Three against three can never be beyond chance.
    few = paired({0: 0.9, 1: 0.8, 2: 0.7}, {0: 0.1, 1: 0.2, 2: 0.3}, collapsed=True)
    assert few.p == few.best_p == pytest.approx(0.1)
    assert not few.is_beyond_chance


def test_rows_that_collapse_can_be_different_and_never_consistent():
    collapsed = describe(WITH_COLLAPSES, collapsed=True)
    assert collapsed.interval is None
    same = compare(collapsed, describe(WITH_COLLAPSES))
    assert (same.verdict, same.p) == ("cannot tell with these runs", pytest.approx(1))
    other = compare(collapsed, describe([0.95, 0.951, 0.952, 0.953, 0.954]))
    assert (other.verdict, other.p) == ("different", pytest.approx(2 / 252))
    # Of the published runs only mean and deviation are known, and they scatter by 23 points.
    unknown = compare(describe([0.42, 0.43, 0.44]), Sample(5, 0.36, 0.23, None))
    assert (unknown.verdict, unknown.p) == ("cannot tell with these runs", None)
    assert compare(collapsed, describe([0.97]), collapsed=True).p is None
    assert compare(describe([0.1], collapsed=True), describe(WITHOUT), collapsed=True).p is None


def test_paired_test_takes_shared_seeds_alone():
    first = {**dict(enumerate(STN_VALUES)), 7: 0.1}
    second = {**dict(enumerate(CNN_VALUES)), 8: 0.9}
    result = paired(first, second)
    assert result.seeds == (0, 1, 2)
    assert result.difference == pytest.approx(0.02)
    assert result.d_z == pytest.approx(2.0)
    assert result.p == pytest.approx(0.0742, abs=1e-4)
    assert result.interval == pytest.approx((0.02 - 0.024841, 0.02 + 0.024841), abs=1e-5)


# --- what was published


def test_published_rows_have_our_names():
    published = read_published()
    (row,) = published.of("same-image", "multi-stn", "left-right", "zeros", "test.clean.accuracy")
    assert row.sample[:3] == pytest.approx((5, 0.9140, 0.0051))
    (row,) = published.of("same-image", "cnn", "NA", "NA", "test.clean.accuracy")
    assert row.sample.mean == pytest.approx(0.8499)


def test_of_several_published_rows_the_five_runs_are_compared_with():
    rows = read_published().of("two-channel", "cnn", "NA", "NA", "test.clean.accuracy")
    assert [row.sample.n for row in rows] == [5, 1, 0]
    assert rows[0].sample.mean == pytest.approx(0.6450)


def test_where_there_is_no_table_the_curves_first_point_is_the_clean_accuracy():
    (row,) = read_published().of("RTS", "stn", "identity", "zeros", "test.clean.accuracy")
    assert (row.sample.n, row.sample.mean) == (5, pytest.approx(0.9846))


# --- the summary


def test_summary_has_the_contracts_columns_and_numbers(study):
    report(study)
    assert (study / "summary.csv").read_text().startswith(COLUMNS + ",")
    row = rows_of(study)[STN]
    assert (row["study"], row["dataset"], row["model"]) == ("RTS", "RTS", "stn")
    assert (row["init"], row["padding"], row["n"]) == ("identity", "zeros", "3")
    assert float(row["mean"]) == pytest.approx(0.98)
    assert float(row["std"]) == pytest.approx(0.01)
    # t(0.975, 2) = 4.302653
    assert float(row["ci95_high"]) == pytest.approx(0.98 + 4.302653 * 0.01 / math.sqrt(3))
    assert float(row["published_mean"]) == pytest.approx(0.9846)
    assert (row["collapsed"], row["failed"]) == ("0", "0")
    # 98.00 with an interval of 2.3 points to either side, against 98.46 and a margin of 2.
    assert row["verdict"] == "cannot tell with these runs"
    assert float(row["margin"]) == 0.02
    distorted = rows_of(study, "test.distorted.accuracy")[STN]
    assert float(distorted["mean"]) == pytest.approx(0.96)
    assert (distorted["published_mean"], distorted["verdict"]) == ("", "not published")


def test_what_nobody_has_published_is_not_reproduced_but_may_hold(study):
    """At the end of a sweep as in its report."""
    claims = [{"text": "cnn beats stn", "kind": "robustness", "pairs": [["cnn", STN]]}]
    plan = json.loads((study / "sweep.json").read_text()) | {"claims": claims}
    for is_beside, words in ((True, "not reproduced"), (False, "does not hold")):
        (study / "sweep.json").write_text(json.dumps(plan | {"beside_published": is_beside}))
        text = report(study).read_text()
        console = Console(file=io.StringIO(), width=500)
        print_table(console, study)
        printed = console.file.getvalue()
        assert f"\n{words}: cnn beats stn. " in printed
        assert f"✗ {words}" in text


def test_a_study_may_be_of_other_runs_than_the_published_ones(study):
    plan = json.loads((study / "sweep.json").read_text())
    (study / "sweep.json").write_text(json.dumps(plan | {"beside_published": False}))
    text = report(study).read_text()
    assert rows_of(study)[STN]["verdict"] == "not published"
    assert "98.46" not in text
    assert "beside the published" not in text
    assert "Not SEED's protocol" not in text


def test_a_collapsed_run_counts_and_is_called_out(study):
    write_run(study / STN / "seed=3", 0.10, collapsed="it saw nothing")
    text = report(study).read_text()
    row = rows_of(study)[STN]
    assert (row["n"], row["collapsed"]) == ("4", "1")
    assert float(row["mean"]) == pytest.approx((0.98 + 0.97 + 0.99 + 0.10) / 4)
    assert float(row["mean_without_collapsed"]) == pytest.approx(0.98)
    assert (row["ci95_low"], row["ci95_high"]) == ("", "")
    # In the first table: the seeds where the interval was, and the mean without.
    (line,) = [each for each in text.split("\n\n| row |")[1].splitlines() if STN in each]
    assert "| 76.00 ± 44.01 | none: seeds 10.00, 97.00, 98.00, 99.00 |" in line
    assert "| 1 | 98.00 ± 1.00 (n = 3) | 0 |" in line
    assert f"| {STN} | 3 | collapsed | it saw nothing |" in text
    assert "10.00 †" in text
    for seed in range(4, 11):
        write_run(study / STN / f"seed={seed}", 0.95)
    assert "| none: 11 seeds, 10.00 to 99.00 |" in report(study).read_text()


def test_seeds_without_a_result_are_listed_and_not_averaged(study):
    write_plan(study, [cell(STN, [0, 1, 2, 3, 4, 5, 6]), cell("cnn", [0, 1, 2])])
    for seed in (3, 4, 5):
        (study / STN / f"seed={seed}" / "checkpoints").mkdir(parents=True)
    trace = "Traceback (most recent call last):\n  File x\nMemoryError: no more\n"
    (study / STN / "seed=3" / "error.txt").write_text(trace)
    (study / STN / "seed=4" / "checkpoints" / "last.ckpt").touch()
    (study / STN / "seed=4" / "history.csv").write_text("epoch,val_accuracy\n1,0.5\n")
    (study / STN / "seed=5" / "metrics.json").write_text('{"status": "comp')
    text = report(study).read_text()
    row = rows_of(study)[STN]
    assert (row["n"], row["failed"]) == ("3", "4")
    assert float(row["mean"]) == pytest.approx(0.98)
    assert f"| {STN} | 3 | failed | MemoryError: no more |" in text
    assert f"| {STN} | 4 | interrupted | stopped after epoch 1;" in text
    assert f"| {STN} | 5 | unreadable | metrics.json cannot be read" in text
    assert f"| {STN} | 6 | missing | not started |" in text


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"status": "complete"}',
        '{"status": "complete", "test": {"clean": {"accuracy": NaN}}}',
        '{"status": "complete", "test": {"clean": {"accuracy": 1e999}}}',
        '{"status": "complete", "test": {"clean": {"accuracy": "0.9"}}}',
        '{"status": "complete", "test": 3}',
        "[" * 100_000,
    ],
)
def test_a_damaged_result_is_a_run_without_one(study, content):
    (study / STN / "seed=1" / "metrics.json").write_text(content)
    text = report(study).read_text()
    assert f"| {STN} | 1 | unreadable | metrics.json" in text
    assert rows_of(study)[STN]["failed"] == "1"


@pytest.mark.parametrize("name", ["config.yaml", "history.csv", "robustness.csv"])
def test_other_damaged_files_are_named(study, name):
    (study / STN / "seed=1" / name).write_bytes(b"\xff\xfe,:\n{[\x00\n")
    text = report(study).read_text()
    assert f"{STN}/seed=1/{name} cannot be read" in text
    assert rows_of(study)[STN]["n"] == "3"


def test_files_may_be_packed(study):
    before = report(study).read_text()
    files = [study / STN / "seed=1" / name for name in ("history.csv", "robustness.csv")]
    for file in files:
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert report(study).read_text() == before
    files[0].with_name("history.csv.gz").write_bytes(b"no gzip")
    assert f"{STN}/seed=1/history.csv cannot be read" in report(study).read_text()


def test_without_a_plan_what_is_found_is_reported(study):
    report(study)
    planned = rows_of(study)
    (study / "sweep.json").unlink()
    text = report(study).read_text()
    found = rows_of(study)
    assert found == {name: planned[name] for name in found}
    assert found.keys() == planned.keys()
    assert "there is no sweep.json" in text


def test_runs_beside_the_plan_are_shown(study):
    write_run(study / "fcn" / "seed=0", 0.9, plain=config(model="fcn"))
    report(study)
    row = rows_of(study)["fcn"]
    assert (row["model"], row["init"], row["n"], row["failed"]) == ("fcn", "NA", "1", "0")
    assert (row["std"], row["ci95_low"], row["verdict"]) == ("", "", "not published")


def test_runs_of_another_dataset_are_no_part_of_a_row(study):
    (study / STN / "seed=2" / "config.yaml").write_text(yaml.safe_dump(config("rot90", seed=2)))
    write_report([study], study)
    cells = {
        (cell.name, cell.dataset): len(cell.values("test.clean.accuracy"))
        for cell in read_study(study).cells
    }
    assert cells == {(STN, "RTS"): 2, ("cnn", "RTS"): 3, (STN, "rot90"): 1}


def test_a_setting_that_differs_is_said(study):
    plain = config(seed=1, trainer__max_epochs=1)
    (study / STN / "seed=1" / "config.yaml").write_text(yaml.safe_dump(plain))
    text = report(study).read_text()
    assert "trainer.max\\_epochs is not the same in all runs" in text
    assert f"1 in {STN} seed 1" in text
    assert "trainer.max\\_epochs is 1 where SEED has 10 (in stn-identity-zeros)" in text


def test_a_setting_that_differs_by_row_is_said_by_row(study):
    for seed in range(3):
        plain = config(model="cnn", seed=seed, trainer__max_epochs=1)
        (study / "cnn" / f"seed={seed}" / "config.yaml").write_text(yaml.safe_dump(plain))
    (note,) = read_study(study).notes
    assert note == f"trainer.max_epochs is not the same in all runs: 10 in {STN}; 1 in cnn."


def test_rows_that_differ_as_rows_do_are_not_noted(study):
    assert read_study(study).notes == ()


def test_another_protocol_is_said_above_the_table(study):
    assert "Not SEED's protocol" not in report(study).read_text()
    for cell_name, model in ((STN, "stn"), ("cnn", "cnn")):
        for seed in range(3):
            plain = config(model=model, seed=seed, trainer__max_epochs=1, dataset__val_size=100)
            plain["model"]["classifier"] = {"hidden": 20}
            (study / cell_name / f"seed={seed}" / "config.yaml").write_text(yaml.safe_dump(plain))
    text = report(study).read_text()
    banner = text[text.index("> **Not SEED's protocol.**") :].splitlines()[0]
    assert text.index(banner) < text.index("| row | verdict |")
    for words in (
        "trainer.max\\_epochs is 1 where SEED has 10",
        "dataset.val\\_size is 100 where SEED has 5000",
        "model.classifier.hidden is 20 where SEED has 50",
    ):
        assert words in banner
    assert "seed is" not in banner


def test_what_is_another_protocol_and_what_is_not(study):
    # All images trained on, as in SEED; another start and padding, which make another row.
    plain = config(seed=0, dataset__val_size=0, dataset__permutations=1)
    plain["init"], plain["padding"] = {"name": "random", "theta": None}, {"mode": "border"}
    (study / STN / "seed=0" / "config.yaml").write_text(yaml.safe_dump(plain))
    assert departures(read_study(study)) == []


# --- claims


def claims_of(folder):
    return json.loads((folder / "summary.json").read_text())["studies"][0]["claims"]


def test_a_claim_within_chance_cannot_be_told(study):
    text = report(study).read_text()
    claim = claims_of(study)[0]
    assert claim["verdict"] == "cannot tell with these runs"
    (pair,) = claim["pairs"]
    assert pair["verdict"] == "cannot tell with these runs"
    assert pair["seeds_needed"] == 4
    assert (
        "- **? cannot tell with these runs** in accuracy on clean test digits: stn beats cnn. "
        "+2.00 (−0.48 to +4.48) points over 3 seeds; published +1.09. 4 seeds would tell"
    ) in text
    assert pair["difference"] == pytest.approx(0.02)
    assert pair["published_difference"] == pytest.approx(0.9846 - 0.97374)
    assert (
        "| pair | verdict | seeds | mean difference, points (95%) | p | d_z | "
        "without collapsed runs, points | published, points |\n|---|---|--:|--:|--:|--:|--:|--:|\n"
        "| stn-identity-zeros − cnn | ? cannot tell with these runs | 3 of 3 | "
        "+2.00 (−0.48 to +4.48) | 0.074 | 2.00 | – | +1.09 |\n"
    ) in text


def test_a_clear_difference_is_reproduced_and_its_opposite_is_not(study):
    write_plan(
        study,
        [cell(STN, [0, 1, 2]), cell("cnn", [0, 1, 2])],
        [
            {"text": "up", "kind": "paired", "pairs": [[STN, "cnn"]]},
            {"text": "down", "kind": "paired", "pairs": [["cnn", STN]]},
            {"text": "both", "kind": "paired", "pairs": [["cnn", STN], [STN, "cnn"]]},
            {"text": "neither", "kind": "paired", "pairs": [[STN, STN], [STN, STN]]},
        ],
    )
    for seed, value in enumerate((0.80, 0.80, 0.801)):
        metrics = study / "cnn" / f"seed={seed}" / "metrics.json"
        content = json.loads(metrics.read_text())
        content["test"]["clean"]["accuracy"] = value
        metrics.write_text(json.dumps(content))
    report(study)
    verdicts = {claim["text"]: claim["verdict"] for claim in claims_of(study)}
    assert verdicts == {
        "up": "reproduced",
        "down": "not reproduced",
        "both": "partly reproduced",
        "neither": "cannot tell with these runs",
    }


@pytest.mark.parametrize(
    ("lower", "margin", "verdict"),
    [  # The interval is -0.0048 to 0.0448, see STN_VALUES, or 0.1 below that.
        (0.0, 0.005, "reproduced"),
        (0.0, 0.004, "cannot tell with these runs"),
        (0.1, 0.056, "cannot tell with these runs"),
        (0.1, 0.055, "not reproduced"),
    ],
)
def test_a_claim_with_a_margin_allows_for_it(study, lower, margin, verdict):
    claim = {**CLAIMS[0], "text": "as good", "margin": margin}
    write_plan(study, [cell(STN, [0, 1, 2]), cell("cnn", [0, 1, 2])], [claim])
    for seed, value in enumerate(STN_VALUES):
        metrics = study / STN / f"seed={seed}" / "metrics.json"
        content = json.loads(metrics.read_text())
        content["test"]["clean"]["accuracy"] = value - lower
        metrics.write_text(json.dumps(content))
    text = report(study).read_text()
    found = claims_of(study)[0]
    assert (found["verdict"], found["margin"]) == (verdict, margin)
    assert f"not below −{100 * margin:.2f} points" in found["summary"]
    assert f"the whole interval is above −{100 * margin:.2f}" in text


def test_ranks_do_not_say_within_which_margin(study):
    """One of the runs has collapsed."""
    claim = {"text": "as good", "kind": "paired", "pairs": [["cnn", STN]], "margin": 0.5}
    write_plan(study, [cell(STN, [0, 1, 2]), cell("cnn", [0, 1, 2])], [claim])
    metrics = study / STN / "seed=0" / "metrics.json"
    content = json.loads(metrics.read_text())
    metrics.write_text(json.dumps(content | {"collapsed": True, "collapsed_reason": "gone"}))
    report(study)
    assert claims_of(study)[0]["verdict"] == "cannot tell with these runs"


def test_a_claim_without_its_runs_is_not_tested(study):
    claim = {"text": "no such", "kind": "paired", "pairs": [["ts-stn", "cnn"]]}
    write_plan(study, [cell("cnn", [0])], [claim])
    text = report(study).read_text()
    assert claims_of(study)[0]["verdict"] == "not tested: runs missing"
    assert "not tested: runs missing" in text


def test_robustness_is_compared_point_by_point(study):
    report(study)
    claim = claims_of(study)[1]
    points = {(p["factor"], p["amount"]): p for p in claim["pairs"][0]["points"]}
    assert len(points) == len(POINTS)
    # stn loses 0.05 where cnn loses 0.1.
    assert points["rotation", 60]["difference"] == pytest.approx(0.07)
    assert points["rotation", 60]["loss"]["difference"] == pytest.approx(-0.05)
    assert points["rotation", 60]["beyond_training_range"] is True
    assert points["rotation", 0]["beyond_training_range"] is False
    curves = read_published().curves
    assert points["rotation", 60]["published_difference"] == pytest.approx(
        curves["RTS", "stn", "rotation"].accuracy[60]
        - curves["RTS", "cnn", "rotation"].accuracy[60]
    )
    # All four points are above; the two undistorted ones not beyond chance, see CLAIMS.
    assert claim["verdict"] == "partly reproduced"
    assert "at 4 of 4 points, at 2 of them beyond chance" in claim["summary"]
    assert "at 2 of 2 points" in claim["summary"]


def test_a_claim_without_collapsed_runs_stands_beside(study):
    metrics = study / STN / "seed=0" / "metrics.json"
    content = json.loads(metrics.read_text())
    metrics.write_text(json.dumps(content | {"collapsed": True, "collapsed_reason": "gone"}))
    report(study)
    pair = claims_of(study)[0]["pairs"][0]
    assert pair["seeds"] == [0, 1, 2]
    assert pair["without_collapsed"]["seeds"] == [1, 2]
    assert pair["without_collapsed"]["difference"] == pytest.approx(0.025)
    # By ranks: 0.97 of either is a tie, and 8 of 9 pairs of runs and a half are above.
    assert pair["superiority"] == pytest.approx(8.5 / 9)
    assert (pair["ci95"], pair["best_p"]) == (None, pytest.approx(0.1))
    assert "by ranks, p 0.200; p 0.100 at best" in (study / "report.md").read_text()


# --- the document


class Page(HTMLParser):
    """A page's tags with their attributes, and the text of its script."""

    def __init__(self, file):
        super().__init__()
        self.tags, self.script = [], ""
        self.feed(file.read_text())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.script = self.script or data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_the_page_needs_no_other_file(study):
    panel = study / STN / "seed=0" / "figures" / "warps-rotation-120.png"
    imsave(panel, np.zeros((4, 4)))
    report(study)
    page = Page(study / "report.html")
    (image,) = page.all("img")
    assert image["src"].startswith("data:image/png;base64,")
    assert [each["role"] for each in page.all("svg")] == ["img"] * 4
    assert all(each["aria-label"] for each in page.all("svg"))
    assert len(page.all("figcaption")) == 5
    loaded = {"src", "xlink:href"}
    links = [attrs[name] for _, attrs in page.tags for name in loaded & attrs.keys()]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    copied = study / "figures" / f"RTS-{STN}-warps-rotation-120.png"
    assert copied.read_bytes() == panel.read_bytes()
    said = f"{STN}, seed 0 (1 of 3 healthy runs kept figures), accuracy on clean test digits 98.00%"
    assert said in (study / "report.html").read_text()


def test_one_script_may_run_and_is_known_by_its_checksum(study):
    report(study)
    page = Page(study / "report.html")
    (script,) = page.all("script")
    assert script == {}
    (policy,) = [each["content"] for each in page.all("meta") if "http-equiv" in each]
    checksum = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert "default-src 'none'; img-src data:; " in policy
    assert f"script-src 'sha256-{checksum}'" in policy


def test_every_heading_can_be_linked_to_and_every_link_leads_somewhere(study):
    report(study)
    page = Page(study / "report.html")
    identities = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(identities)) == len(identities)
    assert set(identities) >= {"results-beside-the-published-ones", "claims", "figures"}
    links = [each["href"] for each in page.all("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(identities)
    folders = [link for link in links if not link.startswith("#")]
    assert f"{STN}/seed=1" in folders
    assert all((study / unquote(link)).is_dir() for link in folders)


def test_links_to_run_folders_are_right_from_another_folder(study, tmp_path):
    text = report(study, tmp_path / "outputs" / "image").read_text()
    assert f"[97.00](../RTS/{STN}/seed=1)" in text
    assert "explore" not in text
    (study / "explore.html").touch()
    assert "(../RTS/explore.html)" in report(study, tmp_path / "outputs" / "image").read_text()


def test_cells_know_their_column_and_many_seeds_stand_below_each_other(study):
    report(study)
    labels = [each.get("data-label") for each in Page(study / "report.html").all("td")]
    assert labels[:3] == ["row", "verdict", "n"]
    assert {"seed 0", "seed 1", "seed 2"} < set(labels)
    assert None not in labels
    for seed in range(3, 12):
        plain = config(model="cnn", seed=seed)
        write_run(study / "cnn" / f"seed={seed}", 0.96, plain=plain)
    text = report(study).read_text()
    assert f"| accuracy on clean test digits, % | {STN} | cnn |\n" in text
    assert "| seed 3 |  | [96.00](cnn/seed=3) |\n" in text


def test_figures_say_their_values(study):
    report(study)
    figure = (study / "figures" / "RTS-robustness.svg").read_text()
    # The mean of 0.93, 0.92 and 0.94, and of the differences 0.06, 0.07 and 0.08.
    assert f"<title>{STN}, 60: 93.00 (90.52 to 95.48)</title>" in figure
    assert f"<title>{STN} − cnn, 60: 7.00 (4.52 to 9.48)</title>" in figure
    assert ">trained on</text>" in figure
    text = (study / "report.md").read_text()
    assert f"the difference {STN} − cnn, seed by seed" in text
    seeds = (study / "figures" / "RTS-seeds.svg").read_text()
    assert f"<title>{STN}, seed 1: 97.00</title>" in seeds


def test_seeds_have_their_lines_where_an_interval_says_nothing(study):
    report(study)
    lines = "a thin line for each seed"
    text = (study / "report.md").read_text()
    # Learning curves are the same of both; curves of robustness meet at amount 0 alone.
    assert text.count(lines) == 2
    write_run(study / STN / "seed=3", 0.10, collapsed="it saw nothing")
    assert report(study).read_text().count(lines) == 2


def test_hostile_words_in_a_figure_are_text(tmp_path):
    figure = Figure()
    axes = figure.subplots()
    axes.set_title(plain(HOSTILE))
    (point,) = axes.plot(0, 0, "o")
    say(point, HOSTILE)
    save(figure, tmp_path / "hostile.svg")
    root = ElementTree.parse(tmp_path / "hostile.svg").getroot()
    tags = {node.tag.rpartition("}")[2] for node in root.iter()}
    assert tags <= {
        "svg",
        "defs",
        "g",
        "path",
        "use",
        "clipPath",
        "rect",
        "text",
        "circle",
        "title",
    }
    (title,) = [node.text for node in root.iter() if node.tag.endswith("title")]
    assert title == HOSTILE.replace("\x1b", "\ufffd").replace("\n", " ")


def test_a_long_cell_may_be_folded_and_a_number_may_not(study):
    write_run(study / STN / "seed=3", 0.10, collapsed="it saw nothing")
    report(study)
    page = (study / "report.html").read_text()
    assert 'class="long">none: seeds 10.00, 97.00, 98.00, 99.00<' in page
    assert '">76.00 ± 44.01<' in page
    assert 'class="long">76.00' not in page


def test_no_figure_shows_an_interval_of_runs_that_collapse(study):
    """A band of Student's would reach from below 0 to above 100%."""
    report(study)
    assert "none where a run collapsed" not in (study / "report.md").read_text()
    write_run(study / STN / "seed=3", 0.10, collapsed="it saw nothing")
    text = report(study).read_text()
    assert text.count("95% interval (none where a run collapsed)") == 3
    robustness = json.loads((study / "summary.json").read_text())["studies"][0]["cells"]
    assert {cell["cell"]: cell["robustness"][0]["ci95"] is None for cell in robustness} == {
        STN: True,
        "cnn": False,
    }


def write_panel(folder, views, inputs=0):
    """A panel as a run draws it: inputs above views, on white."""
    (folder / "figures").mkdir(exist_ok=True)
    panel = np.full((40, 60), 255, np.uint8)
    panel[4:18, 2:58], panel[20:34, 2:58] = inputs, views
    Image.fromarray(panel).save(folder / "figures" / "warps-training-distortion.png")


def test_the_median_healthy_run_is_shown_and_a_collapsed_one_beside_it(study):
    for seed, value in ((3, 0.10), (4, 0.11)):
        write_run(study / STN / f"seed={seed}", value, collapsed="it saw nothing")
    for seed in range(5):
        write_panel(study / STN / f"seed={seed}", views=10 * seed)
    text = report(study).read_text()
    assert (
        f"{STN}, seed 0 (the median of 3 healthy runs), accuracy on clean test digits 98.00%"
        in text
    )
    assert f"{STN}, seed 3, accuracy on clean test digits 10.00%. Test digits" in text
    panels = sorted(path.name for path in (study / "figures").glob("*warps*"))
    assert panels == [
        f"RTS-{STN}-collapsed-warps-training-distortion.png",
        f"RTS-{STN}-warps-training-distortion.png",
    ]
    for seed in (0, 1):
        shutil.rmtree(study / STN / f"seed={seed}" / "figures")
    assert f"{STN}, seed 2 (1 of 3 healthy runs kept figures)" in report(study).read_text()
    shutil.rmtree(study / STN / "seed=2" / "figures")
    assert f"{STN}, seed 3 (none of 3 healthy runs kept figures)" in report(study).read_text()


def test_methods_are_shown_on_the_same_inputs(study):
    write_panel(study / STN / "seed=0", views=40)
    write_panel(study / "cnn" / "seed=0", views=80, inputs=9)
    assert "RTS-methods.png" not in report(study).read_text()  # of other inputs
    write_panel(study / "cnn" / "seed=0", views=80)
    assert "![The same test examples" in report(study).read_text()
    with Image.open(study / "figures" / "RTS-methods.png") as image:
        rows = np.asarray(image)[:, 30].tolist()
    # The inputs once, then each one's views, pixel by pixel, in the table's order.
    assert [rows.count(level) >= 14 for level in (0, 40, 80)] == [True] * 3
    assert rows.index(40) < rows.index(80)


def test_all_claims_stand_in_a_forest_plot(study):
    text = report(study).read_text()
    assert text.index("![The difference that each claim") < text.index("Is it so?")
    figure = (study / "figures" / "RTS-claims.svg").read_text()
    cannot_tell = "+2.00 (−0.48 to +4.48); these runs cannot tell"
    assert f"<title>{STN} − cnn: {cannot_tell}</title>" in figure
    assert (
        f"<title>{STN} − cnn, every amount, rotation 60: +7.00 (+4.52 to +9.48)</title>" in figure
    )
    write_plan(study, [cell(STN, [0, 1, 2]), cell("cnn", [0, 1, 2])], CLAIMS[:1])
    assert "RTS-claims.svg" not in report(study).read_text()


def add_metrics(run, **more):
    file = run / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | more))


def recovered(slope):
    each = {"n": 100, "r": 0.8, "slope": slope, "before": 52.0, "left": 30.0, "left_by_class": 25}
    within = {**each, "by_class": {"0": {**each, "slope": -slope}, "1": each}}
    rotation = {"unit": "degrees", "trained": [-90, 90], "within": within, "beyond": None}
    return {"rotation": rotation, "scale": {"within": None, "beyond": None}}


def test_what_the_warp_takes_back_has_a_table_and_a_place_in_the_summary(study):
    assert "takes back" not in report(study).read_text()
    before = (study / "summary.csv").read_text()
    for seed in (0, 1, 2):
        add_metrics(study / STN / f"seed={seed}", recovered=recovered(0.6 + 0.1 * seed))
    text = report(study).read_text()
    console = Console(file=io.StringIO(), width=120)
    print_table(console, study)  # a row a cell, of the main metric
    assert console.file.getvalue().startswith("RTS: test.clean.accuracy, in %\n")
    assert console.file.getvalue().count(f"\n{STN} ") == 1
    row = "0.80 ± 0.00 | 0.70 ± 0.10 | 52.00 ± 0.00 | 30.00 ± 0.00 | 25.00 ± 0.00 | – | – | – | – |"
    assert f"| {STN} | rotation, degrees | {row}" in text
    assert "| scale" not in text
    assert f"| {STN} | slope | −0.70 ± 0.10 | 0.70 ± 0.10 |" in text
    slope = rows_of(study, "recovered.rotation.within.slope")[STN]
    assert float(slope["mean"]) == pytest.approx(0.7)
    left = rows_of(study, "recovered.rotation.within.left")[STN]
    assert float(left["ci95_low"]) == 30
    added = [
        line for line in (study / "summary.csv").read_text().splitlines() if "recovered" in line
    ]
    assert [
        line for line in (study / "summary.csv").read_text().splitlines() if line not in added
    ] == (before.splitlines())
    add_metrics(study / STN / "seed=0", recovered={"rotation": {"within": {"by_class": 3}}})
    report(study)


def test_a_class_may_have_dots_in_its_name(study):
    for seed in (0, 1, 2):
        found = recovered(0.6 + 0.1 * seed)
        within = found["rotation"]["within"]
        within["by_class"] = dict(zip(("v1.0", "0.5"), within["by_class"].values(), strict=True))
        add_metrics(study / STN / f"seed={seed}", recovered=found)
    text = report(study).read_text()
    assert "by class | | v1.0 | 0.5 |" in text
    assert f"| {STN} | slope | −0.70 ± 0.10 | 0.70 ± 0.10 |" in text
    assert f"| {STN} | left, degrees | 30.00 ± 0.00 | 30.00 ± 0.00 |" in text


@needs_chromium
def test_every_button_that_sorts_has_a_name(study, tmp_path):
    for seed in (0, 1, 2):
        add_metrics(study / STN / f"seed={seed}", recovered=recovered(0.6))
    report(study)
    dom = dom_of((study / "report.html").read_text(encoding="utf-8"), tmp_path)
    buttons = re.findall(r"<th\b[^>]*><button([^>]*)>(.*?)</button>", dom)
    assert {attributes for attributes, words in buttons if not words.strip()} == {
        ' aria-label="row"'
    }
    assert {attributes for attributes, words in buttons if words.strip()} == {""}


def test_the_planted_warp_is_told_seed_by_seed(tmp_path):
    folder = tmp_path / "planted"
    name = "ts-stn-identity-border"
    write_plan(
        folder, [cell(name, [0, 1, 2], "mimic-synthetic"), cell("cnn", [0], "mimic-synthetic")]
    )
    for seed, r in enumerate((0.9, -0.1, None)):
        run = folder / name / f"seed={seed}"
        plain = config("mimic", "ts-stn", seed, dataset__source="synthetic")
        write_run(run, 0.9, plain=plain)
        if r is not None:
            add_metrics(run, planted={"r_tempo": r, "r_phase": None})
    write_run(
        folder / "cnn" / "seed=0", 0.9, plain=config("mimic", "cnn", dataset__source="synthetic")
    )
    text = report(folder).read_text()
    tempo = "r of theta22 with the planted tempo | 0.90, −0.10, not recorded | 0.40 ± 0.71 | 1 of 2"
    assert f"| {name} | {tempo} (1.26 to 98.74%) |" in text
    phase = "r of theta23 with the planted phase"
    assert f"| {name} | {phase} | not recorded, not recorded, not recorded | – | – |" in text
    assert text.count("with the planted tempo") == 1


def test_a_collapse_is_shown_step_by_step_beside_the_others(study, monkeypatch):
    figure = study / "figures" / "RTS-outside.svg"
    for seed, shares in enumerate(("0.1", "1.0", "0.2")):
        steps = study / STN / f"seed={seed}" / "steps.csv"
        steps.write_text(f"step,share_outside\n8,0.0\n16,{shares}\n")
    assert "RTS-outside" not in report(study).read_text()
    add_metrics(study / STN / "seed=1", collapsed=True, collapsed_reason="of a kind")
    assert "RTS-outside.svg" in report(study).read_text()
    assert "collapsed" in figure.read_text()
    with monkeypatch.context() as patched:
        patched.setattr(study_figures, "_MOST_VECTOR_CURVES", 2)
        assert "RTS-outside.png" in report(study).read_text()
    (study / STN / "seed=1" / "steps.csv").write_text("step,share_outside\n8,2\n")
    text = report(study).read_text()
    assert "RTS-outside" not in text
    assert f"{STN}/seed=1/steps.csv cannot be read; its share outside is left out." in text


def test_no_exponent_stands_in_a_reason(study):
    reason = "its pixels stand for 4.4e+02 pixels each, 5.9e+03 in all"
    write_run(study / STN / "seed=3", 0.10, collapsed=reason)
    text = report(study).read_text()
    assert "its pixels stand for 440 pixels each, 5,900 in all" in text
    assert "4.4e" not in text


def test_a_study_without_a_question_says_nothing_of_it(study):
    write_plan(study, [cell(STN, [0, 1, 2])], question="", source="")
    assert "question" not in report(study).read_text()


HOSTILE = "<script>alert(1)</script> | `x` **b** [l](http://e) ![i](j)\n\n# h &amp; \x1b$"


def test_hostile_text_is_shown_as_text(study):
    hostile = cell("a|b`<img src=x onerror=y>`\n*c*", [0])
    write_plan(
        study,
        [cell(STN, [0, 1, 2, 3]), hostile],
        [{"text": HOSTILE, "kind": "paired", "pairs": [[HOSTILE, "cnn"]]}],
        question=HOSTILE,
        study=HOSTILE,
        source=HOSTILE,
        command=f"```\n{HOSTILE}",
    )
    (study / STN / "seed=3").mkdir()
    (study / STN / "seed=3" / "error.txt").write_text(HOSTILE)
    report(study)
    page = (study / "report.html").read_text()
    shown = "&lt;script&gt;alert(1)&lt;/script&gt; | `x` **b** [l](http://e) ![i](j) # h &amp;amp; "
    assert page.count(shown) >= 5  # heading, question, claim twice, error
    for tag in ("<script>alert", "<img src", "<strong>b<", "<code>x<"):
        assert tag not in page
    assert page.count("<script") == 1
    links = [each["href"] for each in Page(study / "report.html").all("a")]
    assert all(link.startswith("#") or (study / unquote(link)).is_dir() for link in links)
    assert "\x1b" not in page
    # Every row of every table has as many cells as its head.
    for table in page.split("<table>")[1:]:
        rows = table.split("</table>")[0].split("<tr>")[1:]
        assert {row.count("</td>") + row.count("</th>") for row in rows} == {rows[0].count("</th>")}


def test_a_report_waits_for_another_one_and_sees_what_came_meanwhile(study):
    with ThreadPoolExecutor() as threads:
        with locked(study / LOCK):
            writing = threads.submit(write_report, [study], study)
            with pytest.raises(TimeoutError):
                writing.result(timeout=0.5)
            assert not (study / "report.md").exists()
            write_run(study / "cnn" / "seed=7", 0.5)
        writing.result(timeout=60)
    assert "seed 7" in (study / "report.md").read_text()
    assert not (study / LOCK).exists()


def test_where_a_report_cannot_be_written_the_option_is_named(study, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(study), "--out", str(tmp_path / "file")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --out: cannot write to {tmp_path / 'file'} (")
    assert line.endswith("Name another folder with --out … .")


def test_the_same_runs_give_the_same_bytes(study, tmp_path):
    report(study)
    names = ("summary.csv", "summary.json", "report.md", "report.html")
    before = {name: (study / name).read_bytes() for name in names}
    metrics = study / STN / "seed=0" / "metrics.json"
    content = json.loads(metrics.read_text())
    metrics.write_text(json.dumps(content | {"seconds": {"train": 99.0}}))
    report(study)
    assert {name: (study / name).read_bytes() for name in names} == before
    elsewhere = tmp_path / "elsewhere"
    report(study, elsewhere)
    assert (elsewhere / "summary.csv").read_bytes() == before["summary.csv"]


def test_a_report_is_current_by_what_it_was_made_from(study):
    """Whatever the dates say: a run that was copied in keeps its old one."""
    (study / STN / "seed=2" / "metrics.json").rename(study / "set aside")
    assert not is_current([study], study)
    report(study)
    assert is_current([study], study)
    (study / "set aside").rename(study / STN / "seed=2" / "metrics.json")
    os.utime(study / STN / "seed=2" / "metrics.json", (0, 0))
    assert not is_current([study], study)
    report(study)
    for path in study.rglob("*"):
        os.utime(path)  # newer than the report, and the same
    assert is_current([study], study)
    (study / "sweep.json").write_text((study / "sweep.json").read_text().replace("Is it", "Was it"))
    assert not is_current([study], study)
    (study / "summary.json").write_text("{")
    assert not is_current([study], study)


def test_several_folders_make_one_report(study, tmp_path):
    other = tmp_path / "outputs" / "rot90"
    write_plan(other, [cell("cnn", [0, 1], "rot90")])
    for seed in (0, 1):
        plain = config("rot90", "cnn", seed)
        write_run(other / "cnn" / f"seed={seed}", 0.95 + seed / 100, plain=plain)
    out = tmp_path / "outputs" / "image"
    write_report([study, other], out)
    with (out / "summary.csv").open() as file:
        assert {(row["study"], row["cell"]) for row in csv.DictReader(file)} == {
            ("RTS", STN),
            ("RTS", "cnn"),
            ("rot90", "cnn"),
        }
    text = (out / "report.md").read_text()
    assert text.startswith("# image\n")
    assert "\n### RTS\n" in text
    assert "\n## rot90\n" in text
    assert {path.name.split("-")[0] for path in (out / "figures").iterdir()} == {
        *("RTS", "rot90", "image")  # of all claims together
    }
    assert not (other / "summary.csv").exists()
    # The published rot90 is a single run.
    with (out / "summary.csv").open() as file:
        verdicts = [row["verdict"] for row in csv.DictReader(file) if row["study"] == "rot90"]
    # Two seeds, 0.95 and 0.96, against 0.9591.
    assert verdicts == ["cannot tell with these runs", "not published", "not published"]


def test_where_nothing_is_published_nothing_is_set_beside_it(tmp_path):
    folder = tmp_path / "ours"
    write_plan(folder, [cell(name, [0, 1], "ours") for name in (STN, "cnn")], CLAIMS[:1])
    for model, values in ((STN, (0.98, 0.97)), ("cnn", (0.97, 0.965))):
        for seed, value in enumerate(values):
            plain = config("ours", model.split("-")[0], seed)
            write_run(folder / model / f"seed={seed}", value, plain=plain)
    text = report(folder).read_text()
    assert "\n## Results\n" in text
    assert "published" not in text.split("## How it was done")[0].lower()
    assert "reproduced" not in text
    assert "**stn beats cnn: ? cannot tell with these runs.** In accuracy on clean" in text


def test_a_sweep_without_any_result_has_a_report(tmp_path):
    folder = tmp_path / "RTS"
    write_plan(folder, [cell("cnn", [0])], CLAIMS)
    text = report(folder).read_text()
    assert "| cnn | no result | 0 | – |" in text
    assert "| cnn | 0 | missing | not started |" in text
    assert rows_of(folder)["cnn"]["verdict"] == "no result"


# --- mistakes


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_that_is_no_sweep_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"holds no sweep.*Name the folder of a sweep"):
        write_report([tmp_path / name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "not a JSON object"),
        ('{"cells": 3}', "'cells' is no list"),
        ('{"cells": [{"cell": "cnn"}]}', "'dataset' is missing"),
        ('{"claims": [{"text": "", "kind": "x"}]}', "kind is 'x'; allowed: paired, robustness"),
        (
            '{"claims": [{"text": "", "kind": "paired", "pairs": [], "margin": 2}]}',
            "margin is 2; allowed: 0 to 1",
        ),
        ('{"beside_published": "no"}', "'beside_published' is neither true nor false"),
    ],
)
def test_a_damaged_plan_is_named(tmp_path, content, reason):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(
        UserError, match=rf"sweep\.json cannot be read \(.*{reason}.*or move it away"
    ):
        write_report([tmp_path], tmp_path)


def test_the_command_tells_a_mistake_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} holds no sweep")
    with pytest.raises(SystemExit):
        main([str(tmp_path), str(tmp_path)])
    assert "--out outputs/image" in capsys.readouterr().err


def test_the_command_rebuilds_a_report(study, tmp_path):
    command = [sys.executable, "-m", "stnlab.report", str(study), "--out", str(tmp_path / "again")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == f"report: {tmp_path / 'again' / 'report.html'}\n"
    assert not (study / "report.html").exists()
    assert Path(tmp_path / "again" / "report.html").exists()
