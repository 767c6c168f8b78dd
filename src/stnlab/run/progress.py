"""What a person sees while a run goes on: a bar in a terminal, a line an epoch in a pipe."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.status import Status

from stnlab.data.batches import Chunks
from stnlab.evaluation import headline
from stnlab.task import Classification

_REFRESH_SECONDS = 0.25


class _Bar(Progress):
    """Narrower than the screen: a terminal's own ^C that ran over could not be erased."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self._screen = console
        super().__init__(*columns, console=console, transient=True)

    def get_renderable(self) -> RenderableType:
        return Constrain(super().get_renderable(), self._screen.width - len("^C") - 1)


class ProgressReport(Checkpoint):
    """One bar for the whole run with epoch, loss, headline score and time left; or a line an epoch.

    A Checkpoint because Lightning calls those after the module's own hooks, when the epoch's
    scores are known.
    """

    def __init__(self, console: Console, enabled: bool) -> None:
        self.console = console
        self.enabled = enabled
        self._bar: Progress | None = None
        self._status: Status | None = None
        self._doing = ""
        self._last_refresh = 0.0
        self._began = 0.0
        self._first_epoch = 0

    @contextmanager
    def testing(self) -> Iterator[None]:
        """Say in a terminal, and only there, what goes on without a bar; :meth:`now` says what."""
        if not (self.enabled and self.console.is_terminal):
            yield
            return
        with self.console.status("testing …") as self._status:
            yield
        self._status = None

    def now(self, doing: str) -> None:
        """Say what goes on; in tests, how many of their batches are done is added."""
        self._doing = doing
        if self._status is not None:
            self._status.update(f"{doing} …")

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._status is None:
            return
        numbers = [int(each) for each in trainer.num_test_batches]
        done = sum(numbers[:dataloader_idx]) + batch_idx + 1
        self._status.update(f"{self._doing} … {done:,} of {sum(numbers):,} batches")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = time.perf_counter()
        self._first_epoch = trainer.current_epoch
        assert isinstance(pl_module, Classification)
        loader = trainer.train_dataloader
        assert isinstance(loader, Chunks)
        if self.enabled:
            number = sum(each.numel() for each in pl_module.network.parameters())
            self.console.print(
                f"{number:,} parameters, {len(loader.batches):,} steps an epoch", soft_wrap=True
            )
        if not (self.enabled and self.console.is_terminal):
            return
        self._bar = _Bar(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None),
            TextColumn("loss {task.fields[loss]}  {task.fields[scores]}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        num_batches = int(trainer.num_training_batches)
        epochs = trainer.max_epochs or 0
        self._task = self._bar.add_task(
            "train",
            total=epochs * num_batches,
            completed=trainer.current_epoch * num_batches,
            epoch=trainer.current_epoch + 1,
            epochs=epochs,
            loss="–",
            scores="",
        )
        self._bar.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        if self._bar is None or time.perf_counter() - self._last_refresh < _REFRESH_SECONDS:
            return
        self._last_refresh = time.perf_counter()
        done = trainer.current_epoch * int(trainer.num_training_batches) + batch_idx + 1
        assert isinstance(outputs, dict)
        loss: torch.Tensor = outputs["loss"]
        self._bar.update(
            self._task, completed=done, epoch=trainer.current_epoch + 1, loss=f"{loss.item():.3f}"
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        if not self.enabled:
            return
        found = pl_module.epoch_scores
        shown = "  ".join(
            f"{part} loss {scores['loss']:.4f} {headline.say(scores)}"
            for part, scores in sorted(found.items())
        )
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        elapsed = time.perf_counter() - self._began
        left = elapsed / (epoch - self._first_epoch) * (epochs - epoch)
        line = f"epoch {epoch:>{len(str(epochs))}}/{epochs}  {shown}"
        if self._bar is None:
            self.console.print(
                f"{line}  {_clock(elapsed)} gone, {_clock(left)} left", soft_wrap=True
            )
        else:
            self._bar.console.print(line)
            if "val" in found:
                self._bar.update(self._task, scores=f"val {headline.say(found['val'])}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
