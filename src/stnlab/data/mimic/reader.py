"""In-hospital mortality of the MIMIC-III benchmark, read as its own discretizer reads it.

Harutyunyan, Khachatrian, Kale, Ver Steeg and Galstyan, "Multitask learning and benchmarking with
clinical time series data", Scientific Data 6:96 (2019). The folder is what the benchmark's
``create_in_hospital_mortality`` and ``split_train_val`` make: ``train/``, ``test/``,
``train_listfile.csv``, ``val_listfile.csv`` (whose stays lie in ``train/`` too) and
``test_listfile.csv``. What an episode's file means is in ``episodes``, imputation in
``columns``.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stnlab.data.mimic import cache
from stnlab.data.mimic.columns import IMPUTATIONS, columns_of
from stnlab.data.mimic.episodes import HourlyValues, content_of, read_hours
from stnlab.data.mimic.variables import COLUMNS, CONTINUOUS, VARIABLES
from stnlab.errors import UserError, did_you_mean

__all__ = [
    "COLUMNS",
    "CONTINUOUS",
    "IMPUTATIONS",
    "SPLITS",
    "Episodes",
    "Statistics",
    "checksums",
    "features_of_raw",
    "labels_digest",
    "load_split",
    "patient_of",
    "read_split",
    "require_both_classes",
    "standardised",
    "statistics_of",
    "stays_of",
]

SPLITS = ("train", "val", "test")
_FOLDERS = {"train": "train", "val": "train", "test": "test"}
_LIST_HEADER = "stay,y_true"
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}  # as pandas writes them where one was missing
_STAY = re.compile(r"(\d+)_episode\d+_timeseries\.csv(\.gz)?")
_SPLIT_COMMAND = "python -m mimic3models.split_train_val data/in-hospital-mortality"

_HOW_TO_GET_IT = """\
dataset=mimic reads MIMIC-III, the records of some 40,000 intensive-care patients, in the form \
that mimic3-benchmarks gives it. It costs nothing, but each reader needs a credentialed PhysioNet \
account: take the training on research with human subjects, have the account approved, and sign \
the data use agreement at https://physionet.org/content/mimiciii/. With its CSV files at hand,
  python -m stnlab.mimic3 PATH_TO_MIMIC_III_CSVS data/mimic3 --download
