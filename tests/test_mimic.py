"""Reading the MIMIC-III benchmark's files: the discretizer's own arrays, quirks, mistakes."""

import contextlib
import gzip
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from stnlab.data import mimic, places
from stnlab.data.mimic import cache as mimic_cache
from stnlab.data.mimic import episodes as mimic_episodes
from stnlab.data.mimic.variables import VARIABLES
from stnlab.errors import UserError

CONFORMANCE = Path(__file__).parent / "data" / "mimic-conformance"
NAMES = [variable.name for variable in VARIABLES]
STAY = "10_episode1_timeseries.csv"


@pytest.fixture
def conformance(tmp_path):
    return Path(shutil.copytree(CONFORMANCE, tmp_path / "in-hospital-mortality"))


@pytest.fixture
def root(tmp_path):
    """A small folder: two stays for training, one for validation, one for test."""
    root = tmp_path / "small"
    for folder in ("train", "test"):
        (root / folder).mkdir(parents=True)
    stays = {"train": {10: 0, 11: 1}, "val": {20: 0}, "test": {30: 1}}
    for split, labels in stays.items():
        names = {f"{number}_episode1_timeseries.csv": y for number, y in labels.items()}
        write_list(root, split, names)
        for name in names:
            write(root / ("test" if split == "test" else "train") / name, [row(1.5, pH="7.2")])
    return root


def write_list(root, split, labels):
    lines = ["stay,y_true", *(f"{name},{y}" for name, y in labels.items())]
    (root / f"{split}_listfile.csv").write_text("\n".join(lines) + "\n")


def row(hours, **values):
    """A line of an episode; ``Heart_Rate=80`` is the variable 'Heart Rate'."""
    given = {name.replace("_", " "): str(value) for name, value in values.items()}
    assert given.keys() <= set(NAMES)
    return ",".join([str(hours), *(given.get(name, "") for name in NAMES)])


def write(path, rows, header=("Hours", *NAMES)):
    path.write_text("\n".join([",".join(header), *rows]) + "\n")


def hours_of(rows):
    """The (48, 17) hourly values of an episode, the same by both readings."""
    content = "\n".join([",".join(["Hours", *NAMES]), *rows, ""]).encode()
    one = mimic_episodes.hours_of_one(Path("episode.csv"), content)
    many = mimic_episodes.hours_of_many([content])
    if many is not None:
        np.testing.assert_array_equal(many[0], one)
    return one


def value_at(x, hour, column):
    return x[hour, mimic.COLUMNS.index(column)]


# -- Agreement with the benchmark ----------------------------------------------------------------


def test_columns():
    with np.load(CONFORMANCE / "expected.npz") as expected:
        assert expected["header"].tolist() == list(mimic.COLUMNS)
    assert len(mimic.COLUMNS) == 76
    assert len(mimic.CONTINUOUS) == 12


@pytest.mark.parametrize("split", mimic.SPLITS)
@pytest.mark.parametrize("imputation", mimic.IMPUTATIONS)
def test_agreement_with_the_benchmarks_discretizer(conformance, split, imputation):
    with np.load(CONFORMANCE / "expected.npz") as expected:
        for _ in ("parsed", "from the cache"):
            x, y, stays = mimic.read_split(conformance, split, imputation)
            assert x.dtype == np.float32
            np.testing.assert_array_equal(x, expected[f"{split}/{imputation}"], strict=True)
            np.testing.assert_array_equal(y, expected[f"{split}/labels"], strict=True)
            assert stays == expected[f"{split}/stays"].tolist()


def test_both_readings_agree_on_every_conformance_file():
    for path in sorted(CONFORMANCE.glob("*/*_timeseries.csv")):
        content = path.read_bytes()
        many = mimic_episodes.hours_of_many([content])
        assert many is not None, path
        np.testing.assert_array_equal(many[0], mimic_episodes.hours_of_one(path, content))


