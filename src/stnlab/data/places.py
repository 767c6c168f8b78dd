"""Where the project's own data lie, and where what it makes or downloads is kept."""

import functools
import hashlib
import logging
import os
import stat
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# A checkout's folder; an installed stnlab has in its package what it needs of it (setup.py).
PROJECT_DIR = _PACKAGE.parents[1]
IS_CHECKOUT = _PACKAGE.parent.name == "src" and (PROJECT_DIR / "conf").is_dir()
CONF_DIR = (PROJECT_DIR if IS_CHECKOUT else _PACKAGE) / "conf"
PUBLISHED_DIR = PROJECT_DIR / "data" / "published" if IS_CHECKOUT else _PACKAGE / "published"


def default_root(name: str) -> Path:
    """Where data lies that no dataset.root names: downloaded or generated, never committed."""
    if not IS_CHECKOUT:
        return _user_cache() / name
    root = PROJECT_DIR / ".cache" / name
    return root if root.exists() or _may_be_written(root) else _user_cache() / name


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
    import tempfile

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
