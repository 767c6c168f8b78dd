"""Trained networks used: loaded from their folders, asked about inputs as people have them."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from rich.console import Console
from short_run import SHORT
from torch.utils.data import DataLoader, TensorDataset

import stnlab
from stnlab import predict
from stnlab.config import compose
from stnlab.data import mnist
from stnlab.data.image_batches import normalise
from stnlab.data.inputs import Fit, pixels_of, read_table, standardised
from stnlab.data.physionet2012 import reader
from stnlab.data.spec import ImageSpec, Task
from stnlab.errors import UserError
from stnlab.run import train

KINDS = {
    "rot90": ["dataset=rot90"],
    "same-image": ["dataset=same-image", "model=multi-stn"],
    "series": [
        *("dataset=mimic", "dataset.source=synthetic"),
        *("dataset.num_train=64", "dataset.num_val=16", "dataset.num_test=20"),
    ],
}
BATCH = 250  # of a short run's test part


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A short run of each kind: its folder, and the raw inputs of its test part."""
    out, found = tmp_path_factory.mktemp("outputs"), {}
    for kind, overrides in KINDS.items():
        root = out / "episodes"
        where = [f"dataset.root={root}"] if kind == "series" else []
        config = compose([*SHORT, f"output_dir={out}", *where, *overrides])
        found[kind] = train(config, Console(quiet=True)).path
        if kind == "series":
            root.rename(out / "moved")  # a network is used without the data that it was trained on
    return found


@pytest.fixture(scope="module")
def digits():
    return mnist.load(None)


@pytest.fixture
def copy(runs, tmp_path):
    """A run's folder that may be spoilt."""

    def copied(kind):
        return shutil.copytree(runs[kind], tmp_path / "copy")

    return copied


def accuracy(labels, targets):
    return (labels == targets).double().mean().item()


@pytest.mark.parametrize("which", ["last", "best"])
def test_digits_are_told_as_in_the_runs_own_test(runs, digits, which):
    trained = stnlab.load(runs["rot90"], which)
    found = trained.predict(digits.test_images[: 2 * BATCH].numpy())
    metrics = trained.metrics if which == "last" else trained.metrics["best"]
    targets = digits.test_labels[: 2 * BATCH]
    expected = metrics["test"]["clean"]
    assert accuracy(found.labels, targets) == expected["accuracy"]
    loss = -found.probabilities.log()[torch.arange(2 * BATCH), targets].mean().item()
    assert loss == pytest.approx(expected["loss"], abs=1e-5)
    assert found.theta.shape == (2 * BATCH, 1, 6)
    assert found.views.shape == (2 * BATCH, 1, 1, 28, 28)
    assert trained.parameter_names[0] == "theta11"
    assert trained.classes == tuple("0123456789")


def test_pairs_are_told_as_in_the_runs_own_test(runs):
    """Two pictures an example, or one that holds both."""
    trained = stnlab.load(runs["same-image"])
    parts = trained.config.dataset.load().test
    members = parts.members[: 2 * BATCH]
    pairs = [(parts.images[a, 0], parts.images[b, 0]) for a, b in members.tolist()]
    found = trained.predict(pairs)
    expected = trained.metrics["test"]["clean"]["accuracy"]
    assert accuracy(found.labels, parts.targets[: 2 * BATCH]) == expected
    assert found.theta.shape == (2 * BATCH, 2, 6)
    side_by_side = torch.stack([torch.cat(pair, dim=1) for pair in pairs])
    assert torch.equal(trained.predict(side_by_side).probabilities, found.probabilities)


