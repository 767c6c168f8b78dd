"""A run on series."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from stnlab.data.batches import BatchSource
from stnlab.data.series.source import is_inside
from stnlab.data.series_batches import Part, SeriesBatches
from stnlab.data.spec import SeriesSpec, Task
from stnlab.evaluation import collapse, scores
from stnlab.files import csv_text, write_atomically
from stnlab.folder import RunFolder
from stnlab.layers.network import Network
from stnlab.layers.transformer import TimeTransformer, Transformer
from stnlab.parts import SeriesDataset
from stnlab.report import clinical_figures
from stnlab.report.style import pixels
from stnlab.run.experiment import Experiment, Predict
from stnlab.schema import ExperimentConfig
from stnlab.task import Predictions

_NUM_SHOWN = 3
_NUM_WARPS = 6  # of a figure
_MIN_MEASURED_SHARE = 0.25  # of the steps of a series that is shown


class SeriesExperiment(Experiment):
    """Series and their classes."""

    def __init__(self, config: ExperimentConfig, folder: RunFolder) -> None:
        super().__init__(config, folder)
        assert isinstance(config.dataset, SeriesDataset)
        self.dataset = config.dataset.of_run(config.seed)
        self.spec: SeriesSpec = self.dataset.spec()
        self.parts = self.dataset.load()
        self.shown_variable = self.dataset.shown_variable or self.parts.columns[0]
        self._shown = self._shown_examples(self._watched[0])

    @property
    def has_validation(self) -> bool:
        return len(self.parts.val) > 0

    @property
    def _watched(self) -> tuple[Part, str]:
        """The part whose warps are shown during training."""
        if self.has_validation:
            return self.parts.val, "validation"
        return self.parts.train, "training"

    @property
    def data(self) -> dict[str, Any]:
        parts = {name: getattr(self.parts, name) for name in ("train", "val", "test")}
        return {
            "name": self.parts.name,
            "sha256": self.parts.sha256,
            **({"labels_sha256": labels} if (labels := self.parts.labels_sha256) else {}),
            "examples": self.spec.examples,
            "synthetic": self.parts.is_synthetic,
            "n": {name: len(part) for name, part in parts.items()},
        }

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "raw_columns": list(self.dataset.raw_columns(self.spec)),
            "preparation": self.dataset.preparation,
            "scale": {name: list(map(float, each)) for name, each in self.parts.scale.items()},
        }

    def place_on(self, device: torch.device) -> None:
        self.parts = self.parts.to(device)

    # --- batches

    def train_batches(self) -> SeriesBatches:
        return SeriesBatches(
            self.parts.train,
            batch_size=self.dataset.batch_size,
            order_key=(self.config.seed,),
            limit=self.config.trainer.limit_train_batches,
        )

    def val_batches(self) -> SeriesBatches:
        return SeriesBatches(self.parts.val, batch_size=self.TEST_BATCH_SIZE)

    def test_batches(self) -> list[BatchSource]:
        return [SeriesBatches(self.parts.test, batch_size=self.TEST_BATCH_SIZE)]

    # --- what came out

    def test_scores(self, predictions: list[Predictions]) -> dict[str, Any]:
        (found,) = predictions
        return dict(scores.scores(self.spec.task, found.logits, found.targets))

    def diagnosis(
        self, network: Network, test: dict[str, Any], predictions: list[Predictions]
    ) -> dict[str, Any]:
        return self.collapse(network, test, predictions[0])

    def collapse(
        self, network: Network, found: scores.Scores, predictions: Predictions
    ) -> dict[str, Any]:
        transformer, view = network.transformer, None
        if isinstance(transformer, TimeTransformer) and predictions.theta is not None:
            theta = predictions.theta.float()
            view = collapse.TimeView(
                transformer.share_outside(theta).mean().item(),
                transformer.tempo(theta).median().item(),
            )
        reason = collapse.time_collapse_reason(found, predictions.targets, view, self.spec.unit)
        return {
            "collapsed": reason is not None,
            "collapsed_reason": reason,
            "views": [] if view is None else [view._asdict()],
        }

    def write(
        self,
        network: Network,
        last: list[Predictions],
        best: list[Predictions],
        predict: Predict,
    ) -> dict[str, Any]:
        transformer, found = network.transformer, last[0]
        if self.spec.task is Task.multiclass:
            self.write_classes(found, self.parts.test.names)
        if transformer is None or found.theta is None:
            return {}
        theta = found.theta[:, 0].cpu()
        theta = theta if theta.dtype == torch.float64 else theta.float()
        names = transformer.parameter_names
        write_atomically(
            self.folder.theta, _table(self._named, self.parts.test.names, names, theta.numpy())
        )
        if self.draws and theta.isfinite().all():
            transformer.eval().to("cpu", torch.float32)
            self._draw_warped(transformer)
            if isinstance(transformer, TimeTransformer) and not _is_one_affine(transformer):
                self._draw_warps(transformer, found.theta.float().cpu())
        return {}

    @torch.no_grad()
    def _draw_warped(self, transformer: Transformer) -> None:
        part = self.parts.test.to(torch.device("cpu"))
        clinical_figures.draw_warped_series(
            self.folder.figures / "warped-series.png",
            f"{self.title()}\n{self.shown_variable} of three test {self._whose}",
            **self._before_and_after(transformer, part, self._shown_examples(part)),
        )

    @torch.no_grad()
    def _draw_warps(self, transformer: TimeTransformer, theta: Tensor) -> None:
        """Where the steps are read, for each warp that there is, or those that change most."""
        names, num_warps = transformer.warp_names, len(transformer.warp_names)
        places = [transformer.warp_of_channel.tolist().index(warp) for warp in range(num_warps)]
        at = transformer.moments(theta)[:, places].numpy()
        away = np.square(at - np.arange(at.shape[2])).mean(axis=(0, 2))
        most = sorted(range(num_warps), key=lambda warp: -away[warp])[:_NUM_WARPS]
        which = "" if len(most) == num_warps else f"\nthe {len(most)} that change most"
        clinical_figures.draw_time_warps(
            self.folder.figures / "time-warps.png",
            f"{self.title()}\nlearned warps of time over the test set{which}",
            {names[warp]: at[:, warp] for warp in most},
            self.spec.unit,
        )

    def add_panel(self, network: Network, writer: SummaryWriter, step: int) -> None:
        assert network.transformer is not None
        part, of = self._watched
        figure = clinical_figures.warped_series(
            f"{self.shown_variable} of three {of} {self._whose}",
            **self._before_and_after(network.transformer, part, self._shown),
        )
        shown = pixels(figure)
        writer.add_image("series/before and after the warp", shown, step, dataformats="HWC")

    # --- series in their own units

    @property
    def _whose(self) -> str:
        return self.spec.examples

    def _shown_examples(self, part: Part) -> list[int]:
        """The first of a part in which the shown variable was measured often; none is picked."""
        mask = f"mask->{self.shown_variable}"
        if mask not in self.parts.columns:
            return list(range(min(_NUM_SHOWN, len(part))))
        measured = part.x[:, self.parts.columns.index(mask)].sum(dim=1)
        often = (measured >= _MIN_MEASURED_SHARE * self.spec.size[0]).nonzero()[:, 0]
        return often[:_NUM_SHOWN].tolist() or [0]

    def _before_and_after(
        self, transformer: Transformer, part: Part, places: list[int]
    ) -> dict[str, Any]:
        """What a figure needs of some series before and after the warp."""
        like = next(transformer.parameters())
        inputs, lengths = part.x[places].to(like), None
        if part.lengths is not None:
            lengths = part.lengths[places].to(like.device)
        warped = transformer(inputs) if lengths is None else transformer(inputs, lengths)
        name = self.shown_variable
        before, after = (
            self._in_units(each.float().cpu().numpy(), name)
            for each in (inputs, warped.views[:, 0])
        )
        if lengths is not None:  # nothing is drawn past a series' end
            for each in (before, after):
                each[~is_inside(lengths.cpu().numpy(), each.shape[1])] = np.nan
        return {
            "steps": self._steps,
            "step": self.spec.unit,
            "before": before,
            "after": after,
            "thetas": {
                each: values.float().cpu().numpy()
                for each, values in self._said(transformer, warped.theta).items()
            },
            "names": [self._name(part, place) for place in places],
            "unit": name,
        }

    def _said(self, transformer: Transformer, theta: Tensor) -> dict[str, Tensor]:
        """What thetas do to the shown variable, by name."""
        if not isinstance(transformer, TimeTransformer):
            return transformer.named(theta)
        return transformer.summary(theta, self.parts.columns.index(self.shown_variable))

    _named = "name"  # what stands above the names in a table

    def _name(self, part: Part, place: int) -> str:
        """What a series is called in a figure: its name, and its class."""
        if not self.spec.classes:
            return part.names[place]
        return f"{part.names[place]}: {self.spec.classes[int(part.y[place])]}"

    @property
    def _steps(self) -> NDArray[np.float64]:
        return np.arange(*self.spec.size, dtype=np.float64)

    def _in_units(self, series: NDArray[Any], name: str) -> NDArray[np.float64]:
        """One variable of standardised series (N, C, steps), (N, steps)."""
        mean, std = self.parts.scale.get(name, (0.0, 1.0))
        return series[:, self.parts.columns.index(name)].astype(np.float64) * std + mean


def _is_one_affine(transformer: TimeTransformer) -> bool:
    """Whether a tempo and a phase, for all channels, say all about a warp."""
    return transformer.parameter_names[:2] == ("theta22", "theta23")


def _table(
    named: str, names: list[str], parameters: tuple[str, ...], theta: NDArray[np.floating[Any]]
) -> str:
    """With as many digits as tell a number from its neighbours in theta's precision."""
    rows = zip(names, theta.astype(str).tolist(), strict=False)
    return csv_text((named, *parameters), ((name, *row) for name, row in rows))
