"""Images in memory, and their batches.

Images are kept as uint8, examples as indices into them. A batch is gathered, distorted, normalised
and laid out at once, on the run's device.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stnlab.data.batches import Batch, BatchSource
from stnlab.data.randomness import Stream, generator
from stnlab.data.spec import ImageSpec
from stnlab.parts import DistortionPart

# The 64 examples of a training batch are too few to keep the warp busy; several batches are
# distorted in one go. Up to about 500 digits at a time fit a core's cache.
_PIXELS_AT_A_TIME = 512 * 28 * 28


@dataclass(frozen=True)
class Examples:
    """Examples of one part of a dataset.

    ``images`` (M, C, H, W) uint8 are shared by all; ``members`` (N, objects) int64 are the indices
    of each example's objects; ``targets`` (N,) int64 the classes.
    """

    images: Tensor
    members: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.members)

    def to(self, device: torch.device) -> "Examples":
        """The same, resident on ``device``."""
        return Examples(self.images.to(device), self.members.to(device), self.targets.to(device))

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each channel's pixels in [0, 1], over all objects.

        A channel that is the same everywhere has a deviation of 1, so that it can be divided by.
        """
        levels = torch.arange(256, dtype=torch.float64) / 255
        counts = torch.zeros(self.images.shape[1], 256, dtype=torch.float64)
        for members in torch.split(self.members.flatten(), 1024):
            for channel, pixels in enumerate(self.images[members].unbind(1)):
                counts[channel] += pixels.flatten().int().bincount(minlength=256)
        shares = counts / counts.sum(dim=1, keepdim=True)
        mean = shares @ levels
        variance = (shares * (levels - mean[:, None]) ** 2).sum(dim=1)
        std = torch.where(variance > 0, variance.sqrt(), 1.0)
        return tuple(mean.tolist()), tuple(std.tolist())

    @staticmethod
    def of(images: Tensor, targets: Tensor) -> "Examples":
        """One object an example: images (N, C, H, W) uint8 and classes (N,)."""
        return Examples(images, torch.arange(len(images))[:, None], targets)


@dataclass(frozen=True)
class ImageParts:
    """Training, validation and test examples of a dataset.

    ``name`` says in words what the data is, ``sha256`` is of the data they come from. ``mean`` and
    ``std`` normalise each channel of pixels in [0, 1]. ``test_names`` are the test examples', where
    they have names.
    """

    name: str
    train: Examples
    val: Examples
    test: Examples
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str
    test_names: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "ImageParts":
        """The same, resident on ``device``."""
        parts = {name: getattr(self, name).to(device) for name in ("train", "val", "test")}
        return dataclasses.replace(self, **parts)


class ImageBatches(BatchSource):
    """Batches of images, distorted anew at every epoch.

    Inputs are (B, channels, height, width), normalised. The distortion of an example follows from
    ``(distortion_key, epoch, example)`` alone.
    """

    def __init__(
        self,
        examples: Examples,
        spec: ImageSpec,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        batch_size: int,
        distortion: DistortionPart,
        distortion_key: tuple[int, ...] = (),
        order_key: tuple[int, ...] | None = None,
        limit: float = 1.0,
    ) -> None:
        num_objects = examples.members.shape[1]
        pixels_a_batch = batch_size * num_objects * examples.images[0].numel()
        super().__init__(
            len(examples),
            examples.images.device,
            batch_size=batch_size,
            batches_a_chunk=max(1, _PIXELS_AT_A_TIME // pixels_a_batch),
            order_key=order_key,
            limit=limit,
        )
        self.examples = examples
        self.spec = spec
        self.mean, self.std = mean, std
        self.distortion = distortion
        self.distortion_key = distortion_key

    @property
    def targets(self) -> Tensor:
        return self.examples.targets

    def _maker(self) -> Callable[[Tensor], Batch]:
        drawn = self.drawn()

        def make(chosen: Tensor) -> Batch:
            inputs = self._inputs(
                self.examples.members[chosen], None if drawn is None else drawn[chosen]
            )
            return inputs, self.examples.targets[chosen]

        return make

    def drawn(self) -> Tensor | None:
        """The distortions of this epoch, (examples, objects, ...); None where there are none."""
        if self.distortion.is_none:
            return None
        num_examples, num_objects = self.examples.members.shape
        rng = generator(Stream.distortion, *self.distortion_key, self.epoch)
        height, width = self.examples.images.shape[2:]
        drawn = self.distortion.draw(num_examples * num_objects, (height, width), rng)
        return drawn.view(num_examples, num_objects, *drawn.shape[1:]).to(self.device)

    def _inputs(self, members: Tensor, drawn: Tensor | None) -> Tensor:
        images = self.examples.images.index_select(0, members.flatten())
        if drawn is None:
            pixels = images.float()
        else:
            pixels = self.distortion.apply_among(images, drawn.flatten(end_dim=1), self.examples)
        normalised = normalise(pixels, self.mean, self.std)
        return lay_out(normalised.view(*members.shape, *normalised.shape[1:]), self.spec)


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Pixels (N, C, H, W) in [0, 255], in place, to the network's: less the mean, by deviations."""
    if len(mean) == 1:
        return pixels.mul_(1 / (255 * std[0])).sub_(mean[0] / std[0])
    means, stds = (pixels.new_tensor(each)[:, None, None] for each in (mean, std))
    return pixels.mul_(1 / (255 * stds)).sub_(means / stds)


def to_pixels(inputs: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """The inverse of :func:`normalise`, for looking at: (..., C, H, W) in [0, 1]."""
    if len(mean) == 1:
        return (inputs * std[0] + mean[0]).clamp(0, 1)
    means, stds = (inputs.new_tensor(each)[:, None, None] for each in (mean, std))
    return (inputs * stds + means).clamp(0, 1)


def lay_out(objects: Tensor, spec: ImageSpec) -> Tensor:
    """Put an example's objects where its dataset has them.

    Args:
        objects: (N, objects, C, height, width).
        spec: of the dataset.

    Returns:
        (N, channels, height, width): channels of their own, or side by side from left to right.
    """
    if spec.num_objects > 1 and not spec.objects_have_channels:
        return torch.cat(objects.unbind(dim=1), dim=3)
    return objects.flatten(1, 2)
