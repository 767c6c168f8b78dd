"""Which data lies at hand, to be compared with what a complete run was made from.

Reading all of it takes seconds, and a sweep asks for each of its runs. So the answer is kept with
the names, sizes, inodes and times of the files that it was made from. That includes the time of the
last change of their state, which no copy and no restored backup brings along; files that have
changed in the last seconds are read again.
"""

import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from stnlab.data.places import cache_folder
from stnlab.errors import UserError
from stnlab.files import replacing

_SECONDS_TO_SETTLE = 2.0  # more than the coarsest clock of a file system
_FILE = "checksums.json"


def joint(digests: Iterable[str]) -> str:
    """One checksum of several."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def of_files(root: Path, files: Iterable[Path]) -> str:
    """One checksum of some files' names, as they lie in ``root``, and of what they hold."""
    digest = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{content}  {file.relative_to(root).as_posix()}\n".encode())
    return digest.hexdigest()


def kept(
    root: Path, name: str, folders: list[Path], read: Callable[[], dict[str, str]]
) -> dict[str, str]:
    """What ``read`` finds of the data in ``root``, or has found when the files were the same.

    Args:
        root: where the data lies.
        name: what tells this answer from others about the same root.
        folders: those whose files decide the answer, or files.
        read: goes through the data, and gives its checksums by their names in ``data`` of
            ``metrics.json``.

    Returns:
        Nothing where the data is not there, or cannot be read.
    """
    try:
        files, newest = _fingerprint(folders)
        file = cache_folder(root) / _FILE
        known = _read(file)
        before = known.get(name)
        if isinstance(before, dict) and before.get("files") == files:
            checksums = before.get("checksums")
            if isinstance(checksums, dict):
                return checksums
        found = read()
        if newest < time.time() - _SECONDS_TO_SETTLE:
            _write(file, known | {name: {"files": files, "checksums": found}})
    except (OSError, ValueError, EOFError, zlib.error, UserError):
        return {}
    return found


def _fingerprint(folders: list[Path]) -> tuple[str, float]:
    """Of all files in some folders, those there are, and when the newest has changed."""
    lines, newest = [], 0.0
    for file in (file for folder in folders for file in _files(folder)):
        found = file.stat()
        times = found.st_mtime_ns, found.st_ctime_ns
        lines.append(f"{os.fspath(file)}\0{found.st_size}\0{found.st_ino}\0{times}")
        newest = max(newest, found.st_mtime, found.st_ctime)
    return hashlib.sha256(os.fsencode("\n".join(sorted(lines)))).hexdigest(), newest


def _files(place: Path) -> "Iterator[Path | os.DirEntry[str]]":
    """A file itself; of a folder those that are not hidden."""
    if place.is_file():
        yield place
        return
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        yield from (each for each in entries if each.is_file() and each.name[0] != ".")


def _read(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(file: Path, known: dict[str, Any]) -> None:
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
