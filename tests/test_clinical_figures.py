"""Figures of the mortality task: written whatever the text, the seeds and the data's shape."""

import numpy as np
import pytest
from matplotlib.image import imread

from stnlab.evaluation.clinical import auprc, auroc
from stnlab.evaluation.clusters import mortality_by_cluster, quartiles
from stnlab.report.clinical_figures import (
    _limits,
    _precision,
    _sensitivity,
    draw_clusters,
    draw_curves,
    draw_reliability,
    draw_theta_scatter,
    draw_warped_series,
)

HOSTILE = ["$x_$ <b>_a", "_under & $", "very long " * 60, "W" * 500, "", "a\nb\\"]
HOURS = np.arange(48)


def predictions(num_seeds, n=300):
    rng = np.random.default_rng(num_seeds)
    y = (np.arange(n) % 7 == 0).astype(int)
    return [(y, 1 / (1 + np.exp(2 - y - rng.normal(size=n)))) for _ in range(num_seeds)]


def assert_drawn(path):
    """The picture is no blank sheet."""
    pixels = imread(path)[..., :3]
    assert (pixels < 0.9).any(axis=2).mean() > 0.01
    assert min(pixels.shape[:2]) > 300


@pytest.mark.parametrize("text", HOSTILE)
def test_warped_series(tmp_path, text):
    path = tmp_path / "figures" / "warp.png"
    series = np.sin(HOURS / np.array([[5], [9], [2]]))
    draw_warped_series(
        path,
        f"SYNTHETIC {text}",
        steps=HOURS,
        step="hours",
        before=series,
        after=0.5 * series,
        thetas={
            name: np.full(3, -0.7)
            for name in ("theta22", "theta23", "slope", "offset")[: 2 if text else 4]
        },
        names=[text] * 3,
        unit=text,
    )
    assert_drawn(path)


@pytest.mark.parametrize(("spread", "has_clusters"), [(0.0, False), (0.1, False), (10.0, True)])
def test_theta_scatter(tmp_path, spread, has_clusters):
    path = tmp_path / "theta.png"
    theta = 1 + spread * np.random.default_rng(0).normal(size=(200, 2))
    labels = np.arange(200) % 8 if has_clusters else None
    draw_theta_scatter(
        path, HOSTILE[0], theta[:, 0], theta[:, 1] - 1, np.arange(200) % 2, labels=labels
    )
    assert_drawn(path)


def test_the_frame_holds_the_cloud_and_the_identity_but_no_far_outlier():
    values = np.append(np.linspace(1.2, 1.4, 1000), [1.5, 500.0])
    low, high = _limits(values, 1.0)
    assert low < 1.0 - 0.05
    assert 1.5 < high < 1.6


@pytest.mark.parametrize("num_seeds", [1, 5])
@pytest.mark.parametrize("draw", [draw_curves, draw_reliability])
def test_models_compared(tmp_path, draw, num_seeds):
    path = tmp_path / "models.png"
    draw(path, "SYNTHETIC", {text: predictions(num_seeds) for text in HOSTILE})
    assert_drawn(path)


def test_curves_have_the_areas_that_their_legend_says():
    y, p = predictions(1, n=5000)[0]
    assert _sensitivity(y, p).mean() == pytest.approx(auroc(y, p), abs=2e-3)
    assert _precision(y, p).mean() == pytest.approx(auprc(y, p), abs=3e-3)


@pytest.mark.parametrize(("k", "num_variables"), [(1, 1), (8, 3), (3, 4)])
def test_clusters(tmp_path, k, num_variables):
    path = tmp_path / "clusters.png"
    labels = np.arange(80) % k
    series = np.random.default_rng(0).normal(size=(80, num_variables, 48)) + labels[:, None, None]
    found = quartiles(series, labels)
    draw_clusters(
        path,
        HOSTILE[2],
        HOURS,
        {f"{HOSTILE[each]} {each}": found[:, :, each] for each in range(num_variables)},
        mortality_by_cluster(np.arange(80) % 9 // 8, labels),
    )
    assert_drawn(path)