def test_both_readings_agree_on_damaged_files():
    """Whatever bytes change, the fast reading gives the careful one's values or gives up."""
    draw = random.Random(0)
    files = sorted(CONFORMANCE.glob("*/*_timeseries.csv"))
    alphabet = b'0123456789.,-+eE_ \n\r\tnaifNxSp"\x00\xff'
    accepted = refused = 0
    for _ in range(1500):
        content = bytearray(draw.choice(files).read_bytes())
        del content[content.rfind(b"\n", 0, 3000) + 1 :]
        for _ in range(draw.choice([1, 1, 1, 3])):
            at = draw.randrange(len(content))
            if draw.random() < 0.5:
                content[at] = draw.choice(alphabet)
            else:
                del content[at : at + draw.choice([1, 1, 5, 400])]
            content = content or bytearray(b"x")
        many = mimic_episodes.hours_of_many([bytes(content)])
        if many is not None:
            one = mimic_episodes.hours_of_one(Path("damaged.csv"), bytes(content))
            np.testing.assert_array_equal(many[0], one)
            accepted += 1
        else:
            with contextlib.suppress(UserError):
                mimic_episodes.hours_of_one(Path("damaged.csv"), bytes(content))
                continue
            refused += 1
    assert accepted > 100
    assert refused > 100


# -- Quirks that the benchmark has a rule for ----------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "place"),
    [(0.0, 0), (0.5, 0), (1.0, 0), (1.0000005, 0), (1.00001, 1), (47.5, 47), (48.0, 47), (-0.5, 0)],
)
def test_the_bin_of_an_hour(hours, place):
    found = hours_of([row(hours, pH=7)])
    assert np.argwhere(~np.isnan(found)).tolist() == [[place, NAMES.index("pH")]]


def test_the_last_row_of_a_bin_wins_and_empty_fields_do_not():
    found = hours_of([row(3.1, pH=7.1, Weight=70), row(3.2, pH=7.2), row(3.3, Height=180)])
    assert found[3, NAMES.index("pH")] == np.float32(7.2)
    assert found[3, NAMES.index("Weight")] == 70


def test_rows_after_hour_48_are_left_alone_whatever_they_hold():
    found = hours_of([row(1, pH=7), row(49, pH="far too late"), row(50, Glucose="nan")])
    assert np.count_nonzero(~np.isnan(found)) == 1


@pytest.mark.parametrize("spelling", ["15", "15.0", "15.00"])
def test_a_category_that_is_a_number_may_have_decimals(spelling):
    found = hours_of([row(1, Glascow_coma_scale_total=spelling)])
    categories = VARIABLES[NAMES.index("Glascow coma scale total")].categories
    assert categories[int(found[0, NAMES.index("Glascow coma scale total")])] == "15"


def test_the_capillary_refill_rate_without_decimals():
    assert hours_of([row(1, Capillary_refill_rate=1)])[0, 0] == 1


def test_none_is_a_category_of_eye_opening():
    found = hours_of([row(1, Glascow_coma_scale_eye_opening="None")])
    assert found[0, NAMES.index("Glascow coma scale eye opening")] == 4


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (">60/minute", 60),
        ("80/60", 80),
        ("< 40", 40),
        ("88 bpm", 88),
        (" 72.5 ", 72.5),
        ("~.5", 0.5),
        ("60/", 60),
        ('"75, paced"', 75),
        ("None", None),
        ("Error", None),
        ('"no, not yet"', None),
    ],
)
def test_texts_where_the_benchmark_does_not_clean(text, number):
    for name in ("Heart_Rate", "Respiratory_rate", "Mean_blood_pressure"):
        found = hours_of([row(1, **{name: 50}), row(1.5, **{name: text}), row(3, pH=7)])
        channel = NAMES.index(name.replace("_", " "))
        assert found[1, channel] == number or (number is None and np.isnan(found[1, channel]))
        assert found[0, channel] == 50


def test_none_where_it_is_no_category_says_that_nothing_was_measured():
    found = hours_of([row(1.5, Glascow_coma_scale_verbal_response="None", pH=7)])
    assert np.count_nonzero(~np.isnan(found)) == 1


def test_a_text_that_is_nothing_keeps_what_was_measured_in_the_hour():
    found = hours_of([row(1.2, Heart_Rate=80), row(1.5, Heart_Rate="None")])
    assert found[1, NAMES.index("Heart Rate")] == 80


def test_shuffled_columns_windows_line_ends_and_no_last_line_end(root):
    path = root / "train" / STAY
    rows = [row(1.5, pH=7.2, Weight=70), row(2.5, Heart_Rate=90)]
    write(path, rows)
    plain, _, _ = mimic.read_split(root, "train")
    order = [0, *random.Random(1).sample(range(1, 18), 17)]
    shuffled = [",".join(line.split(",")[place] for place in order) for line in rows]
    header = [["Hours", *NAMES][place] for place in order]
    lines = [",".join(header), *shuffled]
    for text in ("\n".join(lines) + "\n", "\r\n".join(lines) + "\r\n", "\n".join(lines)):
        path.write_bytes(text.encode())
        np.testing.assert_array_equal(mimic.read_split(root, "train")[0], plain)


