"""Keeps a run's history and checkpoints, and takes an interrupted run up again."""

import contextlib
import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loops.progress import _ProcessedTracker

from stnlab.checkpoints import damaged, load_checkpoint
from stnlab.errors import UserError
from stnlab.files import csv_text, write_atomically
from stnlab.folder import RunFolder
from stnlab.layers.transformer import share_outside
from stnlab.task import Classification

Row = dict[str, float]
_MOST_STEPS_BETWEEN = 100  # rows of steps.csv; a collapse is over in as many


class Recorder(Checkpoint):
    """After every epoch: a row of ``history.csv``, ``last.ckpt``, and ``best.ckpt`` if it is one.

    Where there is a transformer, ``steps.csv`` follows the share of the last batch's sampling
    points that lie outside of the input: in narrow steps at first, when most collapses happen.

    Lightning calls a Checkpoint after the module's own hooks, when the epoch's scores are known.
    What an epoch draws at random is keyed by (seed, epoch), so going on from the end of an epoch
    gives the same numbers as never having stopped.
    """

    def __init__(
        self,
        folder: RunFolder,
        measure: str,
        data: Mapping[str, Any],
        keep_epochs: bool = False,
        has_collapsed: Callable[[Classification], bool] = lambda _: False,
    ) -> None:
        """``measure`` is the validation score that tells which epoch is best; higher is better.

        ``data`` is what ``metrics.json`` will say of the data; its checksums are kept with a
        checkpoint. ``keep_epochs`` keeps the network's weights of every epoch beside them.
        ``has_collapsed`` is asked after each epoch with validation.
        """
        self.folder = folder
        self.keep_epochs = keep_epochs
        self.data = {name: value for name, value in data.items() if name.endswith("sha256")}
        self.measure = measure
        self.history: list[Row] = []
        self.steps: list[Row] = []
        self._shares: list[tuple[int, torch.Tensor]] = []  # of this epoch, not read yet
        self.has_collapsed = has_collapsed
        self._collapsed: list[bool] = []  # of each epoch
        self._epoch_began = 0.0

    @property
    def best(self) -> Row | None:
        """The row of the best validation score, the earliest of equals; None unvalidated."""
        column = f"val_{self.measure}"
        validated = [row for row in self.history if column in row]
        return max(validated, key=lambda row: row[column], default=None)

    @property
    def collapsed_since(self) -> int | None:
        """From which epoch on every validation has found a collapse; None where the last did not.

        So it is, too, of runs that were begun before this was kept.
        """
        found = len(self._collapsed)
        while found and self._collapsed[found - 1]:
            found -= 1
        is_whole = len(self._collapsed) == len(self.history)
        return found + 1 if is_whole and found < len(self._collapsed) else None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_began = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: object,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        if self._shares:
            last = self._shares[-1][0]
        else:
            last = int(self.steps[-1]["step"]) if self.steps else 0
        if step < last + min(last // 8, _MOST_STEPS_BETWEEN) or "theta" not in outputs:
            return
        assert isinstance(pl_module, Classification)
        transformer = pl_module.network.transformer
        assert transformer is not None
        share = share_outside(transformer, outputs["theta"])
        if share is not None:
            self._shares.append((step, share))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        row: Row = {"epoch": trainer.current_epoch + 1}
        for part, found in pl_module.epoch_scores.items():
            row |= {f"{part}_{name}": value for name, value in found.items() if name != "n"}
        row["seconds"] = round(time.perf_counter() - self._epoch_began, 3)
        self.history.append(row)
        for step, share in self._shares:
            self.steps.append({"step": step, "share_outside": round(share.item(), 4)})
        self._shares.clear()
        self._collapsed.append("val" in pl_module.epoch_scores and self.has_collapsed(pl_module))
        self._keep_epoch(pl_module)
        if self.best is row:
            _save(trainer, self.folder.best_checkpoint)
        _save(trainer, self.folder.last_checkpoint)
        self._write()

    def _write(self) -> None:
        write_atomically(self.folder.history, _table(self.history))
        if self.steps:
            write_atomically(self.folder.steps, _table(self.steps))

    def state_dict(self) -> dict[str, Any]:
        return {
            "history": self.history,
            "steps": self.steps,
            "collapsed": self._collapsed,
            "data": self.data,
        }

    def data_before(self) -> dict[str, Any]:
        """The checksums of the data that the run went through before it was interrupted.

        Raises:
            UserError: both checkpoints are damaged.
        """
        found = self._newest_whole_checkpoint()["callbacks"].get(self.state_key)
        return found.get("data", {}) if isinstance(found, dict) else {}

    def resume(self, trainer: pl.Trainer, task: Classification) -> None:
        """Put ``task`` and ``trainer`` where the last checkpoint left them.

        Only what an end of an epoch needs is restored; Lightning's own restart also replays hooks
        of the epoch that has ended. Where the last checkpoint is damaged the best one takes its
        place; what follows from there is the same.

        Raises:
            UserError: both checkpoints are damaged, or of another network.
        """
        checkpoint = self._newest_whole_checkpoint()
        try:
            task.load_state_dict(checkpoint["state_dict"])
            state = checkpoint["callbacks"][self.state_key]
            self.history, self.steps = state["history"], state.get("steps", [])
            self._collapsed = state.get("collapsed", [])
        except (RuntimeError, KeyError, TypeError) as error:
            raise damaged(self.folder.last_checkpoint, "it is of another network") from error
        # A run that was killed between the two files has a row less here.
        self._write()
        trainer.fit_loop.epoch_progress.current = _ProcessedTracker(
            ready=len(self.history),
            started=len(self.history),
            processed=len(self.history),
            completed=len(self.history),
        )
        steps = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        steps.total.completed = checkpoint["global_step"]
        self._optimizer_state = checkpoint["optimizer_states"][0]

    def _newest_whole_checkpoint(self) -> dict[str, Any]:
        last, best = self.folder.last_checkpoint, self.folder.best_checkpoint
        try:
            return load_checkpoint(last)
        except UserError as damage:
            try:
                checkpoint = load_checkpoint(best)
            except UserError:
                raise damage from None
        logging.getLogger(__name__).warning(
            "%s is damaged; the run goes on from %s, an earlier epoch.", last, best.name
        )
        return checkpoint

    def best_weights(self) -> dict[str, Any]:
        """The weights of the best epoch, from its checkpoint.

        Raises:
            UserError: the checkpoint is damaged, or of another epoch.
        """
        path = self.folder.best_checkpoint
        checkpoint = load_checkpoint(path)
        history = checkpoint["callbacks"].get(self.state_key, {}).get("history")
        if not history or history[-1] != self.best:
            raise damaged(path, "it is of another epoch")
        weights: dict[str, Any] = checkpoint["state_dict"]
        return weights

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.history:
            trainer.optimizers[0].load_state_dict(self._optimizer_state)
        else:
            assert isinstance(pl_module, Classification)
            self._keep_epoch(pl_module)

    def _keep_epoch(self, task: Classification) -> None:
        if self.keep_epochs:
            weights = {name: value.cpu() for name, value in task.network.state_dict().items()}
            content = io.BytesIO()
            torch.save(weights, content)
            with _new(self.folder.epoch_checkpoint(len(self.history))) as temporary:
                temporary.write_bytes(content.getbuffer())


def _save(trainer: pl.Trainer, path: Path) -> None:
    with _new(path) as temporary:
        trainer.save_checkpoint(temporary)


@contextlib.contextmanager
def _new(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of ``path`` once it is whole."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    yield temporary
    temporary.replace(path)


def _table(rows: list[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return csv_text(columns, ([row.get(name) for name in columns] for row in rows))
