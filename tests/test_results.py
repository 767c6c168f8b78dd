"""What the pages say of the results is what stands in ``results/``."""

import csv
import gzip
import json
import re
import shutil

import pytest
from scipy.stats import fisher_exact

from stnlab.config import PROJECT_DIR
from stnlab.files import read_rows
from stnlab.folder import RunFolder
from stnlab.report import results
from stnlab.report.statistics import share

PAGES = "\n".join(
    (PROJECT_DIR / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for page in ("results", "series", "troubleshooting")
)
RESULTS = PROJECT_DIR / "results"
SECTIONS = {
    match[1]: match[2]
    for match in re.finditer(r"^#{1,3} (.+?)\n(.*?)(?=^#{1,3} |\Z)", PAGES, re.M | re.S)
}


def summary(name):
    """(cell, metric) to its row."""
    with (RESULTS / name / "summary.csv").open(encoding="utf-8", newline="") as file:
        return {(row["cell"], row["metric"]): row for row in csv.DictReader(file)}


def spread(row, scale=100):
    return f"{scale * float(row['mean']):.2f} ± {scale * float(row['std']):.2f}"


def on_both_sets(b, c, cell):
    """AUROC of the best validation epoch and of the last, on either set."""
    metrics = ("best.test.auroc", "test.auroc")
    return [spread(found[cell, metric]) for found in (b, c) for metric in metrics]


def most_outside(run):
    """The largest share of a run's grid outside of the image within its first 500 steps."""
    steps = read_rows(run / "steps.csv")
    return max(float(row["share_outside"]) for row in steps if int(row["step"]) <= 500)


def line_of(section, text):
    found = [line for line in SECTIONS[section].splitlines() if text in line]
    assert found, f"docs, {section}: {text} is nowhere"
    return found[0]


@pytest.mark.parametrize("study", ["rot90", "RTS", "two-channel", "same-image"])
def test_the_table_of_image_results(study):
    for (cell, metric), row in summary(study).items():
        if metric != "test.clean.accuracy":
            continue
        line = line_of("Results", f"| {spread(row)} |")
        assert row["verdict"].startswith(line.split("|")[5].strip()), cell
        if int(row["collapsed"]):
            assert (
                f"{row['collapsed']} of 5; {100 * float(row['mean_without_collapsed']):.2f}" in line
            )


DISTORTIONS = ("r", "rts", "p", "e", "tc")
FAMILIES = ("affine", "projective", "tps")


@pytest.mark.parametrize(
    ("row", "cell"),
    [
        ("| `fcn` |", "fcn"),
        ("| `cnn` |", "cnn"),
        *(
            (f"| `{model}`, `{warp}` |", f"{model}{suffix}-identity-black")
            for model in ("stn-fcn", "stn")
            for warp, suffix in zip(FAMILIES, ("", "-projective", "-tps"), strict=True)
        ),
    ],
)
def test_the_original_papers_table(row, cell):
    columns = [each.strip() for each in line_of("The original paper's table", row).split("|")[2:-1]]
    for distortion, column in zip(DISTORTIONS, columns, strict=True):
        found = summary(f"jaderberg-{distortion}").get((cell, "test.distorted.accuracy"))
        if found is None:
            assert column == "–"
            continue
        assert found["n"] == "5"
        dagger = " †" if found["collapsed"] != "0" else ""
        error = f"{100 - 100 * float(found['mean']):.2f} ± {100 * float(found['std']):.2f}"
        published = 100 - 100 * float(found["published_mean"])
        assert column == f"{error}{dagger} ({published:.1f})"


@pytest.mark.parametrize("model", ["fcn", "cnn", "stn-fcn", "stn"])
def test_the_original_papers_column_at_its_size(model):
    is_warped = model.startswith("stn")
    for family, suffix in zip(
        FAMILIES if is_warped else [""], ("", "-projective", "-tps"), strict=False
    ):
        cell = f"{model}-400k{suffix}-identity-black" if is_warped else f"{model}-400k"
        found = summary("jaderberg-r-400k")[cell, "test.distorted.accuracy"]
        name = f"`{model}-400k`" + (f", `{family}`" if family else "")
        columns = line_of("The original paper's table", f"| {name} |").split("|")[2:-1]
        error, published = (100 - 100 * float(found[each]) for each in ("mean", "published_mean"))
        assert found["verdict"] in ("different", "consistent")
        assert [each.strip() for each in columns] == [
            f"{error:.2f} ± {100 * float(found['std']):.2f}",
            f"{published:.1f}",
            found["verdict"],
        ]


def test_claims_of_the_original_paper():
    """As the page tells them, claim by claim."""
    found = {}
    for distortion in DISTORTIONS:
        text = (RESULTS / f"jaderberg-{distortion}" / "summary.json").read_text(encoding="utf-8")
        for study in json.loads(text)["studies"]:
            for claim in study["claims"]:
                found.setdefault(claim["text"], []).append(claim["verdict"])
    yes, no, cannot_tell = "reproduced", "not reproduced", "cannot tell with these runs"
    helps = [yes] * 4 + [cannot_tell]
    assert found == {
        "A transformer helps the convolutional network": helps,
        "A transformer helps the fully connected network": ["partly reproduced", *helps[1:]],
        "A thin-plate spline is the best family of warps here": [cannot_tell],
        "A transformer brings the fully connected network up to the convolutional one": [
            *[no] * 4,
            cannot_tell,
        ],
    }


@pytest.mark.parametrize(
    ("row", "setting"),
    [
        ("none", "none"),
        ("slower", "`model.localization.lr=0.0001`"),
        ("border", "`padding=border`"),
        ("black", "`padding=black`"),
        ("batch-norm", "`model.localization.batch_norm=true`"),
        ("warm-up", "`model.localization.warmup_steps=500`"),
        ("clipping", "`trainer.gradient_clip_val=1.0`"),
        ("penalty", "`model.localization.identity_penalty=0.1`"),
        ("bound", "`model.localization.bound=1.0`"),
        ("two-best", "`warmup_steps=500` and `identity_penalty=0.1`"),
    ],
)
def test_how_often_each_remedy_helps(row, setting):
    found = summary("collapse-remedies")
    line = line_of("How often each remedy helps", f"| {setting} |")
    cells = [each.strip() for each in line.split("|")[2:6]]
    for dataset, rate, accuracy in zip(
        ("two-channel", "same-image"), cells[::2], cells[1::2], strict=True
    ):
        ours = found[f"{row}-{dataset}", "test.clean.accuracy"]
        interval = share(int(ours["collapsed"]), int(ours["n"])).interval
        low, high = (f"{100 * each:.0f}" for each in interval)
        assert rate == f"{ours['collapsed']} of {ours['n']} ({low} to {high})"
        which = "_without_collapsed" if int(ours["collapsed"]) else ""
        assert accuracy == (
            f"{100 * float(ours[f'mean{which}']):.2f} ± {100 * float(ours[f'std{which}']):.2f}"
        )


def test_how_often_runs_collapse_over_ten_epochs():
    found = summary("collapse")
    table = []
    for row, setting in (("null", "as Wang"), ("0.0001", "`model.localization.lr=0.0001`")):
        ours = found[f"multi-stn-identity-zeros-model.localization.lr={row}", "test.clean.accuracy"]
        collapsed, n = int(ours["collapsed"]), int(ours["n"])
        low, high = (f"{100 * each:.0f}" for each in share(collapsed, n).interval)
        living = {key: ours[f"{key}_without_collapsed"] or ours[key] for key in ("mean", "std")}
        line_of(
            "Collapse",
            f"| {setting} | {collapsed} of {n} | {low} to {high}% | {spread(ours)} | "
            f"{spread(living)} |",
        )
        table.append([collapsed, n - collapsed])
    assert f"p = {fisher_exact(table).pvalue:.3f} by Fisher's" in SECTIONS["Collapse"]
    (_, claim) = json.loads((RESULTS / "collapse" / "summary.json").read_text())["studies"][0][
        "claims"
    ]
    (pair,) = claim["pairs"]
    assert f"in accuracy p = {pair['p']:.3f} by ranks" in SECTIONS["Collapse"]


def test_the_first_epoch_decides_nearly():
    """Of the runs that were trained for one epoch and, the same, for ten."""
    fates = []
    for row, setting in (("none", "null"), ("slower", "0.0001")):
        for n in range(5, 20):
            run, cell = f"seed={n}", f"multi-stn-identity-zeros-model.localization.lr={setting}"
            one = RESULTS / "collapse-remedies" / f"{row}-two-channel" / run
            ten = RESULTS / "collapse" / cell / run
            (only,), (first, *_) = (read_rows(each / "history.csv") for each in (one, ten))
            assert {**only, "seconds": ""} == {**first, "seconds": ""}
            metrics = [json.loads((each / "metrics.json").read_text()) for each in (one, ten)]
            fates.append((setting, n, *(each["collapsed"] for each in metrics)))
    assert [fate for fate in fates if fate[2] or fate[3]] == [
        ("null", 5, True, True),
        ("null", 14, True, False),
    ]


@pytest.mark.parametrize(("row", "expected"), [("null", 4), ("0.0001", 0)])
def test_how_many_warps_go_astray_before_ten_epochs_are_over(row, expected):
    """As docs/results.md has it, of the 15 runs that were followed step by step."""
    runs = [
        RESULTS / "collapse" / f"multi-stn-identity-zeros-model.localization.lr={row}" / f"seed={n}"
        for n in range(5, 20)
    ]
    assert sum(most_outside(run) > 0.25 for run in runs) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [("none", 14), ("slower", 0), ("warm-up", 0), ("two-best", 0), ("penalty", 4), ("border", 20)],
)
def test_how_many_warps_go_astray_in_their_first_steps(row, expected):
    """As docs/troubleshooting.md has it: more than a quarter of the grid outside, by step 500."""
    runs = sorted((RESULTS / "collapse-remedies").glob(f"{row}-*/seed=*"))
    assert len(runs) == 40
    assert sum(most_outside(run) > 0.25 for run in runs) == expected


