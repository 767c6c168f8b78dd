"""Which source a user's images come from: recognised by what lies in ``dataset.root``.

The layouts are looked for in a folder, and exactly one must be there.
"""

import functools
import os
from pathlib import Path

from stnlab.data.images import folders, idx, npz
from stnlab.data.images.source import ImageSource
from stnlab.errors import UserError


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
