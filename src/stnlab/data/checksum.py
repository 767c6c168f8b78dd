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
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stnlab.data import mimic, physionet2012
from stnlab.data.places import cache_folder, root_of
from stnlab.errors import UserError
from stnlab.files import replacing
from stnlab.schema import DatasetConfig, DigitsConfig, MimicConfig, Physionet2012Config

_SECONDS_TO_SETTLE = 2.0  # more than the coarsest clock of a file system
_FILE = "checksums.json"


def joint(digests: Iterable[str]) -> str:
    """One checksum of several."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def checksums_of(config: DatasetConfig) -> dict[str, str]:
    """The checksums that ``data`` of ``metrics.json`` would have of a run now.

    Empty where the data is not there, or cannot be read, or can only be what it is: the files that
    the project ships.
    """
    if isinstance(config, DigitsConfig):
        if config.root is None:
            return {}
        root = Path(config.root)
        folders, name = [root, root / "MNIST" / "raw"], "mnist"
    elif isinstance(config, MimicConfig):
        root, name = root_of(config), "mimic"
        folders = [root, root / "train", root / "test"]
    elif isinstance(config, Physionet2012Config):
        root, letters = root_of(config), ["a", config.test_set.name]
        name = f"physionet2012-{'-'.join(letters)}"
        sets = [root / f"set-{letter}" for letter in letters]
        folders = [root, *sets, *(each / each.name for each in sets)]
    else:
        return {}
    try:
        files, newest = _fingerprint(folders)
        file = cache_folder(root) / _FILE
        kept = _read(file)
        known = kept.get(name)
        if isinstance(known, dict) and known.get("files") == files:
            checksums = known.get("checksums")
            if isinstance(checksums, dict):
                return checksums
        found = _read_through(config, root)
        if newest < time.time() - _SECONDS_TO_SETTLE:
            _write(file, kept | {name: {"files": files, "checksums": found}})
    except (OSError, ValueError, EOFError, zlib.error, UserError):
        return {}
    return found


def _fingerprint(folders: list[Path]) -> tuple[str, float]:
    """Of all files in some folders, those there are, and when the newest has changed."""
    lines, newest = [], 0.0
    for folder in folders:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_file() or entry.name.startswith("."):
                    continue
                found = entry.stat()
                times = found.st_mtime_ns, found.st_ctime_ns
                lines.append(f"{entry.path}\0{found.st_size}\0{found.st_ino}\0{times}")
                newest = max(newest, found.st_mtime, found.st_ctime)
    return hashlib.sha256(os.fsencode("\n".join(sorted(lines)))).hexdigest(), newest


def _read_through(config: DatasetConfig, root: Path) -> dict[str, str]:
    if isinstance(config, MimicConfig):
        return mimic.checksums(root)
    if isinstance(config, Physionet2012Config):
        digests = [
            physionet2012.load_set(root, each).sha256 for each in ("a", config.test_set.name)
        ]
        return {"sha256": joint(digests)}
    from stnlab.data import mnist  # which needs torch

    return {"sha256": mnist.checksum(root)}


def _read(file: Path) -> dict[str, Any]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(file: Path, kept: dict[str, Any]) -> None:
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
