"""What TensorBoard shows of a run."""

import contextlib
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter, summary

from stnlab.config.identity import dataset_label, identity, to_plain, transformer_start
from stnlab.evaluation import headline
from stnlab.folder import RunFolder
from stnlab.layers.network import Network
from stnlab.layers.transformer import SHARE_OUTSIDE, Transformer, share_outside
from stnlab.schema import ExperimentConfig
from stnlab.task import Classification
from stnlab.warps.affine import DETERMINANT

# What a histogram is drawn of; of these the mean is drawn, too.
_MEANS = (SHARE_OUTSIDE, DETERMINANT)
# Given the network and the writer, add what examples look like before and after the warp.
AddPanel = Callable[[Network, SummaryWriter, int], None]
# Given the transformer and thetas (N, V, parameters) of the validation part, add what they do.
AddWarps = Callable[[Transformer, Tensor, SummaryWriter, int], None]
# Of a run at most so many, so many steps apart: one takes as long to draw as some hundred steps.
_MAX_PANELS, _STEPS_A_PANEL = 25, 200


class TensorBoardReport(Checkpoint):
    """Scalars and thetas after every epoch, warped examples after some; at the end metrics.

    A Checkpoint because Lightning calls those after the module's own hooks, when the epoch's
    scores are known. The step is the number of optimizer steps.
    """

    def __init__(
        self,
        folder: RunFolder,
        add_panel: AddPanel | None,
        add_warps: AddWarps,
        log_every_n_steps: int,
    ) -> None:
        """``add_panel`` shows examples before and after the warp, after some epochs, where it is
        given, and ``add_warps`` what the warps do to the validation part, beside their thetas.
        """
        self.folder = folder
        self.add_panel = add_panel
        self.add_warps = add_warps
        self.log_every_n_steps = log_every_n_steps
        self._next_step_to_log = 0
        self._writer: SummaryWriter | None = None

    @property
    def writer(self) -> SummaryWriter:
        """The event file's writer, from the start of training on."""
        assert self._writer is not None
        return self._writer

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # What an interrupted run wrote after its last checkpoint is purged.
        purge_step = trainer.global_step + 1 if trainer.global_step else None
        self._writer = SummaryWriter(str(self.folder.path), purge_step=purge_step)
        assert isinstance(pl_module, Classification)
        shown = ("loss", headline.measure(pl_module.spec.task))
        charts = {name: ["Multiline", [f"{name}/train", f"{name}/val"]] for name in shown}
        self.writer.add_custom_scalars({"training": charts})

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: object,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        if step >= self._next_step_to_log:
            self.writer.add_scalar("loss/step", outputs["loss"].item(), step)
            assert isinstance(pl_module, Classification)
            for name, rate in pl_module.rates().items():
                self.writer.add_scalar(f"learning rate/{name}", rate, step)
            transformer = pl_module.network.transformer
            if transformer is not None and "theta" in outputs:
                share = share_outside(transformer, outputs["theta"])
                if share is not None:
                    self.writer.add_scalar(f"{SHARE_OUTSIDE}/step", share, step)
            self._next_step_to_log = step + self.log_every_n_steps

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        step = trainer.global_step
        for part, found in pl_module.epoch_scores.items():
            shown = {"loss", headline.measure(pl_module.spec.task)} & found.keys()
            for name in sorted(shown):
                self.writer.add_scalar(f"{name}/{part}", found[name], step)
        transformer = pl_module.network.transformer
        if transformer is not None:
            if self.add_panel is not None and _is_shown(trainer.current_epoch + 1, trainer):
                with _as_tested(pl_module.network):
                    self.add_panel(pl_module.network, self.writer, step)
            if (
                pl_module.val_predictions is not None
                and pl_module.val_predictions.theta is not None
            ):
                theta = pl_module.val_predictions.theta.float()
                self._add_theta(transformer, theta, step)
                self.add_warps(transformer, theta, self.writer, step)
        self.writer.flush()

    def _add_theta(self, transformer: Transformer, theta: Tensor, step: int) -> None:
        """``theta`` (N, ...) over the validation set."""
        for name, values in transformer.describe(theta).items():
            self.writer.add_histogram(name, values, step)
            if name.endswith(_MEANS):
                self.writer.add_scalar(name, values.mean(), step)

    def finish(
        self,
        parameters: dict[str, int | float | str],
        results: dict[str, float],
        figures: Mapping[str, Path],
        step: int,
    ) -> None:
        """Show the figures of the trained network, and fill the HParams tab.

        There the results are columns beside the hyperparameters: as metrics they would have to be
        scalars, each with a chart of one dot in other tabs.
        """
        # Without the summary of an experiment, of which the tab would take one run's for all,
        # TensorBoard compares the runs itself, and shows what differs first.
        _, started, ended = summary.hparams(parameters | results, {})
        for each in (started, ended):
            self.writer.file_writer.add_summary(each, step)  # type: ignore[attr-defined]
        for name, path in figures.items():
            picture = np.asarray(Image.open(path).convert("RGB"))
            self.writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Close the event file, if there is one."""
        if self._writer is not None:
            self._writer.close()


def _is_shown(epoch: int, trainer: pl.Trainer) -> bool:
    """Whether a panel is drawn after an epoch, from 1 on: evenly spaced, and after the last."""
    num_epochs = int(trainer.max_epochs or 0)
    for_steps = math.ceil(_STEPS_A_PANEL * epoch / trainer.global_step)
    every = max(math.ceil(num_epochs / _MAX_PANELS), for_steps)
    return epoch == num_epochs or epoch % every == 0


def leave_hyperparameters(folder: Path, to: Path) -> None:
    """Copy the event files of a run that goes on, and take the HParams tab's part out of its own.

    TensorBoard would show the first that it finds, of before it went on.
    """
    from tensorboard.backend.event_processing.event_file_loader import (  # type: ignore[import-untyped]
        RawEventFileLoader,
    )
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
    from tensorboard.summary.writer.record_writer import (  # type: ignore[import-untyped]
        RecordWriter,
    )

    for path in folder.glob("events.out.tfevents.*"):
        shutil.copy2(path, to / path.name)
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("wb") as file:
            writer = RecordWriter(file)
            for record in RawEventFileLoader(str(path)).Load():
                values = Event.FromString(record).summary.value
                if not any(v.metadata.plugin_data.plugin_name == "hparams" for v in values):
                    writer.write(record)
        temporary.replace(path)


def hyperparameters(config: ExperimentConfig) -> dict[str, int | float | str]:
    """What TensorBoard's HParams tab tells runs apart by: all keys that decide a run's numbers."""
    plain = to_plain(config)
    init, padding = transformer_start(config)
    shown = {"dataset": dataset_label(plain), "model": config.model.name}
    shown |= {"init": init, "padding": padding}
    own = {
        key: _scalar(value)
        for key, value in identity(plain).items()
        if not key.startswith("parts.") and key not in ("dataset.name", "model.name")
    }
    return own | shown


def _scalar(value: Any) -> int | float | str:
    if value is None:
        return "null"
    return value if isinstance(value, int | float | str) else str(value)


@contextlib.contextmanager
def _as_tested(network: nn.Module) -> Iterator[None]:
    """Each of its layers in evaluation mode, and afterwards as it was: a look changes nothing."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
