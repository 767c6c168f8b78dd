"""The command line: what was asked for is what is run, and no file from elsewhere acts."""

import argparse
import json
import shutil
import sys
from pathlib import Path

import hydra
import pytest
import yaml
from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf
from short_run import SHORT

from stnlab import cli
from stnlab.config import CONF_DIR, commandline, compose
from stnlab.config import cell as cell_of
from stnlab.config.identity import named, swept_cell
from stnlab.config.text import keep_text, quoted, text_keys
from stnlab.errors import UserError
from stnlab.schema import SweepConfig
from stnlab.sweep.plan import _settings, plan

GAUSSIAN = "defaults: [/schema/init/start@_here_, _self_]\nscheme: gaussian\n"
TINY = [*SHORT, "trainer.max_epochs=1", "trainer.limit_train_batches=5"]


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Run a command in the test's folder and in this process: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(main, *arguments):
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr("sys.argv", [f"{main.__name__.removesuffix('_main')}.py", *arguments])
        status = main()
        out, err = capfd.readouterr()
        return status, out, err

    return run


@pytest.fixture
def train_py(command):
    return lambda *arguments: command(cli.train_main, *arguments)


@pytest.fixture
def sweep_py(command):
    return lambda *arguments: command(cli.sweep_main, *arguments)


def planned(sweep_py, *arguments):
    """(study, cell, seeds) of each line of a dry run in a folder where nothing is done yet."""
    status, out, err = sweep_py(*arguments, "dry_run=true")
    assert (status, err) == (0, "")
    return [tuple(line.strip().split(maxsplit=2)) for line in out.splitlines()[1:-1]]


# --- A sweep's own keys


@pytest.mark.parametrize(
    "studies",
    ["study=RTS,rot90", "study=[RTS,rot90]", "study=glob(*,exclude=[i*,*-*,c*,j*,m*,p*,s*])"],
)
def test_several_studies_are_all_run(sweep_py, studies):
    assert planned(sweep_py, studies, "seeds=[0]") == [
        ("RTS", "stn-identity-zeros", "0"),
        ("RTS", "cnn", "0"),
        ("rot90", "stn-identity-zeros", "0"),
        ("rot90", "cnn", "0"),
    ]


def test_what_two_studies_share_is_run_once(sweep_py):
    found = planned(sweep_py, "study=image,rot90", "seeds=[0]", "name=mine")
    assert len(set(found)) == len(found) == 13
    assert ("mine-rot90", "cnn", "0") in found


@pytest.mark.parametrize(
    ("seeds", "shown"),
    [
        ("seeds=0,1", "0, 1"),
        ("seeds=range(0,3)", "0, 1, 2"),
        ("seeds=choice(4,2)", "4, 2"),
        ("seeds=[7]", "7"),
    ],
)
def test_seeds_in_any_form(sweep_py, seeds, shown):
    assert planned(sweep_py, "model=cnn", seeds) == [("rot90", "cnn", shown)]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("study=RTS,nonexistent", r"no conf/study/nonexistent\.yaml"),
        ("study=range(0,3)", r"study takes names, as in study=RTS,rot90"),
        ("seeds=3", r"seeds=\[3\] for seed 3, or 'seeds=range\(0,3\)' for 3 seeds"),
        ("seeds=[0,1],[2,3]", r"allowed: a list, as in seeds=\[0,1,2\]"),
        ("seeds=a,b", r"allowed: a list, as in seeds=\[0,1,2\]"),
        ("seeds=interval(0,1)", r"allowed: a list, as in seeds=\[0,1,2\]"),
        ("seeds=range(0,1e9)", r"allowed: a list|combinations"),
        ("name=a,b", r"name has several values\. .* one command for each"),
        ("dry_run=true,false", r"dry_run has several values\. Write dry_run=true"),
        ("output_dir=q1,q2", r"output_dir has several values\."),
        ("overwrite=true,false", r"overwrite has several values\."),
        ("trainer.profiler=simple,advanced", r"decides nothing about a run's numbers"),
        ("dataset.shown_variable=a,b", r"decides nothing about a run's numbers"),
        ("seed=0,1", r"seed is a single run's key; a sweep takes seeds="),
        ("hydra.launcher.n_jobs=1,2", r"Sweeping over Hydra's configuration is not supported"),
        ("sedes=[1]", r"unknown key 'sedes'\. Did you mean 'seeds'\?"),
        ("hydra/sweeper=basic", r"hydra/sweeper: sweep\.py runs"),
        ("--config-name=mine", r"a sweep's runs are those of train\.yaml"),
    ],
)
def test_several_values_that_cannot_be_are_refused(sweep_py, tmp_path, override, words):
    status, out, err = sweep_py(*([] if "study" in override else ["model=cnn"]), override)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)
    assert list(tmp_path.iterdir()) == []


