"""The way from MIMIC-III's tables to the benchmark's episodes, row by row: slow, plain, and the
measure of :mod:`stnlab.mimic3`, with which it shares no line.

Written from the rules that come with the copy of the open demo which the tests read, whose
numbers the sections here carry.
"""

import contextlib
import csv
import gzip
import io
import math
import re
from collections import defaultdict
from datetime import datetime

CHARTS, LABS, OUTPUTS = EVENTS = ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")
PIECE = 131_072
MISSING = {
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
}
COLUMNS = (
    "Capillary refill rate",
    "Diastolic blood pressure",
    "Fraction inspired oxygen",
    "Glascow coma scale eye opening",
    "Glascow coma scale motor response",
    "Glascow coma scale total",
    "Glascow coma scale verbal response",
    "Glucose",
    "Heart Rate",
    "Height",
    "Mean blood pressure",
    "Oxygen saturation",
    "Respiratory rate",
    "Systolic blood pressure",
    "Temperature",
    "Weight",
    "pH",
)
RULES = {
    "Capillary refill rate": "crr",
    "Diastolic blood pressure": "dbp",
    "Systolic blood pressure": "sbp",
    "Fraction inspired oxygen": "fio2",
    "Glucose": "lab",
    "pH": "lab",
    "Oxygen saturation": "o2sat",
    "Temperature": "temperature",
    "Weight": "weight",
    "Height": "height",
}  # the others are raw
NUMBER = re.compile(r" *[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf) *")
INTEGER = re.compile(r" *[+-]?[0-9]+ *")
LAB = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


# --- 1: reading


def rows_of(raw, table):
    """Each row by its columns' upper-case names; what is missing is None."""
    (path,) = (
        path
        for path in raw.iterdir()
        if path.name.lower() in (f"{table.lower()}.csv", f"{table.lower()}.csv.gz")
    )
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        content = gzip.decompress(content)
    text = content.decode("utf-8", "replace")
    reader = csv.reader(io.StringIO(text, newline=""))
    names = [name.upper() for name in next(reader)]
    for row in reader:
        if row:
            yield {
                name: None if field in MISSING else field
                for name, field in zip(names, row, strict=True)
            }


def moment(text):
    for read in (datetime.fromisoformat, lambda text: datetime.strptime(text, "%Y-%m-%d %H:%M:%S")):
        with contextlib.suppress(ValueError, TypeError):
            found = read(text)
            return None if found.tzinfo else found
    return None


def seconds(begin, end):
    return (end - begin).total_seconds()


# --- 2, 3, 4: who, and what became of them


def cohort(raw):
    """The kept stays in order, each a dict with its number among the subject's."""
    stays = []
    patients, admissions = defaultdict(list), defaultdict(list)
    for row in rows_of(raw, "PATIENTS"):
        patients[row["SUBJECT_ID"]].append(row)
    for row in rows_of(raw, "ADMISSIONS"):
        admissions[row["SUBJECT_ID"], row["HADM_ID"]].append(row)
    for row in rows_of(raw, "ICUSTAYS"):
        same = [row[f"FIRST_{each}"] == row[f"LAST_{each}"] for each in ("WARDID", "CAREUNIT")]
        known = row["FIRST_WARDID"] is not None and row["FIRST_CAREUNIT"] is not None
        if all(same) and known:
            stays += [
                {**admission, **patient, **row}
                for admission in admissions[row["SUBJECT_ID"], row["HADM_ID"]]
                for patient in patients[row["SUBJECT_ID"]]
            ]
    count = defaultdict(int)
    for stay in stays:
        count[stay["HADM_ID"]] += 1
    stays = [stay for stay in stays if count[stay["HADM_ID"]] == 1 and adult(stay)]
    known_codes = {row["ICD9_CODE"] for row in rows_of(raw, "D_ICD_DIAGNOSES")} - {None}
    diagnosed = {
        (row["SUBJECT_ID"], row["HADM_ID"])
        for row in rows_of(raw, "DIAGNOSES_ICD")
        if row["ICD9_CODE"] in known_codes
    }
    by_subject = defaultdict(list)
    for stay in stays:
        by_subject[stay["SUBJECT_ID"]].append(stay)
    for own in by_subject.values():
        own.sort(key=lambda stay: (moment(stay["INTIME"]), moment(stay["OUTTIME"]) or datetime.max))
        for number, stay in enumerate(own, start=1):
            stay["N"] = number
            stay["Y"] = int(died(stay))
            stay["DIAGNOSED"] = (stay["SUBJECT_ID"], stay["HADM_ID"]) in diagnosed
    return by_subject


