"""The run folder: what lies in it, and who may write there.

``metrics.json`` appears last and in one step, so a folder that has it is complete. Just before it
comes ``checksums.sha256``, as ``sha256sum`` writes it, over the results and the config. Runs of
before there were checksums have none, and are read as they are. A complete run goes on to more
epochs: what it was is kept beside, in ``epochs=<n>``.
"""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from stnlab import parts
from stnlab.config import differing_keys, identity, with_defaults
from stnlab.errors import UserError
from stnlab.files import (
    content_of,
    locked,
    packed,
    read_yaml,
    replacing,
    unwritable,
    write_atomically,
)

_GLIMPSE_SECONDS = 0.2  # longer than a look at a lock takes
_DATA = "data."
_SHOWN_DIGITS = 12  # of a checksum of 64, in a message
_EPOCH = re.compile(r"epoch=(0|[1-9]\d*)\.ckpt")
_CHECKSUM = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")


class State(Enum):
    """What stands in a run's folder, for a config."""

    fresh = "fresh"  # nothing that a run could go on from
    interrupted = "interrupted"  # the same config, not finished
    complete = "complete"  # the same config, finished
    shorter = "shorter"  # the same but for more epochs now, finished: it can go on to them
    other_config = "other_config"  # a run of another config, finished or not


class BusyError(UserError):
    """Another process works in the folder."""


class ReadOnlyError(UserError):
    """Nothing can be written where the folder is."""


Difference = tuple[str, Any, Any]
# What the checksums of the data would be of a run now; asked only where there is one to compare.
Checksums = Callable[[], dict[str, str]]