def test_other_data_make_cells_of_their_own(sweep_py):
    assert planned(sweep_py, "model=cnn", "dataset.root=1.10,1.1", "seeds=[0]") == [
        ("rot90", "cnn-dataset.root=1.10", "0"),
        ("rot90", "cnn-dataset.root=1.1", "0"),
    ]


def test_a_key_given_twice_where_one_would_win_is_refused(sweep_py):
    status, _, err = sweep_py("model=cnn,fcn", "model=stn", "dry_run=true")
    assert (status, "model is given more than once" in err) == (1, True)


# --- Keys of some of the choices


def test_a_key_that_all_chosen_groups_have(sweep_py, train_py, monkeypatch):
    grid = ["dataset=physionet2012", "model=lstm,time-in-range", "model.hidden=16"]
    assert planned(sweep_py, *grid, "seeds=[0]") == [
        ("physionet2012", "lstm", "0"),
        ("physionet2012", "time-in-range", "0"),
    ]
    ran = []
    monkeypatch.setattr(cli, "_train", lambda composed: ran.append(composed.model.hidden))
    assert train_py("-m", *grid)[0] == 0
    assert ran == [16, 16]


def test_a_key_that_one_of_them_lacks_is_told_with_its_run(sweep_py):
    status, _, err = sweep_py("model=cnn,fcn", "model.hidden=[64]", "dry_run=true")
    assert status == 1
    assert "unknown key 'model.hidden'" in err
    assert "It is about the run model=cnn model.hidden=[64]." in err
    assert "--multirun" not in err


# --- Text keeps its text

