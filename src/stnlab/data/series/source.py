"""What series in files are, whatever layout they lie in.

All layouts give series that may lack values: where one was not measured, and after a series' end
where others are longer. How that is filled is said here, for all of them.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stnlab.data.labels import Labels, encode
from stnlab.data.spec import SeriesSpec, Task
from stnlab.errors import UserError

if TYPE_CHECKING:
    from stnlab.data.series_batches import SeriesParts

Floats = NDArray[np.float32]
Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]

_MIN_STEPS = 2  # one moment has no course, and no warp


class Read(NamedTuple):
    """A part as a file has it: ``x`` (N, C, steps) with NaN where there is no value.

    ``y`` (N,) are whole numbers or texts, ``names`` (N,) of the series.
    """

    x: Floats
    y: NDArray[Any]
    names: list[str]


class SeriesSource:
    """All series of a dataset.

    ``parts`` maps "train", and "val" and "test" where the data has them, to series that are all of
    ``num_steps``, NaN where there is no value; ``labels`` to the classes' places. ``gaps`` (C,)
    says which columns lack a value anywhere. ``lengths`` maps parts to the steps (N,) after which
    each series is over; None where a shorter one counts as not measured to the end.
    """

    lengths: dict[str, Labels] | None = None

    def __init__(
        self,
        parts: dict[str, Read],
        columns: Sequence[str],
        files: list[Path],
        classes: Sequence[str] | None = None,
    ) -> None:
        self.files = files
        self.num_steps = max(part.x.shape[2] for part in parts.values())
        self.columns = tuple(columns)
        self.parts = {name: _lengthened(part, self.num_steps) for name, part in parts.items()}
        where = str(files[0])
        for name, part in parts.items():
            if len(part.x) == 0:
                raise UserError(f"dataset.root: {where}: the {name} part has no series.")
            if self.num_steps < _MIN_STEPS:
                raise UserError(
                    f"dataset.root: {where}: all series have {self.num_steps} step; allowed: "
                    f"{_MIN_STEPS} or more, for there to be a course in time."
                )
            if np.isinf(part.x).any():
                at = part.names[int(np.isinf(part.x).any(axis=(1, 2)).argmax())]
                raise UserError(
                    f"dataset.root: {where}: series {at} of the {name} part has a value that is "
                    "infinite or too large. Leave it out, or correct it."
                )
        self.classes, self.labels = encode(
            {name: part.y for name, part in parts.items()}, where, classes
        )
        self.gaps = np.any(
            [np.isnan(part.x).any(axis=(0, 2)) for part in self.parts.values()], axis=0
        )

    def keeping_lengths(self) -> "SeriesSource":
        """The same, where a series is over with its last value: what comes after is no gap.

        Itself where all are of one length.

        Raises:
            UserError: a series has fewer than 2 steps.
        """
        lengths = {name: lengths_of(part.x) for name, part in self.parts.items()}
        for name, found in lengths.items():
            if found.min() < _MIN_STEPS:
                place, steps = int(found.argmin()), int(found.min())
                raise UserError(
                    f"dataset.root: {self.files[0]}: series {self.parts[name].names[place]} of the "
                    f"{name} part has {'no value' if steps == 0 else '1 step'}; allowed: "
                    f"{_MIN_STEPS} steps or more. Leave it out."
                )
        if all((found == self.num_steps).all() for found in lengths.values()):
            return self
        kept = copy.copy(self)
        kept.lengths = lengths
        kept.gaps = np.any(
            [
                (np.isnan(part.x) & is_inside(lengths[name], self.num_steps)[:, None]).any((0, 2))
                for name, part in self.parts.items()
            ],
            axis=0,
        )
        return kept

    def spec(self, unit: str) -> SeriesSpec:
        """What networks and reports know of the series; ``unit`` is what a step is."""
        return SeriesSpec(
            Task.multiclass,
            channels=len(self.channels),
            size=(self.num_steps,),
            num_classes=len(self.classes),
            columns=self.channels,
            classes=self.classes,
            unit=unit,
            unequal_lengths=self.lengths is not None,
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """The columns, and a mask for each that lacks a value anywhere."""
        masks = (f"mask->{name}" for name, gap in zip(self.columns, self.gaps, strict=True) if gap)
        return (*self.columns, *masks)

    def statistics(self, places: Labels) -> Statistics:
        """Mean and deviation (C,) of each column, over what some training series have of it.

        Raises:
            UserError: they have nothing of one.
        """
        x = self.parts["train"].x[places].astype(np.float64)
        empty = np.isnan(x).all(axis=(0, 2))
        if empty.any():
            raise UserError(
                f"dataset.root: {self.files[0]}: no training series has a value of "
                f"'{self.columns[int(empty.argmax())]}'. Leave the column out."
            )
        std = np.nanstd(x, axis=(0, 2))
        return np.nanmean(x, axis=(0, 2)), np.where(std > 0, std, 1.0)

    def inputs(self, part: str, mean: NDArray[np.float64], std: NDArray[np.float64]) -> Floats:
        """What a network reads of a part, (N, channels, steps): standardised, filled, with masks.

        A value that is missing is the last one before it, and the column's mean where there is
        none before; the same holds after a series' end, unless lengths are kept: then all is 0
        there. A mask is 1 where a value was measured.

        Args:
            part: its name.
            mean: (C,), or (N, C) of each series.
            std: likewise.
        """
        x = (self.parts[part].x - mean[..., None]) / std[..., None]
        measured = ~np.isnan(x)
        channels = np.concatenate(
            [filled_forward(x), measured[:, self.gaps]], axis=1, dtype=np.float32
        )
        if self.lengths is not None:
            channels *= is_inside(self.lengths[part], self.num_steps)[:, None]
        return channels

    def series_parts(
        self,
        held: Mapping[str, tuple[str, Labels]],
        *,
        name: str,
        sha256: str,
        by_own_values: bool = False,
    ) -> "SeriesParts":
        """Training, validation and test part, ready for a network.

        Args:
            held: "train", "val" and "test" to the part they come from, and their places in it.
            name: of the data, in words.
            sha256: of the files.
            by_own_values: each series is standardised by its own values, and not by those of all
                training series.
        """
        from stnlab.data.series_batches import Part, SeriesParts

        if by_own_values:
            inputs = {
                part: self.inputs(part, *own_statistics(read.x))
                for part, read in self.parts.items()
            }
            scale = {}
        else:
            mean, std = self.statistics(held["train"][1])
            inputs = {part: self.inputs(part, mean, std) for part in self.parts}
            scale = {
                column: (float(mean[place]), float(std[place]))
                for place, column in enumerate(self.columns)
            }
        parts = {
            part: Part.of(
                inputs[of][places],
                self.labels[of][places],
                [self.parts[of].names[place] for place in places],
                lengths=None if self.lengths is None else self.lengths[of][places],
            )
            for part, (of, places) in held.items()
        }
        return SeriesParts(
            name,
            train=parts["train"],
            val=parts["val"],
            test=parts["test"],
            columns=self.channels,
            scale=scale,
            sha256=sha256,
        )


def lengths_of(x: Floats) -> Labels:
    """Steps up to the last at which a series (N, C, steps) has any value, (N,)."""
    is_measured = ~np.isnan(x).all(axis=1)
    lengths: Labels = (is_measured * np.arange(1, x.shape[2] + 1)).max(axis=1)
    return lengths


def is_inside(lengths: Labels, num_steps: int) -> NDArray[np.bool_]:
    """Which of so many steps come before each series' end, (N, steps)."""
    inside: NDArray[np.bool_] = np.arange(num_steps) < lengths[:, None]
    return inside


def filled_forward(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Series (N, C, steps) with the last value before it in place of each NaN; 0 if there is none.

    What a network is trained on and what it is given later are filled here alike.
    """
    steps = np.where(np.isnan(x), -1, np.arange(x.shape[2]))
    last = np.maximum.accumulate(steps, axis=2)
    return np.where(last >= 0, np.take_along_axis(x, np.maximum(last, 0), axis=2), 0.0)


def own_statistics(x: Floats) -> Statistics:
    """Mean and deviation (N, C) of each series' own values, NaN apart; the deviation never 0."""
    measured = ~np.isnan(x)
    number = np.maximum(measured.sum(axis=2), 1)
    values = np.where(measured, x, 0.0).astype(np.float64)
    mean = values.sum(axis=2) / number
    std = np.sqrt((np.where(measured, values - mean[..., None], 0.0) ** 2).sum(axis=2) / number)
    return mean, np.where(std > 0, std, 1.0)


def _lengthened(part: Read, num_steps: int) -> Read:
    missing = num_steps - part.x.shape[2]
    if not missing:
        return part
    end = ((0, 0), (0, 0), (0, missing))
    return part._replace(x=np.pad(part.x, end, constant_values=np.nan))
