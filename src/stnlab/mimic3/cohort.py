"""Which stays count, their numbers, and how they ended."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from stnlab.mimic3.moments import microseconds
from stnlab.mimic3.tables import Table, rows_of

_SECOND = 1_000_000  # in microseconds
_ADULT = 18  # years of 365 days
_NEVER = 1 << 62


@dataclass(frozen=True)
class Stay:
    """A stay in intensive care that counts.

    ``number`` is its place among the subject's, from 1: the N of ``episodeN``. ``begin`` and
    ``end`` are microseconds, ``days`` the LOS column; ``died`` in hospital.
    """

    subject: str
    admission: str
    icustay: str
    begin: int
    end: int | None
    begin_text: str
    end_text: str
    days: float | None
    died: bool
    has_diagnoses: bool
    number: int = 0

    @property
    def episode(self) -> str:
        """Its file's name within the subject's folder."""
        return f"episode{self.number}_timeseries.csv"

    @property
    def file_name(self) -> str:
        """Its file's name in the folder of in-hospital mortality."""
        return f"{self.subject}_{self.episode}"


@dataclass
class Cohort:
    """Stays by subject, each subject's in order, and how many were left at each step."""

    stays: dict[str, list[Stay]]
    counts: dict[str, int] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)  # what the user should know of
    num_with_death: int = 0  # subjects who have a date of death, in hospital or later


Row = dict[str, str | None]


class _Clock:
    """Reads moments, and counts those that are none."""

    def __init__(self) -> None:
        self.num_unreadable = 0

    def __call__(self, text: str | None) -> int | None:
        found = microseconds(text)
        self.num_unreadable += text is not None and found is None
        return found


def find_cohort(tables: Mapping[str, Table]) -> Cohort:
    """The stays of adults without a transfer, one an admission."""
    clock = _Clock()
    rows = list(rows_of(tables["ICUSTAYS"]))
    counts = {"ICU stays": len(rows)}
    num_twice = len(rows) - len({row["ICUSTAY_ID"] for row in rows})
    rows = [row for row in rows if _is_same(row, "WARDID") and _is_same(row, "CAREUNIT")]
    counts["without a transfer"] = len(rows)
    patients = _by(rows_of(tables["PATIENTS"]), "SUBJECT_ID")
    admissions = _by(rows_of(tables["ADMISSIONS"]), "SUBJECT_ID", "HADM_ID")
    joined = [
        (row, admission, patient)
        for row in rows
        for admission in admissions.get((row["SUBJECT_ID"], row["HADM_ID"]), ())
        for patient in patients.get((row["SUBJECT_ID"],), ())
    ]
    counts["with admission and patient"] = len(joined)
    stays_of_admission = Counter(row["HADM_ID"] for row, *_ in joined)
    joined = [each for each in joined if stays_of_admission[each[0]["HADM_ID"]] == 1]
    counts["one stay an admission"] = len(joined)
    diagnosed = _diagnosed(tables)
    num_without_age, with_death = 0, set()
    found: dict[str, list[Stay]] = defaultdict(list)
    for row, admission, patient in joined:
        begin, birth = clock(row["INTIME"]), clock(patient["DOB"])
        if begin is None or birth is None:
            num_without_age += 1
        elif _is_adult(birth, begin):
            died = _died(clock, admission, patient)
            if patient["DOD"] is not None:
                with_death.add(patient["SUBJECT_ID"])
            stay = _stay(clock, row, begin, died, diagnosed)
            found[stay.subject].append(stay)
    counts["of adults"] = sum(map(len, found.values()))
    counts["subjects"] = len(found)
    stays = {
        subject: [replace(stay, number=number) for number, stay in enumerate(_sorted(own), start=1)]
        for subject, own in sorted(found.items(), key=lambda item: (len(item[0]), item[0]))
    }
    odd = {
        "lines that name a stay again (an admission with several drops out)": num_twice,
        "stays without DOB or INTIME (left out)": num_without_age,
        "times of stays, admissions and patients that cannot be read (taken as missing)": (
            clock.num_unreadable
        ),
    }
    return Cohort(stays, counts, odd, len(with_death))


def _is_same(row: Row, name: str) -> bool:
    first = row[f"FIRST_{name}"]
    return first is not None and first == row[f"LAST_{name}"]


def _by(rows: Iterable[Row], *names: str) -> dict[tuple[str | None, ...], list[Row]]:
    """Rows by the columns ``names``, without those that lack one of them."""
    found = defaultdict(list)
    for row in rows:
        key = tuple(row[name] for name in names)
        if None not in key:
            found[key].append(row)
    return found


def _is_adult(birth: int, begin: int) -> bool:
    years = (begin - birth) / _SECOND / 3600 / 24 / 365
    return years < 0 or years >= _ADULT  # below 0 stands for an age that was hidden


def _died(clock: _Clock, admission: Row, patient: Row) -> bool:
    """In hospital: between admission and discharge; a date of death counts as its midnight."""
    begin, end = clock(admission["ADMITTIME"]), clock(admission["DISCHTIME"])
    deaths = (clock(patient["DOD"]), clock(admission["DEATHTIME"]))
    if begin is None or end is None:
        return False
    return any(death is not None and begin <= death <= end for death in deaths)


def _diagnosed(tables: Mapping[str, Table]) -> set[tuple[str | None, str | None]]:
    """Subject and admission of each diagnosis whose code is known; codes are text."""
    known = {row["ICD9_CODE"] for row in rows_of(tables["D_ICD_DIAGNOSES"])} - {None}
    return {
        (row["SUBJECT_ID"], row["HADM_ID"])
        for row in rows_of(tables["DIAGNOSES_ICD"])
        if row["ICD9_CODE"] in known
    }


def _stay(
    clock: _Clock,
    row: Row,
    begin: int,
    died: bool,
    diagnosed: set[tuple[str | None, str | None]],
) -> Stay:
    subject, admission = row["SUBJECT_ID"], row["HADM_ID"]
    assert subject is not None  # they were joined
    assert admission is not None
    return Stay(
        subject=subject,
        admission=admission,
        icustay=row["ICUSTAY_ID"] or "",
        begin=begin,
        end=clock(row["OUTTIME"]),
        begin_text=row["INTIME"] or "",
        end_text=row["OUTTIME"] or "",
        days=_number(row["LOS"]),
        died=died,
        has_diagnoses=(subject, admission) in diagnosed,
    )


def _sorted(stays: Iterable[Stay]) -> list[Stay]:
    return sorted(stays, key=lambda stay: (stay.begin, _NEVER if stay.end is None else stay.end))


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
