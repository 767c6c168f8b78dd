"""Clusters of learned parameters: planted ones are found, and none where there are none."""

import numpy as np
import pytest

from stnlab.evaluation.clinical import wilson
from stnlab.evaluation.clusters import (
    Association,
    Clustering,
    association,
    cluster,
    mortality_by_cluster,
    quartiles,
    verdict,
)

UNTOLD = Association(None, None)


def normal(n, columns=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, columns))


def blobs(*sizes, spread=0.05):
    """Clouds a distance of 1 apart; one of each size."""
    centres = np.repeat([[1 + 0.8 * i, 0.6 * i] for i in range(len(sizes))], sizes, axis=0)
    return centres + spread * normal(sum(sizes))


def clustering(silhouette=0.6, valley=0.0, k=2):
    bic = dict.fromkeys(range(1, 9), 0.0)
    return Clustering(np.arange(100) % k, k, (0, 1), bic, silhouette, valley)


# --- finding them


def test_planted_clusters_are_found_in_order_of_size():
    found = cluster(blobs(50, 150, 100))
    assert found.k == 3
    assert min(found.bic, key=found.bic.get) == 3
    assert found.labels.tolist() == [2] * 50 + [0] * 150 + [1] * 100
    assert found.silhouette > 0.8
    assert found.valley < 0.01
    assert "3 separated clusters" in verdict(found, UNTOLD)


def test_one_gaussian_cloud_is_one_cluster():
    found = cluster(normal(300))
    assert (found.k, found.silhouette, found.valley) == (1, None, None)
    assert set(found.bic) == set(range(1, 9))
    assert not found.labels.any()
    assert verdict(found, UNTOLD).startswith("The parameters form one cloud")


def test_a_skewed_cloud_is_not_sold_as_clusters():
    """The BIC takes several Gaussians for it, and the silhouette alone would pass them."""
    found = cluster(np.exp(0.5 * normal(600)))
    assert found.k > 1
    assert found.silhouette > 0.25
    assert found.valley > 0.5
    assert "into each other without a clear gap" in verdict(found, UNTOLD)


def test_clusters_do_not_depend_on_units():
    values = blobs(100, 60)
    found = cluster(values)
    assert (cluster(values * [1000, 0.001]).labels == found.labels).all()
    assert (cluster(values).labels == found.labels).all()


def test_a_column_without_spread_is_left_out():
    found = cluster(np.insert(blobs(100, 60), 1, 1 + 1e-9, axis=1).astype(np.float32))
    assert found.columns == (0, 2)
    assert found.k == 2


def test_equal_parameters_are_nothing_to_cluster():
    found = cluster(np.ones((30, 2)))
    assert (found.k, found.columns, found.bic) == (1, (), {})
    assert verdict(found, UNTOLD) == (
        "All stays have the same parameters: there is nothing to cluster."
    )


def test_few_stays_are_not_searched():
    found = cluster(normal(19))
    assert (found.k, list(found.bic)) == (1, [1])
    assert verdict(found, UNTOLD) == "19 stays are too few to look for clusters."


def test_no_more_clusters_are_tried_than_there_are_rows():
    found = cluster(np.repeat([[1.0, 0.0], [2.0, 1.0]], 50, axis=0))
    assert list(found.bic) == [1, 2]
    assert found.k == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_must_be_finite(value):
    with pytest.raises(ValueError, match="finite"):
        cluster(np.array([[1.0, value]]))
    with pytest.raises(ValueError, match=r"must be \(N, P\)"):
        cluster(np.ones(3))


# --- what they look like


def test_quartiles_are_taken_at_each_point():
    series, labels = normal(30, 2 * 5).reshape(30, 2, 5), np.arange(30) % 3
    low, median, high = quartiles(series, labels)
    assert median.shape == (3, 2, 5)
    assert median[1, 0, 4] == np.median(series[1::3, 0, 4])
    assert (low <= median).all()
    assert (median <= high).all()


# --- whether they matter


def test_mortality_by_cluster():
    y, labels = np.array([1, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 1, 1])
    first, second = mortality_by_cluster(y, labels)
    assert first == (4, 1, 0.25, *wilson(1, 4))
    assert second == (2, 2, 1.0, *wilson(2, 2))


def test_the_association_by_hand():
    labels = np.repeat([0, 1], 50)
    y = np.concatenate([np.arange(50) < 10, np.arange(50) < 20]).astype(int)
    found = association(y, labels)
    chi_square = 2 * 25 / 15 + 2 * 25 / 35
    assert found.cramers_v == pytest.approx(np.sqrt(chi_square / 100))
    assert found.p == pytest.approx(0.02909633)
    assert association(y, np.zeros(100, int)) == UNTOLD
    assert association(np.zeros(100, int), labels) == UNTOLD


def test_a_cluster_too_small_is_not_tested():
    labels = np.array([0] * 50 + [1] * 2)
    y = np.array([1] * 5 + [0] * 46 + [1])
    found = association(y, labels)
    assert found.p is None
    assert 0 < found.cramers_v < 1


@pytest.mark.parametrize(
    ("found", "mortality", "words"),
    [
        (clustering(silhouette=0.2), Association(0.5, 0.01), "barely separated (silhouette 0.20"),
        (clustering(valley=0.9), Association(0.5, 0.01), "they run into each other"),
        (clustering(valley=0.9, k=3), Association(0.5, 0.01), "at least two of them run into"),
        (clustering(), Association(0.5, 0.01), "does not differ between them beyond chance (p = 0"),
        (clustering(), Association(0.0, 0.3), "differs between them beyond chance (p < 0.001, Cr"),
        (clustering(), Association(0.01, 0.05), "beyond chance, but weakly (p = 0.010"),
        (clustering(), Association(None, 0.3), "cannot be tested: a cluster is too small"),
        (clustering(), UNTOLD, "cannot be told: all or none died"),
    ],
)
def test_the_verdict_says_what_is_known(found, mortality, words):
    assert words in verdict(found, mortality)
