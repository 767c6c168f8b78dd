"""Writing files so that nothing half-written is ever read, and reading them back."""

import contextlib
import csv
import errno
import gzip
import io
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from stnlab.errors import UserError

LOCK = ".lock"  # in a study's folder, while someone writes there


def unwritable(path: Path, error: OSError, option: str = "output_dir=") -> UserError:
    """What to say when ``path`` cannot be written, which ``option`` names."""
    return UserError(
        f"{option[:-1]}: cannot write to {path} ({error.strerror or error}). "
        f"Name another folder with {option}… ."
    )


@contextlib.contextmanager
def readable(key: str) -> Iterator[None]:
    """Where files that ``key`` names are read: a folder that this user may not read is told of.

    Raises:
        UserError: in place of PermissionError.
    """
    try:
        yield
    except PermissionError as error:
        raise UserError(
            f"{key}: {error.filename} cannot be read ({error.strerror}). Have its owner allow it, "
            "or name another folder."
        ) from error


@contextlib.contextmanager
def locked(path: Path, seconds: float = -1) -> Iterator[None]:
    """Hold the lock ``path``, a file that is there meanwhile; if the process dies, it is let go.

    Args:
        path: its folder is made.
        seconds: how long to wait for another process; for ever where it is negative.

    Raises:
        filelock.Timeout: another process still holds it.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=seconds)
    lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path for a file or a folder to be made, which becomes ``path`` at the end of the block.

    For one process at a time, and others wait; what a killed one has left is removed. Where the
    block makes nothing, because another has been quicker, ``path`` stays.

    Raises:
        OSError: it cannot be written, or ``path`` is a folder that is not empty.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with locked(path.with_name(f".{path.name}.lock")):
        try:
            _remove(temporary)
            yield temporary
            if temporary.exists():
                temporary.replace(path)
        finally:
            _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_atomically(path: Path, content: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part.

    For one process at a time: see :func:`locked`.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_out(path: Path, content: str) -> None:
    """Write the text file that a command's ``--out`` names, in one step.

    Raises:
        UserError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except (OSError, ValueError) as error:  # the latter where it has no name, as .
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--out: cannot write {path} ({reason}). Name another file.") from error


def packed(path: Path) -> Path:
    """As what a result may be kept where space is scarce, by ``gzip``."""
    return path.with_name(f"{path.name}.gz")


def content_of(path: Path, at_most: int | None = None) -> bytes:
    """The bytes of a file, or of the packed one in its place; no more than ``at_most``, unpacked.

    Raises:
        OSError: the one that it names cannot be read, or is damaged; FileNotFoundError where
            neither is there.
    """
    is_packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if is_packed else path.open("rb") as file:
            return file.read(-1 if at_most is None else at_most)
    except FileNotFoundError:
        if is_packed or not packed(path).exists():
            raise
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise OSError(errno.EIO, str(error), str(path)) from error
    return content_of(packed(path), at_most)


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table as text; None is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, which may be packed, by the names in its head.

    Raises:
        OSError: it is missing, or cannot be read.
        ValueError: it is no text.
        csv.Error: it is no CSV.
    """
    return list(csv.DictReader(io.StringIO(content_of(path).decode("utf-8"), newline="")))


def read_yaml(path: Path) -> Any:
    """What a YAML file of plain values holds.

    Raises:
        ValueError: it cannot be read, or has aliases, which can stand for more than memory holds.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # An alias stands for what an & has marked; libyaml, ten times as quick, would follow it.
        loader = _LoaderWithoutAliases if "&" in text else _QUICK_LOADER
        return yaml.load(text, loader)
    except Exception as error:  # PyYAML raises many kinds for a damaged file
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


class _LoaderWithoutAliases(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "it has an alias")
        return super().compose_node(parent, index)


_QUICK_LOADER = getattr(yaml, "CSafeLoader", _LoaderWithoutAliases)
