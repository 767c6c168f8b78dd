"""The challenge's files: found in a folder, read from it or from an archive, or downloaded.

An archive is read in memory, member by member; nothing is unpacked to the disk, and bounds keep a
file that unpacks to gigabytes from filling the memory.
"""

import contextlib
import gzip
import hashlib
import http.client
import re
import tarfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn, cast

from stnlab.download import Bounded, fetch, reason_of
from stnlab.errors import UserError
from stnlab.files import content_of

URL = "https://physionet.org/files/challenge-2012/1.0.0/"

# SHA-256 of the published files, as other readers of the challenge have recorded them (tsdm,
# medical_ts_datasets). For what is downloaded alone: an archive that was packed anew reads as well.
SHA256 = {
    "set-a.tar.gz": "8cb250f179cd0952b4b9ebcf8954b63d70383131670fac1cfee13deaa13ca920",
    "set-b.tar.gz": "b1637a2a423a8e76f8f087896cfc5fdf28f88519e1f4e874fbda69b2a64dac30",
    "set-c.tar.gz": "a4a56b95bcee4d50a3874fe298bf2998f2ed0dd98a676579573dc10419329ee1",
    "Outcomes-a.txt": "2613ea60ccda29f87571a7d6b09ad130858a8ccd66325bd073365925026883c2",
    "Outcomes-b.txt": "1305f29734da374a809483229a99f33a9230aa8d4fa74b1a2d6ad788136423d5",
    "Outcomes-c.txt": "0b32dcb7753c0f18f2f5fde498a28618b8879c5e527ce0dae8ad120dd7e205c9",
}

# Bounds, each some forty (the total: four) times what sets a and b need.
MAX_FILE_BYTES = 1_000_000  # of a record; the largest has 24 kB, a list of outcomes 79 kB
MAX_TOTAL_BYTES = 128_000_000  # of an archive, packed or not; set b unpacks to 31 MB
MAX_MEMBERS = 20_000  # of an archive; a set has 4,001
_MAX_FOLDERS = 2  # around a record in an archive

_RECORD = re.compile(r"(\d+)\.txt(\.gz)?", re.ASCII)
_ARCHIVES = (".tar.gz", ".tgz", ".tar")  # what is in them is seen from their content
_GZIP = b"\x1f\x8b"

HOW_TO_GET_IT = f"""\
dataset=physionet2012 reads the PhysioNet/CinC Challenge 2012: 48 hours of intensive care and \
whether the patient died in hospital, 4,000 stays a set, free to anyone (ODC-By 1.0). \
dataset.download=true fetches what is missing, 7 MB a set. By hand: put set-a.tar.gz, \
Outcomes-a.txt, set-b.tar.gz and Outcomes-b.txt from {URL} into one folder, packed as they are, \
and set dataset.root to it."""


