"""Inputs as people have them, in the form in which a dataset has them.

Images: paths, PIL images, arrays or tensors of pixels. Series: arrays, tensors or files of values
in their own units, NaN where nothing was measured.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from stnlab.data.image_batches import lay_out
from stnlab.data.series.source import filled_forward, is_inside, lengths_of
from stnlab.data.spec import ImageSpec
from stnlab.errors import UserError

Floats = NDArray[np.float32]
Pixels = NDArray[Any]  # uint8, or float32 in [0, 255]
Invert = bool | Literal["auto"]

_WHITE, _MIDDLE = 255, 127.5
_MAX_CHANNELS = 4  # of a picture: grey, grey and alpha, RGB, RGBA
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # as PIL's, ITU-R 601-2


class Fit(NamedTuple):
    """How a picture is brought to the form of the training images.

    ``light_on_dark``: their objects are light and their background dark. ``keeps_aspect``: a
    picture of another shape is padded with its background, and otherwise stretched. ``margin``: the
    pixels of background on each side of where a picture of another size goes.
    """

    light_on_dark: bool = False
    keeps_aspect: bool = False
    margin: int = 0

    @staticmethod
    def of(preprocessing: Mapping[str, Any]) -> "Fit":
        """From a run's ``preprocessing.json``."""
        kept = {name: preprocessing[name] for name in Fit._fields if name in preprocessing}
        return Fit(**kept)


# --- images


def pixels_of(inputs: Any, spec: ImageSpec, fit: Fit, invert: Invert = "auto") -> Tensor:
    """Pixels (N, channels, height, width) in [0, 255] of one picture or several.

    Args:
        inputs: a path, a PIL image, an array or a tensor; or a sequence of them. An array is
            (H, W), (N, H, W), (H, W, C) or (N, H, W, C), or with the channels first; of uint8, or
            of floats in [0, 1]. Where examples have several objects, an element may be a tuple
            with a picture of each.
        spec: of the dataset that was trained on.
        fit: how its images were made.
        invert: whether light and dark are exchanged; "auto": where the training images are light
            on dark and the picture's border is, in the median, lighter than the middle grey.

    Raises:
        UserError: something is no picture, or its channels do not fit.
    """
    if invert not in ("auto", True, False):
        raise UserError(f"invert is {invert!r}; allowed: 'auto', True, False.")
    channels, size = spec.channels, spec.size
    if spec.num_objects > 1 and _is_sequence(inputs) and any(map(_is_sequence, inputs)):
        for each in inputs:
            if not _is_sequence(each) or len(each) != spec.num_objects:
                raise UserError(
                    f"an input has {spec.num_objects} pictures, one for each object; found: "
                    f"{_described(each)}."
                )
        channels = channels // spec.num_objects if spec.objects_have_channels else channels
        parts = [
            _fitted(picture, channels, spec.object_size, fit, invert)
            for each in inputs
            for picture in each
        ]
        objects = torch.cat(parts).view(-1, spec.num_objects, channels, *spec.object_size)
        return lay_out(objects, spec)
    pictures = list(inputs) if _is_sequence(inputs) else [inputs]
    if not pictures:
        raise UserError("there is no input: the sequence is empty.")
    return torch.cat([_fitted(each, channels, size, fit, invert) for each in pictures])


def _is_sequence(inputs: Any) -> bool:
    return isinstance(inputs, list | tuple)


def _described(found: Any) -> str:
    shape = getattr(found, "shape", None)
    return f"{type(found).__name__}{'' if shape is None else f' of shape {tuple(shape)}'}"


def _fitted(picture: Any, channels: int, size: tuple[int, int], fit: Fit, invert: Invert) -> Tensor:
    where, batch = _batch_of(picture, channels)
    pixels = _with_channels(batch, channels, where)
    pixels = _inverted(pixels, fit.light_on_dark, invert)
    if pixels.shape[1:3] != size:
        pixels = np.stack([_resized(each, size, fit) for each in pixels])
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32))


