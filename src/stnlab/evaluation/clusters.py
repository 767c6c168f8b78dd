"""Stays grouped by what the transformer does to them, and whether the groups mean anything.

SEED's future work: cluster the series by the learned transformation parameters, and take a
cluster's median series as its representative.
"""

import math
import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from stnlab.evaluation.clinical import Floats, Integers, wilson

MAX_CLUSTERS = 8
MAX_COLUMNS = 4  # as time-affine has, with slope and offset
MIN_STAYS = 10  # of a cluster, on average, for its number to be tried
BARELY_SEPARATED = 0.25  # Kaufman and Rousseeuw (1990): no substantial structure below
SHALLOW = 0.5  # a valley whose floor is above this share of the lower hill parts no clusters
SIGNIFICANT = 0.05
WEAK = 0.1  # Cohen (1988): a small effect
_ROUNDING = 1e-6  # float32's, for values near 1


@dataclass(frozen=True)
class Clustering:
    """Clusters in order of size, the largest first.

    ``labels`` (N,), from 0; ``k`` how many there are. ``columns``: the parameters that have a
    spread. ``bic``: of each number of Gaussians that was tried, lower is better; empty where no
    parameter has a spread. ``silhouette``: mean over stays, in [-1, 1]. ``valley``: how low the
    mixture's density falls on the way between two clusters' means, as a share of the lower of its
    values there, in [0, 1], for the two that it parts least. One skewed or curved
    cloud, which takes many Gaussians, can have a silhouette well above 0, but no valley: near 1.
    Both None for one cluster.
    """

    labels: NDArray[np.int64]
    k: int
    columns: tuple[int, ...]
    bic: dict[int, float]
    silhouette: float | None
    valley: float | None


class Mortality(NamedTuple):
    """Of one cluster: stays, deaths, their share and its 95% Wilson interval."""

    n: int
    deaths: int
    rate: float
    low: float
    high: float


class Association(NamedTuple):
    """Mortality against cluster; None where it cannot be told.

    ``p``: of the chi-square test, without a correction for continuity. ``cramers_v`` in [0, 1].
    """

    p: float | None
    cramers_v: float | None


