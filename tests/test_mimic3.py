"""From MIMIC-III's tables to the benchmark's episodes: the demo's, and every rule by itself.

The measure is ``mimic3_reference``, and beside the project's folder the open demo with the
benchmark's own output, where it is there.
"""

import csv
import errno
import gzip
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import mimic3_reference
import mimic3_tables
import pytest
from mimic3_tables import (
    HEART_RATE,
    TEMPERATURE,
    VALUES,
    Tables,
    at,
    by_chance,
    every_rule,
    write_split,
)
from rich.console import Console

from stnlab.config import compose
from stnlab.data.mimic import reader
from stnlab.errors import UserError
from stnlab.mimic3 import build as build_module
from stnlab.mimic3 import progress as progress_module
from stnlab.mimic3 import split as split_module
from stnlab.mimic3 import value_types
from stnlab.mimic3 import verify as verify_module
from stnlab.mimic3.__main__ import main
from stnlab.mimic3.build import Settings, build
from stnlab.mimic3.items import ITEMS, LABEL_UNITS, NAMES
from stnlab.mimic3.split import read_split
from stnlab.run import train

REFERENCE_ITEMS = {item: (name, LABEL_UNITS.get(item, "")) for item, name in ITEMS.items()}
WHOLE = Settings(jobs=1, whole=True)
DEMO = Path(__file__).parents[1].parent / "shared" / "data" / "mimic3-demo"


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split") / "split"
    return write_split(folder, test=range(103, 1000, 5), val=range(100, 1000, 4))


def files_of(out):
    """The content of each file but for those about the making."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*.csv")
        if path.name != "stays.csv"
    }


def made(raw, out, split, settings=WHOLE):
    """Make the episodes; returns the files, the log, and the lines told."""
    told = []
    log = build(raw, out, read_split(split), settings, told.append)
    assert log == json.loads((out / "log.json").read_text())
    return files_of(out), log, told


def check_same(found, expected):
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


# --- every rule


@pytest.fixture(scope="module")
def rules(tmp_path_factory, split):
    """Every rule, made once: the files, the log, and the lines told; and the reference's."""
    folder = tmp_path_factory.mktemp("rules")
    raw = every_rule().write(folder / "raw")
    expected = mimic3_reference.episodes(raw, split, REFERENCE_ITEMS)
    return made(raw, folder / "out", split), expected, folder / "out"


def test_every_rule_is_the_references(rules):
    (files, log, _), (expected, refused), _ = rules
    check_same(files, expected)
    assert len([name for name in files if name.startswith("in-hospital")]) > 60
    numbers = {variable: found["number"] for variable, found in log["values refused"].items()}
    by_variable = {variable: 0 for variable, _ in refused}
    for (variable, _), count in refused.items():
        by_variable[variable] += count
    assert numbers == by_variable


@pytest.mark.parametrize("case", VALUES)
def test_a_value(rules, case):
    (files, *_), _, _ = rules
    number = 100 + list(VALUES).index(case)
    (content,) = (
        [content for name, content in files.items() if f"/{number}_episode1_" in name]
    ) or [None]
    expected = VALUES[case][1]
    if content is None:
        assert expected == {}
        return
    header, line, end = content.decode().split("\n")
    assert end == ""
    assert header == ",".join(["Hours", *NAMES])
    cells = ",".join(["2.0", *(expected.get(name, "") for name in NAMES)])
    assert line == cells


def lines_of(files, name, whole=False):
    """(hours, heart rate) of an episode; None where there is none."""
    place = "episodes/" if whole else "in-hospital-mortality/"
    for path, content in files.items():
        if path.startswith(place) and path.endswith(name):
            rows = list(csv.DictReader(content.decode().splitlines()))
            return [(float(row["Hours"]), row["Heart Rate"]) for row in rows]
    return None


def labels_of(files):
    names = ("train/listfile.csv", "test/listfile.csv")
    lines = [files[f"in-hospital-mortality/{name}"].decode().splitlines()[1:] for name in names]
    pairs = (line.split(",") for each in lines for line in each)
    return {int(stay.split("_")[0]): int(label) for stay, label in pairs}


def test_who_is_an_adult(rules):
    (files, *_), *_ = rules
    there = [
        number for number in range(200, 206) if lines_of(files, f"{number}_episode1_timeseries.csv")
    ]
    assert there == [200, 202, 203]  # 6,570 days; born later than admitted; 300 years old


def test_who_died_in_hospital(rules):
    (files, *_), *_ = rules
    labels = labels_of(files)
    assert [labels[number] for number in range(220, 230)] == [0, 1, 1, 0, 1, 0, 1, 0, 1, 0]


def test_which_stays_are_samples(rules):
    (files, *_), *_ = rules
    of_48_hours = [number for number in range(240, 254) if number in labels_of(files)]
    assert of_48_hours == [240, 242, 248, 253]
    whole = [n for n in range(240, 254) if lines_of(files, f"/{n}/episode1_timeseries.csv", True)]
    assert whole == [*range(240, 249), 253]


