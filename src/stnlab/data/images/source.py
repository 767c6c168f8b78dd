"""Where a user's images come from: recognised by what lies in ``dataset.root``.

The layouts are looked for in a folder, and exactly one must be there.
"""

import functools
import os
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stnlab.data.labels import Labels
from stnlab.errors import UserError

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


def open_source(root: str, layouts: str) -> ImageSource:
    """What lies in ``root``; asked again, it is not looked for again until it has changed.

    ``layouts`` says what is known, for a message.

    Raises:
        UserError: nothing that is known, more than one thing, or something wrong with it.
    """
    try:
        return _open(root, layouts, _stamp(Path(root)))
    except OSError as error:
        raise UserError(
            f"dataset.root: {error.filename or root} cannot be read ({error.strerror or error})."
        ) from error


def _stamp(root: Path) -> tuple[tuple[str, int, int], ...]:
    """What tells whether something was added, removed or written anew, two folders deep."""
    found, folders = [root], [root]
    for depth in range(2):
        if not root.is_dir():
            break
        entries = [each for folder in folders for each in _scanned(folder)]
        folders = [Path(each) for each in entries if each.is_dir()]
        found += map(Path, entries) if depth == 0 else folders
    return tuple(sorted((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in found))


def _scanned(folder: Path) -> "list[os.DirEntry[str]]":
    with os.scandir(folder) as entries:
        return list(entries)


@functools.lru_cache(maxsize=4)
def _open(root: str, layouts: str, _: tuple[tuple[str, int, int], ...]) -> ImageSource:
    from stnlab.data.images import folders, idx, npz

    path = Path(root)
    if path.is_file():
        if path.suffix != ".npz":
            raise UserError(f"dataset.root: {path} is a file; allowed: an .npz, or a folder.")
        return npz.Archives({"all": path})
    candidates = [
        ("folders of images", folders.find(path)),
        ("IDX files", idx.find(path)),
        ("NumPy archives", npz.find(path)),
    ]
    found = [(what, make) for what, make in candidates if make is not None]
    if not found:
        raise UserError(
            f"dataset.root: {path} holds nothing that is read as images. Allowed: {layouts}."
        )
    if len(found) > 1:
        raise UserError(
            f"dataset.root: {path} holds {' and '.join(what for what, _ in found)}. Leave one of "
            "them, or name the file or the folder that is meant."
        )
    return found[0][1]()


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
