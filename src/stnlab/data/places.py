"""Where data is looked for, and where what is made of it is kept for the next time."""

import functools
import hashlib
import logging
import os
import stat
import tempfile
from pathlib import Path

from stnlab.data.synthetic_episodes import Settings
from stnlab.schema import MimicConfig, SeriesConfig, Source

# Where data lies that no dataset.root names: downloaded or generated here, never committed.
_PROJECT_CACHE = Path(__file__).resolve().parents[3] / ".cache"


def root_of(config: SeriesConfig) -> Path:
    """The folder of a clinical dataset's files."""
    if config.root:
        return Path(config.root)
    if not isinstance(config, MimicConfig):
        return _default_root("physionet2012")
    if config.source is Source.files:
        return _default_root("in-hospital-mortality")
    numbers = "-".join(map(str, vars(settings_of(config)).values()))
    return _default_root(f"synthetic-episodes-{numbers}")


def settings_of(config: MimicConfig) -> Settings:
    """What synthetic episodes are made by."""
    return Settings(
        config.num_train, config.num_val, config.num_test, config.mortality, config.seed
    )


def _default_root(name: str) -> Path:
    root = _PROJECT_CACHE / name
    return root if root.exists() or _may_be_written(_PROJECT_CACHE) else _user_cache() / name


def cache_folder(root: Path) -> Path:
    """Where what is made of the data in ``root`` is kept.

    ``.cache`` in the data's own folder, since patient data should stay where its keeper has put it;
    a private folder of the user's cache where that one is read-only.
    """
    root = root.resolve()
    if _may_be_written(root):
        return root / ".cache"
    return _user_cache() / f"clinical-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}"


def _may_be_written(folder: Path) -> bool:
    """Whether something can be made in a folder, or in what there is of the way to it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    # The mode counts for the superuser too, whom the system itself would let write anywhere.
    writable = folder.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    return bool(writable) and os.access(folder, os.W_OK | os.X_OK)


def _user_cache() -> Path:
    """The user's folder for caches, or where there is none, as in a container, a temporary one."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # neither HOME nor an account says
        return _temporary_cache("there is no home directory")
    if _may_be_written(home):
        return home / "stnlab"
    return _temporary_cache(f"{home} cannot be written")


@functools.cache
def _temporary_cache(reason: str) -> Path:
    """A folder that is the user's alone; says once where it is."""
    folder = Path(tempfile.gettempdir()) / f"stnlab-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        is_private = not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    except FileExistsError:
        is_own = is_private = False
    if not (is_own and is_private):  # another's, who would choose what is read from it
        folder = Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
    logging.getLogger(__name__).warning(
        "%s: what is made of the data is kept in %s. XDG_CACHE_HOME=FOLDER names another place.",
        reason,
        folder,
    )
    return folder