TEXTS = ["2024_01_05", "1.10", "1e3", "true", "0", "-1", "nan", ".5", "1_000"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("key", ["name", "cell", "output_dir", "dataset.root"])
def test_a_text_key_keeps_what_was_typed(key, text):
    found = compose([f"{key}={text}"])
    for name in key.split("."):
        found = getattr(found, name)
    assert found == text


def test_every_text_key_of_the_schema_is_known():
    plain = yaml.safe_load((CONF_DIR / "experiment.yaml").read_text())
    assert {"name", "cell", "output_dir"} <= plain.keys() & text_keys()
    assert {"dataset.shown_variable", "trainer.precision", "study", "model.name"} <= text_keys()
    assert not {"seed", "overwrite", "optimizer.lr", "model.hidden", "init.theta"} & text_keys()


def test_several_texts_and_others():
    assert keep_text(
        ["dataset.root=1.10, a,'b,c',1e3", "seed=1_0", "name=null", "name=${cell}"]
    ) == [
        "dataset.root='1.10',a,'b,c','1e3'",
        "seed=1_0",
        "name=null",
        "name=${cell}",
    ]
    assert keep_text(["+name=choice(1.10,x)"]) == ["+name=choice('1.10',x)"]


@pytest.mark.parametrize("text", ["it's", "a\\b", "a\\", "\\'", "a\\\\'", "x=y,z", "ü "])
def test_quotes_keep_all_that_they_hold(text):
    assert compose([f"dataset.root={quoted(text)}"]).dataset.root == text


def test_a_swept_text_reaches_the_run_as_it_was_typed(train_py, monkeypatch):
    names = []
    monkeypatch.setattr(cli, "_train", lambda composed: names.append(composed.name))
    assert train_py("-m", "name=1.10,1e3,true")[0] == 0
    assert names == ["1.10", "1e3", "true"]


@pytest.mark.parametrize("written", ["2024_01_05", "1.10", "1e3", "true", "0x1F"])
def test_a_files_value_that_is_no_text_is_refused(tmp_path, written):
    conf = Path(shutil.copytree(CONF_DIR, tmp_path / "conf"))
    (conf / "init" / "mine.yaml").write_text(f"# Mine.\n{GAUSSIAN}name: {written}\n")
    reads = rf"mine\.yaml, line 4: init\.name is text, and YAML reads {written} as .*"
    with pytest.raises(UserError, match=reads + rf"Put it in quotes: name: '{written}'"):
        compose(["init=mine"], conf_dir=conf)
    (conf / "init" / "mine.yaml").write_text(f"{GAUSSIAN}name: '{written}'\n")
    assert compose(["init=mine"], conf_dir=conf).init.name == written


def test_a_files_number_that_stays_itself_as_text_is_taken(tmp_path):
    conf = Path(shutil.copytree(CONF_DIR, tmp_path / "conf"))
    (conf / "trainer" / "mine.yaml").write_text("precision: 32\n")
    assert compose(["trainer=mine"], conf_dir=conf).trainer.precision == "32"


# --- Folders of configs from elsewhere

HOSTILE = "# @package _global_\nhydra: {callbacks: {x: {_target_: os.mkdir, path: MARKER}}}\n"
HOSTILE_RUN = "defaults: [schema/experiment, experiment, _self_]\n" + HOSTILE.splitlines()[1] + "\n"
HOSTILE_LAUNCHER = (
    "_target_: hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher\n"
    "n_jobs: {_target_: os.mkdir, path: MARKER}\n"
)


@pytest.fixture
def theirs(tmp_path):
    """A folder of configs whose files make a folder where they are acted on; looked for at the end.

    ``init/slow.yaml`` is harmless.
    """
    folder, marker = tmp_path / "theirs", tmp_path / "sprung"
    files = {"init/evil.yaml": HOSTILE, "evil.yaml": HOSTILE_RUN}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("MARKER", str(marker)))
    (folder / "init" / "slow.yaml").write_text(f"# A start of mine.\n{GAUSSIAN}name: slow\n")
    yield folder
    assert not marker.exists()


def test_the_hostile_file_would_act(tmp_path):
    """What Hydra does with that key once it has read it."""
    marker = tmp_path / "sprung"
    hostile = yaml.safe_load(HOSTILE.replace("MARKER", str(marker)))
    Callbacks(OmegaConf.create(hostile))
    assert marker.exists()


WAYS_IN = [
    ["--config-dir", "theirs", "init=evil"],
    ["--config-dir=theirs", "init=evil"],
    ["--config-di", "theirs", "init=evil"],
    ["-cd", "theirs", "init=evil"],
    ["-cd=theirs", "init=evil"],
    ["hydra.searchpath=[theirs]", "init=evil"],
    ["hydra.searchpath=[file://theirs]", "init=evil"],
    ["+hydra.searchpath=[theirs]", "init=evil"],
    ["++hydra.searchpath=[theirs]", "init=evil"],
    ["hydra.searchpath=[${oc.env:THEIRS}]", "init=evil"],
    ["hydra.searchpath=[pkg://theirs]", "init=evil"],
]
AS_WHOLE = [
    ["--config-dir", "theirs", "--config-name", "evil"],
    ["--config-dir", "theirs", "-cn", "evil"],
    ["-cd", "theirs", "--config-n=evil"],
    ["hydra.searchpath=[theirs]", "-cn", "evil"],
]


