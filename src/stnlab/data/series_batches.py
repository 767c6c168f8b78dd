"""Series in memory, standardised, and their batches."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stnlab.data.batches import Batch, BatchSource

_BATCHES_A_CHUNK = 8


@dataclass(frozen=True)
class Part:
    """``x`` (N, C, steps) float32, ``y`` (N,) int64, ``names`` of the series.

    ``groups`` says whose each series is, where several may be of one: a patient's stays.
    ``lengths`` (N,) int64 says after how many steps each is over, where that differs; what comes
    after is 0.
    """

    x: Tensor
    y: Tensor
    names: list[str]
    groups: list[str]
    lengths: Tensor | None = None

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device) -> "Part":
        """The same, resident on ``device``."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return dataclasses.replace(self, x=self.x.to(device), y=self.y.to(device), lengths=lengths)

    @staticmethod
    def of(
        x: NDArray[np.float32],
        y: NDArray[np.int64],
        names: list[str],
        groups: list[str] | None = None,
        lengths: NDArray[np.int64] | None = None,
    ) -> "Part":
        """From arrays; each series is its own group unless ``groups`` says otherwise."""
        series = torch.from_numpy(np.ascontiguousarray(x))
        ends = None if lengths is None else torch.from_numpy(lengths)
        return Part(series, torch.from_numpy(y), names, groups or names, ends)


class Planted(NamedTuple):
    """The warps of synthetic series, by the name of the parameter that should find each: (N,)."""

    warps: dict[str, tuple[str, NDArray[np.float64]]]  # r_phase: (theta23, values)


@dataclass(frozen=True)
class SeriesParts:
    """Training, validation and test part of a dataset of series.

    ``name`` says in words what the data is. ``scale`` maps the name of each standardised column to
    the (mean, standard deviation) that it was standardised with, by the training part alone.
    ``planted`` are the test part's warps, where the data is synthetic. ``labels_sha256`` is of the
    labels, where ``sha256`` is not.
    """

    name: str
    train: Part
    val: Part
    test: Part
    columns: tuple[str, ...]
    scale: dict[str, tuple[float, float]]
    sha256: str
    planted: Planted | None = None
    labels_sha256: str | None = None

    @property
    def is_synthetic(self) -> bool:
        return self.planted is not None

    def to(self, device: torch.device) -> "SeriesParts":
        """The same, resident on ``device``."""
        parts = {name: getattr(self, name).to(device) for name in ("train", "val", "test")}
        return dataclasses.replace(self, **parts)


class SeriesBatches(BatchSource):
    """Batches of one part, (B, C, steps), with the lengths (B,) where they differ."""

    def __init__(
        self,
        part: Part,
        *,
        batch_size: int,
        order_key: tuple[int, ...] | None = None,
        limit: float = 1.0,
    ) -> None:
        super().__init__(
            len(part),
            part.x.device,
            batch_size=batch_size,
            batches_a_chunk=_BATCHES_A_CHUNK,
            order_key=order_key,
            limit=limit,
        )
        self.part = part

    @property
    def targets(self) -> Tensor:
        return self.part.y

    def _maker(self) -> Callable[[Tensor], Batch]:
        x, y, lengths = self.part.x, self.part.y, self.part.lengths
        if lengths is None:
            return lambda chosen: (x[chosen], y[chosen])
        return lambda chosen: (x[chosen], y[chosen], lengths[chosen])
