"""What TensorBoard shows of a run."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from stnlab.folder import RunFolder
from stnlab.models.transformer import SpatialTransformer
from stnlab.report.panels import warp_panel
from stnlab.task import Classification
from stnlab.warp.affine import determinant, share_outside

_THETA_NAMES = ("theta11", "theta12", "theta13", "theta21", "theta22", "theta23")
_EXAMPLES_A_ROW = 6
_LAYOUT = {
    "training": {
        name: ["Multiline", [f"{name}/train", f"{name}/val"]] for name in ("accuracy", "loss")
    }
}


class TensorBoardReport(Checkpoint):
    """Scalars, thetas and warped digits after every epoch; hyperparameters and metrics at the end.

    A Checkpoint because Lightning calls those after the module's own hooks, when the epoch's
    scores are known. The step is the number of optimizer steps.
    """

    def __init__(self, folder: RunFolder, examples: Tensor, log_every_n_steps: int) -> None:
        """``examples`` (N, C, H, W) are the inputs whose warps are shown after every epoch."""
        self.folder = folder
        self.examples = examples
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
        self.writer.add_custom_scalars(_LAYOUT)

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
            self._next_step_to_log = step + self.log_every_n_steps

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        step = trainer.global_step
        for part, found in pl_module.epoch_scores.items():
            for name in ("loss", "accuracy"):
                self.writer.add_scalar(f"{name}/{part}", found[name], step)
        transformer = pl_module.network.transformer
        if transformer is not None:
            self._add_panel(transformer, step)
            if (
                pl_module.val_predictions is not None
                and pl_module.val_predictions.theta is not None
            ):
                self._add_theta(transformer, pl_module.val_predictions.theta, step)
        self.writer.flush()

    def _add_panel(self, transformer: SpatialTransformer, step: int) -> None:
        like = next(transformer.parameters())  # its device, and its precision
        views = transformer(self.examples.to(like)).views.float().cpu()
        panel = warp_panel(self.examples.cpu(), views, _EXAMPLES_A_ROW)
        enlarged = panel.repeat_interleave(3, dim=0).repeat_interleave(3, dim=1)
        self.writer.add_image("digits/before above, after below", enlarged, step, dataformats="HW")

    def _add_theta(self, transformer: SpatialTransformer, theta: Tensor, step: int) -> None:
        """``theta`` (N, V, 2, 3) over the validation set."""
        for view in range(theta.shape[1]):
            of_view = theta[:, view].float()
            prefix = "theta" if theta.shape[1] == 1 else f"theta of view {view}"
            for name, values in zip(_THETA_NAMES, of_view.flatten(1).unbind(1), strict=True):
                self.writer.add_histogram(f"{prefix}/{name}", values, step)
            outside = share_outside(of_view, transformer.view_size, transformer.align_corners)
            self.writer.add_scalar(f"{prefix}/share outside", outside.mean(), step)
            self.writer.add_histogram(f"{prefix}/share outside", outside, step)
            self.writer.add_scalar(f"{prefix}/determinant", determinant(of_view).mean(), step)
            self.writer.add_histogram(f"{prefix}/determinant", determinant(of_view), step)

    def finish(
        self, parameters: dict[str, int | float | str], metrics: dict[str, float], step: int
    ) -> None:
        """Fill the HParams tab."""
        # run_name "." keeps them in this run instead of one of their own.
        self.writer.add_hparams(parameters, metrics, run_name=".", global_step=step)

    def close(self) -> None:
        """Close the event file, if there is one."""
        if self._writer is not None:
            self._writer.close()