@pytest.mark.parametrize("arguments", WAYS_IN, ids=" ".join)
@pytest.mark.parametrize("main", [cli.train_main, cli.sweep_main])
def test_a_file_from_elsewhere_does_not_act(command, theirs, main, arguments, monkeypatch):
    monkeypatch.setenv("THEIRS", str(theirs))
    for folder in (theirs, theirs / "init"):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(theirs.parent))
    more = [] if main is cli.train_main else ["seeds=[0]", "dry_run=true"]
    for option in ([], ["--cfg", "job"], ["-m"]):
        status, _, err = command(main, *arguments, *more, *option)
        assert status == 1
        assert "evil.yaml sets Hydra's own keys ('hydra'), or says what is called" in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", AS_WHOLE, ids=" ".join)
@pytest.mark.usefixtures("theirs")
def test_a_whole_config_from_elsewhere_does_not_act(train_py, arguments):
    status, _, err = train_py(*arguments)
    assert (status, "evil.yaml sets Hydra's own keys" in err) == (1, True)


@pytest.mark.parametrize("option", ["--config-path", "-cp", "--config-p"])
def test_the_projects_own_folder_is_not_swapped(train_py, theirs, option):
    status, _, err = train_py(option, str(theirs), "--config-name=evil")
    assert (status, "--config-dir=FOLDER adds a folder" in err) == (1, True)


def test_a_folder_that_a_file_names_is_looked_through_too(train_py, theirs, monkeypatch, tmp_path):
    conf = Path(shutil.copytree(CONF_DIR, tmp_path / "conf"))
    train = conf / "train.yaml"
    train.write_text(train.read_text() + f"hydra: {{searchpath: ['file://{theirs}']}}\n")
    monkeypatch.setattr(cli, "CONF_DIR", conf)
    assert "evil.yaml sets Hydra's own keys" in train_py("init=evil")[2]
    assert "name: slow" in train_py("init=slow", "--cfg", "job")[1]


def test_a_folder_from_elsewhere_stands_in_for_nothing_of_hydras(sweep_py, theirs, tmp_path):
    launcher = theirs / "hydra" / "launcher" / "joblib.yaml"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(HOSTILE_LAUNCHER.replace("MARKER", str(tmp_path / "sprung")))
    status, _, err = sweep_py("--config-dir", str(theirs), "model=cnn", "dry_run=true")
    assert (status, "joblib.yaml sets Hydra's own keys" in err) == (1, True)
    shutil.rmtree(theirs / "hydra")
    (theirs / "schema" / "model").mkdir(parents=True)
    (theirs / "schema" / "model" / "stn.yaml").write_text("name: stn\n")
    status, _, err = sweep_py("--config-dir", str(theirs), "model=stn", "dry_run=true")
    assert (status, "would stand in for the types of the keys" in err) == (1, True)


def test_a_pickled_job_is_not_rerun(train_py):
    status, _, err = train_py("--experimental-rerun", "job.pickle")
    assert (status, "unpickles a file" in err) == (1, True)


@pytest.mark.parametrize(
    "folder", [["--config-dir", "theirs"], ["hydra.searchpath=[theirs]"], ["-cd=theirs"]], ids=str
)
@pytest.mark.usefixtures("theirs")
def test_a_folder_of_ones_own_is_used_everywhere(train_py, sweep_py, folder):
    assert "name: slow" in train_py(*folder, "init=slow", "--cfg", "job")[1]
    assert planned(sweep_py, *folder, "init=slow,identity", "seeds=[0]") == [
        ("rot90", "stn-slow-zeros", "0"),
        ("rot90", "stn-identity-zeros", "0"),
    ]
    for main in (train_py, sweep_py):
        assert "    slow           A start of mine." in main(*folder, "--help")[1]


