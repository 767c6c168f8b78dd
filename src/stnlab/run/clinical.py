"""A run on clinical series."""

import csv
import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch.utils.tensorboard import SummaryWriter

from stnlab.data.batches import BatchSource
from stnlab.data.series import Part, SeriesBatches, load_parts
from stnlab.data.spec import SeriesSpec, dataset_spec
from stnlab.errors import UserError
from stnlab.evaluation import challenge2012, clinical, clusters, collapse, scores
from stnlab.files import write_atomically
from stnlab.folder import RunFolder
from stnlab.models import Network, Transformer
from stnlab.models.transformer import TIME_PARAMETERS
from stnlab.report import clinical_figures
from stnlab.run.experiment import Experiment, Predict
from stnlab.schema import ExperimentConfig, Physionet2012Config, SeriesConfig
from stnlab.task import Predictions
from stnlab.warp.time import share_outside_time

_NUM_SHOWN_PATIENTS = 3
_MIN_MEASURED_HOURS = 12  # of a patient whose series is shown
_NUM_CLUSTER_VARIABLES = 4


class ClinicalExperiment(Experiment):
    """Series of 48 hours, and who died: tested on patients who are in no other part."""

    def __init__(self, config: ExperimentConfig, folder: RunFolder) -> None:
        super().__init__(config, folder)
        assert isinstance(config.dataset, SeriesConfig)
        self.dataset = config.dataset
        spec = dataset_spec(config.dataset)
        assert isinstance(spec, SeriesSpec)
        self.spec = spec
        self.parts = load_parts(config.dataset)
        self._shown = self._shown_patients(self.parts.val)

    @property
    def has_validation(self) -> bool:
        return True

    @property
    def data(self) -> dict[str, Any]:
        parts = {name: getattr(self.parts, name) for name in ("train", "val", "test")}
        return {
            "name": self.parts.name,
            "sha256": self.parts.sha256,
            "synthetic": self.parts.is_synthetic,
            "n": {name: len(part) for name, part in parts.items()},
            "positives": {name: int(part.y.sum()) for name, part in parts.items()},
        }

    def place_on(self, device: torch.device) -> None:
        self.parts = self.parts.to(device)

    def title(self) -> str:
        synthetic = "SYNTHETIC episodes, no patients: " if self.parts.is_synthetic else ""
        return f"{synthetic}{super().title()}"

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
        """The test part, and the held-out one, which thresholds are chosen on."""
        return [SeriesBatches(self.parts.test, batch_size=self.TEST_BATCH_SIZE), self.val_batches()]

    # --- what came out

    def test_scores(self, predictions: list[Predictions]) -> dict[str, Any]:
        found, held_out = predictions
        y, p = _outcomes(found)
        if y.min() == y.max():
            raise UserError(
                f"trainer.limit_test_batches is {self.config.trainer.limit_test_batches}; allowed: "
                f"what leaves deaths and survivors to test on. These {len(y)} stays all have the "
                f"outcome {y[0]}. Set it to 1.0."
            )
        patients = self.parts.test.patients[: len(y)]
        intervals = clinical.bootstrap(y, p, patients=patients)
        return {
            **scores.scores(self.spec.task, found.logits, found.targets),
            **{f"{metric}_ci95": list(interval) for metric, interval in intervals.items()},
            "calibration_error": clinical.expected_calibration_error(y, p),
            "calibration": [each._asdict() for each in clinical.reliability(y, p)],
            **self._challenge_scores(y, p, held_out),
        }

    def _challenge_scores(
        self, y: NDArray[np.int64], p: NDArray[np.float64], held_out: Predictions
    ) -> dict[str, Any]:
        if not isinstance(self.dataset, Physionet2012Config):
            return {}
        threshold = challenge2012.event1_threshold(*_outcomes(held_out))
        return {"challenge2012": challenge2012.scores(y, p, threshold)}

    def diagnosis(
        self, network: Network, test: dict[str, Any], predictions: list[Predictions]
    ) -> dict[str, Any]:
        found = predictions[0]
        transformer, view, more = network.transformer, None, {}
        if transformer is not None and found.theta is not None:
            theta22, theta23 = found.theta.float().unbind(1)[:2]
            outside = share_outside_time(
                theta22, theta23, self.spec.size[0], transformer.align_corners
            )
            view = collapse.TimeView(outside.mean().item(), theta22.abs().median().item())
            more = self._about_theta(found)
        reason = collapse.time_collapse_reason(test, view)
        return {
            "collapsed": reason is not None,
            "collapsed_reason": reason,
            "views": [] if view is None else [view._asdict()],
            **more,
        }

    def _about_theta(self, found: Predictions) -> dict[str, Any]:
        """Clusters of the learned parameters; on synthetic data how they fit the planted ones."""
        theta, (y, _) = _theta(found), _outcomes(found)
        if not np.isfinite(theta).all():
            return {}
        clustering = clusters.cluster(theta)
        mortality = clusters.association(y, clustering.labels)
        about: dict[str, Any] = {
            "clusters": {
                "k": clustering.k,
                "bic": {str(k): bic for k, bic in clustering.bic.items()},
                "silhouette": clustering.silhouette,
                "valley": clustering.valley,
                "mortality": [
                    each._asdict() for each in clusters.mortality_by_cluster(y, clustering.labels)
                ],
                **mortality._asdict(),
                "verdict": clusters.verdict(clustering, mortality),
            }
        }
        planted = self.parts.planted
        if planted is not None:
            about["planted"] = {
                name: _correlation(theta[:, column], values[: len(theta)])
                for column, (name, values) in enumerate(
                    (("r_tempo", planted.tempo), ("r_phase", planted.phase))
                )
            }
        return about

    def write(
        self,
        network: Network,
        last: list[Predictions],
        best: list[Predictions],
        predict: Predict,
    ) -> None:
        for path, (found, _) in (
            (self.folder.predictions, last),
            (self.folder.best_predictions, best),
        ):
            y, p = _outcomes(found)
            clinical.write_predictions(path, self.parts.test.stays[: len(y)], p, y)
        transformer, found = network.transformer, last[0]
        if transformer is None or found.theta is None:
            return
        theta, (y, _) = _theta(found), _outcomes(found)
        write_atomically(self.folder.theta, _as_csv(self.parts.test.stays, theta))
        if not np.isfinite(theta).all():
            return
        transformer.eval().to("cpu", torch.float32)
        self._draw_warped(transformer)
        self._draw_theta(theta, y)

    @torch.no_grad()
    def _draw_warped(self, transformer: Transformer) -> None:
        part = self.parts.test.to(torch.device("cpu"))
        clinical_figures.draw_warped_series(
            self.folder.figures / "warped-series.png",
            f"{self.title()}\n{self.dataset.shown_variable} of three test patients",
            **self._before_and_after(transformer, part, self._shown_patients(part)),
        )

    def _draw_theta(self, theta: NDArray[np.float64], y: NDArray[np.int64]) -> None:
        labels = clusters.cluster(theta).labels
        clinical_figures.draw_theta_scatter(
            self.folder.figures / "theta.png",
            f"{self.title()}\nlearned parameters over the test set",
            theta[:, 0],
            theta[:, 1],
            y,
        )
        part = self.parts.test
        series = part.x[: len(y)].cpu().numpy()
        clinical_figures.draw_clusters(
            self.folder.figures / "clusters.png",
            f"{self.title()}\nmedian series of the clusters of learned parameters",
            self._hours,
            {
                name: clusters.quartiles(self._in_units(series, name)[:, None], labels)[:, :, 0]
                for name in self._most_measured(series)
            },
            clusters.mortality_by_cluster(y, labels),
        )

    def add_panel(self, transformer: Transformer, writer: SummaryWriter, step: int) -> None:
        part = self.parts.val
        figure = clinical_figures.warped_series(
            f"{self.dataset.shown_variable} of three validation patients",
            **self._before_and_after(transformer, part, self._shown),
        )
        writer.add_figure("series/before and after the warp", figure, step)

    # --- series in their own units

    def _shown_patients(self, part: Part) -> list[int]:
        """The first of a part in whom the shown variable was measured often; none is picked."""
        mask = part.x[:, self.parts.columns.index(f"mask->{self.dataset.shown_variable}")]
        often = (mask.sum(dim=1) >= _MIN_MEASURED_HOURS).nonzero()[:, 0]
        return often[:_NUM_SHOWN_PATIENTS].tolist() or [0]

    def _before_and_after(
        self, transformer: Transformer, part: Part, places: list[int]
    ) -> dict[str, Any]:
        """What a figure needs of some patients' series before and after the warp."""
        like = next(transformer.parameters())
        inputs = part.x[places].to(like)
        warped = transformer(inputs)
        name = self.dataset.shown_variable
        before, after = (
            self._in_units(each.float().cpu().numpy(), name)
            for each in (inputs, warped.views[:, 0])
        )
        return {
            "hours": self._hours,
            "before": before,
            "after": after,
            "thetas": warped.theta.float().cpu().numpy(),
            "names": [part.stays[place].removesuffix("_timeseries.csv") for place in places],
            "unit": name,
        }

    @property
    def _hours(self) -> NDArray[np.float64]:
        return np.arange(*self.spec.size, dtype=np.float64)

    def _in_units(self, series: NDArray[Any], name: str) -> NDArray[np.float64]:
        """One variable of standardised series (N, C, hours), (N, hours)."""
        mean, std = self.parts.scale[name]
        return series[:, self.parts.columns.index(name)].astype(np.float64) * std + mean

    def _most_measured(self, series: NDArray[np.float32]) -> list[str]:
        """The continuous variables that were measured most often, of (N, C, hours)."""
        shares = {
            name: float(series[:, self.parts.columns.index(f"mask->{name}")].mean())
            for name in self.parts.scale
            if f"mask->{name}" in self.parts.columns
        }
        return sorted(shares, key=lambda name: -shares[name])[:_NUM_CLUSTER_VARIABLES]


def _outcomes(found: Predictions) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Targets and probabilities of death, (N,) each."""
    probabilities = scores.probabilities(found.logits.double())
    return found.targets.cpu().numpy(), probabilities.cpu().numpy()


def _theta(found: Predictions) -> NDArray[np.float64]:
    """(N, 4), in the order of TIME_PARAMETERS."""
    assert found.theta is not None
    return found.theta.double().cpu().numpy()


def _correlation(learned: NDArray[np.float64], planted: NDArray[np.float64]) -> float | None:
    """Pearson's r; None where nothing varies."""
    if np.ptp(learned) < 1e-6:
        return None
    return float(stats.pearsonr(learned, planted).statistic)


def _as_csv(stays: list[str], theta: NDArray[np.float64]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stay", *TIME_PARAMETERS))
    writer.writerows(
        (stay, *map(repr, row)) for stay, row in zip(stays, theta.tolist(), strict=False)
    )
    return text.getvalue()