def test_series_are_told_as_in_the_runs_own_test(runs):
    trained = stnlab.load(runs["series"])
    rows = list(csv.DictReader((runs["series"] / "predictions.csv").read_text().splitlines()))
    folder = runs["series"].parents[2] / "moved" / "test"
    found = trained.predict([folder / row["stay"] for row in rows])
    expected = torch.tensor([float(row["prediction"]) for row in rows])
    torch.testing.assert_close(found.probabilities[:, 1], expected, atol=1e-5, rtol=0)
    thetas = list(csv.reader((runs["series"] / "theta.csv").read_text().splitlines()))
    assert tuple(thetas[0][1:]) == trained.parameter_names
    written = torch.tensor([[float(each) for each in row[1:]] for row in thetas[1:]])
    torch.testing.assert_close(found.theta[:, 0], written, atol=1e-5, rtol=0)
    assert trained.classes == ("survived", "died")
    raw = np.concatenate(
        [trained.config.dataset.read(folder / r["stay"], trained.spec) for r in rows]
    )
    assert raw.shape == (20, 17, 48)
    assert torch.equal(trained.predict(raw).probabilities, found.probabilities)
    ready = trained.prepare(list(raw))
    again = trained.predict(ready, prepared=True, batch_size=7)
    torch.testing.assert_close(again.probabilities, found.probabilities)


def test_a_picture_may_come_in_any_form(runs, digits, tmp_path):
    trained = stnlab.load(runs["rot90"])
    seven = digits.test_images[0].numpy()
    assert digits.test_labels[0] == 7
    expected = trained.prepare(seven)
    assert expected.shape == (1, 1, 28, 28)
    path, image = tmp_path / "seven.png", Image.fromarray(seven)
    image.save(path)
    np.save(tmp_path / "seven.npy", seven)
    clear = Image.new("RGBA", image.size, (0, 0, 0, 255))
    clear.putalpha(Image.fromarray(seven).point(lambda each: each))
    forms = [
        *(path, str(path), tmp_path / "seven.npy", [path], image, image.convert("RGB")),
        *(seven[None], seven[..., None], seven[None, ..., None], torch.from_numpy(seven)),
        *(seven.astype(np.int64), seven / 255, np.repeat(seven[..., None], 3, axis=2)),
        torch.from_numpy(seven / 255)[None, None],
    ]
    for form in forms:
        torch.testing.assert_close(trained.prepare(form), expected, atol=1e-5, rtol=0)
    mixed = trained.predict([path, seven[None].repeat(2, axis=0), image])
    assert mixed.labels.shape == (4,)
    assert torch.equal(mixed.labels, mixed.labels[:1].expand(4))