def test_imputation(root):
    write(root / "train" / STAY, [row(10.5, Heart_Rate=90, Glascow_coma_scale_total=3)])
    three = "Glascow coma scale total->3"
    for imputation, before, after in (
        ("previous", 86, 90),
        ("next", 90, 86),
        ("normal_value", 86, 86),
        ("zero", 0, 0),
    ):
        x = mimic.read_split(root, "train", imputation)[0][0]
        assert [value_at(x, hour, "Heart Rate") for hour in (9, 10, 11)] == [before, 90, after]
        assert value_at(x, 10, three) == 1
        assert value_at(x, 11, three) == (imputation == "previous")
        assert x[:, mimic.COLUMNS.index("mask->Heart Rate")].sum() == 1
        total = [name.startswith("Glascow coma scale total") for name in mimic.COLUMNS]
        assert (x[:, total].sum(axis=1) == 1).all() == (imputation != "zero")


def test_one_odd_file_among_many_does_not_change_the_others(conformance):
    stay = sorted(conformance.glob("train/*_timeseries.csv"))[3].name
    before = mimic.load_split(conformance, "train")
    path = conformance / "train" / stay
    path.write_bytes(path.read_bytes().replace(b"\n", b" \n", 2))  # only the careful reading
    after = mimic.load_split(conformance, "train")
    np.testing.assert_array_equal(before.x, after.x)
    assert before.sha256 != after.sha256


# -- Mistakes, each with its message -------------------------------------------------------------


def refused(root, match, split="train", imputation="previous"):
    with pytest.raises(UserError, match=match):
        mimic.read_split(root, split, imputation)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([row(1), "2.0,1.0,5"], r"line 3: 3 fields where the header has 18; .*cut off.*Make"),
        ([row(1), row(2) + ",7"], r"line 3: 19 fields where the header has 18"),
        ([row(1), "", row(2)], r"line 3: an empty line where the header has 18"),
        ([row(1, pH="NaN")], r"line 2, column 'pH': NaN is not a finite float32; a missing value"),
        ([row(1, pH="inf")], r"line 2, column 'pH': inf is not a finite"),
        ([row(1, pH="1e300")], r"line 2, column 'pH': 1e300 is not a finite"),
        ([row(1), row(2, Weight="fat")], r"line 3, column 'Weight': 'fat' is not a number"),
        ([row(1, Heart_Rate="8x5")], r"column 'Heart Rate': '8x5' is not a number"),
        ([row(1, Weight='"80,5"')], r"column 'Weight': '80,5' is not a number"),
        (
            [row(1, Glascow_coma_scale_eye_opening="To Spech")],
            r"column 'Glascow coma scale eye opening': 'To Spech' is none of its categories "
            r"\(To Pain, .*Did you mean 'To Speech'",
        ),
        ([row(1, Glascow_coma_scale_total=0)], r"'0' is none of its categories \(11, 10, 13"),
        ([row(1, Glascow_coma_scale_total=14.5)], r"'14.5' is none of its categories"),
        ([row(1, Glascow_coma_scale_total="nan")], r"'nan' is none of its categories"),
        ([row(5), row(2)], r"line 3, column 'Hours': 2 comes after 5.0; rows must be in the order"),
        ([row(-1)], r"line 2, column 'Hours': -1 lies outside of the 48 hours after admission"),
        ([row(-1e30)], r"line 2, column 'Hours': -1e\+30 lies outside"),
        ([row("")], r"line 2, column 'Hours': nothing is not a number"),
        ([row("noon")], r"line 2, column 'Hours': 'noon' is not a number"),
        ([row("nan")], r"line 2, column 'Hours': nan is not a finite float32"),
        ([], r"has a header and no rows: nothing was measured.*take the stay off its list"),
    ],
)
def test_a_malformed_episode(root, rows, match):
    write(root / "train" / STAY, rows)
    refused(root, STAY + ".*" + match)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (["Time", *NAMES], r"line 1: the header begins with 'Time', not with 'Hours'"),
        (["Hours", *NAMES[:-1]], r"line 1: the header lacks 'pH'\. A variable that was never"),
        (["Hours", *NAMES, "Lactate"], r"line 1: the column 'Lactate' is none of the benchmark's"),
        (
            ["Hours", "Glasgow coma scale total", *NAMES],
            r"'Glasgow coma scale total' is none of .* Did you mean 'Glascow coma scale total'",
        ),
        (["Hours", *NAMES, "pH"], r"line 1: the column 'pH' stands there twice"),
        ([""], r"is empty, or begins with an empty line"),
    ],
)
def test_a_malformed_header(root, header, match):
    write(root / "train" / STAY, [row(1)], header)
    refused(root, match)


