"""The digit datasets: examples laid out from MNIST, and their batches.

Everything lives in memory: images as uint8, examples as indices into them. A batch is gathered,
distorted, normalised and laid out at once, on the run's device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stnlab.data import distortion, mnist
from stnlab.data.batches import Batch, BatchSource
from stnlab.data.randomness import Stream, generator
from stnlab.schema import Backend, DigitsConfig, DistortionConfig, Layout

# The 64 examples of a training batch are too few to keep the warp busy; several batches are
# distorted in one go. Up to about 500 digits at a time fit a core's cache.
_DIGITS_AT_A_TIME = 512


@dataclass(frozen=True)
class Examples:
    """Examples of one part of a dataset.

    ``images`` (M, 28, 28) uint8 are shared by all; ``members`` (N, objects) int64 are the indices
    of each example's digits; ``targets`` (N,) int64 the digit, or the sum of two.
    """

    images: Tensor
    members: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.members)

    def to(self, device: torch.device) -> "Examples":
        """The same, resident on ``device``."""
        return Examples(self.images.to(device), self.members.to(device), self.targets.to(device))


@dataclass(frozen=True)
class DigitParts:
    """Training, validation and test examples, and the sha256 of the data they come from."""

    train: Examples
    val: Examples
    test: Examples
    sha256: str

    def to(self, device: torch.device) -> "DigitParts":
        """The same, resident on ``device``."""
        return DigitParts(
            self.train.to(device), self.val.to(device), self.test.to(device), self.sha256
        )


def load_parts(config: DigitsConfig) -> DigitParts:
    """Read MNIST and make the examples of a digit dataset.

    ``config.val_size`` training *images* are held out first, so that no digit of a validation pair
    is ever trained on. Split and pairs follow ``config.seed`` alone.
    """
    digits = mnist.load(config.root)
    order = torch.randperm(len(digits.train_images), generator=generator(Stream.split, config.seed))
    held_out, kept = order[: config.val_size], order[config.val_size :]
    parts = {
        part: Examples(images, members, labels[members].sum(dim=1))
        for index, (part, images, labels, available) in enumerate(
            [
                ("train", digits.train_images, digits.train_labels, kept),
                ("val", digits.train_images, digits.train_labels, held_out),
                ("test", digits.test_images, digits.test_labels, torch.arange(10_000)),
            ]
        )
        for members in [_members(available, config, index)]
    }
    return DigitParts(**parts, sha256=digits.sha256)


def _members(available: Tensor, config: DigitsConfig, part: int) -> Tensor:
    if config.layout is Layout.single:
        return available[:, None]
    return consecutive_pairs(
        available, config.permutations, generator(Stream.pairs, config.seed, part)
    )


def consecutive_pairs(items: Tensor, permutations: int, rng: torch.Generator) -> Tensor:
    """Shuffle ``items`` ``permutations`` times, join the results, pair each item with the next.

    N items and one permutation give N-1 pairs; two give 2N-1, one of which straddles the seam.
    Source: SEED section 4.2.1 (one permutation) and its public code (two).

    Returns:
        (number of pairs, 2).
    """
    if len(items) == 0:
        return items.new_empty((0, 2))
    line = torch.cat(
        [items[torch.randperm(len(items), generator=rng)] for _ in range(permutations)]
    )
    return torch.stack([line[:-1], line[1:]], dim=1)


class Batches(BatchSource):
    """Batches of digits, distorted anew at every epoch.

    Inputs are (B, channels, height, width), normalised. The distortion of an example follows from
    ``(distortion_key, epoch, example)`` alone.
    """

    def __init__(
        self,
        examples: Examples,
        layout: Layout,
        *,
        batch_size: int,
        ranges: distortion.Ranges,
        backend: Backend = Backend.tensor,
        distortion_key: tuple[int, ...] = (),
        order_key: tuple[int, ...] | None = None,
        limit: float = 1.0,
    ) -> None:
        num_objects = examples.members.shape[1]
        super().__init__(
            len(examples),
            examples.images.device,
            batch_size=batch_size,
            batches_a_chunk=max(1, _DIGITS_AT_A_TIME // (batch_size * num_objects)),
            order_key=order_key,
            limit=limit,
        )
        self.examples = examples
        self.layout = layout
        self.ranges = ranges
        self.backend = backend
        self.distortion_key = distortion_key

    @property
    def targets(self) -> Tensor:
        return self.examples.targets

    def _maker(self) -> Callable[[Tensor], Batch]:
        num_examples, num_objects = self.examples.members.shape
        thetas = self._thetas(num_examples, num_objects, self.device)

        def make(chosen: Tensor) -> Batch:
            inputs = self._inputs(
                self.examples.members[chosen], None if thetas is None else thetas[chosen]
            )
            return inputs, self.examples.targets[chosen]

        return make

    def _thetas(self, num_examples: int, num_objects: int, device: torch.device) -> Tensor | None:
        """(num_examples, num_objects, 2, 3), or None where nothing is distorted."""
        if not self.ranges:
            return None
        rng = generator(Stream.distortion, *self.distortion_key, self.epoch)
        thetas = distortion.draw_thetas(num_examples * num_objects, self.ranges, rng)
        return thetas.view(num_examples, num_objects, 2, 3).to(device)

    def _inputs(self, members: Tensor, thetas: Tensor | None) -> Tensor:
        images = self.examples.images.index_select(0, members.flatten())
        if thetas is None:
            pixels = images.float()
        else:
            warp = distortion.distort if self.backend is Backend.tensor else distortion.distort_pil
            pixels = warp(images, thetas.flatten(end_dim=1))
        normalised = pixels.mul_(1 / (255 * mnist.STD)).sub_(mnist.MEAN / mnist.STD)
        return lay_out(normalised.view(len(members), -1, *normalised.shape[1:]), self.layout)


def lay_out(digits: Tensor, layout: Layout) -> Tensor:
    """Put an example's digits where its dataset has them.

    Args:
        digits: (N, objects, 28, 28).

    Returns:
        (N, channels, height, width): a channel each, or side by side from left to right.
    """
    if layout is Layout.same_image:
        return torch.cat(digits.unbind(dim=1), dim=2)[:, None]
    return digits


def ranges_of(config: DistortionConfig) -> distortion.Ranges:
    """The training distortion of a config."""
    return distortion.Ranges(config.rotation, config.translation, config.scale)
