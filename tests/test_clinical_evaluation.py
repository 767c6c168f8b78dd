"""Scores of the mortality task: against scikit-learn, and against what is known by hand."""

import gzip

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from stnlab.errors import UserError
from stnlab.evaluation.clinical import (
    _Ranking,
    _resamples,
    auprc,
    auroc,
    bootstrap,
    brier,
    expected_calibration_error,
    paired_bootstrap,
    read_predictions,
    reliability,
    scores,
    wilson,
    write_predictions,
)

SKLEARN = {"auroc": roc_auc_score, "auprc": average_precision_score}


def patients(n=400, signal=1.0, decimals=None, seed=0):
    """Outcomes and predictions; few decimals make ties."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.2).astype(np.int64)
    p = 1 / (1 + np.exp(1.5 - signal * y - rng.normal(size=n)))
    return y, p if decimals is None else p.round(decimals)


# --- scores


def test_scores_by_hand():
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])
    found = scores(y, p)
    assert (found["n"], found["positives"]) == (4, 2)
    assert found["auroc"] == pytest.approx(3.5 / 4)  # a tie counts half
    assert found["auprc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["brier"] == pytest.approx((0.01 + 0.16 + 0.36 + 0.04) / 4)


@pytest.mark.parametrize("score", [auroc, auprc, scores, bootstrap])
@pytest.mark.parametrize("only", [0, 1])
def test_one_class_is_refused(score, only):
    with pytest.raises(ValueError, match=f"y is {only} throughout; the score needs deaths and"):
        score(np.full(5, only), np.linspace(0, 1, 5))


def test_one_class_has_a_brier_score():
    assert brier(np.zeros(2, int), np.array([0.0, 0.5])) == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("y", "p", "words"),
    [
        ([0, 1], [0.1, 0.2, 0.3], "of one length"),
        ([], [], "of one length"),
        ([0, 2], [0.1, 0.2], "y must be 0 or 1"),
        ([0, 1], [0.1, 1.2], "probabilities"),
        ([0, 1], [0.1, float("nan")], "probabilities"),
    ],
)
def test_unfit_input_is_refused(y, p, words):
    with pytest.raises(ValueError, match=words):
        auroc(np.array(y), np.array(p))


# --- bootstrap


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("metric", ["auroc", "auprc"])
def test_a_resample_scores_as_scikit_learn_weighs_it(metric, decimals):
    y, p = patients(decimals=decimals)
    ranking = _Ranking(y, p)
    for counts in _resamples(y, 20, seed=1, patients=None):
        expected = [SKLEARN[metric](y, p, sample_weight=each) for each in counts.T]
        np.testing.assert_allclose(ranking.score(metric, counts), expected, rtol=1e-12)


def test_the_bootstrap_is_deterministic_and_holds_the_estimate():
    y, p = patients(decimals=2)
    found = bootstrap(y, p)
    assert found == bootstrap(y, p)
    assert found != bootstrap(y, p, seed=1)
    for metric, (low, high) in found.items():
        assert 0 <= low < SKLEARN[metric](y, p) < high <= 1


def test_the_bootstrap_is_as_wide_as_the_score_scatters():
    """Against the spread of the score over fresh samples, which is what it estimates."""
    low, high = bootstrap(*patients())["auroc"]
    spread = np.std([auroc(*patients(seed=seed)) for seed in range(1, 200)])
    assert (high - low) / (2 * 1.96) == pytest.approx(spread, rel=0.25)


def test_a_resample_has_both_classes():
    y = np.array([1] + [0] * 9)
    drawn = np.concatenate(list(_resamples(y, 250, seed=0, patients=None)), axis=1)
    assert drawn.shape == (10, 250)
    assert (drawn.sum(axis=0) == 10).all()
    assert (drawn[0] > 0).all()
    assert (drawn[1:].sum(axis=0) > 0).all()


def test_stays_of_a_patient_are_drawn_together():
    y, p = patients(n=60)
    twice = bootstrap(np.tile(y, 2), np.tile(p, 2), patients=[f"p{i % 60}" for i in range(120)])
    once = bootstrap(y, p, patients=[f"p{i}" for i in range(60)])
    for metric in SKLEARN:
        assert twice[metric] == pytest.approx(once[metric])
    with pytest.raises(ValueError, match="59 patients for 60 rows"):
        bootstrap(y, p, patients=["p"] * 59)


# --- comparing models


def test_a_better_model_is_told_from_a_worse():
    y, good = patients(signal=2.0)
    better, worse = [good] * 2, [patients(signal=0.5)[1]] * 3
    found = paired_bootstrap(y, better, worse)
    assert found.difference == pytest.approx(auroc(y, good) - auroc(y, worse[0]))
    assert 0 < found.low < found.difference < found.high
    assert found.p == pytest.approx(2 / 2001)
    turned = paired_bootstrap(y, worse, better)
    assert turned[:3] == pytest.approx((-found.difference, -found.high, -found.low))
    assert turned.p == found.p


@pytest.mark.parametrize("metric", ["auroc", "auprc"])
def test_a_model_does_not_differ_from_itself(metric):
    y, p = patients()
    found = paired_bootstrap(y, [p, p**2, p**3], [p**3, p], metric, num_resamples=50)
    assert found == (0, 0, 0, 1)  # the order of the patients is all that counts


def test_the_difference_is_of_means_over_seeds():
    y, _ = patients()
    first = np.stack([patients(signal=2.0)[1], patients(signal=1.0)[1]])
    second = first[:1]
    found = paired_bootstrap(y, first, second, "auprc", num_resamples=50)
    assert found.difference == pytest.approx((auprc(y, first[1]) - auprc(y, first[0])) / 2)
    assert found == paired_bootstrap(y, first, second, "auprc", num_resamples=50)


def test_unfit_comparisons_are_refused():
    y, p = patients(n=20)
    with pytest.raises(ValueError, match="metric is 'f1', not one of auroc, auprc"):
        paired_bootstrap(y, [p], [p], "f1")
    with pytest.raises(ValueError, match=r"predictions must be \(seeds, N\)"):
        paired_bootstrap(y, p, [p])


# --- calibration


def test_bins_are_of_equal_numbers():
    y, p = patients(n=95)
    bins = reliability(y, p)
    assert {each.n for each in bins} == {9, 10}
    assert sum(each.n for each in bins) == 95
    assert [each.mean_prediction for each in bins] == sorted(each.mean_prediction for each in bins)
    for each in bins:
        assert (each.low, each.high) == wilson(round(each.observed * each.n), each.n)
        assert each.low <= each.observed <= each.high


def test_equal_predictions_share_a_bin():
    y, p = np.array([0, 1, 0, 1, 0, 1]), np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.9])
    assert [(each.n, each.observed) for each in reliability(y, p)] == [(5, 0.4), (1, 1.0)]
    assert [each.n for each in reliability(y, np.full(6, 0.3))] == [6]


def test_seeds_of_the_same_patients_do_not_narrow_the_intervals():
    y, p = patients()
    once, pooled = reliability(y, p), reliability(np.tile(y, 5), np.tile(p, 5), num_seeds=5)
    assert len(pooled) == len(once)
    for one, all_five in zip(once, pooled, strict=True):
        assert all_five == pytest.approx(one._replace(n=5 * one.n))


def test_wilson_by_its_formula():
    z, n, share = 1.959963984540054, 50, 0.1
    centre, reach = share + z**2 / (2 * n), z * np.sqrt(share * 0.9 / n + z**2 / (4 * n**2))
    expected = [(centre + sign * reach) / (1 + z**2 / n) for sign in (-1, 1)]
    assert wilson(5, 50) == pytest.approx(expected)


def test_calibration_error_is_the_mean_distance():
    y, p = np.array([0, 0, 0, 1]), np.array([0.2, 0.2, 0.2, 0.6])
    assert expected_calibration_error(y, p) == pytest.approx(0.75 * 0.2 + 0.25 * 0.4)
    perfect = np.array([0.25] * 4)
    assert expected_calibration_error(y, perfect) == pytest.approx(0)


# --- predictions.csv


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_come_back_exactly(tmp_path, dtype):
    y, p = patients(n=50)
    p = np.array([0, 1, 1e-30, *p[3:]], dtype)
    stays = [f"{i}_episode1_timeseries.csv" for i in range(50)]
    path = tmp_path / "predictions.csv"
    write_predictions(path, stays, p, y)
    assert path.read_text().startswith("stay,prediction,y_true\n0_episode1_timeseries.csv,0.0,")
    read_stays, read_p, read_y = read_predictions(path)
    assert read_stays == stays
    assert (read_p == p).all()
    assert (read_y == y).all()
    assert list(tmp_path.iterdir()) == [path]


def test_predictions_may_be_packed(tmp_path):
    path = tmp_path / "predictions.csv"
    write_predictions(path, ["a", "b"], np.array([0.25, 0.5]), np.array([0, 1]))
    written = path.read_bytes()
    packed = tmp_path / "predictions.csv.gz"
    packed.write_bytes(gzip.compress(written))
    path.unlink()
    stays, p, y = read_predictions(path)
    assert (stays, p.tolist(), y.tolist()) == (["a", "b"], [0.25, 0.5], [0, 1])
    for damaged in (gzip.compress(written)[:-9], b"\x1f\x8bnothing", written):
        packed.write_bytes(damaged)
        with pytest.raises(UserError, match=r"predictions\.csv\.gz cannot be read: "):
            read_predictions(path)


@pytest.mark.parametrize(
    ("stays", "words"),
    [
        (["a"], "1 stays for 2 predictions"),
        (["a", "a"], "a stay is there twice"),
        (["a", "b,c"], "'b,c' cannot be a stay's name"),
        (["a", ""], "'' cannot be a stay's name"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, stays, words):
    with pytest.raises(ValueError, match=words):
        write_predictions(tmp_path / "p.csv", stays, np.array([0.1, 0.2]), np.array([0, 1]))
    assert not list(tmp_path.iterdir())


HEADER = "stay,prediction,y_true\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: the header is ''"),
        ("stay,y_true\na,1\n", "line 1: the header is 'stay,y_true'"),
        (HEADER, "has a header and no predictions"),
        (HEADER + "a,0.5\n", "line 2: 'a,0.5' has not the 3 fields"),
        (HEADER + "a,0.5,1\n\nb,0.5,1\n", "line 3: '' has not the 3 fields"),
        (HEADER + ",0.5,1\n", "line 2, column 'stay': there is no name"),
        (HEADER + "a,high,1\n", "column 'prediction': 'high' is not a number"),
        (HEADER + "a,1.5,1\n", "column 'prediction': 1.5 is not a probability"),
        (HEADER + "a,nan,1\n", "column 'prediction': nan is not a probability"),
        (HEADER + "a,0.5,1.0\n", "column 'y_true': '1.0' is neither 0"),
        (HEADER + "a,0.5,1\nb,0.5,0\na,0.5,1\n", "line 4, .* a is there twice, first in line 2"),
    ],
)
def test_malformed_predictions_are_told(tmp_path, text, words):
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_predictions(path)
    assert str(path) in str(caught.value)


def test_unreadable_predictions_are_told(tmp_path):
    path = tmp_path / "predictions.csv"
    with pytest.raises(UserError, match=r"predictions\.csv cannot be read: No such file"):
        read_predictions(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"predictions\.csv is not UTF-8 text"):
        read_predictions(path)
