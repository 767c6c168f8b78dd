"""Labels of a user's own data: the classes that they name, and parts held out of them by seed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stnlab.errors import UserError
from stnlab.rules import require

Labels = NDArray[np.int64]
PARTS = ("train", "val", "test")

_SHARES = {"val": 0.1, "test": 0.2}  # of what a part is held out of, where a key is null
_PART_NAMES = {"train": "training", "val": "validation", "test": "test"}
_MAX_NAMED = 5


def encode(
    parts: Mapping[str, NDArray[Any]], where: str, names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """The names of the classes in their order, and each part's labels as their places, (N,) each.

    Args:
        parts: "train" and others to labels (N,), whole numbers or texts.
        where: what they were read from, for a message.
        names: of the classes, where labels are whole numbers from 0 that stand for them.

    Raises:
        UserError: there is one class alone, or a class that training does not have.
    """
    if names is not None:
        found = {
            part: _in_range(labels, len(names), f"{where}: {_PART_NAMES[part]} labels")
            for part, labels in parts.items()
        }
        _require_several([names[label] for label in np.unique(found["train"])], where)
        return tuple(map(str, names)), found
    known = in_order({str(each) for each in np.unique(parts["train"]).tolist()})
    places = {name: place for place, name in enumerate(known)}
    for part, labels in parts.items():
        for label in map(str, np.unique(labels).tolist()):
            if label not in places:
                raise UserError(
                    f"dataset.root: {where}: the {_PART_NAMES[part]} part has the class '{label}', "
                    f"which the training part does not have. Its classes: {named(known)}. Remove "
                    "the class, or give training examples of it."
                )
    _require_several(known, where)
    return known, {
        part: np.array([places[str(each)] for each in labels.tolist()], np.int64)
        for part, labels in parts.items()
    }


def _require_several(classes: Sequence[str], where: str) -> None:
    if len(classes) < 2:
        raise UserError(
            f"dataset.root: {where}: there is one class alone, '{classes[0]}'; allowed: 2 or more."
        )


def in_order(names: set[str]) -> tuple[str, ...]:
    """Numbers by size, else texts by the alphabet: the same on every file system."""
    alphabetical = sorted(names)
    try:
        numbers = [float(name) for name in alphabetical]
    except ValueError:
        return tuple(alphabetical)
    if any(map(math.isnan, numbers)):  # which no number comes before or after
        return tuple(alphabetical)
    return tuple(sorted(alphabetical, key=float))


def named(names: Sequence[str]) -> str:
    """The first of some names, and how many more."""
    shown = ", ".join(names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _in_range(labels: NDArray[Any], num_classes: int, where: str) -> Labels:
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(
            f"dataset.root: {where} are not whole numbers of 0 to {num_classes - 1}, for the "
            f"{num_classes} names in 'classes'."
        )
    return labels.astype(np.int64)


# --- parts held out


def quotas(
    labels: Mapping[str, Labels], val_size: float | None, test_size: float | None
) -> dict[str, Labels]:
    """How many examples of each class, (classes,), "train" gives for "test" and "val".

    What the data has as a part of its own stays whole; the others are held out of "train", in
    proportion to its classes. A size is a count or a share; null leaves a part of the data's own
    as it is, and takes a share of 0.1 for "val" and 0.2 for "test" where there is none.

    Raises:
        UserError: a size is given of a part that the data has, or it leaves too little.
    """
    left: Labels = np.bincount(labels["train"])
    found: dict[str, Labels] = {}
    for part, size in (("test", test_size), ("val", val_size)):
        key = f"dataset.{part}_size"
        if part in labels:
            own = f"The data has a {_PART_NAMES[part]} part of its own."
            require(size is None, key, size, "null", own)
            continue
        share = _SHARES[part] if size is None else size
        number = share if isinstance(share, int) else round(share * int(left.sum()))
        examples, classes = int(left.sum()), np.count_nonzero(left)
        if number < (part == "test") or number > examples - classes:
            raise UserError(
                f"{key} is {share}{'' if isinstance(share, int) else f', which is {number}'} of "
                f"{examples} examples; allowed: "
                + ("1 or more, and " if part == "test" else "")
                + f"what leaves one of each of the {classes} classes to train on."
            )
        found[part] = _in_proportion(left, number)
        left = left - found[part]
    return found


def _in_proportion(counts: Labels, number: int) -> Labels:
    """``number`` in all, of each class by its share, and never all of a class: (classes,)."""
    ideal = counts * (number / counts.sum())
    quota: Labels = np.minimum(np.floor(ideal).astype(np.int64), np.maximum(counts - 1, 0))
    by_remainder = np.argsort(quota - ideal, kind="stable")
    while missing := number - int(quota.sum()):
        able = [each for each in by_remainder if quota[each] < counts[each] - 1]
        quota[able[:missing]] += 1
    return quota


def split(
    labels: Mapping[str, Labels], val_size: float | None, test_size: float | None, seed: int
) -> dict[str, tuple[str, Labels]]:
    """Which examples make up "train", "val" and "test": (the part they come from, their places).

    As :func:`quotas` says. Which ones are held out, and the order in which each part has them,
    follow from ``seed`` alone: the data's own order is often by class, and figures and
    ``trainer.limit_test_batches`` take the first.
    """
    import torch

    from stnlab.data.randomness import Stream, generator

    orders = {
        part: torch.randperm(len(found), generator=generator(Stream.split, seed)).numpy()
        for part, found in labels.items()
    }
    parts = {part: (part, order) for part, order in orders.items()}
    of, order = labels["train"], orders["train"]
    for part, quota in quotas(labels, val_size, test_size).items():
        chosen = np.concatenate(
            [order[of[order] == label][:wanted] for label, wanted in enumerate(quota)]
        )
        is_chosen = np.isin(order, chosen)
        parts[part], order = ("train", order[is_chosen]), order[~is_chosen]
    parts["train"] = ("train", order)
    return parts


# --- what fits


def require_fits(num_bytes: int, what: str, remedy: str) -> None:
    """Refuse data that would not fit this machine's memory, before it is read.

    Raises:
        UserError: saying how much is needed, and how much is free.
    """
    free = _free_memory()
    if num_bytes > free:
        raise UserError(
            f"dataset.root: {what} take {num_bytes / 2**30:,.1f} GiB in memory, and "
            f"{free / 2**30:,.1f} GiB are free. {remedy}"
        )


def _free_memory() -> float:
    """Bytes that a process may take; infinite where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123  # no path of a user
            found = dict(line.split(":") for line in file)
        return float(found["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return math.inf
