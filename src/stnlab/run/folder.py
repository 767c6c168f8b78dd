"""The run folder: what lies in it, and who may write there.

``metrics.json`` appears last and in one step, so a folder that has it is complete.
"""

import json
import os
import shutil
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from stnlab.config import differing_keys, identity
from stnlab.errors import UserError


class State(Enum):
    """What a run finds in its folder."""

    fresh = "fresh"
    interrupted = "interrupted"  # the same config, not finished
    complete = "complete"  # the same config, finished


class RunFolder:
    """Paths and states of ``outputs/<name>/<cell>/seed=<n>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.json"
        self.history = path / "history.csv"
        self.robustness = path / "robustness.csv"
        self.figures = path / "figures"
        self.last_checkpoint = path / "checkpoints" / "last.ckpt"
        self.best_checkpoint = path / "checkpoints" / "best.ckpt"

    def claim(self, plain_config: dict[str, Any], overwrite: bool) -> State:
        """Take the folder for a run, or say what stands in it already.

        A folder that holds work of another config is left alone, unless ``overwrite``.

        Raises:
            UserError: the folder holds another run, is unreadable, or cannot be written.
        """
        state = self._state(plain_config, overwrite)
        if state is State.complete:
            return state
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if state is State.fresh:
                for stale in self.path.glob("events.out.tfevents.*"):
                    stale.unlink()
            write_atomically(self.config, yaml.safe_dump(plain_config, sort_keys=False))
        except OSError as error:
            raise unwritable(self.path, error) from error
        return state

    def _state(self, plain_config: dict[str, Any], overwrite: bool) -> State:
        has_work = self.metrics.exists() or self.last_checkpoint.exists()
        if not has_work:
            return State.fresh
        found = identity(self._read_config())
        differing = differing_keys(found, identity(plain_config))
        if differing and not overwrite:
            what = "a complete run" if self.metrics.exists() else "an interrupted run"
            keys = "; ".join(f"{key} was {before}, is now {now}" for key, before, now in differing)
            raise UserError(
                f"{self.path} holds {what} of another config ({keys}). It is left as it is. "
                "Either give this run another place with name=…, or delete the other with "
                "overwrite=true."
            )
        if differing:
            shutil.rmtree(self.path)
            return State.fresh
        return State.complete if self.metrics.exists() else State.interrupted

    def _read_config(self) -> dict[str, Any]:
        try:
            found = yaml.safe_load(self.config.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self.config} cannot be read ({reason}). {self._remedy()}") from error
        if not isinstance(found, dict):
            raise UserError(f"{self.config} is not a config. {self._remedy()}")
        return found

    def read_metrics(self) -> dict[str, Any]:
        """The metrics of a complete run.

        Raises:
            UserError: the file is damaged.
        """
        try:
            metrics = json.loads(self.metrics.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{self.metrics} cannot be read ({error}). {self._remedy()}") from error
        if not isinstance(metrics, dict) or "status" not in metrics:
            raise UserError(f"{self.metrics} is not a run's result. {self._remedy()}")
        return metrics

    def _remedy(self) -> str:
        return f"Move {self.path} away, or give this run another place with name=… ."


def unwritable(path: Path, error: OSError) -> UserError:
    """What to say when ``path`` cannot be written."""
    return UserError(
        f"output_dir: cannot write to {path} ({error.strerror or error}). "
        "Name another folder with output_dir=… ."
    )


def write_atomically(path: Path, content: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