class RunFolder:
    """Paths and states of ``outputs/<name>/<cell>/seed=<n>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.json"
        self.history = path / "history.csv"
        self.steps = path / "steps.csv"
        self.robustness = path / "robustness.csv"
        self.predictions = path / "predictions.csv"
        self.best_predictions = path / "predictions-best.csv"
        self.confusion = path / "confusion.csv"
        self.theta = path / "theta.csv"
        self.preprocessing = path / "preprocessing.json"
        self.checksums = path / "checksums.sha256"
        self.error = path / "error.txt"
        self.figures = path / "figures"
        self.checkpoints = path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.best_checkpoint = self.checkpoints / "best.ckpt"
        self._lock = path.parent / f".{path.name}.lock"

    def epoch_checkpoint(self, epoch: int) -> Path:
        """The weights at the end of an epoch, where they are kept; 0 is before the first."""
        return self.checkpoints / f"epoch={epoch}.ckpt"

    def kept_epochs(self) -> list[int]:
        """The epochs whose weights are kept, in their order."""
        found = (_EPOCH.fullmatch(path.name) for path in self.checkpoints.glob("epoch=*.ckpt"))
        return sorted(int(match[1]) for match in found if match)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder; the system lets go of it if this one dies.

        Raises:
            BusyError: another process is in it.
            ReadOnlyError: the lock cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self._lock, _GLIMPSE_SECONDS))
            except Timeout as error:
                raise BusyError(
                    f"{self.path} is being worked on by another process. Wait for it, or give this "
                    "run another place with name=… ."
                ) from error
            except OSError as error:
                raise ReadOnlyError(str(unwritable(self.path, error))) from error
            yield

    def is_locked(self) -> bool:
        """Whether a process works in the folder now; tidies up after one that was killed."""
        if not self._lock.exists():
            return False
        lock = FileLock(self._lock, timeout=0)
        try:
            with lock:
                self._lock.unlink(missing_ok=True)
                return False
        except (Timeout, OSError):
            return True

    def claim(
        self, plain_config: dict[str, Any], overwrite: bool, checksums: Checksums = dict
    ) -> State:
        """Take the folder for a run, or say what stands in it already.

        A folder that holds work of another config, or on other data, is left alone, unless
        ``overwrite``. So is that of a shorter run, until :meth:`go_on`.

        Raises:
            UserError: the folder holds another run, is unreadable, or cannot be written.
        """
        state, differences = self.look(plain_config, checksums)
        if state in (State.complete, State.shorter):
            return state
        if state is State.other_config and not overwrite:
            raise self.holds_another(differences)
        try:
            if state is State.other_config:
                shutil.rmtree(self.path)
                state = State.fresh
            self._begin(plain_config, state)
        except OSError as error:
            raise unwritable(self.path, error) from error
        return state

    def clear(self, plain_config: dict[str, Any]) -> None:
        """Delete what an interrupted run has left, for one that begins anew.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            shutil.rmtree(self.path)
            self._begin(plain_config, State.fresh)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def go_on(self, plain_config: dict[str, Any]) -> Path | None:
        """Ready a complete run for more epochs; where it was not complete, there is nothing to do.

        What it was is kept in ``epochs=<n>``, a run's folder, too, and whole before anything is
        taken away. Killed in between, the run is complete, or interrupted after its last epoch.

        Returns:
            Where it is kept.

        Raises:
            UserError: the folder cannot be written.
        """
        if not self.metrics.exists():
            return None
        kept = self._kept(self._read_config()["trainer"]["max_epochs"])
        leave_out = shutil.ignore_patterns("epochs=*", "events.out.tfevents.*", ".*")
        try:
            with replacing(kept) as temporary:
                shutil.copytree(self.path, temporary, ignore=leave_out)
                if kept.exists():  # of an attempt that was killed here
                    shutil.rmtree(kept)
            if packed(self.history).exists():
                write_atomically(self.history, content_of(self.history).decode("utf-8"))
                packed(self.history).unlink()
            self.metrics.unlink()
            self.checksums.unlink(missing_ok=True)
            for path in {*self._results} - {self.config, self.history}:
                path.unlink(missing_ok=True)
                packed(path).unlink(missing_ok=True)
            self._begin(plain_config, State.interrupted)
        except OSError as error:
            raise unwritable(self.path, error) from error
        return kept

    def _kept(self, num_epochs: int) -> Path:
        """Where a run that went on is kept as it was after so many epochs."""
        return self.path / f"epochs={num_epochs}"

    def _begin(self, plain_config: dict[str, Any], state: State) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.error.unlink(missing_ok=True)
        if state is State.fresh:
            for stale in self.path.glob("events.out.tfevents.*"):
                stale.unlink()
            if self.checkpoints.exists():  # a best one without a last one
                shutil.rmtree(self.checkpoints)
        write_atomically(self.config, yaml.safe_dump(plain_config, sort_keys=False))

    def look(
        self, plain_config: dict[str, Any], checksums: Checksums = dict
    ) -> tuple[State, list[Difference]]:
        """What stands in the folder for a run of that config, and the keys that differ.

        Of a complete run the checksums of its data are compared, too.

        Raises:
            UserError: the folder's config is damaged, or a complete run's results.
        """
        is_complete = self.metrics.exists()
        if not (is_complete or self.last_checkpoint.exists()):
            return State.fresh, []
        if is_complete:
            metrics = self.read_metrics()
            self.require_undamaged()
        before = with_defaults(self._read_config(), plain_config)
        differences = differing_keys(identity(before), identity(plain_config))
        goes_on = _is_of_epochs(differences) and not self._hindrance(differences)
        found = [] if goes_on else differences
        if is_complete and not found:
            found = differing_data(metrics.get("data"), checksums())
        if found:
            return State.other_config, found
        if not is_complete:
            return State.interrupted, []
        return (State.shorter if goes_on else State.complete), []

    def _hindrance(self, differences: list[Difference]) -> str:
        """Why the run cannot go on to the epochs that are asked for now; empty where it can."""
        ((_, before, now),) = differences
        if not (isinstance(before, int) and now > before):
            kept = self._kept(now)
            there = f" What this one was after {now} epochs is in {kept}." if kept.exists() else ""
            return f"A run goes on to more epochs, and not back to fewer.{there}"
        name = str(self._read_config().get("parts", {}).get("schedule", "none"))
        schedule = parts.offered("schedule").get(name)
        if getattr(schedule, "needs_num_steps", True):
            return (
                f"It cannot go on to more epochs: under schedule={name} the rate of every step "
                "follows from the number of all steps, so that the epochs it has had were others."
            )
        if not self.last_checkpoint.exists():
            return f"It cannot go on to more epochs: there is no {self.last_checkpoint} to go from."
        return ""

    def holds_another(self, differences: list[Difference]) -> UserError:
        """What to say where a run of another config is in the way."""
        what = "a complete run" if self.metrics.exists() else "an interrupted run"
        if all(key.startswith(_DATA) for key, *_ in differences):
            what += " on other data, which dataset.root names,"
        else:
            what += " of another config"
        keys = "; ".join(f"{key} was {before}, is now {now}" for key, before, now in differences)
        why = f"{self._hindrance(differences)} " if _is_of_epochs(differences) else ""
        return UserError(
            f"{self.path} holds {what} ({keys}). {why}It is left as it is. "
            "Either give this run another place with name=…, or delete the other with "
            "overwrite=true."
        )

    def note_error(self, text: str) -> None:
        """Leave word of what stopped the run; its next start removes it, which may be now."""
        with contextlib.suppress(Timeout), locked(self._lock, _GLIMPSE_SECONDS):
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.error, text.rstrip() + "\n")

    def finish(self, metrics: dict[str, Any]) -> None:
        """Write ``metrics.json``, with which the run is complete, after the checksums."""
        text = json.dumps(metrics, indent=2) + "\n"
        sums = {file.name: _sha256(file.read_bytes()) for file in self._results if file.exists()}
        sums[self.metrics.name] = _sha256(text.encode())
        lines = [f"{digest}  {name}\n" for name, digest in sums.items()]
        write_atomically(self.checksums, "".join(lines))
        write_atomically(self.metrics, text)

    @property
    def _results(self) -> tuple[Path, ...]:
        """The files beside ``metrics.json`` that have a checksum, where they exist."""
        return (
            self.config,
            self.history,
            self.steps,
            self.robustness,
            self.predictions,
            self.best_predictions,
            self.confusion,
            self.theta,
            self.preprocessing,
        )

    def damage(self) -> dict[str, str]:
        """What is wrong with the files of a complete run, by their names: against its checksums.

        A run of before there were checksums has nothing to be held against.
        """
        try:
            lines = self.checksums.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            return {self.checksums.name: f"cannot be read ({error})"}
        matches = [_CHECKSUM.fullmatch(line) for line in lines]
        sums = {match[2]: match[1] for match in matches if match}
        known = {file.name for file in self._results} | {self.metrics.name}
        if not (
            len(sums) == len(lines)
            and {self.config.name, self.metrics.name} <= sums.keys() <= known
            and {file.name for file in self._results if file.exists()} <= sums.keys()
        ):
            return {self.checksums.name: "is damaged"}
        found = {name: self._wrong_with(name, digest) for name, digest in sums.items()}
        return {name: wrong for name, wrong in found.items() if wrong}

    def _wrong_with(self, name: str, digest: str) -> str:
        try:
            found = _sha256(content_of(self.path / name))
        except FileNotFoundError:
            return ""  # not kept; who needs it, says so
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        return "" if found == digest else f"does not match its sum in {self.checksums.name}"

    def require_undamaged(self) -> None:
        """Refuse a complete run whose files are not those that it left.

        Raises:
            UserError: naming the first file that differs.
        """
        for name, wrong in self.damage().items():
            raise UserError(
                f"{self.path / name} {wrong}: it was damaged or edited after the run. "
                f"{self._remedy()} Where the change is meant, move {self.checksums.name} away."
            )

    def _read_config(self) -> dict[str, Any]:
        try:
            found = read_yaml(self.config)
        except ValueError as error:
            raise UserError(f"{self.config} cannot be read ({error}). {self._remedy()}") from error
        if not isinstance(found, dict):
            raise UserError(f"{self.config} is not a config. {self._remedy()}")
        return found

    def read_metrics(self) -> dict[str, Any]:
        """The metrics of a complete run.

        Raises:
            UserError: the file is damaged.
        """
        try:
            metrics = json.loads(self.metrics.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{self.metrics} cannot be read ({error}). {self._remedy()}") from error
        if not _is_result(metrics):
            raise UserError(f"{self.metrics} is not a run's result. {self._remedy()}")
        assert isinstance(metrics, dict)
        return metrics

    def _remedy(self) -> str:
        return f"Move {self.path} away, or give this run another place with name=… ."


def _is_of_epochs(differences: list[Difference]) -> bool:
    """Whether nothing but the number of epochs differs."""
    return [key for key, *_ in differences] == ["trainer.max_epochs"]


def differing_data(before: Any, now: Mapping[str, str]) -> list[Difference]:
    """``(data.<name>, before, now)`` of the checksums that differ; one that only one side knows,
    as runs of earlier versions do not, is not compared.
    """
    if not isinstance(before, dict):
        return []
    return [
        (f"{_DATA}{name}", _shortened(before[name]), _shortened(value))
        for name, value in now.items()
        if name in before and before[name] != value
    ]


def _shortened(checksum: object) -> str:
    return f"{str(checksum)[:_SHOWN_DIGITS]}…"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_result(metrics: Any) -> bool:
    """Whether ``metrics`` has what is read of every run."""
    if not (isinstance(metrics, dict) and metrics.get("status") == "complete"):
        return False
    best, seconds = metrics.get("best"), metrics.get("seconds")
    return (
        isinstance(metrics.get("test"), dict)
        and isinstance(best, dict)
        and isinstance(best.get("test"), dict)
        and isinstance(seconds, dict)
        and all(isinstance(each, int | float) for each in seconds.values())
    )
