"""IDX files under MNIST's names, as Fashion-MNIST and KMNIST have them."""

import functools
import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stnlab.data.images.source import ImageSource, Pixels, Size, converted
from stnlab.data.labels import encode
from stnlab.errors import UserError

_PREFIXES = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTES = 8  # the third byte of the magic number


def find(root: Path) -> Callable[[], ImageSource] | None:
    """What opens the IDX files of ``root``, if its training images are there."""
    folders = [root, root / "raw", *sorted(each for each in root.glob("*/raw") if each.is_dir())]
    folder = next((each for each in folders if _find(each, "train", "images")), None)
    return None if folder is None else functools.partial(IdxFiles, folder)


def _find(folder: Path, part: str, what: str) -> Path | None:
    rank = {"images": 3, "labels": 1}[what]
    name = f"{_PREFIXES[part]}-{what}-idx{rank}-ubyte"
    found = [folder / each for each in (name, f"{name}.gz") if (folder / each).is_file()]
    return found[0] if found else None


class IdxFiles(ImageSource):
    """Grey images of any size, and labels of 0 to 255."""

    channels = 1

    def __init__(self, folder: Path) -> None:
        self._images: dict[str, Path] = {}
        self.files, labels = [], {}
        for part, prefix in _PREFIXES.items():
            images, of_classes = _find(folder, part, "images"), _find(folder, part, "labels")
            if images is None and of_classes is None and part == "test":
                continue
            if images is None or of_classes is None:
                lacking = "images" if images is None else "labels"
                there = of_classes or images
                raise UserError(
                    f"dataset.root: {folder} has {there.name if there else ''}, but no {lacking} "
                    f"that belong to it ({prefix}-{lacking}-…)."
                )
            self._images[part] = images
            self.files += [images, of_classes]
            labels[part] = _read(of_classes, 1)
            number, *size = _shape(images, _head(images), 3)
            if number != len(labels[part]):
                raise UserError(
                    f"dataset.root: {images} has {number} images, and {of_classes} "
                    f"{len(labels[part])} labels."
                )
            if part == "train":
                self.size = size[0], size[1]
            elif tuple(size) != self.size:
                raise UserError(
                    f"dataset.root: {images} has images of {size[0]}x{size[1]} pixels, and the "
                    f"training part of {self.size[0]}x{self.size[1]}."
                )
        self.classes, self.labels = encode(labels, str(folder))
        self.folders = [folder]

    def names(self, part: str) -> list[str]:
        return [str(place) for place in range(len(self.labels[part]))]

    def read(self, part: str, channels: int, size: Size | None, alike: bool) -> Pixels:
        return converted(_read(self._images[part], 3)[:, None], channels, size)


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _head(path: Path) -> bytes:
    try:
        with _opened(path) as file:
            return bytes(file.read(16))
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, f"cannot be read: {error}") from error


def _shape(path: Path, data: bytes, rank: int) -> list[int]:
    """The numbers of a header: how many, and for images rows and columns."""
    if len(data) < 4 * (rank + 1) or data[:2] != b"\0\0" or data[2] != _UNSIGNED_BYTES:
        raise _refused(path, "is no IDX file of unsigned bytes")
    if data[3] != rank:
        raise _refused(path, f"has {data[3]} axes, not {rank}")
    shape = np.frombuffer(data, dtype=">u4", count=rank, offset=4).tolist()
    if 0 in shape:
        raise _refused(path, "is empty")
    return [int(each) for each in shape]


def _read(path: Path, rank: int) -> NDArray[np.uint8]:
    shape = _shape(path, _head(path), rank)
    size = 4 * (rank + 1) + math.prod(shape)
    try:
        with _opened(path) as file:
            data = file.read(size + 1)  # and no more, whatever it may unpack to
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, f"cannot be read: {error}") from error
    if len(data) != size:
        more = "more than" if len(data) > size else f"{len(data):,} of"
        raise _refused(path, f"has {more} the {size:,} bytes that its header says")
    return np.frombuffer(data, dtype=np.uint8, offset=4 * (rank + 1)).reshape(shape).copy()


def _refused(path: Path, reason: str) -> UserError:
    return UserError(f"dataset.root: {path} {reason}. Give it anew; it is left as it is.")