def _batch_of(picture: Any, channels: int) -> tuple[str, Pixels]:
    """What a picture is called in messages, and its pixels (N, H, W, C) in [0, 255]."""
    if isinstance(picture, str | Path):
        path = Path(picture)
        if path.suffix in (".npy", ".npz"):
            return str(path), _array(load_array(path), channels, str(path))
        return str(path), _of_image(_opened(path), str(path))[None]
    if isinstance(picture, Image.Image):
        return "the image", _of_image(picture, "the image")[None]
    if isinstance(picture, Tensor):
        picture = picture.detach().cpu().numpy()
    if not isinstance(picture, np.ndarray):
        raise UserError(
            f"an input is {_described(picture)}; allowed: paths, PIL images, arrays and tensors."
        )
    return "the array", _array(picture, channels, "the array")


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file.") from error
    except Exception as error:  # PIL raises many kinds for a damaged file
        raise UserError(
            f"{path} cannot be read as an image ({type(error).__name__}). Give a PNG, a JPEG, or "
            "an array as .npy."
        ) from error


def _of_image(image: Image.Image, where: str) -> Pixels:
    """(H, W, 1 or 3) in [0, 255]; what is transparent lies on white."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (_WHITE,) * 4), rgba)
    elif image.mode == "F":  # floats, as in an array
        return _scaled(np.asarray(image), where)[..., None]
    elif image.mode.startswith("I"):  # 16 bits and more
        values = np.asarray(image, np.float32)
        deep = values.max(initial=0) > _WHITE
        return (values / 257 if deep else values).clip(0, _WHITE)[..., None]
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(image.convert("RGB"))


def _array(array: NDArray[Any], channels: int, where: str) -> Pixels:
    """Any array of pixels as (N, H, W, C)."""
    pixels = _scaled(array, where)
    shape = pixels.shape
    if pixels.ndim == 2:
        return pixels[None, :, :, None]
    if pixels.ndim == 3:
        if shape[2] <= _MAX_CHANNELS:
            return pixels[None]
        if channels > 1 and shape[0] == channels:
            return pixels.transpose(1, 2, 0)[None]
        return pixels[..., None]
    if pixels.ndim == 4 and 1 <= shape[3] <= _MAX_CHANNELS:
        return pixels
    if pixels.ndim == 4 and 1 <= shape[1] <= _MAX_CHANNELS:
        return pixels.transpose(0, 2, 3, 1)
    raise UserError(
        f"{where} has the shape {shape}; allowed: (H, W), (N, H, W), (H, W, C) or (N, H, W, C), or "
        "the channels first."
    )


def _scaled(array: NDArray[Any], where: str) -> Pixels:
    """Pixels in [0, 255]: uint8 as they are, floats from [0, 1]."""
    if array.size == 0:
        raise UserError(f"{where} is empty: its shape is {array.shape}.")
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.float32) * _WHITE
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise UserError(f"{where} is of type {array.dtype}; allowed: uint8, or floats in [0, 1].")
    top = _WHITE if np.issubdtype(array.dtype, np.integer) else 1
    low, high = float(array.min()), float(array.max())
    if not (low >= -1e-6 and high <= top + 1e-6):  # NaN, too
        raise UserError(
            f"{where} has values from {low:g} to {high:g}; allowed: 0 to {top} for "
            f"{array.dtype}. Give uint8 pixels or floats in [0, 1], or what is normalised already "
            "with prepared=True."
        )
    return array.clip(0, top).astype(np.float32) * (_WHITE / top)


def _with_channels(pixels: Pixels, channels: int, where: str) -> Pixels:
    found = pixels.shape[3]
    if found == channels:
        return pixels
    if found in (2, 4):  # alpha, on white
        alpha = pixels[..., -1:].astype(np.float32) / _WHITE
        return _with_channels(pixels[..., :-1] * alpha + _WHITE * (1 - alpha), channels, where)
    if (found, channels) == (3, 1):
        grey = pixels @ _LUMA
        return (np.rint(grey).astype(np.uint8) if pixels.dtype == np.uint8 else grey)[..., None]
    if (found, channels) == (1, 3):
        return pixels.repeat(3, axis=3)
    raise UserError(f"{where} has {found} channels, and this network reads {channels}.")


def _inverted(pixels: Pixels, light_on_dark: bool, invert: Invert) -> Pixels:
    if invert is False or (invert == "auto" and not light_on_dark):
        return pixels
    if invert is True:
        return _WHITE - pixels
    border = _border(pixels)
    is_light = np.median(border.mean(axis=2), axis=1) > _MIDDLE
    return np.where(is_light[:, None, None, None], _WHITE - pixels, pixels)


def _border(pixels: Pixels) -> Pixels:
    """The outermost pixels of each picture, (N, number, C)."""
    ends = pixels[:, [0, -1]].reshape(len(pixels), -1, pixels.shape[3])
    sides = pixels[:, :, [0, -1]].reshape(len(pixels), -1, pixels.shape[3])
    return np.concatenate([ends, sides], axis=1)


def _resized(picture: Pixels, size: tuple[int, int], fit: Fit) -> Pixels:
    """(h, w, C) to (height, width, C), bilinear; padded with the median of its border."""
    height, width = size
    room = inner = (height - 2 * fit.margin, width - 2 * fit.margin)
    if fit.keeps_aspect:
        factor = min(room[0] / picture.shape[0], room[1] / picture.shape[1])
        inner = (
            max(1, round(factor * picture.shape[0])),
            max(1, round(factor * picture.shape[1])),
        )
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(plane)).resize(
                inner[::-1], Image.Resampling.BILINEAR
            )
        )
        for plane in picture.transpose(2, 0, 1)
    ]
    resized = np.stack(planes, axis=2)
    if inner == size:
        return resized
    padded = np.empty((height, width, picture.shape[2]), resized.dtype)
    padded[:] = np.median(_border(picture[None])[0], axis=0)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    padded[top : top + inner[0], left : left + inner[1]] = resized
    return padded


# --- series


def series_of(
    inputs: Any,
    columns: Sequence[str],
    num_steps: int,
    read: Callable[[Path], Floats],
    may_be_shorter: bool = False,
) -> Floats:
    """Series (N, columns, steps) in their own units, of one or several.

    Args:
        inputs: an array or a tensor (C, steps) or (N, C, steps), or a path; or a sequence of them.
        columns: what the C channels are, in order.
        num_steps: how many steps a series has.
        read: reads a file of the dataset's own kind, as (N, C, steps).
        may_be_shorter: a series may have fewer steps, and has NaN from there on.

    Raises:
        UserError: the shape is another, or a value is infinite.
    """
    found = list(inputs) if _is_sequence(inputs) else [inputs]
    if not found:
        raise UserError("there is no input: the sequence is empty.")
    parts = []
    for each in found:
        where, series = "the series", each
        if isinstance(each, str | Path):
            where, path = str(each), Path(each)
            if not path.is_file():
                raise UserError(f"{path}: there is no such file.")
            is_array = path.suffix in (".npy", ".npz")
            series = load_array(path) if is_array else read(path)
        elif isinstance(each, Tensor):
            series = each.detach().cpu().numpy()
        parts.append(_checked_series(series, columns, num_steps, where, may_be_shorter))
    return np.concatenate(parts)


def _checked_series(
    series: Any, columns: Sequence[str], num_steps: int, where: str, may_be_shorter: bool
) -> Floats:
    array = np.asarray(series)
    if not np.issubdtype(array.dtype, np.number):
        raise UserError(f"{where} is of type {array.dtype}; allowed: numbers.")
    array = array[None] if array.ndim == 2 else array
    if may_be_shorter and array.ndim == 3 and 0 < array.shape[2] < num_steps:
        after = ((0, 0), (0, 0), (0, num_steps - array.shape[2]))
        array = np.pad(array.astype(np.float32), after, constant_values=np.nan)
    if array.ndim != 3 or array.shape[1:] != (len(columns), num_steps) or not len(array):
        steps = f"{num_steps} or fewer" if may_be_shorter else num_steps
        raise UserError(
            f"{where} has the shape {np.shape(series)}; allowed: (N, {len(columns)}, {steps}), "
            f"channels by steps. The channels are, in order: {', '.join(columns)}. What is "
            "standardised already, with all of the network's channels, goes with prepared=True."
        )
    if np.isinf(array).any():
        raise UserError(f"{where} has an infinite value; NaN says that nothing was measured.")
    if may_be_shorter and np.isnan(array).all(axis=(1, 2)).any():
        raise UserError(f"{where} has a series without a value.")
    return array.astype(np.float32)


def read_table(
    path: Path, columns: Sequence[str], num_steps: int, may_be_shorter: bool = False
) -> Floats:
    """One series (1, columns, steps) of a CSV file: names above, a row a step, empty for NaN.

    Raises:
        UserError: the file cannot be read, a column is missing or doubled, a row has too few fields
            or too many, or a field is no number.
    """
    rows = _rows(path, columns)
    missing = [name for name in columns if not rows or name not in rows[0]]
    is_long_enough = 0 < len(rows) <= num_steps if may_be_shorter else len(rows) == num_steps
    if missing or not is_long_enough:
        what = f"lacks the column '{missing[0]}'" if rows and missing else f"has {len(rows)} rows"
        raise UserError(
            f"{path} {what}; allowed: a row for each of {num_steps} steps"
            f"{' or fewer' if may_be_shorter else ''}, with the columns "
            f"{', '.join(columns)}."
        )
    try:
        values = [[float(row[name] or "nan") for row in rows] for name in columns]
    except ValueError as error:
        raise UserError(f"{path}: {error}; a field is a number, or empty.") from error
    return np.array([values], np.float32)


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """A table's rows by the names above; none of ``columns`` is doubled."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            there = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a CSV file ({error}).") from error
    doubled = [name for name in columns if there.count(name) > 1]
    if doubled:
        raise UserError(
            f"{path}, line 1, has the column '{doubled[0]}' twice. Leave one of the two out."
        )
    for number, row in rows:
        if None in row or None in row.values():
            raise UserError(
                f"{path}, line {number}, has another number of fields than the {len(there)} "
                "columns. A field may be empty; its comma is needed."
            )
    return [row for _, row in rows]