def test_the_first_48_hours(rules):
    (files, *_), *_ = rules
    rates = [rate for _, rate in lines_of(files, "260_episode1_timeseries.csv")]
    assert rates == ["72", "73", "74", "75", "76"]
    whole = lines_of(files, "/260/episode1_timeseries.csv", whole=True)
    assert [rate for _, rate in whole] == [str(rate) for rate in range(70, 80)]
    assert [number for number in range(261, 265) if number in labels_of(files)] == []


def test_times(rules):
    (files, *_), *_ = rules
    there = [
        number
        for number in range(270, 279)
        if lines_of(files, f"/{number}/episode1_timeseries.csv", True)
    ]
    assert there == [273, 274, 275, 276]
    assert (
        lines_of(files, "276_episode1_timeseries.csv")[0][0]
        == (11 * 3600 + 44 * 60 + 53.5) / 60 / 60
    )


def test_several_stays(rules):
    (files, *_), *_ = rules
    first, second, third, fourth, fifth = (
        lines_of(files, f"/300/episode{number}_timeseries.csv", whole=True)
        for number in range(1, 6)
    )
    assert first == [(1.0, "88"), (20.0, "66"), (105.5, "55")]
    assert second == [(-50.0, "66"), (35.5, "55"), (40.0, "91"), (40.0, "91"), (50.0, "85")]
    assert third == [(5.5, "55"), (10.0, "91"), (10.0, "91"), (20.0, "85")]
    assert fourth is None  # nothing was measured, and the number stays free
    assert fifth == [(50.0, "77")]
    for number in (310, 320, 330):
        assert lines_of(files, f"/{number}/episode1_timeseries.csv", whole=True) is None
    rates = [lines_of(files, f"/340/episode{n}_timeseries.csv", True)[-1][1] for n in (1, 2, 3)]
    assert rates == ["x2", "x2", "x0"]


def test_ids(rules):
    (files, *_), *_ = rules
    found = lines_of(files, "400_episode1_timeseries.csv")
    assert [rate for _, rate in found if rate] == ["v7", "v8"]
    (content,) = (content for name, content in files.items() if "/400_episode1" in name)
    assert b"7.31" in content
    assert b"7.5" not in content
    assert b"178.0" in content


def test_columns_of_numbers(rules):
    (files, *_), *_ = rules
    rates = [rate for _, rate in lines_of(files, "420_episode1_timeseries.csv")]
    assert rates == ["102.0", "7.0", "100.0", "5.0", "inf", ""]
    (content,) = (content for name, content in files.items() if "/420_episode1" in name)
    last = dict(zip(["Hours", *NAMES], content.decode().splitlines()[-1].split(","), strict=True))
    assert [last[name] for name in ("Glucose", "pH", "Oxygen saturation", "Temperature")] == [
        *("-5.0", "100.0", "-50.0", "")
    ]
    assert last["Systolic blood pressure"] == "1.2345678901234568e+16"
    assert last["Capillary refill rate"] == ""
    rates = [lines_of(files, f"{n}_episode1_timeseries.csv")[0][1] for n in range(421, 425)]
    assert rates == ["98.0", "98", "98", "98"]


def test_what_is_told(rules):
    (_, log, told), _, out = rules
    text = "\n".join(told)
    for line in (
        "Temperature: values refused, not taken by its rule: 2: 'NAN' (1), 'hot' (1).",
        "CHARTEVENTS: rows with a time that cannot be read (left out): 3.",
        "CHARTEVENTS: rows without a time (left out): 2.",
        "CHARTEVENTS: rows with a HADM_ID that is no whole number (left out, since it is no adm",
        "CHARTEVENTS: rows with bytes that are not UTF-8 (a replacement character stands for th",
        "Times that cannot be read: ' 2150-03-01 21:00:00', '2150-03-01 21:00:00+01:00', 'soon'.",
        "Texts with a line break (a blank stands for it): 1.",
        "ICUSTAYS: lines that name a stay again (an admission with several drops out): 1.",
        "ICUSTAYS: stays without DOB or INTIME (left out): 3.",
        "The split is lists given by the user",
        "NOT the benchmark's",
    ):
        assert line in text, line
    rows = log["rows"]["CHARTEVENTS"]
    gone = ("of other subjects", "without HADM_ID", "of another admission", "of another ICU stay")
    assert rows["read"] == rows["valid"] + sum(rows[name] for name in gone)
    later = ("of other items", "without a value", "without a time")
    lost = sum(rows[name] for name in (*later, "with a time that cannot be read"))
    assert rows["valid"] == rows["kept"] + lost
    stays = list(csv.DictReader((out / "stays.csv").read_text().splitlines()))
    status = {(row["SUBJECT_ID"], row["ICUSTAY_ID"]): row["status"] for row in stays}
    assert status["300", "402"] == "no episode: nothing measured"
    assert status["245", "200245"] == "no sample: no diagnosis with a known code"
    assert status["243", "200243"] == "no sample: LOS is missing"
    assert status["241", "200241"] == "no sample: shorter than 48 hours"
    assert status["261", "200261"] == "no sample: nothing measured in the first 48 hours"
    assert {row["part"] for row in stays} == {"train", "val", "test"}
    assert all("NOT the benchmark's" in row["split"] for row in stays)