def test_an_empty_file(root):
    (root / "train" / STAY).write_bytes(b"")
    refused(root, STAY + r" is empty.*take the stay off its list")


def test_an_episode_that_is_not_utf8(root):
    path = root / "train" / STAY
    path.write_bytes(path.read_bytes() + row(2).encode() + b"\xff\n")
    refused(root, r"line 3: the byte 0xff is not UTF-8 text")


def test_a_missing_episode(root):
    (root / "train" / STAY).unlink()
    refused(root, rf"train_listfile\.csv names {STAY}, .*\(1 of 2 files are missing\)\. Copy")


def test_a_folder_where_an_episode_should_be(root):
    (root / "train" / STAY).unlink()
    (root / "train" / STAY).mkdir()
    refused(root, rf"{STAY} cannot be read: Is a directory")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"train_listfile\.csv is empty\. Write it again with python -m mimic3models"),
        ("stay,y_true\n", r"train_listfile\.csv lists no stay"),
        ("stay,period_length,y_true\n", r"line 1: the header is .*the list of another task"),
        (f"stay,y_true\n{STAY},2\n", r"line 2, column 'y_true': '2' is neither 0 .*nor 1"),
        (f"stay,y_true\n{STAY},\n", r"line 2, column 'y_true': '' is neither"),
        (f"stay,y_true\n{STAY}\n", r"line 2: .* is not a stay and its label"),
        (f"stay,y_true\n{STAY},24.0,1\n", r"line 2: .* is not a stay and its label"),
        ("stay,y_true\n../secret.csv,1\n", r"line 2, column 'stay': '../secret.csv' is not the"),
        (f"stay,y_true\n{STAY},0\n{STAY},1\n", r"line 3, .*listed twice, first in line 2"),
        ("stay,y_true\n30_episode2_timeseries.csv,0\n", r"patient 30 is in two parts of the data"),
        ("stay,y_true\n20_episode2_timeseries.csv,0\n", r"patient 20 is in two parts of the data"),
    ],
)
def test_a_malformed_list(root, text, match):
    (root / "train_listfile.csv").write_text(text)
    refused(root, match)


def test_a_list_that_is_not_utf8(root):
    (root / "train_listfile.csv").write_bytes(b"stay,y_true\n\xff\xfe,0\n")
    refused(root, r"train_listfile\.csv is not UTF-8 text")


def test_a_patient_in_train_and_test_is_seen_from_either_part(root):
    write_list(root, "test", {"11_episode2_timeseries.csv": 0})
    for split in ("train", "test"):
        refused(
            root,
            r"patient 11 .*11_episode1_timeseries.csv is in train_listfile.csv, "
            r"11_episode2_timeseries.csv in test_listfile.csv.*keep all stays of a patient",
            split,
        )


@pytest.mark.parametrize("root_of", ["nowhere", "file"])
def test_without_the_data_the_message_says_how_to_get_it(tmp_path, root_of):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        mimic.read_split(tmp_path / root_of, "train")
    message = str(caught.value)
    for word in (
        "dataset.root: ",
        "credentialed PhysioNet",
        "training",
        "data use agreement",
        "python -m stnlab.mimic3 PATH_TO_MIMIC_III_CSVS data/mimic3 --download",
        "mimic3-benchmarks",
        "dataset=physionet2012",
        "dataset.source=synthetic",
    ):
        assert word in message


def test_a_wrong_folder(tmp_path, root):
    outer = tmp_path / "outer"
    outer.mkdir()
    refused(outer, r"(?s)is another folder: it has no train_listfile.csv.*physionet2012")
    (outer / "data").mkdir()
    root.rename(outer / "data" / "in-hospital-mortality")
    refused(outer, r"one folder too high; set dataset.root=.*outer/data/in-hospital-mortality\.")


