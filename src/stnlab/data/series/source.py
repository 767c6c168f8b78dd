"""What a user's series are, whatever layout they lie in.

All layouts give series that may lack values: where one was not measured, and after a series' end
where others are longer. How that is filled is said here, for all of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stnlab.data.labels import Labels, encode
from stnlab.errors import UserError

Floats = NDArray[np.float32]


class Read(NamedTuple):
    """A part as a file has it: ``x`` (N, C, steps) with NaN where there is no value.

    ``y`` (N,) are whole numbers or texts, ``names`` (N,) of the series.
    """

    x: Floats
    y: NDArray[Any]
    names: list[str]


class SeriesSource:
    """All series of a user's.

    ``parts`` maps "train", and "val" and "test" where the data has them, to series that are all of
    ``num_steps``, NaN where there is no value; ``labels`` to the classes' places. ``gaps`` (C,)
    says which columns lack a value anywhere.
    """

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

    @property
    def channels(self) -> tuple[str, ...]:
        """The columns, and a mask for each that lacks a value anywhere."""
        masks = (f"mask->{name}" for name, gap in zip(self.columns, self.gaps, strict=True) if gap)
        return (*self.columns, *masks)

    def statistics(self, places: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
        none before; the same holds after a series' end. A mask is 1 where a value was measured.
        """
        x = (self.parts[part].x - mean[:, None]) / std[:, None]
        measured = ~np.isnan(x)
        steps = np.where(measured, np.arange(self.num_steps), -1)
        last = np.maximum.accumulate(steps, axis=2)
        filled = np.take_along_axis(x, np.maximum(last, 0), axis=2)
        filled = np.where(last >= 0, filled, 0.0)
        return np.concatenate([filled, measured[:, self.gaps]], axis=1, dtype=np.float32)


def _lengthened(part: Read, num_steps: int) -> Read:
    missing = num_steps - part.x.shape[2]
    if not missing:
        return part
    end = ((0, 0), (0, 0), (0, missing))
    return part._replace(x=np.pad(part.x, end, constant_values=np.nan))
