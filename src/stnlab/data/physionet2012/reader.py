"""In-hospital mortality of the PhysioNet/CinC Challenge 2012: 48 hours of 4,000 stays a set.

ODC-By 1.0; https://physionet.org/content/challenge-2012/1.0.0/. Sets a, b and c have other patients
each. What a record means is in ``records``, what counts as plausible in
``variables``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stnlab.data.mimic.cache import ContentDigest
from stnlab.data.physionet2012 import cache as kept_sets
from stnlab.data.physionet2012 import files, records
from stnlab.data.physionet2012.files import URL, outcomes_path
from stnlab.data.physionet2012.variables import (
    CODES,
    COLUMNS,
    DESCRIPTORS,
    NUM_HOURS,
    RANGES,
    RAW_COLUMNS,
    SCALED,
    VARIABLES,
)
from stnlab.errors import UserError

__all__ = [
    "COLUMNS",
    "DESCRIPTORS",
    "NUM_HOURS",
    "RANGES",
    "RAW_COLUMNS",
    "SETS",
    "VARIABLES",
    "Records",
    "Statistics",
    "features",
    "features_of_raw",
    "impute",
    "joined",
    "load_set",
    "raw_of_record",
    "require_disjoint",
    "split_by_outcome",
    "statistics_of",
]

SETS = ("a", "b", "c")
_CLIP = 10.0  # standard deviations
_UNKNOWN_GENDER = 0.5  # between female, 0, and male, 1


@dataclass(frozen=True)
class Records:
    """Stays of a set.

    ``values`` (N, 48, 37) float32, the last value of each hour, its last axis :data:`VARIABLES`,
    NaN where nothing was measured; ``descriptors`` (N, 5) float32, :data:`DESCRIPTORS`, NaN where
    unknown; ``y`` (N,), 1 for a death in hospital; ``stays`` the records' numbers, in the order of
    the set's outcomes; ``sha256`` of the whole set's outcomes and records.
    """

    values: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    y: NDArray[np.int64]
    stays: list[str]
    sha256: str

    def take(self, which: NDArray[np.int64]) -> "Records":
        """Those at the places ``which``, in that order."""
        return replace(
            self,
            values=self.values[which],
            descriptors=self.descriptors[which],
            y=self.y[which],
            stays=[self.stays[place] for place in which],
        )


def joined(sets: Sequence[Records]) -> Records:
    """The stays of several sets as one's, in their order."""
    return Records(
        np.concatenate([each.values for each in sets]),
        np.concatenate([each.descriptors for each in sets]),
        np.concatenate([each.y for each in sets]),
        [stay for each in sets for stay in each.stays],
        "".join(each.sha256 for each in sets),
    )


def split_by_outcome(
    records: Records, shares: Sequence[float], rng: np.random.Generator
) -> list[Records]:
    """Deal stays out at random, so that each part has its share of the deaths and of the rest."""
    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    for outcome in (0, 1):
        of_outcome = rng.permutation(np.flatnonzero(records.y == outcome))
        ends = np.rint(np.cumsum(shares) * len(of_outcome)).astype(np.int64)
        for part, chosen in zip(parts, np.split(of_outcome, ends[:-1]), strict=True):
            part.append(chosen)
    return [records.take(np.sort(np.concatenate(part))) for part in parts]


def load_set(root: str | Path, letter: str, *, download: bool = False) -> Records:
    """Read set ``letter`` (a, b or c) in ``root``: ``set-a.tar.gz`` or ``set-a/``, and outcomes.

    Where files are missing and ``download`` is true, they are fetched to ``root`` first. Records
    are parsed once and kept, as ``cache`` says.

    Raises:
        UserError: when files are missing, and at anything in them that cannot be right.
    """
    if letter not in SETS:
        raise UserError(
            f"dataset=physionet2012: set {letter!r} is not known; choose one of {', '.join(SETS)}."
        )
    root = Path(root)
    source, outcomes = files.find(root, letter, download=download)
    path = outcomes_path(root, letter)
    labels = records.outcomes(str(path), outcomes, f"Get it again from {URL}{path.name}.")
    key = kept_sets.key_of(source.key(), outcomes)
    cache = kept_sets.cache_path(root, f"set-{letter}")
    arrays = kept_sets.load(cache, key, len(labels))
    if arrays is None:
        contents = source.contents()
        files.require_same_stays(path, source, labels, contents)
        values = np.empty((len(labels), NUM_HOURS, len(VARIABLES)), np.float32)
        descriptors = np.empty((len(labels), len(DESCRIPTORS)), np.float32)
        digest = ContentDigest()
        digest.add(path.name, outcomes)
        for place, stay in enumerate(labels):
            digest.add(stay, contents[stay])
            values[place], descriptors[place] = records.stay_values(
                source.where(stay), stay, contents[stay], source.remedy
            )
        arrays = digest.hexdigest(), values, descriptors
        kept_sets.store(cache, key, arrays)
    sha256, values, descriptors = arrays
    y = np.array([*labels.values()], np.int64)
    return Records(values, descriptors, y, list(labels), sha256)


