"""The original paper's table beside a study of its distortions."""

import json

import pytest
from test_report import cell, config, report, rows_of, write_plan, write_run

from stnlab.report.published import read_published

ON = "test.distorted.accuracy"


@pytest.mark.parametrize(
    ("dataset", "model", "warp", "error"),
    [
        ("jaderberg-e", "stn", "tps", 1.1),
        ("jaderberg-e", "stn-fcn-400k", "affine", 2.7),
        ("jaderberg-tc", "fcn", "", 13.2),
    ],
)
def test_a_published_row_is_found_by_its_warp(dataset, model, warp, error):
    start = ("identity", "black") if warp else ("NA", "NA")
    (found,) = read_published().of(dataset, model, *start, ON, warp)
    assert found.sample.mean == pytest.approx(1 - error / 100)
    assert found.sample.n == 3


def test_what_was_published_of_affine_warps_is_beside_no_other():
    asked = ("two-channel", "multi-stn", "identity", "zeros", "test.clean.accuracy")
    assert read_published().of(*asked)
    assert read_published().of(*asked, "affine")
    assert not read_published().of(*asked, "tps")


def test_a_study_of_the_distorted_test_says_what_of_the_published_could_be_chance(tmp_path):
    """0.7 against 1.2% of 10,000: more than chance. 0.8 against 0.8%: nothing to tell."""
    folder = tmp_path / "outputs" / "jaderberg-r"
    names = {"stn-identity-black": "affine", "stn-tps-identity-black": "tps"}
    rows = [
        {**cell("cnn", [0, 1]), "dataset": "jaderberg-r"},
        *(
            {
                **{"cell": name, "dataset": "jaderberg-r", "model": "stn", "init": "identity"},
                **{"padding": "black", "warp": warp, "seeds": [0, 1]},
            }
            for name, warp in names.items()
        ),
    ]
    pairs = [["stn-identity-black", "cnn"], ["stn-tps-identity-black", "stn-identity-black"]]
    claims = [{"text": "It helps", "kind": "paired", "pairs": pairs, "metric": ON}]
    write_plan(folder, rows, claims, metric=ON)
    for row in rows:
        for seed in (0, 1):
            plain = config("jaderberg-r", row["model"], seed)
            write_run(folder / row["cell"] / f"seed={seed}", 0.99 + seed / 1000, plain=plain)
    text = report(folder).read_text()
    assert "| row | verdict | n | accuracy under the training distortion, % |" in text
    assert (
        "Of 2 published differences, more than chance among the test examples would make: 1."
        in text
    )
    assert "+0.50 (± 0.27)" in text
    found = rows_of(folder, ON)["stn-identity-black"]
    assert float(found["published_mean"]) == pytest.approx(0.993)
    (claim,) = json.loads((folder / "summary.json").read_text())["studies"][0]["claims"]
    assert [each["published_difference"] for each in claim["pairs"]] == [pytest.approx(0.005), 0]