@pytest.mark.parametrize(
    "problem", ["GunPoint", "ItalyPowerDemand", "ArrowHead", "OSULeaf", "Coffee", "Trace"]
)
def test_aligned_series_beside_baselines(problem):
    found = summary("ucr-warps")
    warps = ("", "monotone-", "cpab-")
    cells = [f"alignment-{warp}identity-border-{problem}" for warp in warps]
    ours = [spread(found[cell, "test.accuracy"]) for cell in cells]
    with (RESULTS / "ucr-warps" / "baselines.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["problem"] == problem]
    none, *others = (f"{100 * float(row['accuracy']):.2f}" for row in rows)
    line = line_of("Which warp of time aligns best", f"| {problem} |")
    assert [each.strip() for each in line.split("|")[2:9]] == [none, *ours, *others]


@pytest.mark.parametrize(
    "problem", ["GunPoint", "ItalyPowerDemand", "ArrowHead", "OSULeaf", "Coffee", "Trace"]
)
def test_networks_that_warp_before_they_classify(problem):
    found = summary("ucr-warps-networks")
    warps = ("", "monotone-", "cpab-")
    cells = ["cnn", *(f"ts-stn-{warp}identity-border" for warp in warps)]
    numbers = " | ".join(spread(found[f"{cell}-{problem}", "test.accuracy"]) for cell in cells)
    line_of("Does a learned warp help a network that classifies", f"| {problem} | {numbers} |")


@pytest.mark.parametrize(
    "cell", ["time-in-range", "logistic", "ts-stn-identity-border", "lstm", "cnn"]
)
def test_both_sets_of_physionet_2012(cell):
    b, c = summary("physionet2012"), summary("physionet2012-c")
    both = on_both_sets(b, c, cell)
    line_of("PhysioNet 2012", f"| {' | '.join(both)} |")
    events = [spread(c[cell, f"{epoch}test.challenge2012.event1"]) for epoch in ("best.", "")]
    line_of("PhysioNet 2012", f"| {' | '.join(events)} |")


@pytest.mark.parametrize(
    ("cell", "warp"),
    [
        ("cnn", "none (`cnn`)"),
        *(
            (f"ts-stn-{start}-border-warp.per_channel={own}", f"`{warp}`{said}")
            for warp, start in (
                ("time-affine", "identity"),
                ("monotone", "monotone-identity"),
                ("cpab", "cpab-identity"),
            )
            for own, said in ((False, ""), (True, ", a variable"))
        ),
    ],
)
def test_warps_of_time_on_both_sets(cell, warp):
    b, c = summary("physionet2012-warps-b"), summary("physionet2012-warps-c")
    both = on_both_sets(b, c, cell)
    line_of("PhysioNet 2012", f"| {warp} | {' | '.join(both)} |")
    assert {found[cell, "test.auroc"]["collapsed"] for found in (b, c)} == {"0"}
    splits = summary("physionet2012-warps-splits")
    metrics = ("best.test.auroc", "test.auroc", "best.test.auprc")
    numbers = " | ".join(spread(splits[cell, metric]) for metric in metrics)
    row = "`cnn`" if cell == "cnn" else f"`ts-stn`, {warp}"
    line_of("PhysioNet 2012", f"| {row} | {numbers} |")


@pytest.mark.parametrize(
    ("cell", "setting", "p"),
    [
        ("ts-stn-identity-border-model.localization.lr=null", "`warp=time-affine`", None),
        ("ts-stn-monotone-identity-border", "`warp=monotone`", "0.51"),
        ("ts-stn-cpab-identity-border", "`warp=cpab`", "1.00"),
        (
            "ts-stn-identity-border-model.localization.lr=0.0001",
            "`time-affine`, `model.localization.lr=0.0001`",
            "0.020",
        ),
    ],
)
def test_which_warps_find_what_was_planted(cell, setting, p):
    section = "Synthetic episodes"
    study = results.read_study(RESULTS / "synthetic-warps")

    def planted(cell):
        return [each.metrics["planted"] for each in study.cell(cell).runs]

    found = [each for each in planted(cell) if each["r_phase"] >= 0.9]
    low, high = (f"{100 * each:.0f}" for each in share(len(found), 20).interval)
    tempo = sum(each["r_tempo"] for each in found) / len(found)
    auroc = spread(summary("synthetic-warps")[cell, "test.auroc"])
    line_of(
        section,
        f"| {setting} | {auroc} | {len(found)} of 20 ({low} to {high}%) | {tempo:.2f} |",
    )
    if p is not None:
        plain = planted("ts-stn-identity-border-model.localization.lr=null")
        without = sum(each["r_phase"] >= 0.9 for each in plain)
        table = [[len(found), 20 - len(found)], [without, 20 - without]]
        digits = len(p.partition(".")[2])
        assert f"{fisher_exact(table).pvalue:.{digits}f}" == p
        assert p in SECTIONS[section]


def test_the_runs_on_both_sets_are_of_the_same_networks():
    """Set c was tested later: what was trained and which epoch was chosen are set b's."""
    b, c = (results.read_study(RESULTS / name) for name in ("physionet2012", "physionet2012-c"))
    for cell in b.cells:
        for one, other in zip(cell.runs, c.cell(cell.name).runs, strict=True):
            epochs = [
                [{key: value for key, value in row.items() if key != "seconds"} for row in history]
                for history in (one.history, other.history)
            ]
            assert len(epochs[0]) > 0
            assert epochs[0] == epochs[1]
            assert one.metrics["best"]["epoch"] == other.metrics["best"]["epoch"]
            assert one.metrics["data"]["n"] == other.metrics["data"]["n"]
            thresholds = [
                each.metrics["test"]["challenge2012"]["threshold"] for each in (one, other)
            ]
            assert thresholds[0] == thresholds[1]


def test_packed_predictions_are_held_against_the_sum_of_what_is_in_them(tmp_path):
    run = tmp_path / "seed=0"
    shutil.copytree(RESULTS / "physionet2012" / "cnn" / "seed=0", run)
    packed = run / "predictions.csv.gz"
    assert RunFolder(run).damage() == {}
    content = gzip.decompress(packed.read_bytes())
    packed.write_bytes(gzip.compress(content.replace(b",0\n", b",1\n", 1)))
    assert RunFolder(run).damage() == {
        "predictions.csv": "does not match its sum in checksums.sha256"
    }
    packed.write_bytes(packed.read_bytes()[:-9])
    assert "cannot be read" in RunFolder(run).damage()["predictions.csv"]
