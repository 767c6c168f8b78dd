"""Sweeps: what is planned, what is found done, and what a command leaves behind."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess

import commands
import pytest
from own_data import write_ts
from rich.console import Console
from rich.table import Table
from short_run import ALONE, SHORT

from stnlab.config import compose_study
from stnlab.config.validation import validate_sweep
from stnlab.errors import UserError
from stnlab.report import write_report
from stnlab.schema import ClaimConfig, ClaimKind, StudyConfig, SweepConfig
from stnlab.sweep.ledger import Phase, Status, left_of_each, look, phase, seconds_left
from stnlab.sweep.names import Name, shortened
from stnlab.sweep.plan import plan
from stnlab.sweep.progress import SweepProgress, say_left
from stnlab.sweep.speed import seconds_an_epoch

STATES = ["done", "interrupted", "failed", "missing", "of", "another", "config"]
SIX_RUNS = ["dataset=rot90", "model=cnn,stn", "seeds=[0,1,2]", *SHORT]


def planned(*overrides, study=None, **keys):
    """Plan as ``sweep.py`` does."""
    chosen = compose_study(study) if study else None
    return plan(SweepConfig(study=chosen, **keys), overrides)


def cells(study_plan):
    return list(dict.fromkeys(run.cell for run in study_plan.runs))


# --- plans


def test_table_1_has_seven_rows_of_five_seeds():
    (same_image,) = planned(study="same-image")
    assert sorted(cells(same_image)) == sorted(
        [
            "cnn",
            *(
                f"multi-stn-{init}-{padding}"
                for init in ("identity", "left-right", "random")
                for padding in ("border", "zeros")
            ),
        ]
    )
    assert len(same_image.runs) == 35
    assert {run.config.seed for run in same_image.runs} == {0, 1, 2, 3, 4}
    assert str(same_image.path) == "outputs/same-image"


def test_the_image_study_is_all_four():
    plans = planned(study="image")
    assert [each.name for each in plans] == ["rot90", "RTS", "two-channel", "same-image"]
    assert sum(len(each.runs) for each in plans) == 65
    renamed = planned(study="image", name="mine")
    assert next(each.name for each in renamed) == "mine-rot90"


def test_a_claim_names_cells_that_its_study_runs():
    own = ("collapse", "collapse-remedies", *(f"jaderberg-{each}" for each in ("r", "e", "tc")))
    for name in ("rot90", "RTS", "two-channel", "same-image", *own):
        (found,) = planned(study=name)
        named = {cell for claim in found.study.claims for pair in claim.pairs for cell in pair}
        assert named <= set(cells(found))
        assert found.study.claims


@pytest.mark.parametrize(
    ("kind", "margin"),
    [(ClaimKind.paired, -0.1), (ClaimKind.paired, 1.0), (ClaimKind.rates, 0.01)],
)
def test_a_margin_is_a_share_and_of_scores(kind, margin):
    study = StudyConfig(name="x", question="?", claims=[ClaimConfig("c", kind, [], None, margin)])
    with pytest.raises(UserError, match=rf"study\.claims\.margin is {margin}; allowed: 0 or more"):
        validate_sweep(SweepConfig(study=study))


@pytest.mark.parametrize(
    ("of_claim", "of_study"), [("test.brier", None), (None, "best.test.accuracy")]
)
def test_a_claim_over_patients_is_about_an_area(of_claim, of_study):
    claims = [ClaimConfig("c", ClaimKind.patients, [], of_claim)]
    study = StudyConfig(name="x", question="?", metric=of_study, claims=claims)
    message = rf"study\.claims\.metric is '{of_claim or of_study}'; allowed: .*best\.test\.auprc"
    with pytest.raises(UserError, match=message):
        validate_sweep(SweepConfig(study=study))


def test_a_study_may_have_seeds_and_rows_under_names_of_its_own():
    (found,) = planned(study="collapse-remedies")
    assert {run.config.seed for run in found.runs} == set(range(20))
    assert cells(found)[:4] == [
        *("none-two-channel", "none-same-image", "slower-two-channel", "slower-same-image")
    ]
    assert {str(run.folder.path.parent.name) for run in found.runs} == set(cells(found))
    assert all(f"cell='{run.cell}'" in run.overrides for run in found.runs)
    (of_two,) = planned("seeds=[3,4]", study="collapse-remedies", seeds=[3, 4])
    assert {run.config.seed for run in of_two.runs} == {3, 4}


def test_the_runs_of_before_the_study_had_more_are_among_its_runs():
    (found,) = planned(study="collapse")
    assert cells(found)[:2] == [
        f"multi-stn-identity-zeros-model.localization.lr={lr}" for lr in ("null", "0.0001")
    ]


def test_a_grid_over_datasets_goes_to_each_datasets_folder():
    plans = planned("dataset=rot90,RTS", "model=cnn,stn")
    assert {each.name: cells(each) for each in plans} == {
        "rot90": ["cnn", "stn-identity-zeros"],
        "RTS": ["cnn", "stn-identity-zeros"],
    }


def test_a_cell_is_named_for_the_part_that_was_chosen_and_not_for_its_keys():
    (rot90,) = planned("model=cnn", "optimizer=adam,sgd", "schedule=none,cosine", seeds=[0])
    assert cells(rot90) == [
        f"cnn-schedule={schedule}-optimizer={optimizer}"
        for optimizer in ("adam", "sgd")
        for schedule in ("none", "cosine")
    ]
    (rot90,) = planned("model=cnn", "optimizer=adam,sgd", "optimizer.lr=0.1,0.01", seeds=[0])
    assert cells(rot90) == [
        f"cnn-optimizer={optimizer}-optimizer.lr={lr}"
        for optimizer in ("adam", "sgd")
        for lr in (0.1, 0.01)
    ]


def test_what_does_not_apply_makes_no_second_cell():
    (rot90,) = planned("dataset=rot90", "model=cnn", "padding=zeros,border", seeds=[0])
    assert len(rot90.runs) == 1


def test_cells_that_differ_in_another_key_get_names_of_their_own():
    (mine,) = planned("dataset=rot90,RTS", "model=cnn", "optimizer.lr=0.01,0.001", name="mine")
    assert cells(mine) == [
        "cnn-rot90-optimizer.lr=0.01",
        "cnn-rot90-optimizer.lr=0.001",
        "cnn-RTS-optimizer.lr=0.01",
        "cnn-RTS-optimizer.lr=0.001",
    ]
    assert len({run.folder.path for run in mine.runs}) == len(mine.runs) == 20


@pytest.mark.parametrize(
    ("overrides", "study", "words"),
    [
        (["seed=1"], None, r"seed is a single run's key; a sweep takes seeds="),
        (["model=cnn"], "RTS", r"study=RTS sets model itself\. Leave model=… out"),
        (["dataset=rot90,RTS", "model=multi-stn"], None, "warps each of two objects"),
        (["model=cnn,sttn"], None, "Did you mean 'stn'"),
        (["model=cnn,"], None, "cannot read the override"),
        (["optimizer.lr=0.1,abc"], None, "optimizer.lr"),
        (["optimizer.lr=interval(0,1)"], None, "does not support sweep type"),
        (["trainer.max_epoch=1,2"], None, "Did you mean 'max_epochs'"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(overrides, study, words):
    with pytest.raises(UserError, match=words):
        planned(*overrides, study=study)


# --- the command


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short sweep of six runs, done once for the tests that only read it."""
    folder = tmp_path_factory.mktemp("finished")
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    done = commands.run("sweep.py", *SIX_RUNS, "name=short", ALONE, cwd=folder, **streams)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "outputs" / "short", done.stdout


