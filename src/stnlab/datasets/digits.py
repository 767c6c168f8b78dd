"""MNIST digits, alone or in pairs."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec, ImageSpec, Task
from stnlab.parts import ImageDataset, add_dataset
from stnlab.rules import require, require_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stnlab.data.image_batches import ImageParts
    from stnlab.schema import ExperimentConfig

DIGIT_SIZE = 28  # pixels; MNIST
NUM_DIGITS = 10
NUM_TRAIN_IMAGES = 60_000
_DIGIT = (DIGIT_SIZE, DIGIT_SIZE)
_NUM_SUMS = 2 * (NUM_DIGITS - 1) + 1


class Layout(Enum):
    """How the digits of one example lie in its input."""

    single = "single"  # one digit, 1x28x28, 10 classes
    two_channel = "two_channel"  # two digits, 2x28x28, 19 sums
    same_image = "same_image"  # two digits, 1x28x56, 19 sums


_SPECS = {
    Layout.single: ImageSpec(Task.multiclass, 1, _DIGIT, NUM_DIGITS, "digits"),
    Layout.two_channel: ImageSpec(
        *(Task.multiclass, 2, _DIGIT, _NUM_SUMS, "digits"), num_objects=2, object_size=_DIGIT
    ),
    Layout.same_image: ImageSpec(
        *(Task.multiclass, 1, (DIGIT_SIZE, 2 * DIGIT_SIZE), _NUM_SUMS, "digits"),
        num_objects=2,
        object_size=_DIGIT,
    ),
}


@add_dataset("digits")
@dataclass
class Digits(ImageDataset):
    """Digits; the target of two is their sum. Source: SEED sections 4.1, 4.2 and 5.1."""

    light_on_dark: ClassVar[bool] = True
    keeps_aspect: ClassVar[bool] = True

    layout: Layout = MISSING
    val_size: int = 5000  # training images held out for validation; 0: none
    permutations: int = 2  # pairs: 2 gives SEED's published 2N-1 pairs, 1 its text's N-1
    seed: int = 0  # the held-out images, the pairs and the test distortions; not the run's seed

    def spec(self) -> ImageSpec:
        return _SPECS[self.layout]

    def load(self) -> "ImageParts":
        """Read MNIST and make the examples.

        ``val_size`` training *images* are held out first, so that no digit of a validation pair is
        ever trained on. Split and pairs follow ``seed`` alone.
        """
        import torch

        from stnlab.data import mnist
        from stnlab.data.image_batches import Examples, ImageParts
        from stnlab.data.randomness import Stream, generator

        digits = mnist.load(self.root)
        mean, std = self.normalisation()
        order = torch.randperm(
            len(digits.train_images), generator=generator(Stream.split, self.seed)
        )
        held_out, kept = order[: self.val_size], order[self.val_size :]
        parts = {
            part: Examples(images[:, None], members, labels[members].sum(dim=1))
            for index, (part, images, labels, available) in enumerate(
                [
                    ("train", digits.train_images, digits.train_labels, kept),
                    ("val", digits.train_images, digits.train_labels, held_out),
                    ("test", digits.test_images, digits.test_labels, torch.arange(10_000)),
                ]
            )
            for members in [self._members(available, index)]
        }
        return ImageParts(
            *("MNIST", parts["train"], parts["val"], parts["test"]),
            mean=mean,
            std=std,
            sha256=digits.sha256,
        )

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        from stnlab.data import mnist

        return (mnist.MEAN,), (mnist.STD,)

    def checksums(self) -> dict[str, str]:
        if self.root is None:  # the project's own files, which can only be what they are
            return {}
        from stnlab.data import checksum

        root = Path(self.root)
        return checksum.kept(
            root, "mnist", [root, root / "MNIST" / "raw"], lambda: _checksums(root)
        )

    def is_at_hand(self) -> bool:
        from stnlab.data import mnist

        return mnist.is_complete(mnist.folder(self.root))

    def _members(self, available: "Tensor", part: int) -> "Tensor":
        from stnlab.data.randomness import Stream, generator

        if self.layout is Layout.single:
            return available[:, None]
        return consecutive_pairs(
            available, self.permutations, generator(Stream.pairs, self.seed, part)
        )

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require(
            0 <= self.val_size <= NUM_TRAIN_IMAGES - 2,
            "dataset.val_size",
            self.val_size,
            f"0 to {NUM_TRAIN_IMAGES - 2}",
            f"It is held out of MNIST's {NUM_TRAIN_IMAGES} training images.",
        )
        require(
            not (self.layout is not Layout.single and self.val_size == 1),
            "dataset.val_size",
            self.val_size,
            "0, or 2 and more: a pair takes two images",
        )
        require(
            self.permutations in (1, 2),
            "dataset.permutations",
            self.permutations,
            "2 (SEED's published numbers: 2N-1 pairs) or 1 (SEED's text: N-1 pairs)",
        )
        require_seed("dataset.seed", self.seed)


def _checksums(root: Path) -> dict[str, str]:
    from stnlab.data import mnist

    return {"sha256": mnist.checksum(root)}


def consecutive_pairs(items: "Tensor", permutations: int, rng: "torch.Generator") -> "Tensor":
    """Shuffle ``items`` ``permutations`` times, join the results, pair each item with the next.

    N items and one permutation give N-1 pairs; two give 2N-1, one of which straddles the seam.
    Source: SEED section 4.2.1 (one permutation) and its public code (two).

    Returns:
        (number of pairs, 2).
    """
    import torch

    if len(items) == 0:
        return items.new_empty((0, 2))
    line = torch.cat(
        [items[torch.randperm(len(items), generator=rng)] for _ in range(permutations)]
    )
    return torch.stack([line[:-1], line[1:]], dim=1)
