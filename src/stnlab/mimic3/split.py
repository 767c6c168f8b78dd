"""Which patients are trained, validated and tested on.

The benchmark's own split is two lists by patient in its repository. They are not ours to ship: the
user names a folder with them, or has them fetched. Without them, patients are drawn by lot in the
same shares; whatever comes of that says so, since its numbers cannot be set beside published ones.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from stnlab.data.places import default_root
from stnlab.errors import UserError

COMMIT = "ea0314c7cbd369f62e2237ace6f683740f867e3a"
URL = f"https://raw.githubusercontent.com/YerevaNN/mimic3-benchmarks/{COMMIT}/"
MAX_BYTES = 4_000_000  # of a file of the benchmark's; the largest has 1.5 MB
# Where each list lies in the repository, and its SHA-256.
LISTS = {
    "testset.csv": (
        "mimic3benchmark/resources/testset.csv",
        "206d879065dd7ae245e8d8b2bddf962b300f1c21c0351dc7b2ceaf9c308b243a",
    ),
    "valset.csv": (
        "mimic3models/resources/valset.csv",
        "e4d70f15f5926b8512ee3542b427333cc7f8bf2109d98ee6568eaee54f650430",
    ),
}
NOT_THE_BENCHMARKS = "SPLIT-NOT-THE-BENCHMARKS.txt"  # beside lists of which it says so
# Of all patients, those tested on; of the others, those validated on. As in the benchmark's lists.
TEST_SHARE, VAL_SHARE = 5_070 / 33_798, 5_172 / 28_728


@dataclass(frozen=True)
class Split:
    """Patients to test and to validate on, all others are for training.

    ``is_benchmarks`` where they are the benchmark's own lists; ``source`` says it in words.
    """

    test: frozenset[str]
    val: frozenset[str]
    source: str
    is_benchmarks: bool

    def part_of(self, subject: str) -> str:
        """``train``, ``val`` or ``test``."""
        if subject in self.test:
            return "test"
        return "val" if subject in self.val else "train"


def read_split(folder: Path) -> Split:
    """The lists ``testset.csv`` and ``valset.csv`` in ``folder``.

    Raises:
        UserError: when one is missing, cannot be read, or is not such a list.
    """
    if not folder.is_dir():
        raise UserError(f"--split: {folder} is no folder. {_how_to_get_it(LISTS)}")
    missing = [name for name in LISTS if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"--split: {folder} lacks {' and '.join(missing)}. {_how_to_get_it(missing)}"
        )
    is_benchmarks = all(
        hashlib.sha256(_content_of(folder / name)).hexdigest() == sha256
        for name, (_, sha256) in LISTS.items()
    )
    test, val = (_read_list(folder / name) for name in LISTS)
    lists = " ".join(sorted(test)) + "," + " ".join(sorted(val))
    given = f"lists given by the user (SHA-256 {hashlib.sha256(lists.encode()).hexdigest()})"
    source = "the benchmark's lists" if is_benchmarks else f"{given}, NOT the benchmark's"
    return Split(test, val, source, is_benchmarks)


def benchmark_cache() -> Path:
    """Where files of the benchmark's repository are kept."""
    return default_root("mimic3-benchmarks")


def fetched_split(folder: Path | None = None, schemes: Collection[str] = ("https",)) -> Split:
    """The benchmark's lists, downloaded to ``folder``, or the cache, unless they are there.

    Raises:
        UserError: when they cannot be had, or have another sum.
    """
    folder = folder or benchmark_cache()
    for name, (place, sha256) in LISTS.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(_content_of(path)).hexdigest() != sha256:
            fetch_from_benchmark(place, path, sha256, schemes)
    return read_split(folder)


def fetch_from_benchmark(
    place: str, path: Path, sha256: str | None, schemes: Collection[str] = ("https",)
) -> None:
    """Download a file of the benchmark's repository, at :data:`COMMIT`.

    Raises:
        UserError: when it cannot be had, or has another sum.
    """
    from http.client import HTTPException

    from stnlab.download import fetch, reason_of

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(URL + place, path, sha256, key="--download", max_bytes=MAX_BYTES, schemes=schemes)
    except (OSError, HTTPException) as error:
        raise UserError(
            f"--download: {URL}{place} could not be fetched to {path.parent} "
            f"({reason_of(error)}). Try again, or get it by hand, on another machine if need be."
        ) from error


def drawn_split(subjects: Collection[str], seed: int = 0) -> Split:
    """Patients by lot, in the benchmark's shares; the same for the same patients and seed."""

    def lot(subject: str) -> bytes:
        return hashlib.sha256(f"{seed} {subject}".encode()).digest()

    order = sorted(subjects, key=lot)
    num_test = round(TEST_SHARE * len(order))
    num_val = round(VAL_SHARE * (len(order) - num_test))
    test, val = order[:num_test], order[num_test : num_test + num_val]
    return Split(frozenset(test), frozenset(val), drawn_source(seed), is_benchmarks=False)


def drawn_source(seed: int) -> str:
    """What outputs say of a split that was drawn."""
    return f"drawn by lot, by patient, seed {seed}: NOT the benchmark's"


def _how_to_get_it(names: Collection[str]) -> str:
    urls = " and ".join(URL + LISTS[name][0] for name in names)
    return f"Get {urls}, or let --download do it; without both, patients are drawn by lot."


def _content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}. Correct its permissions, or get it "
            "again."
        ) from error


def _read_list(path: Path) -> frozenset[str]:
    chosen = set()
    text = _content_of(path).decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        subject, _, flag = line.strip().partition(",")
        if flag not in ("0", "1") or not subject:
            raise UserError(
                f"{path}, line {number}: {line!r} is not a patient's SUBJECT_ID and 0 or 1, as in "
                f"'10000,1'. {_how_to_get_it([path.name])}"
            )
        if flag == "1":
            chosen.add(subject)
    return frozenset(chosen)
