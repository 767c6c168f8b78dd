"""What is told of an output: lists of stays, ``stays.csv``, and what went into the log."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stnlab.files import csv_text
from stnlab.mimic3.cohort import Cohort, Stay
from stnlab.mimic3.episodes import MORTALITY, Made, is_long_enough
from stnlab.mimic3.events import ODD_ROWS, Spilled
from stnlab.mimic3.split import COMMIT, NOT_THE_BENCHMARKS, Split

STAYS = "stays.csv"
LIST_HEADER = "stay,y_true"
_SAMPLE = "sample"
_NUM_EXAMPLES = 5


def write(out: Path, cohort: Cohort, spilled: Spilled, split: Split, made: Made) -> dict[str, Any]:
    """Write the lists and ``stays.csv``; returns what the log is to hold."""
    stays = [stay for own in cohort.stays.values() for stay in own]
    status = {stay.file_name: _status(stay, made) for stay in stays}
    samples: dict[str, list[Stay]] = {"train": [], "val": [], "test": []}
    for stay in sorted(stays, key=lambda stay: stay.file_name):
        if status[stay.file_name] == _SAMPLE:
            samples[split.part_of(stay.subject)].append(stay)
    for name, listed in _lists(samples).items():
        _write(out / MORTALITY / name, [LIST_HEADER, *map(_line, listed)])
    if not split.is_benchmarks:
        _write(
            out / MORTALITY / NOT_THE_BENCHMARKS,
            [
                f"Who is trained, validated and tested on here: {split.source}.",
                "Numbers from it cannot be set beside published ones.",
            ],
        )
    _write_stays(out / STAYS, stays, status, split)
    counts = Counter(status.values())
    notes = _notes(cohort, split, sum(map(len, samples.values())))
    return {
        "benchmark": f"mimic3-benchmarks, commit {COMMIT}, in-hospital mortality",
        "cohort": cohort.counts,
        "rows": spilled.rows,
        "values refused": _refused(made),
        "stays": {name: counts[name] for name in sorted(counts)},
        "samples": {
            part: {"stays": len(listed), "deaths": sum(stay.died for stay in listed)}
            for part, listed in samples.items()
        },
        "subjects": dict(Counter(map(split.part_of, cohort.stays))),
        "order of the lists": "by name; the benchmark's training list has its machine's",
        "sha256": _sums(out, made),
        "notes": notes,
        "told": [*notes, *_told(cohort, spilled, made)],
    }


def _status(stay: Stay, made: Made) -> str:
    """Why a stay is a sample, or is none."""
    if stay.file_name not in made.with_rows:
        return "no episode: nothing measured"
    if not stay.has_diagnoses:
        return "no sample: no diagnosis with a known code"
    if stay.days is None:
        return "no sample: LOS is missing"
    if not is_long_enough(stay):
        return "no sample: shorter than 48 hours"
    part_names = (f"{MORTALITY}/{part}/{stay.file_name}" for part in ("train", "test"))
    if any(name in made.sha256 for name in part_names):
        return _SAMPLE
    return "no sample: nothing measured in the first 48 hours"


def _lists(samples: dict[str, list[Stay]]) -> dict[str, list[Stay]]:
    of_training = sorted(samples["train"] + samples["val"], key=lambda stay: stay.file_name)
    return {
        **{f"{part}_listfile.csv": listed for part, listed in samples.items()},
        "train/listfile.csv": of_training,
        "test/listfile.csv": samples["test"],
    }


def _line(stay: Stay) -> str:
    return f"{stay.file_name},{int(stay.died)}"


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")


def _write_stays(path: Path, stays: list[Stay], status: dict[str, str], split: Split) -> None:
    header = (
        *("stay", "SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "INTIME", "OUTTIME", "LOS"),
        *("y_true", "part", "status", "split"),
    )
    rows = []
    for stay in stays:
        ids = (stay.subject, stay.admission, stay.icustay)
        times = (stay.begin_text, stay.end_text, "" if stay.days is None else repr(stay.days))
        what = (int(stay.died), split.part_of(stay.subject), status[stay.file_name], split.source)
        rows.append((stay.file_name, *ids, *times, *what))
    path.write_text(csv_text(header, rows), encoding="utf-8", newline="\n")


def _refused(made: Made) -> dict[str, Any]:
    """By variable, how many values were refused, and the most frequent ones."""
    by_variable: dict[str, Counter[str]] = {}
    for (variable, text), count in made.refused.items():
        by_variable.setdefault(variable, Counter())[text] += count
    return {
        variable: {
            "number": found.total(),
            "examples": dict(sorted(found.items(), key=_most_frequent)[:_NUM_EXAMPLES]),
        }
        for variable, found in sorted(by_variable.items())
    }


def _most_frequent(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _sums(out: Path, made: Made) -> dict[str, str]:
    """SHA-256 of each list, and of each folder: of the lines that sha256sum gives for its files."""
    by_folder: dict[str, list[str]] = {}
    for name, digest in sorted(made.sha256.items()):
        folder = "/".join(name.split("/")[:2])
        by_folder.setdefault(folder, []).append(f"{digest}  {name.removeprefix(f'{folder}/')}\n")
    folders = {
        f"{folder}/": hashlib.sha256("".join(lines).encode()).hexdigest()
        for folder, lines in sorted(by_folder.items())
    }
    files = [*sorted((out / MORTALITY).rglob("*listfile.csv")), out / STAYS]
    return folders | {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def _notes(cohort: Cohort, split: Split, num_samples: int) -> list[str]:
    """What any result from these stays must say."""
    notes = []
    if not split.is_benchmarks:
        notes.append(
            f"The split is {split.source}. Numbers from it cannot be set beside published ones."
        )
    if cohort.stays and cohort.num_with_death == len(cohort.stays):
        notes.append(
            f"All {len(cohort.stays):,} patients here died sooner or later, as those of the open "
            f"MIMIC-III demo did: their {num_samples:,} stays are a rehearsal, and prove nothing "
            "about prediction."
        )
    return notes


def _told(cohort: Cohort, spilled: Spilled, made: Made) -> Iterable[str]:
    """A line for each thing that the user should know of."""
    for what, count in cohort.odd.items():
        if count:
            yield f"ICUSTAYS: {what}: {count:,}."
    for variable, found in _refused(made).items():
        examples = ", ".join(f"{text!r} ({count:,})" for text, count in found["examples"].items())
        yield f"{variable}: values refused, not taken by its rule: {found['number']:,}: {examples}."
    for table, counts in spilled.rows.items():
        for what, consequence in ODD_ROWS.items():
            if counts[what]:
                yield f"{table}: rows {what} ({consequence}): {counts[what]:,}."
    if spilled.odd_times:
        times = sorted(spilled.odd_times.items(), key=_most_frequent)[:_NUM_EXAMPLES]
        yield f"Times that cannot be read: {', '.join(repr(text) for text, _ in times)}."
    if made.line_breaks:
        yield f"Texts with a line break (a blank stands for it): {made.line_breaks:,}."
