"""Batches of examples that live in memory, made several at a time on the run's device."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from stnlab.data.randomness import Stream, generator

Batch = tuple[Tensor, ...]  # inputs, targets, and the lengths of series where they differ


class BatchSource(ABC):
    """Inputs and targets in batches, anew at every epoch; an iterable with a length.

    Yields ``(inputs, targets)``: float32 (B, channels, ...) and int64 (B,); of series of unequal
    lengths also those, int64 (B,). The order follows from ``(order_key, epoch)`` alone. Set
    :attr:`epoch` before iterating.
    """

    def __init__(
        self,
        num_examples: int,
        device: torch.device,
        *,
        batch_size: int,
        batches_a_chunk: int,
        order_key: tuple[int, ...] | None = None,
        limit: float = 1.0,
    ) -> None:
        """``order_key`` None keeps the examples' own order (validation and test).

        ``limit`` is a number of batches (int) or a share of them (float), as in Lightning, but
        there is at least one.
        ``batches_a_chunk`` is how many batches are made in one go.
        """
        self.num_examples = num_examples
        self.device = device
        self.batch_size = batch_size
        self.batches_a_chunk = batches_a_chunk
        self.order_key = order_key
        self.limit = limit
        self.epoch = 0

    @abstractmethod
    def _maker(self) -> Callable[[Tensor], Batch]:
        """What makes this epoch's inputs and targets of the examples (N,) it is given."""

    @property
    @abstractmethod
    def targets(self) -> Tensor:
        """The target of each example, (N,) int64, in the examples' own order."""

    @property
    def num_seen(self) -> int:
        """How many examples an epoch shows."""
        return min(self.num_examples, len(self) * self.batch_size)

    def order(self) -> Tensor:
        """The examples (N,) in this epoch's order; the first :attr:`num_seen` are shown."""
        if self.order_key is None:
            return torch.arange(self.num_examples, device=self.device)
        rng = generator(Stream.order, *self.order_key, self.epoch)
        return torch.randperm(self.num_examples, generator=rng).to(self.device)

    def __len__(self) -> int:
        num_batches = math.ceil(self.num_examples / self.batch_size)
        if isinstance(self.limit, int):
            return min(self.limit, num_batches)
        return max(min(1, num_batches), int(self.limit * num_batches))

    def __iter__(self) -> Iterator[Batch]:
        for chunk in self.chunks():
            yield from chunk

    def chunks(self) -> Iterator[list[Batch]]:
        """The same batches, in lists of those that are made in one go."""
        order, end = self.order(), self.num_seen
        make = self._maker()
        at_a_time = self.batches_a_chunk * self.batch_size
        for start in range(0, end, at_a_time):
            made = make(order[start : min(start + at_a_time, end)])
            yield list(zip(*(torch.split(each, self.batch_size) for each in made), strict=True))


class Chunks:
    """The chunks of some batches, as an iterable with a length, for Lightning's training loop."""

    def __init__(self, batches: BatchSource) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return math.ceil(len(self.batches) / self.batches.batches_a_chunk)

    def __iter__(self) -> Iterator[list[Batch]]:
        return self.batches.chunks()
