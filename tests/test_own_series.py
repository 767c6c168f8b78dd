"""dataset=series: a user's own series in every layout, and what is said of those that are wrong."""

import csv

import numpy as np
import pytest
import torch
from own_data import WAVES, long_rows, waves, write_long_form, write_ts
from short_run import DRAWN, SHORT

from stnlab.config import compose
from stnlab.data.series.layouts import open_source
from stnlab.errors import UserError
from stnlab.evaluation import collapse
from stnlab.run.run import train

LONG, SHORTER = [50] * 60, [40, 50, 45] * 20


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the data in every layout."""
    root = tmp_path_factory.mktemp("series")
    labels = np.arange(60) % 3
    (root / "npz").mkdir()
    np.savez(
        root / "npz" / "waves.npz",
        x=waves(labels, 50),
        y=labels,
        columns=["flow", "pressure"],
        classes=WAVES,
    )
    for name, lengths in (("equal", LONG), ("unequal", SHORTER)):
        write_ts(root / name / "Waves_TRAIN.ts", lengths, missing=name == "unequal")
        write_ts(root / name / "Waves_TEST.ts", lengths[:15])
    rows = [row for row in long_rows(30, 40) if hash_of(row) % 4]
    write_long_form(root / "long" / "waves.csv", rows)
    return root


def hash_of(row):
    """A number that is the same in every process: some values are to be left out."""
    return sum(map(ord, f"{row[0]}{row[1]}{row[2]}"))


def series(root, *overrides):
    return compose(["dataset=series", f"dataset.root={root}", *overrides]).dataset


# --- what is read


@pytest.mark.parametrize(
    ("layout", "columns", "steps", "classes", "numbers"),
    [
        ("npz", ("flow", "pressure"), 50, WAVES, (43, 5, 12)),
        ("equal", ("dimension 1", "dimension 2"), 50, ("saw", "sine", "square"), (54, 6, 15)),
        (
            *("unequal", ("dimension 1", "dimension 2", "mask->dimension 1", "mask->dimension 2")),
            *(50, ("saw", "sine", "square"), (54, 6, 15)),
        ),
        (
            *("long", ("flow", "pressure", "mask->flow", "mask->pressure")),
            *(40, ("saw", "sine", "square"), (22, 2, 6)),
        ),
    ],
)
def test_each_layout_is_recognised(data, layout, columns, steps, classes, numbers):
    dataset = series(data / layout)
    spec, parts = dataset.spec(), dataset.load()
    assert (spec.columns, spec.size, spec.classes) == (columns, (steps,), classes)
    assert (len(parts.train), len(parts.val), len(parts.test)) == numbers
    assert parts.train.x.shape == (numbers[0], len(columns), steps)
    assert dataset.checksums() == {"sha256": parts.sha256}
    assert all(torch.isfinite(getattr(parts, each).x).all() for each in ("train", "val", "test"))


def test_columns_are_standardised_by_the_training_part(data):
    parts = series(data / "npz").load()
    x = parts.train.x.double()
    assert x.mean(dim=(0, 2)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert x.std(dim=(0, 2), correction=0).tolist() == pytest.approx([1, 1], abs=1e-5)
    mean, std = parts.scale["pressure"]
    raw = waves(np.arange(60) % 3, 50)[int(parts.test.names[0]), 1]
    assert parts.test.x[0, 1].numpy() * std + mean == pytest.approx(raw, abs=1e-4)
    assert parts.test.y[0] == int(parts.test.names[0]) % 3


def test_a_byte_order_mark_before_a_ts_file_is_no_text_of_it(tmp_path):
    write_ts(tmp_path / "W_TRAIN.ts", [30] * 12)
    text = (tmp_path / "W_TRAIN.ts").read_text().split("\n", 1)[1]  # an @key first, no comment
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, encoding in ((before, "utf-8"), (after, "utf-8-sig")):
        folder.mkdir()
        (folder / "W_TRAIN.ts").write_text(text, encoding=encoding)
    one, other = (open_source(str(folder), "").parts["train"].x for folder in (before, after))
    assert np.array_equal(one, other)


def test_what_is_missing_is_the_value_before_and_its_mask_is_0(tmp_path):
    nan = float("nan")
    x = np.array([[[nan, 1, nan, 3, nan]], [[1, 3, 1, 3, 2]], [[3, 1, 3, 1, 2]], [[1, 2, 3, 2, 2]]])
    np.savez(tmp_path / "x.npz", x=x, y=[0, 1, 0, 1])
    source = open_source(str(tmp_path), "")
    assert source.channels == ("channel 0", "mask->channel 0")
    mean, std = source.statistics(np.arange(4))
    assert (mean, std) == (pytest.approx(np.nanmean(x)), pytest.approx(np.nanstd(x)))
    values, mask = source.inputs("train", mean, std)[0]
    assert values * std + mean == pytest.approx([mean[0], 1, 1, 3, 3])
    assert mask.tolist() == [0, 1, 0, 1, 0]


def test_a_shorter_series_keeps_its_last_value_and_its_mask_tells_its_end(data):
    parts = series(data / "unequal", "dataset.val_size=0").load()
    place = parts.train.names.index("1")  # of 40 steps, its fourth value is missing
    values, mask = parts.train.x[place, 0], parts.train.x[place, 2]
    assert mask.tolist() == [1.0] * 3 + [0.0] + [1.0] * 36 + [0.0] * 10
    assert torch.equal(values[40:], values[39].expand(10))
    assert values[3] == values[2]


def test_a_test_series_may_be_the_longest(tmp_path):
    write_ts(tmp_path / "W_TRAIN.ts", [30] * 12)
    write_ts(tmp_path / "W_TEST.ts", [30, 35, 40])
    assert series(tmp_path, "model=lstm").spec().size == (40,)


def test_long_form_takes_its_grid_from_the_times_and_labels_from_beside(tmp_path):
    rows = [row[:4] for row in long_rows(12, 30, step=0.25)]
    write_long_form(tmp_path / "waves.csv", rows, ("id", "time", "variable", "value"))
    labels = [(f"s{place}", WAVES[place % 3]) for place in range(12)]
    write_long_form(tmp_path / "labels.csv", labels, ("id", "label"))
    parts = series(tmp_path, "model=lstm").load()
    assert parts.train.x.shape[1:] == (2, 30)
    assert parts.columns == ("flow", "pressure")
    before = series(tmp_path, "model=lstm").checksums()
    labels[0] = ("s0", WAVES[1])
    write_long_form(tmp_path / "labels.csv", labels, ("id", "label"))
    assert series(tmp_path, "model=lstm").checksums() != before


def test_parts_may_be_files_of_their_own(tmp_path):
    for part, number in (("train", 12), ("val", 6), ("test", 9)):
        labels = np.arange(number) % 3
        np.savez(tmp_path / f"{part}.npz", x=waves(labels, 30, 1)[:, 0], y=np.array(WAVES)[labels])
    parts = series(tmp_path, "model=lstm").load()
    assert (len(parts.train), len(parts.val), len(parts.test)) == (12, 6, 9)


def test_two_classes_give_accuracy_too(tmp_path):
    labels = np.arange(40) % 2
    np.savez(tmp_path / "two.npz", x=waves(labels, 30, 1), y=labels)
    config = compose(
        [
            *("dataset=series", f"dataset.root={tmp_path}", "model=lstm"),
            *(f"output_dir={tmp_path / 'outputs'}", *SHORT),
        ]
    )
    test = train(config).metrics["test"]
    assert test.keys() == {"n", "loss", "accuracy"}


# --- what is refused


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 2, 30))}, "holds the arrays x; allowed: x, y"),
        ({"x": np.zeros((4, 2, 3, 3)), "y": [0, 1, 0, 1]}, r"the shape \(4, 2, 3, 3\) and the ty"),
        (
            {"x": np.full((4, 2, 9), np.inf), "y": [0, 1, 0, 1]},
            "series 0 of the train part has a v",
        ),
        ({"x": np.full((8, 1, 30), 1e60), "y": [0, 1] * 4}, "infinite or too large"),
        ({"x": np.zeros((9, 1, 30)), "y": [0] * 9}, "there is one class alone, '0'"),
        (
            {"x": np.zeros((9, 1, 30)), "y": [0] * 9, "classes": ["a"]},
            "there is one class alone, 'a'; allowed: 2 or more",
        ),
        ({"x": np.zeros((9, 1, 30)), "y": [0, 1, 2] * 3, "classes": "a"}, "one value alone in 'cl"),
        (
            {"x": np.zeros((4, 1, 30)), "y": [0, 1, 0, np.inf]},
            "type float64; allowed: one whole nu",
        ),
        ({"x": np.zeros((9, 2, 30)), "y": [0, 1, 2] * 3, "columns": ["a"]}, "has 1 entries in 'co"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(UserError, match=message) as raised:
        series(tmp_path, "model=lstm")
    assert "\n" not in str(raised.value)


def test_a_channel_that_never_changes_is_zero(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.full((9, 1, 30), 7.0), y=[0, 1, 2] * 3)
    assert (series(tmp_path, "model=lstm").load().train.x == 0).all()


def test_a_column_without_a_training_value_is_refused(tmp_path):
    x = waves(np.arange(12) % 3, 30)
    x[:, 1] = np.nan
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(12) % 3)
    with pytest.raises(UserError, match=r"no training series has a value of 'channel 1'"):
        series(tmp_path, "model=lstm").load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@data\n1,2,3:a\n1,x,3:b\n", r"line 3, has a value that is no number"),
        ("@data\n1,2,3:a\n1,2:3,4:b\n", r"line 3, has 2 dimensions, and the first 1"),
        ("@data\n1,2,3\n", r"line 2, has no ':' before a class"),
        ("1,2,3:a\n", r"line 1, comes before '@data'"),
        ("@timeStamps true\n@data\n", r"line 1, announces time stamps"),
        ("@classLabel false\n@data\n", r"line 1, announces no classes"),
        ("@data\n", r"has no series after a line '@data'"),
    ],
)
def test_what_is_wrong_with_a_ts_file_is_said_with_its_line(tmp_path, text, message):
    (tmp_path / "W_TRAIN.ts").write_text(text)
    with pytest.raises(UserError, match=message):
        series(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("a", 0, "x", 1, "p"), ("a", 1, "x", 1, "q")],
            "line 3, gives the series 'a' a second la",
        ),
        (
            [("a", 0, "x", 1, "p"), ("a", 0, "x", 2, "p")],
            "line 3, has a second value of 'x' at 0 of",
        ),
        ([("a", 0, "x", "high", "p")], "line 2, has 'high' in 'value', which is no finite number"),
        ([("a", "noon", "x", 1, "p")], "line 2, has 'noon' in 'time', which is no finite number"),
        ([("a", 0, "x", 1, "")], "line 2, is of the series 'a', which has no label"),
        ([("a", 0, "x", 1)], "line 2, has another number of columns"),
        (
            [("a", 0, "x", 1, "p"), ("a", 1, "x", 1, "p"), ("b", 2.5, "x", 1, "q")],
            "the times 2.5 lie between steps of 1, the smallest difference",
        ),
        ([("a", 0, "x", 1, "p")], "has one time alone; a series has 2 steps or more"),
        ([("a", t, "x", 1, "p") for t in (0, 1e-4, 9e9)], "on a grid of at most 100,000 steps"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(tmp_path, rows, message):
    write_long_form(tmp_path / "w.csv", rows)
    with pytest.raises(UserError, match=message):
        series(tmp_path)


def test_what_lies_in_a_folder_must_be_one_thing(data, tmp_path):
    with pytest.raises(UserError, match=r"dataset.root has no value, .* It may hold NAME_TRAIN.ts"):
        compose(["dataset=series"])
    with pytest.raises(UserError, match=r"holds nothing that is read as series. Allowed: NAME_TR"):
        series(tmp_path)
    with pytest.raises(UserError, match=r"dataset.root: .*nowhere cannot be read"):
        series(tmp_path / "nowhere")
    write_ts(tmp_path / "A_TRAIN.ts", [30] * 6)
    write_ts(tmp_path / "B_TRAIN.ts", [30] * 6)
    with pytest.raises(UserError, match=r"holds several problems \(A, B\)"):
        series(tmp_path)
    (tmp_path / "B_TRAIN.ts").rename(tmp_path / "A_TEST.ts")
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 9)), y=[0, 1, 2])
    with pytest.raises(UserError, match=r"holds files of .ts and .npz. Leave those of one kind"):
        series(tmp_path)
    write_long_form(tmp_path / "c" / "train.csv", long_rows(6, 30))
    write_long_form(tmp_path / "c" / "test.csv", long_rows(3, 30))
    with pytest.raises(UserError, match=r"the series 's0' is in the part train, too"):
        series(tmp_path / "c")
    write_long_form(tmp_path / "d" / "train.csv", [("a", 0, 1)], ("id", "time", "value"))
    with pytest.raises(
        UserError, match=r"has the columns id, time, value, and lacks variable, lab"
    ):
        series(tmp_path / "d")
    with pytest.raises(UserError, match=r"shown_variable is 'Flow', .* Did you mean 'flow'"):
        series(data / "npz", "dataset.shown_variable=Flow")


# --- runs


def run(root, out, *overrides):
    return train(
        compose(["dataset=series", f"dataset.root={root}", f"output_dir={out}", *SHORT, *overrides])
    )


@pytest.mark.parametrize(
    ("layout", "model"),
    [
        *(("npz", "ts-stn"), ("equal", "cnn"), ("long", "lstm"), ("unequal", "ts-stn")),
        *(("unequal", "time-in-range"), ("long", "logistic"), ("npz", "fcn")),
    ],
)
def test_every_layout_and_network_train(data, tmp_path, layout, model):
    outcome = run(data / layout, tmp_path, DRAWN, f"model={model}", "trainer.max_epochs=1")
    assert outcome.metrics["data"]["examples"] == "series"
    assert outcome.metrics["best"]["test"]["n"] == outcome.metrics["test"]["n"]
    files = {each.name for each in (outcome.path / "figures").iterdir()}
    assert files == {
        "confusion.png",
        *(["share-outside.svg", "warped-series.png"] if model == "ts-stn" else []),
    }
    lines = (outcome.path / "predictions.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    right = sum(row["prediction"] == row["y_true"] for row in rows)
    assert right / len(rows) == pytest.approx(outcome.metrics["test"]["accuracy"])


def test_a_collapsed_warp_is_told_in_steps():
    view = collapse.TimeView(0.99, 0.02)
    test = {"accuracy": 0.9, "n": 4, "loss": 0.1}
    reason = collapse.time_collapse_reason(test, torch.tensor([0, 1, 2, 0]), view, "minutes")
    assert reason == (
        "99% of the steps are read outside of the series; the warp reads one moment: a step of "
        "its view stands for 0.02 steps"
    )