def cluster(parameters: Floats, seed: int = 0) -> Clustering:
    """Cluster by a mixture of Gaussians of the lowest BIC, 1 to 8 with covariances of their own.

    Columns are standardised. A stay belongs to the Gaussian that most probably made it; one that
    no stay belongs to is not counted. Numbers that leave fewer than 10 stays a cluster, or one
    distinct row, are not tried. Of more than 4 columns with a spread, as bending warps have,
    the first 4 principal components take their place, standardised likewise: a mixture of more
    would be a guess.

    Args:
        parameters: (N, P), of each stay: theta22, theta23, slope and offset, say.
        seed: of the mixtures' starts.
    """
    if parameters.ndim != 2 or not len(parameters):
        raise ValueError(f"parameters must be (N, P), not {parameters.shape}")
    if not np.isfinite(parameters).all():
        raise ValueError("parameters must be finite")
    values = parameters.astype(np.float64)
    size = np.maximum(np.abs(values).max(axis=0), 1)
    columns = tuple(np.flatnonzero(np.ptp(values, axis=0) > _ROUNDING * size).tolist())
    if not columns:
        return Clustering(np.zeros(len(values), np.int64), 1, (), {}, None, None)
    values = values[:, columns]
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    if len(columns) > MAX_COLUMNS:
        values = _principal_components(values, MAX_COLUMNS)
    num_distinct = len(np.unique(values, axis=0))
    most = max(min(MAX_CLUSTERS, num_distinct, len(values) // MIN_STAYS), 1)
    # Tasks this small wait for each other's threads, tenfold.
    with threadpool_limits(1):
        mixtures = {k: _fitted(values, k, seed) for k in range(1, most + 1)}
        bic = {k: float(mixture.bic(values)) for k, mixture in mixtures.items()}
        best = mixtures[min(bic, key=lambda k: bic[k])]
        components = best.predict(values)
        labels = _by_size(components)
        k = int(labels.max()) + 1
        if k == 1:
            return Clustering(labels, 1, columns, bic, None, None)
        valley = _valley(best, best.means_[np.unique(components)])
        return Clustering(labels, k, columns, bic, float(silhouette_score(values, labels)), valley)


def _principal_components(values: NDArray[np.float64], num: int) -> NDArray[np.float64]:
    """The first of centred columns, each of mean 0 and deviation 1 but for those that are none."""
    left, sizes, _ = np.linalg.svd(values, full_matrices=False)
    num = min(num, int(np.sum(sizes > _ROUNDING * sizes[0])))
    return left[:, :num] * math.sqrt(len(values))


def _fitted(values: NDArray[np.float64], k: int, seed: int) -> Any:
    mixture: Any = GaussianMixture(k, n_init=5, max_iter=500, random_state=seed)
    with warnings.catch_warnings():
        # A number of Gaussians that does not fit converges slowly; its BIC is worse all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(values)
    return mixture


def _valley(mixture: Any, means: NDArray[np.float64]) -> float:
    way = np.linspace(0, 1, 51)[:, None]
    floors = []
    for start, end in combinations(means, 2):
        log_density = mixture.score_samples(start + (end - start) * way)
        floors.append(np.exp(log_density.min() - min(log_density[0], log_density[-1])))
    return float(max(floors))


def _by_size(labels: Integers) -> NDArray[np.int64]:
    """``labels`` numbered anew: 0 for the most frequent."""
    _, compact, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return rank[compact]


# --- what a cluster looks like


def quartiles(series: Floats, labels: Integers) -> NDArray[np.float64]:
    """Lower quartile, median and upper quartile of each cluster, point by point.

    Args:
        series: (N, C, T).
        labels: (N,), each of 0 to k - 1 at least once.

    Returns:
        (3, k, C, T).
    """
    per_cluster = [
        np.quantile(series[labels == each], [0.25, 0.5, 0.75], axis=0)
        for each in range(int(labels.max()) + 1)
    ]
    return np.stack(per_cluster, axis=1).astype(np.float64)


# --- whether clusters differ in mortality


def mortality_by_cluster(y: Integers, labels: Integers) -> list[Mortality]:
    """A :class:`Mortality` for each cluster, in their order; y is 1 for a death."""
    found = []
    for each in range(int(labels.max()) + 1):
        n, deaths = int(np.sum(labels == each)), int(np.sum(y[labels == each]))
        found.append(Mortality(n, deaths, deaths / n, *wilson(deaths, n)))
    return found


def association(y: Integers, labels: Integers) -> Association:
    """Test whether mortality differs between clusters; see :class:`Association`.

    No p where a cell expects fewer than 1 stay, which the test does not allow for; nothing at all
    for one cluster, or where all or none died.
    """
    groups = mortality_by_cluster(y, labels)
    table = np.array([[each.deaths, each.n - each.deaths] for each in groups])
    if len(groups) == 1 or not table.sum(axis=0).all():
        return Association(None, None)
    test = stats.chi2_contingency(table, correction=False)
    v = float(np.sqrt(test.statistic / len(y)))
    return Association(float(test.pvalue) if test.expected_freq.min() >= 1 else None, v)


def verdict(clustering: Clustering, mortality: Association) -> str:
    """What may be said of the clusters, in one or two sentences."""
    if not clustering.columns:
        return "All stays have the same parameters: there is nothing to cluster."
    n = len(clustering.labels)
    if len(clustering.bic) == 1:
        return f"{n} stays are too few to look for clusters."
    if clustering.silhouette is None or clustering.valley is None:
        return (
            f"The parameters form one cloud: of 1 to {max(clustering.bic)} Gaussians the BIC "
            "prefers one cluster, so there are none to compare."
        )
    separation = _separation(clustering.k, clustering.silhouette, clustering.valley)
    return f"{separation} {_difference(mortality)}"


def _separation(k: int, silhouette: float, valley: float) -> str:
    if silhouette < BARELY_SEPARATED:
        return (
            f"The BIC prefers {k} clusters, but they are barely separated (silhouette "
            f"{silhouette:.2f}, below {BARELY_SEPARATED}): rather parts of one cloud than groups."
        )
    if valley > SHALLOW:
        which, meaning = (
            ("they run", "rather parts of one cloud than groups")
            if k == 2
            else ("at least two of them run", "not each is a group of its own")
        )
        return (
            f"The BIC prefers {k} clusters (silhouette {silhouette:.2f}), but {which} into each "
            f"other without a clear gap: {meaning}."
        )
    return f"The parameters form {k} separated clusters (silhouette {silhouette:.2f})."


def _difference(mortality: Association) -> str:
    if mortality.cramers_v is None:
        return "Whether mortality differs between them cannot be told: all or none died."
    strength = f"Cramér's V {mortality.cramers_v:.2f}"
    if mortality.p is None:
        return (
            "Whether their mortality differs cannot be tested: a cluster is too small "
            f"({strength})."
        )
    p = "p < 0.001" if mortality.p < 0.001 else f"p = {mortality.p:.3f}"
    if mortality.p >= SIGNIFICANT:
        return f"Mortality does not differ between them beyond chance ({p}, {strength})."
    weakly = ", but weakly" if mortality.cramers_v < WEAK else ""
    return f"Mortality differs between them beyond chance{weakly} ({p}, {strength})."
