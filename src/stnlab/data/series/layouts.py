"""Which source a user's series come from: recognised by what lies in ``dataset.root``."""

import functools
from collections.abc import Callable
from pathlib import Path

from stnlab.data import archive
from stnlab.data.series import long_form, npz, ts
from stnlab.data.series.source import SeriesSource
from stnlab.errors import UserError


def open_source(root: str, layouts: str) -> SeriesSource:
    """What lies in ``root``; asked again, it is not read again until it has changed.

    ``layouts`` says what is known, for a message.

    Raises:
        UserError: nothing that is known, more than one thing, or something wrong with it.
    """
    path = Path(root)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(each, each.stat()) for each in files if each.name[0] != "."]
        return _open(root, layouts, tuple((str(f), s.st_mtime_ns, s.st_size) for f, s in stats))
    except OSError as error:
        raise UserError(
            f"dataset.root: {error.filename or root} cannot be read ({error.strerror or error})."
        ) from error


@functools.lru_cache(maxsize=1)
def _open(root: str, layouts: str, _: tuple[tuple[str, int, int], ...]) -> SeriesSource:
    path = Path(root)
    of_endings: dict[str, Callable[[dict[str, Path]], SeriesSource]] = {
        ".ts": ts.read,
        ".npz": npz.read,
        ".csv": long_form.read,
    }
    if path.is_file():
        if path.suffix not in of_endings:
            raise UserError(
                f"dataset.root: {path} is a file; allowed: {', '.join(of_endings)}, or a folder."
            )
        return of_endings[path.suffix]({"all": path})
    finders = {".ts": ts.find, ".npz": archive.find, ".csv": long_form.find}
    found = {ending: files for ending, find in finders.items() if (files := find(path))}
    if not found:
        raise UserError(
            f"dataset.root: {path} holds nothing that is read as series. Allowed: {layouts}."
        )
    if len(found) > 1:
        raise UserError(
            f"dataset.root: {path} holds files of {' and '.join(found)}. Leave those of one kind, "
            "or name the file that is meant."
        )
    ((ending, files),) = found.items()
    return of_endings[ending](files)
