"""MNIST: the four IDX files, found, checked and read.

LeCun, Cortes and Burges; CC BY-SA 3.0. The project ships the files under ``data/mnist``; an
installed stnlab has none, and keeps what it downloads in the user's cache.
"""

import contextlib
import hashlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stnlab.data.places import IS_CHECKOUT, PROJECT_DIR, default_root
from stnlab.download import fetch, reason_of
from stnlab.errors import UserError
from stnlab.files import LOCK, content_of, locked

BUNDLED_ROOT = PROJECT_DIR / "data" / "mnist"
MEAN, STD = 0.1307, 0.3081  # of the training images' pixels in [0, 1]

# Size in bytes and SHA-256 of the unpacked files.
_FILES = {
    "train-images-idx3-ubyte": (
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"  # torchvision's

_INSTEAD = (
    "leave dataset.root out to use those that the project ships"
    if IS_CHECKOUT
    else "name another folder that has them with dataset.root=FOLDER"
)


@dataclass(frozen=True)
class Digits:
    """Images (N, 28, 28) uint8 and labels (N,) int64 of MNIST's two parts."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    sha256: str  # of the four unpacked files, one after the other


def load(root: str | None = None) -> Digits:
    """Read MNIST from ``root``; when it is None, from the shipped files or the user's cache.

    The files may be packed (``.gz``) or not, in ``root`` or in torchvision's
    ``root/MNIST/raw``. Missing ones are downloaded there.

    Raises:
        UserError: when a file is damaged, or missing and cannot be downloaded.
    """
    place = folder(root)
    if not is_complete(place):
        _download(place)
    content = {name: _read_checked(place, name, *known) for name, known in _FILES.items()}
    digest = hashlib.sha256()
    for data in content.values():
        digest.update(data)
    return Digits(
        train_images=_images(content["train-images-idx3-ubyte"]),
        train_labels=_labels(content["train-labels-idx1-ubyte"]),
        test_images=_images(content["t10k-images-idx3-ubyte"]),
        test_labels=_labels(content["t10k-labels-idx1-ubyte"]),
        sha256=digest.hexdigest(),
    )


def folder(root: str | None) -> Path:
    """Where the files are looked for."""
    if root is not None:
        return Path(root)
    return BUNDLED_ROOT if IS_CHECKOUT else default_root("mnist")


def is_complete(folder: Path) -> bool:
    """Whether all four files are there, whatever they hold."""
    return all(_find(folder, name) is not None for name in _FILES)


def checksum(folder: Path) -> str:
    """:attr:`Digits.sha256` of the four files in a folder, whatever they hold.

    Raises:
        OSError: one is missing or cannot be unpacked.
    """
    digest = hashlib.sha256()
    for name, (size, _) in _FILES.items():
        path = _find(folder, name)
        if path is None:
            raise FileNotFoundError(name)
        digest.update(content_of(path, size + 1))
    return digest.hexdigest()


def _find(folder: Path, name: str) -> Path | None:
    candidates = [
        place / file
        for place in (folder, folder / "MNIST" / "raw")
        for file in (name, f"{name}.gz")
    ]
    return next((path for path in candidates if path.is_file()), None)


def _download(folder: Path) -> None:
    missing = [name for name in _FILES if _find(folder, name) is None]
    try:
        with locked(folder / LOCK):  # several runs may begin at once
            for name in missing:
                if _find(folder, name) is None:
                    _fetch(folder / "MNIST" / "raw" / f"{name}.gz", *_FILES[name])
    except (OSError, HTTPException) as error:
        _remove_if_empty(folder)
        raise UserError(
            f"dataset.root: {folder} lacks {', '.join(missing)}, and the download failed "
            f"({reason_of(error)}). Put MNIST's four files there, packed or not, or {_INSTEAD}."
        ) from error


def _fetch(path: Path, size: int, sha256: str) -> None:
    """Download a packed file, and keep it if what is in it is MNIST's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fetch(f"{_MIRROR}{path.name}", path, None, key="dataset.root", max_bytes=size)
    with contextlib.suppress(OSError):
        if hashlib.sha256(content_of(path, size + 1)).hexdigest() == sha256:
            return
    path.unlink()
    raise OSError(f"{_MIRROR}{path.name} is not MNIST's")


def _remove_if_empty(folder: Path) -> None:
    """Take away the folders that a failed download has made."""
    for path in (folder / "MNIST" / "raw", folder / "MNIST", folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _read_checked(folder: Path, name: str, size: int, sha256: str) -> bytes:
    path = _find(folder, name)
    if path is None:
        raise UserError(f"dataset.root: {folder} has no {name} after the download.")
    try:
        data = content_of(path, size + 1)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror or error}") from error
    if len(data) > size:
        raise _refused(path, f"is not MNIST's: unpacked it has more than {size:,} bytes")
    if len(data) < size:
        raise _refused(path, f"is not MNIST's, or cut off: {len(data):,} of {size:,} bytes")
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise _refused(path, f"is not MNIST's: unpacked its SHA-256 is {found}, not {sha256}")
    return data


def _refused(path: Path, reason: str) -> UserError:
    """Other data has files of these names, too, as Fashion-MNIST and KMNIST: it is the user's."""
    return UserError(
        f"dataset.root: {path} {reason}. It is left as it is. Name a folder that holds MNIST's "
        f"four files, or one that lacks this file, which is downloaded then, or {_INSTEAD}."
    )


def _images(data: bytes) -> Tensor:
    """IDX3: a header of 16 bytes (magic, number, rows, columns), then the pixels."""
    rows, columns = np.frombuffer(data, dtype=">u4", count=2, offset=8)
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.from_numpy(pixels.reshape(-1, int(rows), int(columns)).copy())


def _labels(data: bytes) -> Tensor:
    """IDX1: a header of 8 bytes (magic, number), then the labels."""
    return torch.from_numpy(np.frombuffer(data, dtype=np.uint8, offset=8).astype(np.int64))