def adult(stay):
    birth, begin = moment(stay["DOB"]), moment(stay["INTIME"])
    if birth is None or begin is None:
        return False
    age = seconds(birth, begin) / 3600 / 24 / 365
    return (90 if age < 0 else age) >= 18


def died(stay):
    begin, end = moment(stay["ADMITTIME"]), moment(stay["DISCHTIME"])
    ends = (moment(stay["DOD"]), moment(stay["DEATHTIME"]))
    return begin is not None and end is not None and any(
        each is not None and begin <= each <= end for each in ends
    )  # fmt: skip


# --- 5, 6: which events, and whether their values are text


def events_of(raw, by_subject):
    """Each subject's surviving rows, VALUE as it comes out of section 6: a str, int or float."""
    before = defaultdict(list)
    for table in EVENTS:
        for row in rows_of(raw, table):
            if row["SUBJECT_ID"] in by_subject:
                names = ("HADM_ID", "ICUSTAY_ID", "CHARTTIME", "ITEMID", "VALUE", "VALUEUOM")
                before[row["SUBJECT_ID"]].append({name: row.get(name) for name in names})
    after = {}
    for subject, rows in before.items():
        written = [
            value if value is None or isinstance(value, str) else repr(value)
            for value in typed([row["VALUE"] for row in rows])
        ]
        stay_of = {stay["HADM_ID"]: stay["ICUSTAY_ID"] for stay in by_subject[subject]}
        kept = []
        for row, value in zip(rows, written, strict=True):
            stay = stay_of.get(row["HADM_ID"])
            if row["HADM_ID"] is not None and stay and row["ICUSTAY_ID"] in (None, stay):
                kept.append({**row, "ICUSTAY_ID": stay, "VALUE": value})
        values = typed([row["VALUE"] for row in kept])
        if not any(isinstance(value, str) for value in values):
            values = [value if value is None else float(value) for value in values]
        after[subject] = [{**row, "VALUE": value} for row, value in zip(kept, values, strict=True)]
    return after


def typed(values):
    """The values as one column: all as they are, or numbers; by pieces if there are many."""
    pieces = [values[begin : begin + PIECE] for begin in range(0, len(values), PIECE)]
    kinds = [kind_of(piece) for piece in pieces]
    if "text" not in kinds:
        kinds = ["whole" if {*kinds} == {"whole"} else "decimal"] * len(kinds)
    make = {"whole": int, "decimal": float, "text": str, "none": str}
    return [
        None if value is None else make[kind](value)
        for piece, kind in zip(pieces, kinds, strict=True)
        for value in piece
    ]


def kind_of(piece):
    present = [value for value in piece if value is not None]
    if not present:
        return "none"
    if not all(NUMBER.fullmatch(value) for value in present):
        return "text"
    whole = len(present) == len(piece) and all(INTEGER.fullmatch(value) for value in present)
    return "whole" if whole else "decimal"


# --- 7: cleaning


def cleaned(rule, label_unit, unit, value):
    """The value as it goes into an episode, or None where it is refused."""
    unit = (unit or "").lower()
    if rule == "raw":
        return value
    if rule == "crr":
        return {"Normal <3 secs": 0.0, "Brisk": 0.0, "Abnormal >3 secs": 1.0, "Delayed": 1.0}.get(
            value
        )
    if isinstance(value, str) and rule in ("lab", "o2sat") and not LAB.fullmatch(value):
        return None
    if isinstance(value, str) and rule in ("sbp", "dbp") and "/" in value:
        pair = re.fullmatch("([0-9]+)/([0-9]+)", value)
        return float(pair[1 if rule == "sbp" else 2]) if pair else None
    try:
        v = float(value)
    except ValueError:
        return None
    if math.isnan(v):  # "NAN", which is not among the missing
        return None
    if rule == "fio2":
        return v if "torr" in unit else v / 100
    if rule == "o2sat":
        return v * 100 if v <= 1 else v
    if rule == "temperature":
        return (v - 32) * 5 / 9 if v >= 79 else v
    if rule == "weight":
        ounces = "oz" in unit or label_unit == "oz"
        if ounces:
            v = v / 16
        return v * 0.453592 if ounces or "lb" in unit or label_unit == "lb" else v
    if rule == "height" and ("in" in unit or label_unit == "in"):
        return float(round(v * 2.54)) if abs(v) != float("inf") else v
    return v