@pytest.mark.parametrize("folder", ["--config-dir=theirs", "hydra.searchpath=[theirs]"])
@pytest.mark.usefixtures("theirs")
def test_a_folder_of_ones_own_reaches_the_workers(sweep_py, tmp_path, folder):
    status, _, err = sweep_py(folder, "init=slow", "seeds=[0]", *TINY)
    assert (status, err) == (0, "")
    run = tmp_path / "outputs/rot90/stn-slow-zeros/seed=0"
    assert yaml.safe_load((run / "config.yaml").read_text())["init"]["name"] == "slow"
    assert (run / "metrics.json").exists()


def test_a_folder_that_is_not_there(train_py, sweep_py):
    assert "hydra.searchpath: there is no folder" in train_py("hydra.searchpath=[nowhere]")[2]
    assert "allowed: a list of folders" in sweep_py("hydra.searchpath=nowhere", "dry_run=true")[2]
    assert "--config-dir: there is no folder" in train_py("--config-dir=nowhere", "--help")[2]


# --- Stray files


@pytest.fixture
def stray(tmp_path, monkeypatch):
    """A copy of ``conf/`` with what editors and systems leave beside a config."""
    conf = Path(shutil.copytree(CONF_DIR, tmp_path / "conf"))
    study = conf / "study"
    (study / ".#rot90.yaml").symlink_to("someone@somewhere.1234")
    (study / "._rot90.yaml").write_bytes(b"\0\5\x16\7\xff")
    (study / ".ipynb_checkpoints").mkdir()
    shutil.copy(study / "rot90.yaml", study / ".ipynb_checkpoints" / "rot90-checkpoint.yaml")
    (conf / ".ipynb_checkpoints").mkdir()
    shutil.copy(study / "rot90.yaml", conf / ".ipynb_checkpoints" / "rot90-checkpoint.yaml")
    (study / "rot90.yaml~").write_text("x")
    (study / "latin.yaml").write_bytes(b"# caf\xe9\nname: latin\n")
    (study / "empty.yaml").write_bytes(b"")
    monkeypatch.setattr(cli, "CONF_DIR", conf)
    return conf


@pytest.mark.usefixtures("stray")
def test_stray_files_stop_nothing(train_py, sweep_py):
    for main in (train_py, sweep_py):
        status, out, err = main("--help")
        assert (status, err) == (0, "")
        assert "checkpoint" not in out
        assert "._rot90" not in out
        assert ".#" not in out
    assert train_py("--cfg", "job")[0] == 0
    assert len(planned(sweep_py, "study=glob(rot*)", "seeds=[0]")) == 2
    assert "Allowed: RTS, collapse" in sweep_py("study=nope", "dry_run=true")[2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"# x\nname: caf\xe9\n", r"mine\.yaml, line 2: byte 0xe9 is no UTF-8\. Save"),
        (b"", r"mine\.yaml is empty\. Write"),
        (b"name: x\n\tscheme: fixed\n", r"mine\.yaml, line 2: .*'\\t'.*\. Indent with spaces"),
        (b"name: x\nname: y\n", r"mine\.yaml, line 2: found duplicate key name"),
        (b"name: [x\n", r"mine\.yaml, line 2: .*Write key: value"),
        (b"- name\n", r"mine\.yaml: a config is made of lines key: value; this is a list"),
        (b"name: \0\n", r"mine\.yaml: .*special characters"),
        ("name: x\n".encode("utf-16"), r"mine\.yaml, line 1: byte 0xff is no UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(stray, train_py, content, words):
    (stray / "init" / "mine.yaml").write_bytes(content)
    status, _, err = train_py("init=mine")
    assert (status, err.count("\n")) == (1, 1)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)
    assert train_py("--help")[0] == 0


