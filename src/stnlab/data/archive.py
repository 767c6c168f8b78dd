"""Arrays in NumPy archives (.npz), by their headers or in full; nothing that is pickled is read."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stnlab.data.labels import PARTS
from stnlab.errors import UserError

LARGEST = 2**53  # from here on, floats do not tell a whole number from the next


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The arrays of an archive and their shapes, read from their headers alone.

    Raises:
        UserError: it is damaged, or no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _shape(archive, name)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _refused(path, f"cannot be read as a NumPy archive ({error})") from error


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"{name} is of version {version}")
        return tuple(read(file)[0])


def load(path: Path, name: str) -> NDArray[Any]:
    """One array of an archive.

    Raises:
        UserError: it is damaged, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            found: NDArray[Any] = archive[name]
            return found
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise _refused(path, f"holds Python objects in '{name}', which are not read") from error
        raise _refused(path, f"cannot be read ({error})") from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _refused(path, f"cannot be read ({error})") from error


def load_labels(path: Path, name: str, number: int) -> NDArray[Any]:
    """Labels (number,), whole numbers or texts.

    Raises:
        UserError: they are something else, or of another number.
    """
    labels = load(path, name)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "f" and _are_whole(labels):
        labels = labels.astype(np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iuUb":
        raise _refused(
            path,
            f"has in '{name}' an array of shape {labels.shape} and type {labels.dtype}; allowed: "
            "one whole number or text for each example",
        )
    if len(labels) != number:
        raise _refused(path, f"has {number} examples, and {len(labels)} labels in '{name}'")
    return labels


def _are_whole(numbers: NDArray[Any]) -> bool:
    """Whether all are finite whole numbers, and of a size that floats tell from the next."""
    exact = np.abs(numbers.astype(np.float64)) < LARGEST
    return bool(np.all(exact & (numbers == np.round(numbers))))


def load_texts(path: Path, name: str, number: int | None = None) -> list[str]:
    """Names, so many; None for as many as there are.

    Raises:
        UserError: they are of another number, or no list.
    """
    texts = load(path, name)
    if number is None:
        if texts.ndim == 0:
            raise _refused(path, f"has one value alone in '{name}'; allowed: an array of names")
        number = len(texts)
    found = [str(each) for each in texts.ravel().tolist()]
    if len(found) != number:
        raise _refused(path, f"has {len(found)} entries in '{name}', where {number} are needed")
    return found


def require_names(
    path: Path, there: Sequence[str], allowed: Sequence[Sequence[str]]
) -> Sequence[str]:
    """The one of the allowed groups of names that an archive has.

    Raises:
        UserError: it has none.
    """
    for names in allowed:
        if set(names) <= set(there):
            return names
    groups = "; or ".join(", ".join(names) for names in allowed)
    raise _refused(path, f"holds the arrays {', '.join(there) or 'none'}; allowed: {groups}")


def _refused(path: Path, reason: str) -> UserError:
    return UserError(f"dataset.root: {path} {reason}.")


def find(root: Path) -> dict[str, Path] | None:
    """The archives of a folder by their parts, "all" for one that holds everything.

    Raises:
        UserError: there are several, and it does not show which.
    """
    found = {each.stem: each for each in sorted(root.glob("*.npz")) if each.name[0] != "."}
    if not found:
        return None
    parts: dict[str, Path] = {part: found[part] for part in PARTS if part in found}
    if "train" in parts:
        return parts
    if len(found) > 1 or parts:
        raise UserError(
            f"dataset.root: {root} holds {', '.join(each.name for each in found.values())}; "
            "allowed: train.npz and test.npz, or one archive. Name one: dataset.root=FILE.npz."
        )
    return {"all": next(iter(found.values()))}