def test_a_training_part_that_is_not_yet_split(root):
    for split in mimic.SPLITS:
        (root / f"{split}_listfile.csv").unlink()
    write_list(root / "train", "x", {})
    (root / "train" / "x_listfile.csv").rename(root / "train" / "listfile.csv")
    refused(root, r"not yet split\. Run python -m mimic3models.split_train_val")


def test_a_missing_list(root):
    (root / "val_listfile.csv").unlink()
    refused(root, r"val_listfile\.csv is missing\. Run python -m mimic3models", "val")
    assert len(mimic.read_split(root, "train")[2]) == 2  # the others can still be read


def test_a_missing_part(root):
    shutil.rmtree(root / "test")
    refused(root, r"lacks the folder test/", "test")


def test_unknown_names(root):
    refused(root, r"split=valid is not known; choose one of train, val, test\. Did", "valid")
    refused(
        root,
        r"dataset.imputation=normal is not known; .*Did you mean 'normal_value'",
        imputation="normal",
    )


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only(label):
    with pytest.raises(UserError, match=rf"test_listfile.csv.*all 3 stays have the label {label}"):
        mimic.require_both_classes(np.full(3, label), "data", "test")
    mimic.require_both_classes(np.array([0, 1]), "data", "test")


# -- What can only mean one thing ----------------------------------------------------------------


def with_bom(root):
    for path in (root / "train_listfile.csv", root / "train" / STAY):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def with_blank_last_lines(root):
    for path in (root / "train_listfile.csv", root / "train" / STAY):
        path.write_text(path.read_text() + "\n\n")


def with_windows_lines(root):
    path = root / "train_listfile.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def with_labels_of_pandas(root):
    path = root / "train_listfile.csv"
    path.write_text(path.read_text().replace(",1\n", ",1.0\n").replace(",0\n", ",0.0\n"))


def packed_alone(root):
    for path in (*root.glob("*.csv"), *root.glob("*/*.csv")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize(
    "change",
    [with_bom, with_blank_last_lines, with_windows_lines, with_labels_of_pandas, packed_alone],
)
def test_what_can_only_mean_one_thing_is_read(root, change):
    expected = mimic.read_split(root, "train")
    change(root)
    x, y, stays = mimic.read_split(root, "train")
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])
    assert stays == expected[2]


@pytest.mark.parametrize("label", ["0.5", "2", "True", "1.00", ""])
def test_other_labels_are_refused(root, label):
    path = root / "train_listfile.csv"
    path.write_text(path.read_text().replace(",1\n", f",{label}\n").replace(",0\n", f",{label}\n"))
    with pytest.raises(UserError, match=r"column 'y_true': .* is neither 0"):
        mimic.read_split(root, "train")


def test_a_folder_that_is_still_packed_is_said_to_be(tmp_path):
    archive = tmp_path / "in-hospital-mortality.tar.gz"
    archive.touch()
    with pytest.raises(UserError, match=r"tar\.gz is still packed\. Unpack it"):
        mimic.read_split(archive, "train")


def test_a_packed_episode_that_is_cut_off_is_named(root):
    packed_alone(root)
    path = root / "train" / f"{STAY}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"timeseries\.csv\.gz cannot be read"):
        mimic.read_split(root, "train")


# -- Cache ---------------------------------------------------------------------------------------


def test_the_cache_is_used_while_the_content_is_the_same(root, monkeypatch):
    first = mimic.load_split(root, "train")
    with monkeypatch.context() as patch:
        patch.setattr("stnlab.data.mimic.reader.read_hours", None)  # a second parse would fail
        for imputation in mimic.IMPUTATIONS:
            assert mimic.load_split(root, "train", imputation).sha256 == first.sha256
    write(root / "train" / STAY, [row(1.5, pH="7.3")])
    assert value_at(mimic.load_split(root, "train").x[0], 1, "pH") == np.float32(7.3)


def test_a_changed_list_is_not_answered_from_the_cache(root):
    mimic.read_split(root, "train")
    write_list(root, "train", {"11_episode1_timeseries.csv": 1, STAY: 0})
    _, y, stays = mimic.read_split(root, "train")
    assert stays == ["11_episode1_timeseries.csv", STAY]
    assert y.tolist() == [1, 0]