# --- the same from any form of the tables


@pytest.mark.parametrize(
    "form",
    [
        {"packed": True},
        {"lower": True, "quoted": True},
        {"order": 1},
        {"order": 2, "packed": True, "lower": True, "quoted": True},
    ],
    ids=str,
)
def test_any_form_of_the_tables_gives_the_same(rules, tmp_path, split, form):
    (files, _, told), *_ = rules
    raw = every_rule()
    if "order" in form:
        numbers = sorted({row["SUBJECT_ID"] for rows in raw.rows.values() for row in rows})
        random.Random(form["order"]).shuffle(numbers)
        form = {**form, "order": {number: place for place, number in enumerate(numbers)}}
    found, _, told_then = made(raw.write(tmp_path / "raw", **form), tmp_path / "out", split)
    check_same(found, files)
    assert sorted(told_then) == sorted(told)


def test_a_path_with_signs_of_all_kinds(rules, tmp_path, split):
    (files, *_), *_ = rules
    folder = tmp_path / "we[i]rd *? {x} subject=1" / "数据 é"
    raw = every_rule().write(folder / "raw", packed=True)
    check_same(made(raw, folder / "out [1]*", split)[0], files)


def test_columns_of_any_order_and_a_byte_order_mark(rules, tmp_path, split, monkeypatch):
    (files, *_), *_ = rules
    for name, header in list(mimic3_tables.HEADERS.items()):
        columns = [*header.split()[::-1], "MORE"]
        monkeypatch.setitem(mimic3_tables.HEADERS, name, " ".join(columns))
    raw = every_rule().write(tmp_path / "raw")
    for path in raw.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    check_same(made(raw, tmp_path / "out", split)[0], files)


@pytest.mark.parametrize("batch_rows", [1, 13, 1000])
def test_any_memory_gives_the_same(rules, tmp_path, split, monkeypatch, batch_rows):
    (files, *_), *_ = rules
    monkeypatch.setattr(build_module, "_between", lambda *_: batch_rows)
    raw = every_rule().write(tmp_path / "raw")
    check_same(made(raw, tmp_path / "out", split)[0], files)


def test_several_processes_give_the_same(rules, tmp_path, split, monkeypatch):
    (files, *_), *_ = rules
    monkeypatch.setattr(build_module, "_SMALL", 0)
    monkeypatch.setattr(build_module, "_MIN_SHARE", 40)
    raw = every_rule().write(tmp_path / "raw")
    check_same(made(raw, tmp_path / "out", split, Settings(jobs=2, whole=True))[0], files)


# --- numbers or texts


@pytest.mark.parametrize("seed", range(12))
def test_columns_in_pieces(tmp_path, split, monkeypatch, seed):
    """Pieces of 16 rows instead of 131,072, and batches that cut through them."""
    monkeypatch.setattr(mimic3_reference, "PIECE", 16)
    monkeypatch.setattr(value_types, "PIECE", 16)
    monkeypatch.setattr(value_types, "_COMPACT_ROWS", 20)
    monkeypatch.setattr(build_module, "_between", lambda *_: 50)
    raw = by_chance(seed).write(tmp_path / "raw")
    expected, _ = mimic3_reference.episodes(raw, split, REFERENCE_ITEMS)
    check_same(made(raw, tmp_path / "out", split)[0], expected)


def test_a_column_longer_than_a_piece(tmp_path, split):
    raw = Tables()
    raw.person(600)
    raw.event(600, 1, HEART_RATE, "098")
    for _ in range(value_types.PIECE - 2):
        raw.event(600, 1, "212", "1")
    raw.event(600, 2, HEART_RATE, "102")
    raw.event(600, 3, HEART_RATE, "7")  # the second piece, in which there is a text
    raw.event(600, 3, "212", "AF")
    folder = raw.write(tmp_path / "raw")
    files, *_ = made(folder, tmp_path / "out", split)
    check_same(files, mimic3_reference.episodes(folder, split, REFERENCE_ITEMS)[0])
    rates = [rate for _, rate in lines_of(files, "600_episode1_timeseries.csv")]
    assert rates == ["98", "102", "7"]


# --- the demo


demo = pytest.mark.skipif(
    not DEMO.is_dir(), reason="the open MIMIC-III demo is not beside the project (shared/data)"
)


