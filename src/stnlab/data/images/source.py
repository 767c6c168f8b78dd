"""What a user's images are, whatever layout they lie in."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stnlab.data.labels import Labels

Pixels = NDArray[np.uint8]
Size = tuple[int, int]

_MODES = {1: "L", 3: "RGB"}


class ImageSource(ABC):
    """Images of a user's, before their pixels are read.

    ``labels`` maps "train", and "val" and "test" where the data has them, to the classes' places,
    (N,). ``channels`` (1 or 3) and ``size`` (height, width) are those of the first image.
    ``files`` are all that is read, in order, ``folders`` those that hold them.
    """

    channels: int
    size: Size
    classes: tuple[str, ...]
    labels: dict[str, Labels]
    files: list[Path]
    folders: list[Path]

    @abstractmethod
    def names(self, part: str) -> list[str]:
        """What each example of a part is called."""

    @abstractmethod
    def read(self, part: str, channels: int, size: Size | None, alike: bool) -> Pixels:
        """The pixels of a part, (N, channels, height, width), resized where ``size`` is given.

        With ``alike`` all must have the first image's number of channels.

        Raises:
            UserError: an image is broken, or differs from the others.
        """


def resized(image: Image.Image, channels: int, size: Size | None) -> Image.Image:
    """An image of so many channels and of (height, width), bilinear where it is resized."""
    if image.mode != _MODES[channels]:
        image = image.convert(_MODES[channels])
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return image


def as_pixels(image: Image.Image) -> Pixels:
    """(channels, height, width)."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def converted(images: Pixels, channels: int, size: Size | None) -> Pixels:
    """Images (N, C, H, W) in memory, as :func:`resized`."""
    if images.shape[1] == channels and size in (None, images.shape[2:]):
        return images
    made = np.empty((len(images), channels, *(size or images.shape[2:])), np.uint8)
    for place, each in enumerate(images):
        image = Image.fromarray(each[0] if len(each) == 1 else each.transpose(1, 2, 0).copy())
        made[place] = as_pixels(resized(image, channels, size))
    return made