def require_disjoint(one: Records, other: Records) -> None:
    """Refuse two sets that share a stay.

    Raises:
        UserError: naming the first stay that is in both.
    """
    known = set(other.stays)
    both = [stay for stay in one.stays if stay in known]
    if both:
        more = f" (and {len(both) - 1} more)" if len(both) > 1 else ""
        raise UserError(
            f"dataset.root: record {both[0]}{more} is in two sets. A model would be tested on whom "
            f"it has learned; is one set a copy of another? Get both again from {URL}."
        )


# -- Features ------------------------------------------------------------------------------------


def impute(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Carry each stay's values (N, 48, 37) forward, and say which were measured.

    Returns the filled values, NaN before the first measurement, and a mask, 1 where measured.
    """
    measured = ~np.isnan(values)
    hours = np.arange(values.shape[1])[:, None]
    last = np.maximum.accumulate(np.where(measured, hours, 0), axis=1)
    return np.take_along_axis(values, last, axis=1), measured.astype(np.float32)


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the variables, and of age, height and weight at admission.

    float64 (40,), in the order of :attr:`scale`.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @property
    def scale(self) -> dict[str, tuple[float, float]]:
        """The (mean, standard deviation) of each column that is standardised, in its own units."""
        return dict(
            zip(SCALED, zip(self.mean.tolist(), self.std.tolist(), strict=True), strict=True)
        )


def statistics_of(train: Records) -> Statistics:
    """Statistics of the training part, over measured hours and known descriptors alone.

    The deviation (n - 1 in the variance) is 1 where a column is constant in training, as MechVent
    is, which has no 0, or has fewer than two values; the mean is 0 where it has none.
    """
    names = [name.removeprefix("static->") for name in SCALED[len(VARIABLES) :]]
    known = train.descriptors[:, [DESCRIPTORS.index(name) for name in names]]
    columns = [*train.values.reshape(-1, len(VARIABLES)).T, *known.T]
    mean, std = np.zeros(len(columns)), np.ones(len(columns))
    for place, column in enumerate(columns):
        seen = column[~np.isnan(column)].astype(np.float64)
        if len(seen):
            mean[place] = seen.mean()
        if len(seen) > 1 and (deviation := seen.std(ddof=1)) > 1e-7:
            std[place] = deviation
    return Statistics(mean, std)


def features(records: Records, statistics: Statistics) -> NDArray[np.float32]:
    """The channels :data:`COLUMNS` of each stay, (N, 82, 48) float32.

    Variables are carried forward and standardised, 0 (the training mean) before the first
    measurement; ages, heights and weights are standardised, 0 where unknown; both are cut off at
    ±10 standard deviations. Gender is 0 or 1, and ½ where unknown; a type of unit is one of four
    channels. What is known at admission is the same in all hours.
    """
    filled, mask = impute(records.values)
    num = len(VARIABLES)
    x = np.empty((len(records.y), len(COLUMNS), NUM_HOURS), np.float32)
    x[:, :num] = _standardised(filled, statistics.mean[:num], statistics.std[:num]).swapaxes(1, 2)
    x[:, num : 2 * num] = mask.swapaxes(1, 2)

    known = dict(zip(DESCRIPTORS, records.descriptors.T, strict=True))
    scaled = np.stack([known[name.removeprefix("static->")] for name in SCALED[num:]], axis=1)
    static = [
        *_standardised(scaled, statistics.mean[num:], statistics.std[num:]).T,
        np.nan_to_num(known["Gender"], nan=_UNKNOWN_GENDER),
        *(known["ICUType"] == code for code in CODES["ICUType"]),
    ]
    x[:, 2 * num :] = np.stack(static, axis=1)[..., None]
    return x


def features_of_raw(
    raw: NDArray[np.float32], scale: Mapping[str, Sequence[float]]
) -> NDArray[np.float32]:
    """:func:`features` of series of one's own.

    Args:
        raw: (N, 42, 48), :data:`RAW_COLUMNS` in the challenge's units, NaN where not measured;
            what is out of :data:`RANGES` counts as such.
        scale: as :attr:`Statistics.scale`.
    """
    names = (*VARIABLES, *DESCRIPTORS)
    low, high = np.array([RANGES[name] for name in names], np.float32).T[:, :, None]
    values = np.where((low <= raw) & (raw <= high), raw, np.float32("nan"))
    num, stays = len(VARIABLES), [str(place) for place in range(len(raw))]
    records = Records(
        np.ascontiguousarray(values[:, :num].swapaxes(1, 2)),
        values[:, num:, 0],
        np.zeros(len(raw), np.int64),
        stays,
        sha256="",
    )
    mean, std = np.array([scale[name] for name in SCALED], np.float64).T
    return features(records, Statistics(mean, std))


def raw_of_record(path: Path) -> NDArray[np.float32]:
    """A record of the challenge as :data:`RAW_COLUMNS`, (1, 42, 48).

    Raises:
        UserError: the file cannot be read, or something in it cannot be right.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    if not path.stem.isdecimal():
        raise UserError(f"{path}: a record is named by its number, as 132539.txt.")
    remedy = "Give it as the challenge has it."
    values, descriptors = records.stay_values(str(path), path.stem, content, remedy)
    static = np.broadcast_to(descriptors[:, None], (len(DESCRIPTORS), NUM_HOURS))
    return np.concatenate([values.T, static])[None]


def _standardised(
    x: NDArray[np.float32], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.nan_to_num(np.clip((x - mean) / std, -_CLIP, _CLIP), nan=0.0)