@demo
def test_the_items():
    rows = list(csv.DictReader((DEMO / "items.csv").read_text().splitlines()))
    assert len(rows) == len(ITEMS) == 114
    assert {row["ITEMID"]: (row["VARIABLE"], row["LABEL_UNIT"]) for row in rows} == REFERENCE_ITEMS


@pytest.fixture(scope="module")
def demo_made(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    return made(DEMO / "raw", out, DEMO / "split"), out


@demo
def test_the_demo_is_the_benchmarks(demo_made):
    (found, log, _), _ = demo_made
    files = dict(found)
    expected = {
        f"{place}/{path.relative_to(folder)}": path.read_bytes()
        for place, folder in (
            ("in-hospital-mortality", DEMO / "expected"),
            ("episodes", DEMO / "expected-episodes"),
        )
        for path in folder.rglob("*.csv")
    }
    assert files.keys() == expected.keys()
    assert len(files) == 57 + 114 + 5
    for name in ("train/listfile", "train_listfile", "val_listfile"):  # theirs is in any order
        lines = files[f"in-hospital-mortality/{name}.csv"].splitlines()
        assert lines[1:] == sorted(lines[1:])
        for each in (files, expected):
            content = each[f"in-hospital-mortality/{name}.csv"]
            each[f"in-hospital-mortality/{name}.csv"] = sorted(content.splitlines())
    check_same(files, expected)
    assert log["split"] == "the benchmark's lists"
    assert not (demo_made[1] / "in-hospital-mortality" / "SPLIT-NOT-THE-BENCHMARKS.txt").exists()
    valid = sum(rows["valid"] for rows in log["rows"].values())
    assert (valid, log["cohort"]["subjects"], log["cohort"]["of adults"]) == (646_928, 89, 114)
    assert log["samples"] == {
        "train": {"stays": 41, "deaths": 10},
        "val": {"stays": 5, "deaths": 2},
        "test": {"stays": 11, "deaths": 5},
    }


@demo
def test_the_demo_in_another_form_and_two_processes(demo_made, tmp_path, monkeypatch):
    """Lower case, not packed, quoted, subjects in another order, little at a time, two jobs."""
    (files, *_), _ = demo_made
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in (DEMO / "raw").iterdir():
        with gzip.open(path, "rt", newline="") as file:
            header, *rows = csv.reader(file)
        if "SUBJECT_ID" in header:
            place = header.index("SUBJECT_ID")
            rows.sort(key=lambda row: row[place][::-1])
        with (raw / path.name.lower().removesuffix(".gz")).open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerow(map(str.lower, header))
            writer.writerows(rows)
    monkeypatch.setattr(build_module, "_SMALL", 0)
    monkeypatch.setattr(build_module, "_MIN_SHARE", 5_000)
    settings = Settings(jobs=2, memory=build_module.MIN_MEMORY, whole=True)
    check_same(made(raw, tmp_path / "out", DEMO / "split", settings)[0], files)


@demo
def test_the_demo_by_the_reference(demo_made):
    (files, *_), _ = demo_made
    expected, _ = mimic3_reference.episodes(DEMO / "raw", DEMO / "split", REFERENCE_ITEMS)
    check_same(files, expected)


# --- bad input, and what is there already


@pytest.fixture
def raw(tmp_path):
    """A few subjects' tables, not packed."""
    tables = Tables()
    for number in (700, 701, 702):
        tables.text(tables.person(number))
        tables.event(number, 3, HEART_RATE, "80")
    return tables.write(tmp_path / "raw")


def refused(raw, out, match, split=None, settings=WHOLE):
    """The command refuses with such a message, and leaves nothing behind."""
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(UserError, match=match) as error:
        build(raw, out, split, settings, lambda _: None)
    assert "\n" not in str(error.value)
    assert sorted(out.parent.rglob("*")) == before


def test_no_folder_of_tables(tmp_path, raw):
    out = tmp_path / "out"
    refused(tmp_path / "nowhere", out, r"RAW: .*nowhere does not exist\. .*physionet\.org")
    refused(raw / "PATIENTS.csv", out, "is a file, not a folder")
    refused(tmp_path, out, r"is a folder too high; the tables are in .*/raw\.")
    (raw / "LABEVENTS.csv").unlink()
    refused(raw, out, r"lacks LABEVENTS\.csv \(or \.csv\.gz, .*\): 1 of 8 tables")
    (raw / "hosp").mkdir()
    (raw / "icu").mkdir()
    refused(raw, out, r"has the folders hosp/ and icu/, which is MIMIC-IV\. .*MIMIC-III")


def denied(path, *_):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_a_folder_of_tables_that_cannot_be_read(tmp_path, raw, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", denied)
        with pytest.raises(
            UserError, match=r"RAW: .*/raw cannot be read: Permission denied\. Corr"
        ):
            build(raw, tmp_path / "out", None, WHOLE, lambda _: None)


@pytest.mark.parametrize(
    ("table", "content", "match"),
    [
        ("PATIENTS", b"subject_id,gender,anchor_age\n1,F,30\n", "column anchor_age, .* MIMIC-IV"),
        ("ICUSTAYS", b"subject_id,hadm_id,stay_id\n", "the column stay_id, which is MIMIC-IV"),
        ("ICUSTAYS", b"SUBJECT_ID;HADM_ID\n", "line 1: the header lacks SUBJECT_ID, HADM_ID, ICU"),
        ("ADMISSIONS", b"", r"ADMISSIONS\.csv is empty"),
        ("CHARTEVENTS", b"", r"CHARTEVENTS\.csv is empty"),
        ("PATIENTS", b"SUBJECT_ID,DOB,DOD\n1,2100\n", "line 2: 2 fields where the header has 3"),
        ("PATIENTS", b'SUBJECT_ID,DOB,DOD\n1,"' + b"x" * 200_000, "no CSV file that can be read"),
    ],
)
def test_a_table_that_is_none(tmp_path, raw, table, content, match):
    (raw / f"{table}.csv").write_bytes(content)
    refused(raw, tmp_path / "out", match)


def test_a_quote_that_does_not_end_well(tmp_path, raw):
    with (raw / "CHARTEVENTS.csv").open("a") as file:
        file.write('1,700,100700,200700,211,"80"x,,,,,,,,,\n')
    refused(raw, tmp_path / "out", r"CHARTEVENTS\.csv is no CSV file that can be read: a quoted")


def test_a_table_that_was_cut_off(tmp_path, raw):
    content = (raw / "CHARTEVENTS.csv").read_bytes()
    (raw / "CHARTEVENTS.csv").write_bytes(content[:-20])
    refused(raw, tmp_path / "out", r"CHARTEVENTS\.csv ends within a row, of which \d+ of 15 fields")
    (raw / "CHARTEVENTS.csv").write_bytes(content.rstrip(b"\n"))  # a last line without its end
    assert build(raw, tmp_path / "out", None, WHOLE, lambda _: None)["samples"]


@pytest.mark.parametrize("table", ["CHARTEVENTS", "DIAGNOSES_ICD"])
@pytest.mark.parametrize("damage", ["cut off", "changed", "not packed"])
def test_a_packed_table_that_is_damaged(tmp_path, table, damage):
    raw = every_rule().write(tmp_path / "raw", packed=True)
    path = raw / f"{table}.csv.gz"
    content = path.read_bytes()
    half = len(content) - 6  # in the checksum
    path.write_bytes(
        {
            "cut off": content[:half],
            "changed": content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :],
            "not packed": gzip.decompress(content),
        }[damage]
    )
    refused(raw, tmp_path / "out", rf"{table}\.csv\.gz is damaged, or was cut off: .*SHA256SUMS")


def test_what_is_there_is_kept(tmp_path, raw):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("")
    refused(raw, out, r"OUT: .*out is there, and was not made by this command\. Name another OUT")
    refused(raw, out / "thesis.txt", "is there, and was not made by this command")
    (out / "thesis.txt").unlink()
    build(raw, out, None, WHOLE, lambda _: None)  # an empty folder is taken
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    told = []
    build(raw, out, None, WHOLE, told.append)
    assert told == [f"{out} is there, made of these tables in this way: nothing was to be done."]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    refused(raw, out, "made in another way: split differ", settings=Settings(whole=True, seed=1))
    refused(raw, out, "made in another way: whole stays differ", settings=Settings())
    (raw / "CHARTEVENTS.csv").write_bytes((raw / "CHARTEVENTS.csv").read_bytes() + b"\n")
    refused(raw, out, "made in another way: tables differ")


def test_no_stay_that_counts(tmp_path, split):
    raw = Tables()
    raw.person(800, dob="2149-01-01 00:00:00")
    out = tmp_path / "out"
    files, log, _ = made(raw.write(tmp_path / "raw"), out, split)
    assert {*files.values()} == {b"stay,y_true\n"}
    assert log["cohort"]["of adults"] == 0


def test_where_nothing_can_be_written(tmp_path, raw):
    (tmp_path / "file").write_text("")
    refused(raw, tmp_path / "file" / "out", r"OUT: .*out cannot be written: .*another OUT")


def test_what_a_killed_one_left_is_removed(tmp_path, raw):
    left = tmp_path / ".out.tmp" / "rows"
    left.mkdir(parents=True)
    (left / "0000.arrow").write_bytes(b"half")
    build(raw, tmp_path / "out", None, WHOLE, lambda _: None)
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "out"}
    assert not (tmp_path / "out" / "rows").exists()