def order(value):
    """Numbers by size, texts by code points and above the numbers."""
    return (1, value) if isinstance(value, str) else (0, value)


# --- 8: episodes


def field(value):
    text = "" if value is None else value if isinstance(value, str) else repr(value)
    return '"' + text.replace('"', '""') + '"' if re.search('[,"\r\n]', text) else text


def table_of(rows, items, refused):
    """Moment -> variable -> value, and the moments at which each stay was measured."""
    table, times = defaultdict(dict), set()
    for row in rows:
        when = moment(row["CHARTTIME"])
        if row["ITEMID"] not in items or row["VALUE"] is None or when is None:
            continue
        variable, label_unit = items[row["ITEMID"]]
        rule = RULES.get(variable, "raw")
        value = cleaned(rule, label_unit, row["VALUEUOM"], row["VALUE"])
        if value is None:
            refused[variable, str(row["VALUE"])] += 1
            continue
        if isinstance(value, str):
            value = re.sub("\r\n|\r|\n", " ", value)
        times.add((when, row["ICUSTAY_ID"]))
        best = table[when].get(variable)
        if best is None or order(value) > order(best):
            table[when][variable] = value
    return table, times


def lines_of(stay, table, times):
    """(hours, line) of each line of an episode."""
    begin, end = moment(stay["INTIME"]), moment(stay["OUTTIME"])
    lines = []
    for when, owner in sorted(times):
        if owner == stay["ICUSTAY_ID"] or (end is not None and begin <= when <= end):
            hours = seconds(begin, when) / 60 / 60
            fields = [table[when].get(variable) for variable in COLUMNS]
            lines.append((hours, ",".join(map(field, [hours, *fields]))))
    return lines


# --- 9: the first 48 hours of those of in-hospital mortality


def is_long(stay):
    try:
        return 24 * float(stay["LOS"] or "nan") >= 48 - 1e-6
    except ValueError:
        return False


def file_of(lines):
    return "\n".join([",".join(["Hours", *COLUMNS]), *lines, ""]).encode()


def episodes(raw, split, items):
    """Name within the output -> bytes, and how often each (variable, text) was refused.

    ``items``: ITEMID -> (variable, unit in the label); ``split``: a folder with ``testset.csv`` and
    ``valset.csv``. A line break in a text becomes a blank, and a row without a time is left out.
    """
    by_subject = cohort(raw)
    after = events_of(raw, by_subject)
    refused = defaultdict(int)
    in_test, in_val = (
        {line.split(",")[0] for line in (split / name).read_text().split() if line[-2:] == ",1"}
        for name in ("testset.csv", "valset.csv")
    )
    files = {}
    lists = {f"{part}_listfile.csv": [] for part in ("train", "val", "test")}
    lists |= {"train/listfile.csv": [], "test/listfile.csv": []}
    for subject, stays in by_subject.items():
        table, times = table_of(after.get(subject, []), items, refused)
        part = "test" if subject in in_test else "train"
        for stay in stays:
            lines = lines_of(stay, table, times)
            if not lines:
                continue
            name = f"episodes/{part}/{subject}/episode{stay['N']}_timeseries.csv"
            files[name] = file_of(line for _, line in lines)
            early = [line for hours, line in lines if -1e-6 < hours < 48 + 1e-6]
            if not stay["DIAGNOSED"] or not is_long(stay) or not early:
                continue
            name = f"{subject}_episode{stay['N']}_timeseries.csv"
            files[f"in-hospital-mortality/{part}/{name}"] = file_of(early)
            lists[f"{part}/listfile.csv"].append(f"{name},{stay['Y']}")
            second = "val" if part == "train" and subject in in_val else part
            lists[f"{second}_listfile.csv"].append(f"{name},{stay['Y']}")
    for name, listed in lists.items():
        text = "\n".join(["stay,y_true", *sorted(listed), ""])
        files[f"in-hospital-mortality/{name}"] = text.encode()
    return files, dict(refused)