def test_a_damaged_cache_is_made_again(root):
    expected = mimic.load_split(root, "train")
    path = mimic_cache.cache_path(root, "train")
    whole = path.read_bytes()
    cut = [whole[:size] for size in (0, 10, len(whole) // 2, len(whole) - 1)]
    flipped = [
        whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]
        for at in range(0, len(whole), len(whole) // 150)
    ]
    for damaged in [*cut, *flipped, b"not a cache"]:
        path.write_bytes(damaged)
        np.testing.assert_array_equal(mimic.load_split(root, "train").x, expected.x)
    path.write_bytes(cut[2])
    mimic.load_split(root, "train")
    assert mimic_cache.load(path, 2) is not None


def test_the_cache_of_a_read_only_folder_lies_in_the_users(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    root.chmod(0o555)
    try:
        mimic.read_split(root, "train")
    finally:
        root.chmod(0o755)
    assert not (root / ".cache").exists()
    kept = list((tmp_path / "user").rglob("*"))
    assert [path.name for path in kept if path.is_file()] == ["train.npz"]


def test_without_a_home_the_cache_is_a_temporary_folder_that_is_named(root):
    """As a container's user whom the system does not know, on data that is read-only."""
    if os.getuid():
        pytest.skip("to be another user takes root")
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # which that user may enter
        data, temporary = Path(place) / "data", Path(place) / "tmp"
        shutil.copytree(root, data)
        temporary.mkdir()
        for path, mode in ((Path(place), 0o755), (temporary, 0o777)):
            path.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY.format(data=str(data))],
            env={"TMPDIR": str(temporary), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
        kept = temporary / "stnlab-54321"
        assert done.stderr == (
            "there is no home directory: what is made of the data is kept in "
            f"{kept}. XDG_CACHE_HOME=FOLDER names another place.\n"
        )
        assert kept.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in kept.rglob("*.npz")] == ["train.npz"]


AS_NOBODY = """
import encodings.utf_8_sig, os, tempfile, zipfile  # now: that user may not read Python itself
from stnlab.data.mimic import cache, reader
os.setgid(54321)
os.setuid(54321)
for _ in range(2):
    stays = reader.read_split("{data}", "train")[2]
print(len(stays))
"""


def test_a_temporary_folder_of_anothers_is_not_used(root, tmp_path, monkeypatch):
    """Who has made it before us would choose what is read from it."""
    (tmp_path / "tmp" / f"stnlab-{os.getuid()}").mkdir(parents=True)
    (tmp_path / "tmp" / f"stnlab-{os.getuid()}").chmod(0o777)
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    root.chmod(0o555)
    try:
        places._temporary_cache.cache_clear()
        mimic.read_split(root, "train")
    finally:
        root.chmod(0o755)
        places._temporary_cache.cache_clear()
    (kept,) = (tmp_path / "tmp").rglob("*.npz")
    assert kept.parents[1].name.startswith(f"stnlab-{os.getuid()}-")


def test_where_nothing_can_be_kept_the_data_is_read_all_the_same(root):
    (root / ".cache").write_text("a file in the way")
    assert len(mimic.read_split(root, "train")[2]) == 2
    assert sorted(path.name for path in root.iterdir() if path.name.startswith(".")) == [".cache"]


# -- Standardisation -----------------------------------------------------------------------------


def test_standardisation_knows_the_training_part_alone(conformance):
    x_train, x_val = (mimic.read_split(conformance, split)[0] for split in ("train", "val"))
    statistics = mimic.statistics_of(x_train)
    standard = mimic.standardised(x_train, statistics)
    continuous = list(mimic.CONTINUOUS)
    flat = standard[..., continuous].reshape(-1, 12)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(flat.std(axis=0, ddof=1), 1, atol=1e-4)
    others = [column for column in range(76) if column not in continuous]
    np.testing.assert_array_equal(standard[..., others], x_train[..., others])
    mean = x_train[..., continuous].reshape(-1, 12).astype(np.float64).mean(axis=0)
    std = x_train[..., continuous].reshape(-1, 12).astype(np.float64).std(axis=0, ddof=1)
    np.testing.assert_allclose(
        mimic.standardised(x_val, statistics)[..., continuous],
        (x_val[..., continuous] - mean) / std,
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_constant_column_stays_finite(root):
    x, _, _ = mimic.read_split(root, "train")
    standard = mimic.standardised(x, mimic.statistics_of(x))
    assert np.isfinite(standard).all()
    assert (standard[..., mimic.COLUMNS.index("Glucose")] == 0).all()