def test_without_polars(tmp_path, raw, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    refused(raw, tmp_path / "out", r"polars, which is not installed\. .* pip install -e '\.\[mimic")


# --- the split


def test_a_drawn_split_has_the_benchmarks_shares_and_says_so(tmp_path, raw):
    subjects = [str(number) for number in range(10_000)]
    drawn = split_module.drawn_split(subjects)
    assert drawn == split_module.drawn_split(subjects[::-1])
    assert drawn.test != split_module.drawn_split(subjects, seed=1).test
    assert (len(drawn.test), len(drawn.val)) == (1500, 1530)
    assert not drawn.test & drawn.val
    out = tmp_path / "out"
    told = []
    log = build(raw, out, None, WHOLE, told.append)
    note = (out / "in-hospital-mortality" / "SPLIT-NOT-THE-BENCHMARKS.txt").read_text()
    for text in (log["split"], note, told[0], (out / "stays.csv").read_text()):
        assert "drawn by lot, by patient, seed 0: NOT the benchmark's" in text


def test_a_split_that_is_none(tmp_path, split):
    with pytest.raises(UserError, match=r"--split: .*nowhere is no folder\. Get https://raw\."):
        read_split(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"lacks testset\.csv and valset\.csv\. Get https://raw"):
        read_split(tmp_path)
    folder = shutil.copytree(split, tmp_path / "split")
    (folder / "valset.csv").write_text("1,1\n2,yes\n")
    with pytest.raises(UserError, match=r"valset\.csv, line 2: '2,yes' is not a patient's"):
        read_split(folder)


def test_a_byte_order_mark_is_no_part_of_a_patient(tmp_path):
    for name, patient in (("testset.csv", "3"), ("valset.csv", "4")):
        (tmp_path / name).write_text(f"{patient},1\n5,0\n", encoding="utf-8-sig")
    found = read_split(tmp_path)
    assert (found.test, found.val) == ({"3"}, {"4"})


def test_a_split_that_cannot_be_read(split, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", denied)
    for read in (read_split, split_module.fetched_split):
        with pytest.raises(
            UserError, match=r"/testset\.csv cannot be read: Permission denied\. Co"
        ):
            read(split)


def test_the_benchmarks_lists_are_fetched_and_checked(served, tmp_path, monkeypatch):
    folder, url = served
    cache = tmp_path / "cache"
    monkeypatch.setattr(split_module, "URL", url)
    write_split(folder / "lists", test=[3], val=[4, 5])
    sums = {
        name: (f"lists/{name}", hashlib.sha256((folder / "lists" / name).read_bytes()).hexdigest())
        for name in split_module.LISTS
    }
    monkeypatch.setattr(split_module, "LISTS", sums)
    found = split_module.fetched_split(cache, schemes=("http",))
    assert (found.test, found.val, found.is_benchmarks) == ({"3"}, {"4", "5"}, True)
    shutil.rmtree(folder / "lists")
    assert split_module.fetched_split(cache, schemes=("http",)) == found  # not fetched again
    (cache / "valset.csv").write_text("1,1\n")
    with pytest.raises(UserError, match=r"--download: .*valset\.csv could not be .*HTTP Error 404"):
        split_module.fetched_split(cache, schemes=("http",))
    write_split(folder / "lists", test=[3], val=[4])
    with pytest.raises(
        UserError, match=r"--download: .*has the SHA-256 .*, not .*Nothing was kept"
    ):
        split_module.fetched_split(cache, schemes=("http",))
    with pytest.raises(UserError, match=r"could not be fetched .*unknown url type: http"):
        split_module.fetched_split(cache)


@demo
def test_the_benchmarks_lists_are_known_by_their_sums():
    assert read_split(DEMO / "split").is_benchmarks


# --- the command


def test_the_command(tmp_path, raw, split, capsys):
    out = tmp_path / "out"
    assert main([str(raw), str(out), "--split", str(split), "--jobs", "1", "--memory", "1G"]) == 0
    said = capsys.readouterr().out
    assert "- The split is lists given by the user" in said
    assert f"{out / 'in-hospital-mortality'}: train 2 (0 died), val 1 (0 died), test 0" in said
    assert not (out / "episodes").exists()
    assert main([str(raw), str(raw)]) == 1
    assert capsys.readouterr().err.startswith("error: OUT: ")
    for arguments, message in (
        (["--memory", "3"], "3 is too little: 512M is the least"),
        (["--memory", "much"], "'much' is not a size, such as 2G or 900M"),
        (["--jobs", "0"], "'0' is not a number of processes, 1 or more"),
        (["--split", "x", "--download"], "not allowed with argument --split"),
    ):
        with pytest.raises(SystemExit):
            main([str(raw), str(out), *arguments])
        assert message in capsys.readouterr().err


def test_the_command_needs_no_torch(tmp_path, raw):
    code = (
        "import sys; from stnlab.mimic3.__main__ import main; status = main(sys.argv[1:]); "
        "assert not {'torch', 'lightning', 'hydra'} & {*sys.modules}; sys.exit(status)"
    )
    command = [sys.executable, "-c", code, str(raw), str(tmp_path / "out")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress(monkeypatch, is_terminal):
    now = 0.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    progress = progress_module.Progress(stream)
    progress("CHARTEVENTS", 10, 330_000_000)
    now = 60.0
    progress("CHARTEVENTS", 33_000_000, 330_000_000)
    line = (
        "CHARTEVENTS: 33.0 million of about 330.0 million rows (10%), 550,000 a second, 9:00 left"
    )
    assert line in stream.getvalue()
    assert stream.getvalue().endswith("\n") is not is_terminal
    progress("CHARTEVENTS", 340_000_000, 330_000_000)  # more than was thought
    progress.clear()


# --- verify


@pytest.fixture
def hashed(rules, tmp_path):
    """The folder with every rule, and the list of its MD5s, as if it were the benchmark's."""
    out = rules[2]
    folder = shutil.copytree(out / "in-hospital-mortality", tmp_path / "ihm")
    lines = []
    for path in sorted(folder.glob("*/*_timeseries.csv")):
        header, *rows = csv.reader(path.read_text().splitlines())
        lines.append(f"./{path.parent.name}/{path.name},{verify_module.md5_of(header, rows)}\n")
    hashes = tmp_path / "ihm.csv"
    hashes.write_text("".join(lines))
    return folder, verify_module.read_hashes(hashes)


def told(folder, hashes):
    verdict = verify_module.verify(folder, hashes)
    return verdict, "\n".join(verdict.lines())


@demo
def test_the_demos_md5s(demo_made, capsys):
    _, out = demo_made
    assert main(["verify", str(out), "--hashes", str(DEMO / "hashes.csv")]) == 0
    assert capsys.readouterr().out == "57 of 57 episodes are the benchmark's.\n"


@demo
def test_pandas_2_is_recognised(demo_made, tmp_path):
    folder = shutil.copytree(demo_made[1] / "in-hospital-mortality", tmp_path / "ihm")
    for path in folder.glob("*/*_timeseries.csv"):
        path.write_text(path.read_text().replace(",None,", ",,"))
    verdict, text = told(folder, verify_module.read_hashes(DEMO / "hashes.csv"))
    assert len(verdict.different) == 9
    assert "8 of 9 different ones would be the same with the answer None" in text
    assert "pandas 2 reads that text as missing" in text


def test_the_same(hashed):
    verdict, text = told(*hashed)
    assert verdict.is_same
    assert "missing" not in text


def test_a_run_that_died(hashed):
    folder, hashes = hashed
    for path in sorted(folder.glob("train/*_timeseries.csv"))[30:]:
        path.unlink()
    verdict, text = told(folder, hashes)
    assert len(verdict.missing) > 20
    assert f"{len(verdict.missing)} missing: train/" in text
    assert "a run that died. The benchmark's scripts end with status 0 at a text" in text
    assert "train/listfile.csv names files that are not there" in text


def test_another_split(hashed):
    folder, hashes = hashed
    for path in sorted(folder.glob("test/*_timeseries.csv"))[:5]:
        path.rename(folder / "train" / path.name)
    verdict, text = told(folder, hashes)
    assert len(verdict.extra) == len(verdict.missing) == len(verdict.moved) == 5
    assert "5 of the missing ones are whole, in the other part" in text
    assert "a run that died" not in text
    assert "extra ones are of stays" not in text


def test_other_differences(hashed):
    folder, hashes = hashed
    first, second, third, fourth, *_ = sorted(folder.glob("train/*_timeseries.csv"))
    header, *lines = first.read_text().splitlines(keepends=True)
    first.write_text(header + "".join(line * 2 for line in lines))
    second.write_text(second.read_text().replace("2.0,", "3.0,"))
    third.write_text("Hours,pH\n1\n")
    fourth.rename(folder / "train" / "9999_episode1_timeseries.csv")
    verdict, text = told(folder, hashes)
    assert len(verdict.different) == 2
    assert "1 of 2 different ones would be the same without each second line" in text
    assert "1 different ones fit no pattern" in text
    assert f"1 unreadable: train/{third.name}" in text
    assert "1 extra: train/9999_episode1_timeseries.csv" in text
    assert "of stays that the benchmark does not have" in text
    assert not verdict.is_same


def test_hardly_anything_and_nothing_at_all(hashed):
    folder, hashes = hashed
    many = {f"train/{n}_episode1_timeseries.csv": "0" * 32 for n in range(10_000, 20_000)}
    assert "the open demo" in told(folder, {**hashes, **many})[1]
    assert "pandas 3 ends its scripts so" in told(folder, many)[1]


def test_the_list_of_md5s(served, tmp_path, monkeypatch, capsys):
    folder, url = served
    monkeypatch.setattr(split_module, "URL", url)
    cache = tmp_path / "cache"
    with pytest.raises(UserError, match=r"verify needs the benchmark's list .*--download fetches"):
        verify_module.fetched_hashes(cache, download=False)
    path = folder / verify_module.HASHES
    path.parent.mkdir(parents=True)
    path.write_text(f"./train/1_episode1_timeseries.csv,{'0' * 32}\n")
    with pytest.raises(UserError, match=r"had 1 MD5s, not 21,139: it was cut off"):
        verify_module.fetched_hashes(cache, download=True, schemes=("http",))
    monkeypatch.setattr(verify_module, "NUM_EPISODES", 1)
    found = verify_module.fetched_hashes(cache, download=True, schemes=("http",))
    assert verify_module.fetched_hashes(cache, download=False) == found
    (tmp_path / "list.csv").write_text("stay,y_true\n")
    assert main(["verify", str(folder), "--hashes", str(tmp_path / "list.csv")]) == 1
    assert "line 1: 'stay,y_true' is not an episode and its MD5" in capsys.readouterr().err
    with pytest.raises(UserError, match="has neither train/ nor test/"):
        verify_module.verify(tmp_path / "cache", found)


# --- dataset.raw


def test_a_dataset_from_the_tables(tmp_path, split, monkeypatch, capsys):
    tables = Tables()
    for number in range(700, 760):
        tables.text(tables.person(number, died=at(50) if number % 3 else ""))
        tables.event(number, 3, HEART_RATE, ">60/minute")
        tables.event(number, 3, TEMPERATURE, "hot")
    raw = tables.write(tmp_path / "raw")
    config = compose(["dataset=mimic", f"dataset.raw={raw}"])
    assert config.dataset.checksums() == {}  # not made yet
    parts = config.dataset.load()
    assert "NOT the benchmark's" in parts.name
    assert "- " not in parts.name
    assert len(parts.train) == 42
    told = capsys.readouterr().err
    assert "Temperature: values refused, not taken by its rule: 60: 'hot' (60)." in told
    assert [path.name[:7] for path in (raw / ".cache").iterdir()] == ["mimic3-"]
    with monkeypatch.context() as patch:
        patch.setattr(build_module, "_make", None)  # a second making would fail
        again = compose(["dataset=mimic", f"dataset.raw={raw}"]).dataset
        assert again.load().sha256 == parts.sha256 == again.checksums()["sha256"]
        assert capsys.readouterr().err == told
    alone = shutil.copytree(
        next((raw / ".cache").iterdir()) / "in-hospital-mortality", tmp_path / "a"
    )
    assert (
        "NOT the benchmark's"
        in compose(["dataset=mimic", f"dataset.root={alone}"]).dataset.load().name
    )
    split_too = compose(["dataset=mimic", f"dataset.raw={raw}", f"dataset.split={split}"]).dataset
    assert "lists given by the user" in split_too.load().name


def test_a_list_of_stays_that_was_cut_off_is_to_be_written_again(tmp_path):
    content = gzip.compress(b"stay,y_true\n1_episode1_timeseries.csv,0\n")
    (tmp_path / "train_listfile.csv.gz").write_bytes(content[:-9])
    with pytest.raises(
        UserError, match=r"train_listfile\.csv\.gz cannot be read: .*Write it again with"
    ) as raised:
        reader.read_split(tmp_path, "train")
    assert "episode" not in str(raised.value)


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["dataset.split=x"], r"dataset\.split is 'x'; allowed: null or false without dataset"),
        (["dataset.download=true"], r"dataset\.download is True; allowed: null or false without"),
        (["dataset.raw=x", "dataset.root=y"], r"dataset\.root is 'y'; allowed: null beside"),
        (["dataset.raw=x", "dataset.source=synthetic"], r"dataset\.source is 'synthetic'; allowed"),
        (["dataset.raw=x", "dataset.split=y", "dataset.download=true"], r"dataset\.download is"),
    ],
)
def test_keys_that_do_not_go_together(overrides, match):
    with pytest.raises(UserError, match=match):
        compose(["dataset=mimic", *overrides])


def test_messages_name_the_keys(tmp_path, raw):
    def load(**keys):
        overrides = [f"dataset.{key}={value}" for key, value in keys.items()]
        compose(["dataset=mimic", *overrides]).dataset.load()

    with pytest.raises(UserError, match=r"dataset\.raw: .*nowhere does not exist"):
        load(raw=tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"dataset\.split: .*nowhere is no folder\..*dataset\.down"):
        load(raw=raw, split=tmp_path / "nowhere")


@demo
def test_the_demo_as_a_first_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keys = ["dataset=mimic", f"dataset.raw={DEMO / 'raw'}", f"dataset.split={DEMO / 'split'}"]
    config = compose([*keys, f"output_dir={tmp_path / 'outputs'}", "trainer.max_epochs=2"])
    console = Console(record=True, width=400)
    metrics = train(config, console).metrics
    assert metrics["data"]["n"] == {"train": 41, "val": 5, "test": 11}
    for text in (capsys.readouterr().err, metrics["data"]["name"]):
        assert "All 89 patients here died sooner or later" in text
        assert "57 stays are a rehearsal, and prove nothing about prediction" in text