@dataclass(frozen=True)
class Source:
    """The records of a set: a folder of them, or an archive."""

    path: Path
    letter: str
    is_archive: bool

    def where(self, stay: str) -> str:
        """A record's file, for messages."""
        return f"{self.path}, {stay}.txt" if self.is_archive else str(self.path / f"{stay}.txt")

    @property
    def remedy(self) -> str:
        """What to do about a record that cannot be read."""
        archive = f"set-{self.letter}.tar.gz"
        return (
            f"Move {archive} away and get it again, with dataset.download=true or from "
            f"{URL}{archive}."
            if self.is_archive
            else f"Unpack {archive} of {URL} again."
        )

    def key(self) -> str:
        """SHA-256 of the archive's bytes, or of the names and bytes of the folder's records."""
        if self.is_archive:
            with _readable(self.path, MAX_TOTAL_BYTES):
                return hashlib.sha256(self.path.read_bytes()).hexdigest()
        digest = hashlib.sha256()
        for stay, content in sorted(self.contents().items()):
            digest.update(f"\0{stay}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    def contents(self) -> dict[str, bytes]:
        """The records' bytes by their numbers.

        Raises:
            UserError: when the archive is damaged, or is not one of records.
        """
        if self.is_archive:
            return _read_archive(self.path, self.remedy)
        stays = sorted({*_stays_in(self.path)})
        return {stay: _content_of(_record(self.path, stay), MAX_FILE_BYTES) for stay in stays}


def find(root: Path, letter: str, *, download: bool) -> tuple[Source, bytes]:
    """A set's records and the content of its outcomes, downloaded first where asked to.

    Raises:
        UserError: when something is missing, or cannot be downloaded.
    """
    outcomes = outcomes_path(root, letter)
    source = _find_records(root, letter)
    if source is None or not outcomes.is_file():
        if root.exists() and not root.is_dir():
            raise UserError(f"dataset.root: {root} is a file, not a folder. {HOW_TO_GET_IT}")
        if source is None and not outcomes.is_file():
            _require_right_height(root, letter)
        if not download:
            _raise_missing(root, letter, source is None, not outcomes.is_file())
        if source is None:
            _download(root, f"set-{letter}.tar.gz")
        if not outcomes.is_file():
            _download(root, outcomes.name)
        source = _find_records(root, letter)
        assert source is not None
    return source, _content_of(outcomes, MAX_FILE_BYTES)


def outcomes_path(root: Path, letter: str) -> Path:
    """Where the labels of a set lie."""
    return root / f"Outcomes-{letter}.txt"


def _find_records(root: Path, letter: str) -> Source | None:
    name = f"set-{letter}"
    for folder in (root / name, root / name / name):
        if folder.is_dir() and any(_stays_in(folder)):
            return Source(folder, letter, is_archive=False)
    archives = [root / f"{name}{suffix}" for suffix in _ARCHIVES]
    return next(
        (Source(each, letter, is_archive=True) for each in archives if each.is_file()), None
    )


def _stays_in(folder: Path) -> Iterator[str]:
    """Numbers of the records in a folder; other files there are left alone."""
    return (found[1] for path in folder.iterdir() if (found := _RECORD.fullmatch(path.name)))


def _record(folder: Path, stay: str) -> Path:
    plain = folder / f"{stay}.txt"
    return plain if plain.exists() else folder / f"{stay}.txt.gz"


def _require_right_height(root: Path, letter: str) -> None:
    """Refuse a folder too high or too low, and name the right one."""
    if not root.is_dir():
        return
    absolute = root.absolute()
    if any(_stays_in(root)):
        above = absolute.parent
        if not outcomes_path(above, letter).is_file():
            above = next(
                (each for each in absolute.parents[:2] if any(each.glob("Outcomes-?.txt"))), above
            )
        raise UserError(
            f"dataset.root: {root} is a folder too low, it holds the records themselves. Set "
            f"dataset.root={above}, where set-{letter} and Outcomes-{letter}.txt are to lie."
        )
    for inner in sorted(path for path in root.iterdir() if path.is_dir()):
        with contextlib.suppress(OSError):  # a folder that is not ours to read
            if _find_records(inner, letter) and outcomes_path(inner, letter).is_file():
                raise UserError(
                    f"dataset.root: {root} is a folder too high; set dataset.root={inner}."
                )


def _raise_missing(root: Path, letter: str, no_records: bool, no_outcomes: bool) -> NoReturn:
    if not root.is_dir():
        raise UserError(f"dataset.root: {root} does not exist. {HOW_TO_GET_IT}")
    archive, outcomes = f"set-{letter}.tar.gz", f"Outcomes-{letter}.txt"
    if no_records and no_outcomes:
        raise UserError(
            f"dataset.root: {root} has neither {archive} (or a folder set-{letter} of records) nor "
            f"{outcomes}. {HOW_TO_GET_IT}"
        )
    if no_outcomes and (root / f"{outcomes}.gz").is_file():
        raise UserError(f"dataset.root: {root / outcomes}.gz is still packed; unpack it in {root}.")
    if no_outcomes:
        raise UserError(
            f"dataset.root: {root} has the records of set {letter}, but not {outcomes}, which says "
            f"who died. Get it from {URL}{outcomes}, or set dataset.download=true."
        )
    packed = root / f"set-{letter}.zip"
    if packed.is_file():
        raise UserError(f"dataset.root: {packed} is still packed; unpack it in {root}.")
    raise UserError(
        f"dataset.root: {root} has {outcomes}, but neither {archive} nor a folder set-{letter} "
        f"with records (NUMBER.txt). Get {URL}{archive}, or set dataset.download=true."
    )


def require_same_stays(
    path: Path, source: Source, listed: Collection[str], found: Collection[str]
) -> None:
    """Refuse a set in which the outcomes ``listed`` are not those of the records ``found``.

    Raises:
        UserError: naming the first stay that lacks its other half.
    """
    missing = [stay for stay in listed if stay not in found]
    if missing:
        raise UserError(
            f"{path} names {missing[0]}, but {source.path} has no {missing[0]}.txt ({len(missing)} "
            f"of {len(listed)} records are missing). {source.remedy}"
        )
    surplus = [stay for stay in found if stay not in listed]
    if surplus:
        raise UserError(
            f"{source.path} has {surplus[0]}.txt, but {path} has no line for it ({len(surplus)} of "
            f"{len(found)} records lack their outcome). Get the whole list from {URL}{path.name}, "
            "or move the files elsewhere."
        )


# -- Reading -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _readable(path: Path, limit: int) -> Iterator[None]:
    try:
        if (size := path.stat().st_size) > limit:
            raise UserError(
                f"{path} has {size:,} bytes, more than the {limit:,} that such a file of the "
                f"challenge can have. Is it another file? Get it again from {URL}."
            )
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}. Correct its permissions, or get it "
            f"again from {URL}."
        ) from error


