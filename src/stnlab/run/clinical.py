"""A run on clinical series."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from stnlab.data.batches import BatchSource
from stnlab.data.series_batches import Part, SeriesBatches
from stnlab.evaluation import challenge2012, clinical, clusters, scores
from stnlab.geometry.time import tempo_and_phase
from stnlab.layers.network import Network
from stnlab.layers.transformer import TimeTransformer, Transformer
from stnlab.report import clinical_figures
from stnlab.run.experiment import Predict
from stnlab.run.series import SeriesExperiment
from stnlab.task import Predictions

_NUM_CLUSTER_VARIABLES = 4


class ClinicalExperiment(SeriesExperiment):
    """Series of 48 hours, and who died: tested on patients who are in no other part."""

    @property
    def data(self) -> dict[str, Any]:
        parts = {name: getattr(self.parts, name) for name in ("train", "val", "test")}
        return {
            **super().data,
            "positives": {name: int(part.y.sum()) for name, part in parts.items()},
        }

    def title(self) -> str:
        synthetic = "SYNTHETIC episodes, no patients: " if self.parts.is_synthetic else ""
        return f"{synthetic}{super().title()}"

    _named = "stay"

    def _name(self, part: Part, place: int) -> str:
        return part.names[place].removesuffix("_timeseries.csv")

    def test_batches(self) -> list[BatchSource]:
        """The test part, and the held-out one, which thresholds are chosen on."""
        return [SeriesBatches(self.parts.test, batch_size=self.TEST_BATCH_SIZE), self.val_batches()]

    def test_scores(self, predictions: list[Predictions]) -> dict[str, Any]:
        found, held_out = predictions
        y, p = _outcomes(found)
        patients = self.parts.test.groups[: len(y)]
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
        if not getattr(self.dataset, "has_challenge_scores", False):
            return {}
        threshold = challenge2012.event1_threshold(*_outcomes(held_out))
        return {"challenge2012": challenge2012.scores(y, p, threshold)}

    def diagnosis(
        self, network: Network, test: dict[str, Any], predictions: list[Predictions]
    ) -> dict[str, Any]:
        found, transformer = predictions[0], network.transformer
        more = {}
        if transformer is not None and found.theta is not None:
            more = self._about_theta(found, transformer)
        return {**super().diagnosis(network, test, predictions), **more}

    def _about_theta(self, found: Predictions, transformer: Transformer) -> dict[str, Any]:
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
        if self.parts.planted is not None:
            learned = _tempo_and_phase(found, transformer)
            about["planted"] = {
                name: _correlation(learned[parameter], values[: len(theta)])
                for name, (parameter, values) in self.parts.planted.warps.items()
                if parameter in learned
            }
        return about

    def write(
        self,
        network: Network,
        last: list[Predictions],
        best: list[Predictions],
        predict: Predict,
    ) -> dict[str, Any]:
        for path, (found, _) in (
            (self.folder.predictions, last),
            (self.folder.best_predictions, best),
        ):
            y, p = _outcomes(found)
            clinical.write_predictions(path, self.parts.test.names[: len(y)], p, y)
        more = super().write(network, last, best, predict)
        transformer, found = network.transformer, last[0]
        if self.draws and transformer is not None and found.theta is not None:
            theta, (y, _) = _theta(found), _outcomes(found)
            if np.isfinite(theta).all():
                self._draw_theta(theta, transformer.parameter_names, y)
        return more

    def _draw_theta(
        self, theta: NDArray[np.float64], parameters: tuple[str, ...], y: NDArray[np.int64]
    ) -> None:
        labels = clusters.cluster(theta).labels
        if parameters[:2] == ("theta22", "theta23"):
            clinical_figures.draw_theta_scatter(
                self.folder.figures / "theta.png",
                f"{self.title()}\nlearned parameters over the test set",
                *(theta[:, 0], theta[:, 1]),
                y,
            )
        part = self.parts.test
        series = part.x[: len(y)].cpu().numpy()
        clinical_figures.draw_clusters(
            self.folder.figures / "clusters.png",
            f"{self.title()}\nmedian series of the clusters of learned parameters",
            self._steps,
            {
                name: clusters.quartiles(self._in_units(series, name)[:, None], labels)[:, :, 0]
                for name in self._most_measured(series)
            },
            clusters.mortality_by_cluster(y, labels),
        )

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
    """The parameters of the one view, (N, parameters)."""
    assert found.theta is not None
    return found.theta[:, 0].double().cpu().numpy()


def _tempo_and_phase(
    found: Predictions, transformer: Transformer
) -> dict[str, NDArray[np.float64]]:
    """theta22 and theta23, or those of the affine warp that is nearest to what was learned.

    (N,) each; with a warp for each channel, of the mean over the channels.
    """
    theta = _theta(found)
    if "theta22" in transformer.parameter_names or not isinstance(transformer, TimeTransformer):
        return dict(zip(transformer.parameter_names, theta.T, strict=True))
    assert found.theta is not None
    tempo, phase = tempo_and_phase(transformer.moments(found.theta.float()).mean(dim=1).double())
    return {"theta22": tempo.cpu().numpy(), "theta23": phase.cpu().numpy()}


def _correlation(learned: NDArray[np.float64], planted: NDArray[np.float64]) -> float | None:
    """Pearson's r; None where nothing varies."""
    if np.ptp(learned) < 1e-6:
        return None
    return float(stats.pearsonr(learned, planted).statistic)