makes the folder in minutes; set dataset.root to data/mimic3/in-hospital-mortality. (So do, in \
hours, the scripts of https://github.com/YerevaNN/mimic3-benchmarks.) Two ways on without it: \
dataset=physionet2012, real intensive-care records open to anyone, or dataset=mimic \
dataset.source=synthetic, generated episodes in the same form."""


@dataclass(frozen=True)
class Episodes:
    """One part of the data.

    ``x`` (N, 48, 76) float32, not standardised, its last axis :data:`COLUMNS`; ``y`` (N,), 1 for
    a death in hospital; ``stays`` the files' names, in the list's order; ``sha256`` of the
    episodes' names and bytes.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    stays: list[str]
    sha256: str


def read_split(
    root: str | Path, split: str, imputation: str = "previous"
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    """``x``, ``y`` and ``stays`` of :func:`load_split`."""
    episodes = load_split(root, split, imputation)
    return episodes.x, episodes.y, episodes.stays


def load_split(root: str | Path, split: str, imputation: str = "previous") -> Episodes:
    """Read the ``train``, ``val`` or ``test`` part of the benchmark's folder ``root``.

    ``imputation`` is one of :data:`IMPUTATIONS`. The episodes are parsed once and kept, as
    ``cache`` says.

    Raises:
        UserError: when the folder is not there, and at anything in it that the benchmark has no
            rule for, a stay listed twice or a patient in two parts among them.
    """
    _require_known("split", split, SPLITS)
    _require_known("dataset.imputation", imputation, IMPUTATIONS)
    root = Path(root)
    _require_folder(root)
    labels = _read_list(root, split)
    others = (each for each in SPLITS if each != split and _list_path(root, each).is_file())
    for other in others:
        _require_disjoint(root, (split, labels), (other, _read_list(root, other)))
    stays = list(labels)
    _require_files(root, split, stays)
    hours, sha256 = _hours(root, split, stays)
    y = np.array([*labels.values()], np.int64)
    return Episodes(columns_of(hours, imputation), y, stays, sha256)


def stays_of(root: str | Path, split: str) -> list[str]:
    """The files' names in a part's list, without a look at the episodes."""
    return list(_read_list(Path(root), split))


def checksums(root: Path) -> dict[str, str]:
    """Of the episodes of all parts, as :func:`load_split` has them, and of their labels.

    Raises:
        UserError: when something is missing or cannot be read.
    """
    lists = {split: _read_list(root, split) for split in SPLITS}
    digests = [cache.digest_of(root / _FOLDERS[split], [*lists[split]]) for split in SPLITS]
    labels = ((split, list(found), list(found.values())) for split, found in lists.items())
    return {
        "sha256": hashlib.sha256(" ".join(digests).encode()).hexdigest(),
        "labels_sha256": labels_digest(labels),
    }


def labels_digest(parts: Iterable[tuple[str, list[str], list[int]]]) -> str:
    """SHA-256 of each part's name, stays and labels."""
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()


def _require_known(key: str, found: str, known: Sequence[str]) -> None:
    if found not in known:
        raise UserError(
            f"{key}={found} is not known; choose one of {', '.join(known)}."
            f"{did_you_mean(found, known)}"
        )


def _hours(root: Path, split: str, stays: list[str]) -> tuple[HourlyValues, str]:
    """Hourly values from the cache if it fits the episodes' bytes, else from the episodes."""
    folder = root / _FOLDERS[split]
    path = cache.cache_path(root, split)
    kept = cache.load(path, len(stays))
    if kept is not None:
        sha256, hours = kept
        if sha256 == cache.digest_of(folder, stays):
            return hours, sha256
    digest = cache.ContentDigest()
    hours = read_hours(folder, stays, digest.add)
    cache.store(path, digest.hexdigest(), hours)
    return hours, digest.hexdigest()


# -- The folder and its lists --------------------------------------------------------------------


def _list_path(root: Path, split: str) -> Path:
    path = root / f"{split}_listfile.csv"
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.is_file() and not path.exists() else path


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        if root.name.endswith((".tar.gz", ".tgz", ".tar", ".zip")) and root.exists():
            raise UserError(
                f"dataset.root: {root} is still packed. Unpack it, and set dataset.root to the "
                "folder with train_listfile.csv in it."
            )
        found = "is a file, not a folder" if root.exists() else "does not exist"
        raise UserError(f"dataset.root: {root} {found}. {_HOW_TO_GET_IT}")
    if any(_list_path(root, split).is_file() for split in SPLITS):
        return
    for inner in ("in-hospital-mortality", "data/in-hospital-mortality"):
        if (root / inner).is_dir():
            raise UserError(
                f"dataset.root: {root} is one folder too high; set dataset.root={root / inner}."
            )
    if (root / "train" / "listfile.csv").is_file():
        raise UserError(
            f"dataset.root: {root} has train/listfile.csv, but no train_listfile.csv: the training "
            f"part is not yet split. Run {_SPLIT_COMMAND} in the clone of mimic3-benchmarks."
        )
    raise UserError(
        f"dataset.root: {root} is another folder: it has no train_listfile.csv, val_listfile.csv "
        f"or test_listfile.csv. {_HOW_TO_GET_IT}"
    )


def _read_list(root: Path, split: str) -> dict[str, int]:
    """The label of each stay of a list, in its order."""
    path = _list_path(root, split)
    if not path.is_file():
        raise UserError(
            f"{path} is missing. Run {_SPLIT_COMMAND} in the clone of mimic3-benchmarks; it writes "
            f"{', '.join(f'{each}_listfile.csv' for each in SPLITS)}."
        )
    again = f"Write it again with {_SPLIT_COMMAND}"
    remedy = f"{again}, or correct the line."
    try:
        lines = (
            content_of(path, f"{again}, or copy it anew.").decode("utf-8-sig").rstrip().splitlines()
        )
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason}. {remedy}") from error
    if not lines:
        raise UserError(f"{path} is empty. {remedy}")
    if lines[0].strip() != _LIST_HEADER:
        raise UserError(
            f"{path}, line 1: the header is {lines[0]!r}, not {_LIST_HEADER!r}; is this the list "
            f"of another task of the benchmark? {remedy}"
        )
    if len(lines) == 1:
        raise UserError(f"{path} lists no stay. {remedy}")
    labels: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        where = f"{path}, line {number}"
        stay, comma, label = line.partition(",")
        if not comma or not stay or "," in label:
            raise UserError(f"{where}: {line!r} is not a stay and its label. {remedy}")
        if label.strip() not in _LABELS:
            raise UserError(
                f"{where}, column 'y_true': {label.strip()!r} is neither 0 (left the hospital "
                f"alive) nor 1 (died there). {remedy}"
            )
        if stay != os.path.basename(stay) or "\\" in stay or stay in (".", ".."):  # noqa: PTH119  one call for thousands of names
            raise UserError(
                f"{where}, column 'stay': {stay!r} is not the name of a file in "
                f"{_FOLDERS[split]}/. {remedy}"
            )
        if stay in labels:
            first = list(labels).index(stay) + 2
            raise UserError(
                f"{where}, column 'stay': {stay} is listed twice, first in line {first}. Take one "
                "of the two lines out."
            )
        labels[stay] = _LABELS[label.strip()]
    return labels


def patient_of(stay: str) -> str:
    """Whose a stay is; a stay with a name of its own kind is its own patient."""
    match = _STAY.fullmatch(stay)
    return match[1] if match else stay


def _patients(stays: Sequence[str]) -> dict[str, str]:
    """One stay of each patient."""
    return {patient_of(stay): stay for stay in stays}


def _require_disjoint(
    root: Path, here: tuple[str, dict[str, int]], there: tuple[str, dict[str, int]]
) -> None:
    first, second = sorted((here, there), key=lambda each: SPLITS.index(each[0]))
    ones, others = _patients(list(first[1])), _patients(list(second[1]))
    both = [patient for patient in ones if patient in others]
    if both:
        patient = both[0]
        more = f" (and {len(both) - 1} more)" if len(both) > 1 else ""
        raise UserError(
            f"{_list_path(root, second[0])}: patient {patient}{more} is in two parts of the data: "
            f"{ones[patient]} is in {first[0]}_listfile.csv, {others[patient]} in "
            f"{second[0]}_listfile.csv. A model would be tested on whom it has learned; keep all "
            f"stays of a patient in one part, as split_train_and_test and split_train_val do."
        )


def _require_files(root: Path, split: str, stays: Sequence[str]) -> None:
    folder = root / _FOLDERS[split]
    if not folder.is_dir():
        raise UserError(
            f"dataset.root: {root} lacks the folder {_FOLDERS[split]}/. {_HOW_TO_GET_IT}"
        )
    present = set(os.listdir(folder))  # noqa: PTH208  one call for thousands of names
    missing = [stay for stay in stays if not {stay, f"{stay}.gz"} & present]
    if missing:
        raise UserError(
            f"{_list_path(root, split)} names {missing[0]}, which is not in {folder} "
            f"({len(missing)} of {len(stays)} files are missing). Copy the folder again in full, "
            "or make it again with mimic3-benchmarks' create_in_hospital_mortality."
        )


def require_both_classes(y: NDArray[np.int64], root: str | Path, split: str) -> None:
    """Refuse a part in which all died or all lived: nothing to learn, and no AUROC.

    Raises:
        UserError: when ``y`` has one class only.
    """
    if len(np.unique(y)) < 2:
        raise UserError(
            f"{_list_path(Path(root), split)}, column 'y_true': all {len(y)} stays have the label "
            f"{y[0]}. Training and the AUROC need both classes; give a list with deaths and "
            "survivors."
        )


# -- Standardisation -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the 12 continuous columns, float64 (12,)."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def statistics_of(x_train: NDArray[np.float32]) -> Statistics:
    """Statistics of the training part (N, 48, 76), over stays and hours, imputed ones included.

    As the benchmark's normalizer has them (n - 1 in the variance), but for a column that is
    constant in training: its deviation is 1 here, so that a test value off the constant stays a
    number of ordinary size.
    """
    values = x_train[..., CONTINUOUS].reshape(-1, len(CONTINUOUS)).astype(np.float64)
    std = values.std(axis=0, ddof=1 if len(values) > 1 else 0)
    return Statistics(values.mean(axis=0), np.where(std < 1e-7, 1.0, std))


def standardised(x: NDArray[np.float32], statistics: Statistics) -> NDArray[np.float32]:
    """A copy of ``x`` (N, 48, 76) with its continuous columns standardised."""
    standard = x.copy()
    standard[..., CONTINUOUS] = (x[..., CONTINUOUS] - statistics.mean) / statistics.std
    return standard


def features_of_raw(
    raw: NDArray[np.float32], imputation: str, scale: Mapping[str, Sequence[float]]
) -> NDArray[np.float32]:
    """Series of one's own as a network reads them, (N, 76, 48).

    Args:
        raw: (N, 17, 48), the variables by the hour, NaN where not measured; of one with
            categories, the category's place.
        imputation: one of :data:`IMPUTATIONS`.
        scale: (mean, deviation) of each continuous column.

    Raises:
        UserError: there is no such category.
    """
    for place, variable in enumerate(VARIABLES):
        values = raw[:, place]
        wrong = ~np.isnan(values) & ~np.isin(values, np.arange(len(variable.categories)))
        if variable.categories and wrong.any():
            raise UserError(
                f"'{variable.name}' is {values[wrong][0]:g}; allowed: NaN, or the place of a "
                f"category, 0 to {len(variable.categories) - 1}: {', '.join(variable.categories)}."
            )
    names = [COLUMNS[place] for place in CONTINUOUS]
    mean, std = np.array([scale[name] for name in names], np.float64).T
    x = columns_of(np.ascontiguousarray(raw.transpose(0, 2, 1)), imputation)
    return standardised(x, Statistics(mean, std)).transpose(0, 2, 1)