def test_a_sweep_leaves_summary_and_report(finished):
    folder, out = finished
    with (folder / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    clean = {row["model"]: row for row in rows if row["metric"] == "test.clean.accuracy"}
    assert set(clean) == {"cnn", "stn"}
    for model, cell in (("cnn", "cnn"), ("stn", "stn-identity-zeros")):
        accuracies = [
            json.loads((folder / cell / f"seed={seed}" / "metrics.json").read_text())["test"][
                "clean"
            ]["accuracy"]
            for seed in (0, 1, 2)
        ]
        assert clean[model]["n"] == "3"
        assert float(clean[model]["mean"]) == pytest.approx(sum(accuracies) / 3)
    for name in ("summary.json", "report.md", "report.html"):
        assert (folder / name).stat().st_size > 500
    assert not list(folder.rglob("*.lock")) + list(folder.rglob("*.tmp"))
    assert sum(line.split()[1] == "done" for line in out.splitlines()) == 6


def test_runs_of_a_sweep_have_the_numbers_of_train_py(finished, short):
    from stnlab.run import train

    folder, _ = finished
    alone = train(short("model=stn", "seed=2"))
    swept = json.loads((folder / "stn-identity-zeros/seed=2/metrics.json").read_text())
    for key in ("test", "best", "collapsed", "views"):
        assert swept[key] == alone.metrics[key]


def test_a_finished_sweep_runs_nothing(finished, tmp_path, sweep_py):
    shutil.copytree(finished[0], tmp_path / "outputs" / "short")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    status, out, err = sweep_py(*SIX_RUNS, "name=short", ALONE)
    assert (status, err) == (0, "")
    assert "6 of 6 runs are complete" in out
    after = {path: path.stat().st_mtime_ns for path in before}
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed <= {"sweep.json"}


def test_a_run_that_comes_back_with_its_old_dates_is_reported(finished, tmp_path, sweep_py):
    folder = tmp_path / "outputs" / "short"
    shutil.copytree(finished[0], folder)  # with its dates, as cp -a and rsync do
    (folder / "cnn/seed=1").rename(tmp_path / "set aside")
    write_report([folder], folder)
    assert "| cnn | 1 | missing | not started |" in (folder / "report.md").read_text()
    (tmp_path / "set aside").rename(folder / "cnn/seed=1")
    status, out, _ = sweep_py(*SIX_RUNS, "name=short")
    assert (status, "6 of 6 runs are complete" in out) == (0, True)
    assert "not started" not in (folder / "report.md").read_text()


def test_a_record_that_is_no_text_is_written_anew(finished, tmp_path, sweep_py):
    folder = tmp_path / "outputs" / "short"
    shutil.copytree(finished[0], folder)
    (folder / "sweep.json").write_bytes(b"\xff\xfe{")
    status, out, err = sweep_py(*SIX_RUNS, "name=short", ALONE)
    assert (status, err) == (0, "")
    assert "6 of 6 runs are complete" in out
    assert json.loads((folder / "sweep.json").read_text())["study"] == "short"


def test_the_recorded_command_can_be_given_to_a_shell(finished):
    command = json.loads((finished[0] / "sweep.json").read_text())["command"]
    assert "'seeds=[0,1,2]'" in command
    assert shlex.split(command)[2:] == [*SIX_RUNS, "name=short", ALONE]


def test_dry_run_tells_each_seeds_state(finished, tmp_path, sweep_py):
    folder = tmp_path / "outputs" / "short"
    shutil.copytree(finished[0], folder)
    (folder / "cnn/seed=0/metrics.json").unlink()  # as if killed in its test
    shutil.rmtree(folder / "cnn/seed=1")
    (folder / "cnn/seed=2/metrics.json").unlink()
    (folder / "cnn/seed=2/error.txt").write_text("the disk is full")
    (folder / "stn-identity-zeros/seed=0/checksums.sha256").unlink()
    config = folder / "stn-identity-zeros/seed=0/config.yaml"
    config.write_text(config.read_text().replace("lr: 0.001", "lr: 0.5"))
    before = sorted(tmp_path.rglob("*"))
    status, out, err = sweep_py(*SIX_RUNS, "name=short", "dry_run=true")
    assert (status, err) == (0, "")
    header, cnn, stn = out.splitlines()[:3]
    assert header.split() == ["study", "cell", *STATES]
    assert cnn.split() == ["short", "cnn", "0", "(100%)", "2", "(100%)", "1"]
    assert stn.split() == ["short", "stn-identity-zeros", "1,", "2", "0"]
    assert "the disk is full" in out
    assert "optimizer.lr was 0.5, is now 0.001" in out
    assert "2 of 6 runs done; time left" in out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_change_of_config_stops_the_sweep_before_it_starts(finished, tmp_path, sweep_py):
    folder = tmp_path / "outputs" / "short"
    shutil.copytree(finished[0], folder)
    status, _, err = sweep_py(*SIX_RUNS, "name=short", "optimizer.lr=0.01")
    assert status == 1
    assert "optimizer.lr was 0.001, is now 0.01" in err
    assert "So do 5 more of its runs. Nothing was started." in err
    assert "Traceback" not in err


def test_a_failed_run_stops_no_other_and_is_tried_again(tmp_path, sweep_py):
    """One run's way is barred by a file in its folder's place; then the way is cleared."""
    barred = tmp_path / "outputs" / "short" / "cnn" / "seed=1"
    (barred / "checkpoints").mkdir(parents=True)
    (barred / "checkpoints" / "last.ckpt").write_bytes(b"not a checkpoint")
    command = ["dataset=rot90", "model=cnn", "seeds=[0,1]", *SHORT, "name=short"]
    status, _, err = sweep_py(*command, "seeds=[0]", ALONE)
    assert status == 0
    shutil.copy(barred.parent / "seed=0" / "config.yaml", barred / "config.yaml")
    config = barred / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0\nname", "seed: 1\nname"))
    status, out, err = sweep_py(*command)
    assert status == 1
    assert "1 of 2 runs failed" in err
    assert (out + err).count("last.ckpt is damaged") == 1  # told once, when it happened or last
    assert "Traceback" not in err
    assert "last.ckpt is damaged" in (barred / "error.txt").read_text()
    assert "failed" in (tmp_path / "outputs/short/report.md").read_text()
    shutil.rmtree(barred / "checkpoints")
    status, _out, err = sweep_py(*command, ALONE)
    assert (status, err) == (0, "")
    assert not (barred / "error.txt").exists()


def test_two_sweeps_at_once_share_the_work(tmp_path, start_py, finished):
    both = [start_py("sweep.py", *SIX_RUNS, "name=short", ALONE) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    folder = tmp_path / "outputs" / "short"
    assert (folder / "summary.csv").read_bytes() == (finished[0] / "summary.csv").read_bytes()
    for run in folder.glob("*/seed=*"):
        assert len((run / "history.csv").read_text().splitlines()) == 3
        assert len(list(run.glob("events.out.tfevents.*"))) == 1  # of one start


def test_mistakes_get_one_line(tmp_path, sweep_py):
    for overrides, words in (
        (["study=sameimage"], "Did you mean 'same-image'"),
        (["seeds=[0,0]"], "seeds is [0, 0]; allowed: different seeds"),
        (["seeds=[]"], "seeds is []"),
        (["seeds=3"], "write seeds=[3] for seed 3"),
        (["sedes=[1]"], "Did you mean 'seeds'"),
        (["hydra/launcher=slurm"], "brings submitit_slurm"),
        (["hydra.launcher._target_=os.system"], "'os.system' is none of Hydra's plugins"),
        (["hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs is 0; allowed: 1 or more"),
        (["hydra/sweeper=basic"], "hydra/sweeper: sweep.py runs"),
    ):
        status, _out, err = sweep_py(*overrides)
        assert status == 1, overrides
        assert words in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


def test_time_left_is_learned_from_what_is_done(finished):
    (short,) = planned(
        "dataset=rot90",
        "model=cnn,stn",
        *SHORT,
        f"output_dir='{finished[0].parent}'",
        name="short",
        seeds=[0, 1, 2, 3],
    )
    standings = [look(run) for run in short.runs]
    assert [each.status for each in standings].count(Status.done) == 6
    took = {
        cell: sum(
            sum(each.metrics["seconds"].values())
            for each in standings
            if each.run.cell == cell and each.metrics
        )
        / 3
        for cell in ("cnn", "stn-identity-zeros")
    }
    alone, two = (seconds_left(standings, number) for number in (1, 2))
    assert alone == (pytest.approx(sum(took.values())), True)
    assert two == (pytest.approx(max(sum(took.values()) / 2, *took.values())), True)
    assert seconds_left([look(run) for run in planned(name="no-such")[0].runs], 2) is None


def test_a_run_that_starts_trains_or_tests_is_not_at_its_end(finished, tmp_path):
    """What a sweep shows of a run is in its folder; the test is a part of the time left."""
    shutil.copytree(finished[0], tmp_path / "short")
    grid = ["dataset=rot90", "model=cnn", *SHORT, f"output_dir='{tmp_path}'"]
    (short,) = planned(*grid, name="short", seeds=[0, 1])
    running = short.runs[0].folder
    took = json.loads(running.metrics.read_text())["seconds"]
    other = json.loads(short.runs[1].folder.metrics.read_text())["seconds"]
    running.metrics.unlink()
    os.utime(running.history)
    with running.locked():

        def now():
            standings = [look(run) for run in short.runs]
            console = Console(width=80, file=io.StringIO(), force_terminal=True)
            progress = SweepProgress(console, standings, 1)
            console.print(progress._table())
            (left, _) = left_of_each(standings)
            return phase(standings[0]), left.seconds, console.file.getvalue()

        state, left, shown = now()
        assert state is Phase.testing
        assert left == pytest.approx(other["test"], abs=1)
        assert "testing" in shown
        assert "1 of 2 ended" in shown
        os.utime(running.history, (0, 0))  # the test takes longer than it should
        assert "about 0:00:01 left" in now()[2]
        header, first, _ = running.history.read_text().splitlines()
        running.history.write_text(f"{header}\n{first}\n")
        state, left, shown = now()
        assert state is Phase.training
        assert "training 2/2" in shown
        assert left >= other["test"] - 1
        running.history.unlink()
        for events in running.path.glob("events.out.tfevents.*"):
            events.unlink()
        state, left, shown = now()
        assert state is Phase.starting
        assert "starting" in shown
        assert left == pytest.approx(sum(other.values()))
        assert took.keys() == other.keys()


def test_without_a_test_to_learn_from_the_time_left_is_more_than_said(finished, tmp_path):
    shutil.copytree(finished[0] / "cnn" / "seed=0", tmp_path / "short" / "cnn" / "seed=0")
    grid = ["dataset=rot90", "model=cnn", *SHORT, f"output_dir='{tmp_path}'"]
    (short,) = planned(*grid, name="short", seeds=[0, 1])
    folder = short.runs[0].folder
    folder.metrics.unlink()
    with folder.locked():
        left = seconds_left([look(run) for run in short.runs], 1)
    assert not left.is_whole
    assert say_left(left).startswith("more than 0:00:")


def test_a_sweep_ends_with_its_table(finished):
    folder, out = finished
    with (folder / "summary.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "test.clean.accuracy"]
    *_, title, header, cnn, stn, last = out.splitlines()
    assert title == "short: test.clean.accuracy, in %"
    assert header.split()[:5] == ["cell", "n", "mean", "±", "sd"]
    for row, line in zip(rows, (cnn, stn), strict=True):
        mean, std = (f"{100 * float(row[key]):.2f}" for key in ("mean", "std"))
        assert line.startswith(row["cell"])
        assert f" 3  {mean} ± {std}" in " ".join(line.split(" "))
        assert line.rstrip().endswith(row["verdict"])
    assert last == "report: outputs/short/report.html"


@pytest.mark.parametrize("width", [16, 17, 40, 51, 52, 200])
def test_a_cells_name_keeps_its_end_on_a_screen(width):
    name = "stn-identity-zeros-model.localization.lr=0.0001-seed"
    cut = shortened(name, width)
    assert len(cut) == min(width, len(name))
    assert cut == name or (name.startswith(cut.split("…")[0]) and name.endswith(cut.split("…")[1]))


@pytest.mark.parametrize("is_screen", [True, False])
def test_a_table_of_names_on_a_screen_and_in_a_pipe(is_screen):
    names = [f"multi-stn-left-right-border-optimizer.lr={lr}" for lr in (0.001, 0.01)]
    console = Console(width=50 if is_screen else 400, file=io.StringIO(), force_terminal=is_screen)
    table = Table(box=None)
    table.add_column("cell")
    table.add_column("mean", no_wrap=True)
    for name in names:
        table.add_row(Name(name), "91.40 ± 0.51")
    console.print(table)
    rows = console.file.getvalue().splitlines()[1:]
    assert len(rows) == 2
    for name, row in zip(names, rows, strict=True):
        assert name[-12:] in row
        assert "91.40 ± 0.51" in row if is_screen else name in row


def test_before_any_run_is_done_an_epoch_is_timed(tmp_path):
    grid = ["dataset=rot90", "model=cnn,stn", *SHORT, f"output_dir='{tmp_path}'"]
    (short,) = planned(*grid, name="short", seeds=[0])
    standings = [look(run) for run in short.runs]
    found = seconds_an_epoch(standings)
    assert found.keys() == {("rot90", "cnn"), ("rot90", "stn-identity-zeros")}
    assert all(seconds > 0 for seconds in found.values())
    left = seconds_left(standings, 1, found)
    assert left == (pytest.approx(2 * sum(found.values())), False)  # 2 epochs; no test is known
    assert not list(tmp_path.iterdir())
    elsewhere = planned(*grid, f"dataset.root='{tmp_path}'", name="short", seeds=[0])[0]
    assert seconds_an_epoch([look(run) for run in elsewhere.runs]) == {}  # and no download


def test_series_of_unequal_length_and_epochs_of_one_step_are_timed(tmp_path):
    write_ts(tmp_path / "data" / "Waves_TRAIN.ts", [50, 40, 30])
    write_ts(tmp_path / "data" / "Waves_TEST.ts", [50, 45, 30])
    root = f"dataset.root='{tmp_path / 'data'}'"
    grid = ["dataset=ucr", "dataset.problem=Waves", root, "model=cnn,ts-stn"]
    (short,) = planned(*grid, f"output_dir='{tmp_path}'", name="short", seeds=[0])
    found = seconds_an_epoch([look(run) for run in short.runs])
    assert len(found) == 2
    assert all(seconds > 0 for seconds in found.values())


def test_an_engine_that_is_not_there_is_said_to_be_missing(tmp_path, monkeypatch, sweep_py):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))  # no sbatch
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5"]
    status, _, err = sweep_py("dataset=rot90", "model=cnn", "seeds=[0]", *SHORT, *launcher)
    assert status == 1
    assert "hydra/launcher could start nothing" in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("seed=0"))