def load_array(path: Path) -> NDArray[Any]:
    """An array of a ``.npy`` file, or ``x`` of a ``.npz``.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        array: NDArray[Any] = loaded if isinstance(loaded, np.ndarray) else loaded["x"]
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file.") from error
    except Exception as error:  # NumPy raises many kinds for a damaged file
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}): a .npy holds one array of numbers, a "
            ".npz has it under the name x."
        ) from error
    return array


def standardised(
    raw: Floats,
    columns: Sequence[str],
    scale: Mapping[str, Sequence[float]],
    unequal_lengths: bool = False,
) -> Floats:
    """Raw series to a network's channels, as datasets of series without rules of their own have
    them.

    A column of ``scale`` is brought to its mean and deviation, then carried forward; before the
    first value stands 0, the mean. ``mask->x`` is 1 where x was measured.

    Args:
        raw: (N, columns that are no mask, steps), NaN where nothing was measured.
        columns: of the network's channels, in order.
        scale: (mean, deviation) by column.
        unequal_lengths: a series is over with its last value, and all is 0 from there on.

    Raises:
        UserError: a column has gaps, and had none in training.
    """
    names = [name for name in columns if not name.startswith("mask->")]
    measured = ~np.isnan(raw)
    is_over = np.zeros((len(raw), raw.shape[2]), bool)
    if unequal_lengths:
        is_over = ~is_inside(lengths_of(raw), raw.shape[2])
    for place, name in enumerate(names):
        if f"mask->{name}" not in columns and not (measured[:, place] | is_over).all():
            raise UserError(
                f"column '{name}' has NaN, and had a value everywhere in training. Fill it as fits."
            )
    means, stds = np.array([scale.get(name, (0.0, 1.0)) for name in names], np.float64).T
    x = (raw - means[:, None]) / stds[:, None]
    filled = filled_forward(x)
    channels = [
        measured[:, names.index(name.removeprefix("mask->"))]
        if name.startswith("mask->")
        else filled[:, names.index(name)]
        for name in columns
    ]
    return np.where(is_over[:, None], 0.0, np.stack(channels, axis=1)).astype(np.float32)