def _content_of(path: Path, limit: int) -> bytes:
    with _readable(path, limit):
        content = content_of(path, limit + 1)
    if len(content) > limit:
        raise UserError(f"{path} unpacks to more than {limit:,} bytes. Get it again from {URL}.")
    return content


def _opened(path: Path) -> "gzip.GzipFile | IO[bytes]":
    """An archive, packed or not: a browser may have unpacked it, and left it its name."""
    with path.open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path) if is_packed else path.open("rb")


def _read_archive(path: Path, remedy: str) -> dict[str, bytes]:
    too_large = f"{path} unpacks to more than {MAX_TOTAL_BYTES:,} bytes; a set has 31 MB. {remedy}"
    try:
        with _opened(path) as unpacked:
            stream = Bounded(unpacked, MAX_TOTAL_BYTES, too_large)
            with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive:
                contents = _read_members(path, archive, remedy)
            while stream.read(1 << 16):  # to the end, where the checksum stands
                pass
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path} is damaged, or not a .tar.gz archive: {str(error) or repr(error)}. {remedy}"
        ) from error
    if not contents:
        raise UserError(f"{path} holds no records (NUMBER.txt). {remedy}")
    return contents


def _read_members(path: Path, archive: tarfile.TarFile, remedy: str) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for count, member in enumerate(archive, start=1):
        name = PurePosixPath(member.name)
        where = f"{path}: its member {member.name!r}"
        if count > MAX_MEMBERS:
            raise UserError(f"{path} has more than {MAX_MEMBERS:,} members, not 4,001. {remedy}")
        if name.is_absolute() or ".." in name.parts:
            raise UserError(f"{where} would lie outside of the archive's folder. {remedy}")
        if member.isdir():
            continue
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise UserError(f"{where} is a link or a device, not a file. {remedy}")
        if member.size > MAX_FILE_BYTES:
            raise UserError(
                f"{where} has {member.size:,} bytes, more than the {MAX_FILE_BYTES:,} that a "
                f"record can have. {remedy}"
            )
        found = _RECORD.fullmatch(name.name)
        if not found or len(name.parts) - 1 > _MAX_FOLDERS:
            continue
        if found[1] in contents:
            raise UserError(f"{where} is the second record {found[1]}. {remedy}")
        file = archive.extractfile(member)
        assert file is not None  # a regular file
        contents[found[1]] = file.read()
    return contents


# -- Downloading ---------------------------------------------------------------------------------


def _download(root: Path, name: str) -> None:
    existed = root.is_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
        _fetch(URL + name, root / name, SHA256[name])
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"dataset.download: {URL}{name} could not be fetched to {root} ({reason_of(error)}). "
            "Try again, or get it by hand, on another machine if need be, and put it into "
            f"{root} as {name}."
        ) from error
    finally:
        if not existed:
            with contextlib.suppress(OSError):  # not empty: the file is there
                root.rmdir()


def _fetch(url: str, path: Path, sha256: str, schemes: Collection[str] = ("https",)) -> None:
    fetch(
        *(url, path, sha256),
        key="dataset.download",
        max_bytes=MAX_TOTAL_BYTES,
        schemes=schemes,
    )