def test_a_byte_order_mark_changes_nothing(stray):
    text = "# @package _global_\nseed: 3\n"
    (stray / "study" / "mine.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert compose(["+study=mine"], conf_dir=stray).seed == 3


# --- Folders of many runs


def test_swept_keys_make_folders_of_their_own(train_py, tmp_path):
    status, _, err = train_py("-m", "model=cnn", "optimizer.lr=0.001,0.0003", *TINY)
    assert (status, err) == (0, "")
    found = sorted(path.parent.parent.name for path in tmp_path.rglob("metrics.json"))
    assert found == ["cnn-optimizer.lr=0.0003", "cnn-optimizer.lr=0.001"]


def test_cells_are_named_as_a_sweep_names_them(sweep_py):
    swept = ["optimizer.lr", "dataset.batch_size", "model", "seed", "padding", "dataset"]
    config = compose(["model=cnn", "optimizer.lr=0.01", "dataset.batch_size=32"])
    grid = ["model=cnn,stn", "optimizer.lr=0.01,0.1", "dataset.batch_size=32,64", "seeds=[0]"]
    assert swept_cell(config, swept, {}) in [cell for _, cell, _ in planned(sweep_py, *grid)]
    assert swept_cell(config, ["model", "seed", "name", "dataset"], {}) is None
    assert swept_cell(compose(["model=cnn", "name=x"]), ["dataset"], {}) == "cnn-rot90"
    assert swept_cell(config, ["distortion"], {"distortion": "RTS"}) == "cnn-distortion=RTS"
    assert cell_of(config) == "cnn"


def test_a_long_cell_gets_a_short_name():
    roots = ["a" * 150, "b" * 150]
    grid = ["model=cnn", f"dataset.root={','.join(roots)}", "model.classifier.hidden=50,60"]
    (study,) = plan(SweepConfig(seeds=[0]), grid)
    rows = study.record("x")["cells"]
    assert len({row["cell"] for row in rows}) == len(rows) == 4
    for row, run in zip(rows, study.runs, strict=True):
        assert row["cell"].startswith("cnn-dataset.root=aaa" if "a" * 150 in str(row) else "cnn-")
        assert len(row["cell"].encode()) <= 200
        assert compose(run.overrides).cell == row["cell"]
        assert row["settings"] == {
            "dataset.root": run.config.dataset.root,
            "model.classifier.hidden": run.config.model.classifier.hidden,
        }


def test_a_cells_short_name_stays():
    settings = {f"key{number}": "ü" * 20 for number in range(9)}
    assert named("cnn", settings) == named("cnn", dict(settings))
    assert named("cnn", settings) != named("cnn", {**settings, "key8": "u" * 20})
    assert named("cnn", {"optimizer.lr": None, "dataset.root": "a/b"}) == (
        "cnn-optimizer.lr=null-dataset.root=a_b"
    )


def test_an_option_tells_cells_apart_by_its_name():
    named_alike = [compose(["model=cnn", f"optimizer.lr={lr}"]) for lr in (0.1, 0.2)]
    assert _settings(named_alike) == [{"optimizer.lr": 0.1}, {"optimizer.lr": 0.2}]
    datasets = [
        compose(["model=cnn", f"dataset={name}", "name=x"]) for name in ("rot90", "RTS", "RTS")
    ]
    datasets[2].optimizer.lr = 0.5
    assert _settings(datasets) == [
        {"dataset": "rot90"},
        {"dataset": "RTS", "optimizer.lr": 0.001},
        {"dataset": "RTS", "optimizer.lr": 0.5},
    ]


# --- Sweepers of others


def test_without_the_plugin_the_message_names_the_extra(train_py, monkeypatch):
    from hydra.core.config_store import ConfigStore

    repo = dict(ConfigStore.instance().repo["hydra"]["sweeper"])
    repo.pop("optuna.yaml", None)
    monkeypatch.setitem(ConfigStore.instance().repo["hydra"], "sweeper", repo)
    status, _, err = train_py("-m", "hydra/sweeper=optuna", "optimizer.lr=interval(0.001,0.01)")
    assert status == 1
    assert "'hydra/sweeper=optuna': this sweeper is not installed" in err
    assert "pip install -e '.[optuna]'" in err


def has_optuna():
    return any(each.__name__ == "OptunaSweeper" for each in Plugins.instance().discover(Sweeper))


def needs_optuna(test):
    skip = pytest.mark.skipif(not has_optuna(), reason="hydra-optuna-sweeper is not installed")
    # optuna 2 uses SQLAlchemy, scipy and itself in ways that they have moved away from.
    return skip(pytest.mark.filterwarnings("ignore")(test))


@needs_optuna
def test_optuna_finds_the_best_validation_score(train_py, tmp_path):
    status, _, err = train_py(
        "-m",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.sampler.seed=1",
        "model=cnn",
        "optimizer.lr=tag(log,interval(0.0001,0.01))",
        *TINY,
    )
    assert status == 0, err
    found = {
        yaml.safe_load((path.parent / "config.yaml").read_text())["optimizer"]["lr"]: json.loads(
            path.read_text()
        )["validation"]
        for path in tmp_path.rglob("metrics.json")
    }
    assert len(found) == 3
    assert {(each["metric"], each["epoch"]) for each in found.values()} == {("accuracy", 1)}
    result = yaml.safe_load((tmp_path / "outputs/optimization_results.yaml").read_text())
    scores = {lr: each["score"] for lr, each in found.items()}
    assert len(set(scores.values())) > 1
    assert result["best_value"] == max(scores.values())
    assert scores[result["best_params"]["optimizer.lr"]] == max(scores.values())


@needs_optuna
def test_optuna_is_not_led_down(train_py):
    optuna = ["-m", "hydra/sweeper=optuna", "optimizer.lr=interval(0.001,0.01)"]
    status, _, err = train_py(*optuna, "hydra.sweeper.direction=minimize")
    assert (status, "allowed: maximize" in err) == (1, True)


@needs_optuna
def test_optuna_needs_validation(train_py):
    optuna = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "model=cnn", *TINY]
    status, _, err = train_py(*optuna, "dataset.val_size=0", "optimizer.lr=interval(0.001,0.01)")
    assert (status, "dataset.val_size" in err) == (1, True)


