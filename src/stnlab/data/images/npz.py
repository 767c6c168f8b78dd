"""Images in NumPy archives."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stnlab.data import archive
from stnlab.data.images.source import ImageSource, Pixels, Size, converted
from stnlab.data.labels import encode
from stnlab.errors import UserError

# The names that packages give the arrays of all parts: Keras', MedMNIST's.
_NAMES = {
    part: ((f"x_{part}", f"y_{part}"), (f"{part}_images", f"{part}_labels"))
    for part in ("train", "val", "test")
}


def find(root: Path) -> Callable[[], ImageSource] | None:
    """What opens the archives of ``root``, if there are any."""
    files = archive.find(root)
    return None if files is None else functools.partial(Archives, files)


class _Place(NamedTuple):
    """Where a part's images lie, as (N, height, width), with channels last or first."""

    file: Path
    name: str
    channels: int
    size: Size
    are_last: bool


class Archives(ImageSource):
    """uint8 images (N, height, width), or with 1 or 3 channels last or first; labels (N,)."""

    def __init__(self, files: dict[str, Path]) -> None:
        """``files`` by their parts; "all" for one that holds every part."""
        self._places: dict[str, _Place] = {}
        labels, names = {}, None
        for part, file in files.items():
            found = archive.shapes(file)
            for of, x, y in _arrays(file, part, list(found)):
                self._places[of] = _place(file, x, found[x])
                labels[of] = archive.load_labels(file, y, found[x][0])
            if "classes" in found and names is None:
                names = archive.load_texts(file, "classes")
        first = self._places["train"]
        for place in self._places.values():
            if (place.channels, place.size) != (first.channels, first.size):
                raise UserError(
                    f"dataset.root: the images of '{place.name}' in {place.file} are "
                    f"{place.channels}x{place.size[0]}x{place.size[1]} (channels, height, width), "
                    f"and the training part's {first.channels}x{first.size[0]}x{first.size[1]}."
                )
        self.channels, self.size = first.channels, first.size
        self.files = list(files.values())
        self.folders = list(files.values())
        self.classes, self.labels = encode(labels, str(first.file), names)

    def names(self, part: str) -> list[str]:
        return [str(place) for place in range(len(self.labels[part]))]

    def read(self, part: str, channels: int, size: Size | None, alike: bool) -> Pixels:
        place = self._places[part]
        pixels = archive.load(place.file, place.name)
        if pixels.dtype != np.uint8:
            raise UserError(
                f"dataset.root: '{place.name}' in {place.file} is of type {pixels.dtype}; allowed: "
                "uint8, 0 to 255. Save it as that, so that it is you who says how it is scaled."
            )
        if pixels.ndim == 3:
            pixels = pixels[:, None]
        elif place.are_last:
            pixels = pixels.transpose(0, 3, 1, 2)
        return converted(np.ascontiguousarray(pixels), channels, size)


def _arrays(file: Path, part: str, there: list[str]) -> list[tuple[str, str, str]]:
    """(part, name of its images, name of its labels) of each part in a file."""
    if part != "all":
        x, y = archive.require_names(file, there, [("x", "y")])
        return [(part, x, y)]
    x, y = archive.require_names(file, there, [("x", "y"), *_NAMES["train"]])
    style = 0 if (x, y) == _NAMES["train"][0] else 1
    if (x, y) == ("x", "y"):
        return [("train", x, y)]
    pairs = {of: names[style] for of, names in _NAMES.items()}
    return [(of, *pair) for of, pair in pairs.items() if set(pair) <= set(there)]


def _place(file: Path, name: str, shape: tuple[int, ...]) -> _Place:
    match shape:
        case (_, height, width) if 0 not in shape:
            return _Place(file, name, 1, (height, width), False)
        case (_, height, width, (1 | 3) as channels) if 0 not in shape:
            return _Place(file, name, channels, (height, width), True)
        case (_, (1 | 3) as channels, height, width) if 0 not in shape:
            return _Place(file, name, channels, (height, width), False)
    raise UserError(
        f"dataset.root: '{name}' in {file} has the shape {shape}; allowed: (N, height, width), "
        "(N, height, width, 1 or 3) or (N, 1 or 3, height, width), with N of 1 or more."
    )
