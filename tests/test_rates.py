"""How often runs collapse: exact intervals, Fisher's test, Holm's correction, and the report."""

import json

import pytest
from test_report import STN, cell, config, report, write_plan, write_run

from stnlab.report.statistics import Share, binomial_noise, fisher, holm, share

SLOW = f"{STN}-model.localization.lr=0.0001"
CLAIM = {"text": "Fewer collapse when it is slow", "kind": "rates", "pairs": [[SLOW, STN]]}
NEAR_CHANCE = "accuracy on clean test digits is 10.3%, near the 10.3% of always naming one"
OFF = f"{NEAR_CHANCE}; 100% of view 0's grid is off the image"


@pytest.mark.parametrize(
    ("num", "n", "low", "high"),
    [
        (0, 20, 0.0, 1 - 0.025 ** (1 / 20)),
        (20, 20, 0.025 ** (1 / 20), 1.0),
        (2, 5, 0.052745, 0.853367),  # Clopper and Pearson (1934)
    ],
)
def test_the_interval_is_exact(num, n, low, high):
    assert share(num, n).interval == pytest.approx((low, high), abs=1e-6)


def test_nothing_of_nothing_has_no_interval():
    assert share(0, 0).interval is None


def test_fishers_test_counts_the_tables():
    """All four of one side and none of the other's: 2 of the 70 tables are as far apart."""
    assert fisher(Share(4, 4, None), Share(0, 4, None)) == pytest.approx(2 / 70)
    assert fisher(Share(2, 5, None), Share(2, 5, None)) == pytest.approx(1)


def test_holm_multiplies_the_least_by_their_number_and_never_turns_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_noise_of_two_accuracies_is_binomial():
    """0.7 and 0.8% of 10,000: each has a deviation of about 0.085 points."""
    assert binomial_noise([0.993, 0.992], 10_000) == pytest.approx(0.00239, abs=1e-5)


@pytest.fixture
def rates(tmp_path):
    """Eight runs a row: all of the first collapse, one by its accuracy; none of the second."""
    folder = tmp_path / "outputs" / "RTS"
    seeds = list(range(8))
    slow = {**cell(STN, seeds), "cell": SLOW}
    write_plan(folder, [cell(STN, seeds), slow], [CLAIM])
    for seed in seeds:
        write_run(folder / STN / f"seed={seed}", 0.103, NEAR_CHANCE if seed == 7 else OFF)
        plain = config(seed=seed)
        plain["model"]["localization"] = {"lr": 0.0001}
        write_run(folder / SLOW / f"seed={seed}", 0.9 + seed / 100, plain=plain)
        path = folder / STN / f"seed={seed}" / "metrics.json"
        metrics = json.loads(path.read_text())
        if seed:  # the first is of before these were kept
            metrics["collapsed_since"] = 1 + (seed == 5)
            metrics["environment"] |= {"kernel": "avx2", "processor": "A processor"}
        path.write_text(json.dumps(metrics))
    return folder


def test_rates_are_told_with_interval_test_epoch_and_machine(rates):
    text = report(rates).read_text()
    p = 2 / 12870  # of two-sided: all eight of one side
    assert "## How often runs collapsed" in text
    assert (
        f"| {STN} | 8 of 8 | 63.06 to 100.00 | 1 | 1 (6 runs), 2 (1 run), not recorded (1 run)"
        in text
    )
    least = r"\< 0.001"  # escaped
    of_slow = f"| {SLOW} | 0 of 8 | 0.00 to 36.94 | 0 | – | {STN} | {least} | {least} | 93.50"
    assert of_slow in text
    assert f"| {STN} | avx2 | A processor | 1 to 7 | 1 to 7 |" in text
    assert f"| {STN} | not recorded | not recorded | 0 | 0 |" in text
    (claim,) = json.loads((rates / "summary.json").read_text())["studies"][0]["claims"]
    found = claim["pairs"][0]["rates"]
    assert (claim["verdict"], found["p"]) == ("reproduced", pytest.approx(p, rel=1e-6))
    assert found["second"] | {"living": None} == {
        **{"collapsed": 8, "n": 8, "ci95": [pytest.approx(0.630583), 1.0], "by_score_alone": 1},
        "since": [
            {"epoch": 1, "runs": 6},
            {"epoch": 2, "runs": 1},
            {"epoch": None, "runs": 1},
        ],
        "living": None,
    }
    assert found["first"]["living"]["n"] == 8


def test_a_rate_among_many_tests_needs_more(rates):
    """Of five runs each, p is 0.008; ten such tests leave nothing of it."""
    plan = json.loads((rates / "sweep.json").read_text())
    few = [{**each, "seeds": [0, 1, 2, 3, 4]} for each in plan["cells"]]
    for each in plan["cells"]:
        for seed in (5, 6, 7):
            (rates / each["cell"] / f"seed={seed}").rename(rates / f"{each['cell']}-{seed}")
    others = [{**few[1], "cell": f"other-{number}"} for number in range(9)]
    for each in others:
        for seed in range(5):
            write_run(rates / each["cell"] / f"seed={seed}", 0.9)
    pairs = [[each["cell"], STN] for each in (few[1], *others)]
    write_plan(rates, [*few, *others], [{**CLAIM, "pairs": pairs}])
    report(rates)
    (claim,) = json.loads((rates / "summary.json").read_text())["studies"][0]["claims"]
    assert claim["verdict"] == "cannot tell with these runs"
    assert claim["pairs"][0]["rates"]["p"] == pytest.approx(2 / 252, rel=1e-6)
    assert claim["pairs"][0]["rates"]["p_holm"] == pytest.approx(20 / 252, rel=1e-6)


def test_a_rate_without_runs_is_not_tested(rates):
    plan = json.loads((rates / "sweep.json").read_text())
    claims = [{**CLAIM, "pairs": [["absent", STN]]}]
    write_plan(rates, plan["cells"], claims)
    assert "not tested: runs missing" in report(rates).read_text()