# --- Versions of Python and Hydra


def check_help(self, action):
    """What Python 3.14's argparse does with each help when its option is added."""
    if action.help:
        try:
            self._get_formatter()._expand_help(action)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("badly formed help string") from error


@pytest.fixture
def as_in_3_14(monkeypatch):
    container = argparse._ActionsContainer
    monkeypatch.setattr(container, "_check_help", check_help, raising=False)
    if sys.version_info < (3, 14):
        add = container.add_argument

        def add_checked(self, *args, **settings):
            action = add(self, *args, **settings)
            if hasattr(self, "_get_formatter"):
                self._check_help(action)
            return action

        monkeypatch.setattr(container, "add_argument", add_checked)


@pytest.mark.usefixtures("as_in_3_14")
def test_a_badly_formed_help_is_still_found():
    if hydra.__version__.startswith("1.3."):
        with pytest.raises(ValueError, match="badly formed help string"):
            hydra._internal.utils.get_args_parser()
    commandline.parser()
    with pytest.raises(ValueError, match="badly formed help string"):
        argparse.ArgumentParser().add_argument("--x", help="%(nothing")


@pytest.mark.usefixtures("as_in_3_14")
def test_the_commands_work_with_the_arguments_of_3_14(train_py, sweep_py):
    assert train_py("--help")[0] == 0
    assert "rotation: 45.0" in train_py("--cfg", "job", "dataset=RTS")[1]
    assert len(planned(sweep_py, "model=cnn,stn", "seeds=[0]")) == 2