def test_dark_on_light_is_inverted_for_digits(runs, digits):
    trained = stnlab.load(runs["rot90"])
    seven = digits.test_images[0].numpy()
    expected = trained.prepare(seven)
    for picture in (255 - seven, (255 - seven) / 255, Image.fromarray(255 - seven)):
        torch.testing.assert_close(trained.prepare(picture), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(trained.prepare(255 - seven, invert=True), expected)
    torch.testing.assert_close(trained.prepare(seven, invert=False), expected)
    assert trained.prepare(255 - seven, invert=False).mean() > expected.mean()
    both = trained.prepare(np.stack([seven, 255 - seven]))
    torch.testing.assert_close(both, expected.expand(2, -1, -1, -1))


def test_another_size_keeps_its_aspect(runs, digits):
    trained = stnlab.load(runs["rot90"])
    seven = digits.test_images[0].numpy()
    large = Image.fromarray(255 - seven).resize((280, 280), Image.Resampling.BICUBIC)
    found, expected = trained.prepare(large), trained.prepare(seven)
    assert (found - expected).abs().mean() < 0.05 * (expected.max() - expected.min())
    wide = np.zeros((28, 56), np.uint8)
    wide[:, 14:42] = seven  # half as large in the middle, and dark above and below
    shown = trained.prepare(wide)
    background = shown[0, 0, 0, 0]
    assert (shown[0, 0, :7] == background).all()
    assert (shown[0, 0, 21:] == background).all()
    assert shown[0, 0, 7:21].max() > 1


def test_the_network_is_a_plain_module(runs):
    trained = stnlab.load(runs["rot90"])
    assert not trained.network.training
    assert not any(each.requires_grad for each in trained.network.parameters())
    names = list(trained.network.state_dict())
    assert names[0] == "transformer.localization.block1.weight"
    assert "classifier.classes.weight" in names
    assert trained.spec == trained.config.dataset.spec()
    trained.network.double()
    assert trained.predict(np.zeros((28, 28), np.uint8)).probabilities.dtype == torch.float64


def test_a_run_from_before_lacks_its_preprocessing(copy, runs, digits):
    path = copy("rot90")
    (path / "preprocessing.json").unlink()
    images = digits.test_images[:10]
    expected = stnlab.load(runs["rot90"]).predict(images)
    assert torch.equal(stnlab.load(path).predict(images).probabilities, expected.probabilities)


def test_series_from_before_lack_their_scale(copy):
    path = copy("series")
    (path / "preprocessing.json").unlink()
    trained = stnlab.load(path)
    with pytest.raises(UserError, match=r"lacks preprocessing\.json.*prepared=True"):
        trained.predict(np.zeros((1, 17, 48)))
    assert trained.predict(np.zeros((3, 76, 48), np.float32), prepared=True).labels.shape == (3,)


def spoil(path, how):
    if how == "empty":
        shutil.rmtree(path)
        path.mkdir()
    elif how == "unfinished":
        (path / "metrics.json").unlink()
    elif how == "edited":
        (path / "config.yaml").write_text("seed: 1\n")
    elif how == "no weights":
        shutil.rmtree(path / "checkpoints")
    elif how == "no best":
        (path / "checkpoints" / "best.ckpt").unlink()
    elif how == "cut off":
        weights = path / "checkpoints" / "last.ckpt"
        weights.write_bytes(weights.read_bytes()[:-1000])
    else:
        (path / "checksums.sha256").unlink()
        name, old, new = how
        text = (path / name).read_text()
        assert old in text
        (path / name).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty", "is no run's folder: it has no config.yaml"),
        ("unfinished", "not finished: it has no metrics.json.*goes on from its last epoch"),
        ("edited", r"config.yaml does not match its sum"),
        ("no weights", "last.ckpt is not there, and with it the weights"),
        ("cut off", "last.ckpt is damaged"),
        (("config.yaml", "model: stn", "model: mine"), "its model is 'mine', which no module"),
        (("config.yaml", "hidden: 32", "hidden: 33"), "of another network than config.yaml says"),
        (
            ("config.yaml", "layout: single", "layout: sngle"),
            "config.yaml cannot be used: 'dataset",
        ),
        (("preprocessing.json", '"spec"', '"spice"'), "preprocessing.json cannot be read"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_a_folder_that_cannot_be_used_is_refused(copy, how, message):
    path = copy("rot90")
    spoil(path, how)
    with pytest.raises(UserError, match=message):
        stnlab.load(path)


def test_where_no_run_is_is_told(runs, copy):
    with pytest.raises(UserError, match="there is no such folder"):
        stnlab.load("outputs/nothing")
    with pytest.raises(UserError, match=r"There is one in .*seed=0"):
        stnlab.load(runs["rot90"].parent)
    with pytest.raises(UserError, match="which is 'first'"):
        stnlab.load(runs["rot90"], "first")
    path = copy("rot90")
    spoil(path, "no best")
    with pytest.raises(UserError, match="use which='last'"):
        stnlab.load(path, "best")


@pytest.mark.parametrize(
    ("kind", "inputs", "options", "message"),
    [
        ("rot90", [], {}, "there is no input"),
        ("rot90", "none.png", {}, "none.png: there is no such file"),
        ("rot90", __file__, {}, "cannot be read as an image"),
        ("rot90", 3, {}, "an input is int"),
        ("rot90", np.zeros((0, 28, 28)), {}, "the array is empty"),
        ("rot90", np.full((28, 28), 255.0), {}, r"values from 255 to 255; allowed: 0 to 1"),
        ("rot90", np.full((28, 28), np.nan), {}, "values from nan"),
        ("rot90", np.zeros((1, 1, 1, 28, 28)), {}, r"shape \(1, 1, 1, 28, 28\)"),
        ("rot90", np.zeros((28, 28)), {"invert": "yes"}, "invert is 'yes'"),
        ("rot90", np.zeros((28, 28)), {"prepared": True}, r"\(28, 28\); allowed: \(N, 1, 28, 28\)"),
        ("rot90", np.zeros((28, 28)), {"batch_size": 0}, "batch_size is 0"),
        ("same-image", [(np.zeros((28, 28)),)], {}, "an input has 2 pictures"),
        ("series", np.zeros((48, 17)), {}, r"\(48, 17\); allowed: \(N, 17, 48\)"),
        ("series", np.full((17, 48), np.inf), {}, "infinite value"),
        ("series", np.full((17, 48), 99.0), {}, "'Capillary refill rate' is 99; allowed: NaN"),
        ("series", "none.csv", {}, "none.csv: there is no such file"),
        ("series", __file__, {}, "line 1"),
        ("series", np.full((1, 76, 48), np.nan), {"prepared": True}, "finite floats"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(runs, kind, inputs, options, message):
    trained = stnlab.load(runs[kind])
    with pytest.raises(UserError, match=message):
        trained.predict(inputs, **options)


# Lightning's advice on workers and on Slurm.
@pytest.mark.filterwarnings("ignore::lightning_fabric.utilities.warnings.PossibleUserWarning")
def test_lightnings_trainer_and_an_ordinary_loader(runs, digits, tmp_path):
    trained = stnlab.load(runs["rot90"])
    inputs, targets = trained.prepare(digits.test_images[:60]), digits.test_labels[:60]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    expected = trained.predict(inputs, prepared=True)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=20)
    for each in (loader, DataLoader(inputs, batch_size=20)):
        found = trainer.predict(trained.task, each)
        torch.testing.assert_close(
            torch.cat([batch.probabilities for batch in found]), expected.probabilities
        )
    task = trained.task
    task.network.requires_grad_(True)
    before = task(inputs[:2]).detach()
    trainer.fit(task, loader, loader)
    assert task.epoch_scores["val"]["n"] == 60
    assert not torch.equal(task(inputs[:2]), before)


def test_the_command_writes_a_table_and_a_figure(runs, digits, tmp_path, capsys):
    files = []
    for place in range(3):
        files.append(str(tmp_path / f"{place}.png"))
        Image.fromarray(digits.test_images[place].numpy()).save(files[-1])
    out, figure = tmp_path / "out.csv", tmp_path / "figure.png"
    where = [str(runs["rot90"]), *files, "--out", str(out), "--figure", str(figure)]
    assert predict.main(where) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    expected = stnlab.load(runs["rot90"]).predict(digits.test_images[:3])
    assert [row["class"] for row in rows] == [str(each) for each in expected.labels.tolist()]
    assert float(rows[1]["probability of 4"]) == pytest.approx(expected.probabilities[1, 4].item())
    assert float(rows[2]["theta22"]) == pytest.approx(expected.theta[2, 0, 4].item())
    with Image.open(figure) as drawn:
        assert drawn.size[0] > 100
    assert f"{files[0]}: {expected.labels[0]} (" in capsys.readouterr().out


def test_the_command_reads_series(runs, tmp_path, capsys):
    folder = runs["series"].parents[2] / "moved" / "test"
    files = [str(each) for each in sorted(folder.glob("*_timeseries.csv"))[:2]]
    figure, moments = tmp_path / "figure.png", tmp_path / "moments.npz"
    more = ["--figure", str(figure), "--moments", str(moments)]
    assert predict.main([str(runs["series"]), *files, *more]) == 0
    assert figure.is_file()
    assert capsys.readouterr().out.count("\n") == 2
    found = np.load(moments)
    assert found["files"].tolist() == files
    assert found["moments"].shape == found["inverse_moments"].shape == (2, 1, 48)


def test_a_network_without_a_warp_of_time_has_no_moments(runs, tmp_path, capsys):
    where = [str(runs["rot90"]), str(tmp_path / "0.png"), "--moments", str(tmp_path / "m.npz")]
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(where[1])
    assert predict.main(where) == 1
    assert "--moments: " in capsys.readouterr().err


def test_the_commands_mistakes_are_one_line(runs, capsys):
    for arguments in (
        ["outputs/nothing", "x.png"],
        [str(runs["rot90"]), "x.png"],
        [str(runs["rot90"]), str(runs["rot90"] / "config.yaml")],
        [str(runs["rot90"]), "x.png", "--with", "none.py"],
    ):
        assert predict.main(arguments) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("error: ")


def test_a_mistake_shows_where_it_was_found_when_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(UserError, match="nothing"):
        predict.main(["outputs/nothing", "x.png"])


def test_what_is_kept_says_how_inputs_are_prepared(runs):
    kept = json.loads((runs["series"] / "preprocessing.json").read_text())
    assert kept["raw_columns"][7] == "Glucose"
    assert kept["spec"]["classes"] == ["survived", "died"]
    assert len(kept["scale"]["Glucose"]) == 2
    assert "preprocessing.json" in (runs["series"] / "checksums.sha256").read_text()
    assert json.loads((runs["rot90"] / "preprocessing.json").read_text())["light_on_dark"]


# --- series of other datasets in their own units


def test_physionets_raw_series_are_prepared_as_its_records():
    rng = np.random.default_rng(0)
    low, high = np.array([reader.RANGES[name] for name in reader.VARIABLES], np.float32).T
    values = rng.uniform(low, high, (5, 48, 37)).astype(np.float32)
    values[rng.random(values.shape) < 0.8] = np.nan
    low, high = np.array([reader.RANGES[name] for name in reader.DESCRIPTORS], np.float32).T
    descriptors = rng.uniform(low, high, (5, 5)).astype(np.float32)
    descriptors[:, [1, 3]] = [[0, 1], [1, 2], [np.nan, 3], [0, 4], [1, np.nan]]
    records = reader.Records(values, descriptors, np.zeros(5, np.int64), list("abcde"), "")
    statistics = reader.statistics_of(records)
    static = np.broadcast_to(descriptors[:, :, None], (5, 5, 48))
    raw = np.concatenate([values.swapaxes(1, 2), static], axis=1)
    expected = reader.features(records, statistics)
    assert np.array_equal(reader.features_of_raw(raw, statistics.scale), expected)
    implausible = raw.copy()
    implausible[0, 0] = -1
    missing = raw.copy()
    missing[0, 0] = np.nan
    assert np.array_equal(
        reader.features_of_raw(implausible, statistics.scale),
        reader.features_of_raw(missing, statistics.scale),
    )


def test_a_record_of_physionet_is_read(tmp_path):
    path = tmp_path / "132539.txt"
    path.write_text(
        "Time,Parameter,Value\n00:00,RecordID,132539\n00:00,Age,54\n00:00,Gender,-1\n"
        "00:07,HR,73\n01:37,HR,77\n01:37,pH,735\n"
    )
    raw = reader.raw_of_record(path)
    columns = list(reader.RAW_COLUMNS)
    assert raw.shape == (1, 42, 48)
    assert raw[0, columns.index("HR"), :3].tolist()[:2] == [73, 77]
    assert np.isnan(raw[0, columns.index("pH")]).all()
    assert (raw[0, columns.index("static->Age")] == 54).all()
    assert np.isnan(raw[0, columns.index("static->Gender")]).all()


def test_series_without_rules_of_their_own_are_carried_forward(tmp_path):

    path = tmp_path / "series.csv"
    path.write_text("b,time,a\n1,0,\n2,1,7\n3,2,\n")
    raw = read_table(path, ["a", "b"], 3)
    assert np.array_equal(raw, [[[np.nan, 7, np.nan], [1, 2, 3]]], equal_nan=True)
    x = standardised(raw, ["a", "b", "mask->a"], {"a": (5.0, 2.0)})
    assert x.tolist() == [[[0, 1, 1], [1, 2, 3], [0, 1, 0]]]
    with pytest.raises(UserError, match="column 'a' has NaN"):
        standardised(raw, ["a", "b"], {})
    with pytest.raises(UserError, match="lacks the column 'c'"):
        read_table(path, ["a", "c"], 3)
    with pytest.raises(UserError, match="has 3 rows; allowed: a row for each of 4"):
        read_table(path, ["a", "b"], 4)


def test_a_table_may_have_a_byte_order_mark(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("a,b,note,note\n1,2,x,y\n3,4,x,y\n", encoding="utf-8-sig")
    assert read_table(path, ["a", "b"], 2).tolist() == [[[1, 3], [2, 4]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", r"series\.csv, line 3, has another number of fields than the 2 columns"),
        ("a,b\n1,2,9\n3,4\n", r"series\.csv, line 2, has another number of fields than the 2"),
        ("a,b,a\n1,2,3\n4,5,6\n", r"series\.csv, line 1, has the column 'a' twice"),
        ("a,b\n1,2\n3,high\n", r"'high'; a field is a number, or empty"),
    ],
)
def test_a_table_that_could_be_misread_is_refused(tmp_path, text, message):
    path = tmp_path / "series.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_table(path, ["a", "b"], 2)


def test_images_of_floats_are_scaled_as_arrays_of_floats(tmp_path):
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    path, image, spec = (
        tmp_path / "f.tiff",
        Image.fromarray(values),
        ImageSpec(Task.multiclass, channels=1, size=(8, 8), num_classes=2),
    )
    image.save(path)
    expected = pixels_of(values, spec, Fit())
    assert expected.max() == 255
    for picture in (image, path):
        assert torch.equal(pixels_of(picture, spec, Fit()), expected)
    with pytest.raises(UserError, match="the image has values from 0 to 255; allowed: 0 to 1"):
        pixels_of(Image.fromarray(values * 255), spec, Fit())


def test_importing_the_package_is_cheap():
    """Neither torch nor Hydra; what it declares is there."""

    code = "import sys, stnlab; dir(stnlab); print({'torch', 'hydra', 'numpy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"
    for name in stnlab.__all__:
        assert getattr(stnlab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        stnlab.lod  # noqa: B018


def own(tmp_path, *overrides):
    """A run on data of one's own, in two steps."""
    short = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.accelerator=cpu"]
    config = compose([*short, f"output_dir={tmp_path / 'outputs'}", *overrides])
    return train(config, Console(quiet=True)).path, config.dataset.load()


def test_pictures_of_ones_own_are_prepared_as_in_the_run(tmp_path):
    rng = np.random.default_rng(0)
    for part, name, place in [
        (p, c, n) for p in ("train", "test") for c in "ab" for n in range(12)
    ]:
        path = tmp_path / "pictures" / part / name / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (36, 48, 3), np.uint8)).save(path)
    root = f"dataset.root={tmp_path / 'pictures'}"
    path, parts = own(tmp_path, "dataset=images", root, "dataset.size=[28,28]", "model=cnn")
    (tmp_path / "pictures").rename(tmp_path / "moved")
    trained = stnlab.load(path)
    assert trained.classes == ("a", "b")
    files = [tmp_path / "moved" / "test" / name for name in parts.test_names]
    mean, std = trained.mean_and_std
    pixels = parts.test.images[parts.test.members[:, 0]].float()
    assert torch.equal(trained.prepare(files), normalise(pixels, mean, std))


def test_series_of_ones_own_are_prepared_as_in_the_run(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2, 30)).astype(np.float32), np.arange(60) % 3
    x[5:9, 1, 20:] = np.nan
    (tmp_path / "series").mkdir()
    np.savez(tmp_path / "series" / "all.npz", x=x, y=y)
    path, parts = own(
        tmp_path, "dataset=series", f"dataset.root={tmp_path / 'series'}", "model=ts-stn"
    )
    (tmp_path / "series").rename(tmp_path / "moved")
    trained = stnlab.load(path)
    assert trained.classes == ("0", "1", "2")
    test = parts.test
    assert torch.equal(trained.prepare(x[[int(name) for name in test.names]]), test.x)
