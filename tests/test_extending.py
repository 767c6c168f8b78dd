"""Parts of a user's own: every example of docs/extending.md, and what can go wrong with one."""

import json
import os
import re
import subprocess
import sys

import commands
import pytest
import torch
import yaml
from short_run import ALONE

from stnlab import extensions, parts
from stnlab.config import PROJECT_DIR
from stnlab.errors import UserError

PAGE = (PROJECT_DIR / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [command for language, command in BLOCKS if language == "bash"]
SHORT = [
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=3",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "trainer.accelerator=cpu",
    "trainer.enable_figures=false",
]
# Several commands in one process.
SEVERAL = """
import sys
from stnlab.cli import train_main
for line in sys.argv[1:]:
    sys.argv = ["train.py", *line.split()]
    print(line, train_main(), flush=True)
"""


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The page's files, in a folder of their own."""
    folder = tmp_path_factory.mktemp("extending")
    files = {}
    for _, text in BLOCKS:
        if named := re.match(r"# (my\S*\.(?:py|yaml))\n", text):
            files[named[1]] = files.get(named[1], "") + text.removeprefix(named[0])
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def in_process(monkeypatch):
    """Leave the interpreter as it was: what was imported, where from, and what it offers."""
    modules = set(sys.modules)
    monkeypatch.setattr(extensions, "_LOADED", {})
    monkeypatch.setattr(
        parts, "_PARTS", {group: dict(parts.offered(group)) for group in parts.GROUPS}
    )
    monkeypatch.setattr(parts, "_CALLBACKS", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in (extensions.VARIABLE, "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    yield
    for name in set(sys.modules) - modules:
        if not name.startswith(("stnlab.", "torch", "numpy", "sklearn", "scipy")):
            del sys.modules[name]


def python(folder, code, *arguments):
    """Run a script of these lines, which lies in ``folder``."""
    (folder / "script.py").write_text(code)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return commands.run(str(folder / "script.py"), *arguments, cwd=folder, **streams)


def overrides_of(command):
    """A command of the page, short: without ``python train.py``."""
    words = command.split()[2:]
    return [word for word in words if not word.startswith("trainer.max_epochs")] + SHORT


def test_every_example_runs(examples):
    trained = dict.fromkeys(command for command in COMMANDS if "train.py" in command)
    done = python(examples, SEVERAL, *(" ".join(overrides_of(command)) for command in trained))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" 0\n") == len(trained), done.stdout + done.stderr
    outputs = examples / "outputs"
    folder = outputs / "rot90/stn-turn-identity-zeros/seed=0"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["status"] == "complete"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["parts"]["warp"] == "turn"
    assert len(config["extensions"]["my_parts"]) == 64
    assert metrics["extensions"] == config["extensions"]
    assert (folder / "norms.txt").exists()
    three_classes = outputs / "waves/ts-stn-identity-border/seed=0/metrics.json"
    assert set(json.loads(three_classes.read_text())["test"]) == {"n", "loss", "accuracy"}
    # It is used where its module is imported, and refused with a word where not.
    use = (
        f"import stnlab, torch; run = stnlab.load('{folder}'); "
        "found = run.predict(torch.rand(3, 28, 28)); "
        "print(run.parameter_names, tuple(found.theta.shape))"
    )
    used = python(examples, f"import my_parts; {use}")
    assert used.stdout == "('angle',) (3, 1, 1)\n", used.stderr
    refused = python(examples, use).stderr.splitlines()[-1]
    assert refused.startswith("stnlab.errors.UserError"), refused
    assert "its warp is 'turn', which no module that is imported offers" in refused
    # A changed file makes another run, and says so.
    file = examples / "my_parts.py"
    before = file.read_text()
    file.write_text(before + "# changed\n")
    line = " ".join(overrides_of(next(each for each in trained if "warp=turn" in each)))
    changed = python(examples, SEVERAL, line)
    file.write_text(before)
    assert "holds a complete run of another config (extensions.my_parts was" in changed.stderr


def test_a_killed_run_goes_on_with_parts_of_ones_own(examples):
    """With an optimizer, a schedule and a callback of a user's: the same weights, bit by bit."""
    (command,) = dict.fromkeys(each for each in COMMANDS if "optimizer=rmsprop" in each)
    words = [each for each in overrides_of(command) if "epochs" not in each]
    words = ["train.py", *words, "trainer.max_epochs=3"]
    assert commands.run(*words, "name=whole", cwd=examples).returncode == 0
    killed = commands.start(*words, "name=cut", cwd=examples, stdout=subprocess.PIPE, text=True)
    assert any(line.startswith("epoch 1/3") for line in killed.stdout)
    killed.kill()
    killed.communicate()
    assert commands.run(*words, "name=cut", cwd=examples).returncode == 0
    cell = "stn-identity-zeros/seed=0"
    whole, cut = (
        torch.load(examples / "outputs" / name / cell / "checkpoints/last.ckpt", weights_only=True)
        for name in ("whole", "cut")
    )
    assert cut["global_step"] == whole["global_step"] == 9
    for name, weights in whole["state_dict"].items():
        assert torch.equal(cut["state_dict"][name], weights)
    rates = [each["optimizer_states"][0]["param_groups"][0]["lr"] for each in (whole, cut)]
    assert rates[0] == rates[1] == pytest.approx(0.001 * 9 / 200)


def test_the_study_runs_and_reports(examples):
    (command,) = dict.fromkeys(each for each in COMMANDS if "sweep.py" in each)
    words = ["sweep.py", *overrides_of(command), ALONE]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    done = commands.run(*words, cwd=examples, **streams)
    assert done.returncode == 0, done.stdout + done.stderr
    report = (examples / "outputs/turning/report.md").read_text()
    assert "A warp that can only turn beats one that can do all" in report
    assert "stn-turn-identity-zeros" in report


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_here\n", r"my_own\.py: line 1: ModuleNotFoundError: .*nothing_here"),
        ("x = 1\n  y = 2\n", r"my_own\.py: line 2: unexpected indent"),
        (
            "from stnlab.parts import ModelPart, add_model\n"
            "@add_model('cnn')\nclass Mine(ModelPart): pass\n",
            r"Mine has no @dataclass of its own",
        ),
        (
            "from dataclasses import dataclass\nfrom stnlab.parts import ModelPart, add_model\n"
            "@add_model('cnn')\n@dataclass\nclass Mine(ModelPart): pass\n",
            r"stnlab\.models\.cnn has offered a part of this name already",
        ),
        (
            "from dataclasses import dataclass\nfrom stnlab.parts import OptimizerPart, add_model\n"
            "@add_model('mine')\n@dataclass\nclass Mine(OptimizerPart): pass\n",
            r"Mine is no dataclass derived from ModelPart",
        ),
    ],
)
@pytest.mark.usefixtures("in_process")
def test_a_file_with_a_mistake(tmp_path, text, message):
    file = tmp_path / "my_own.py"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        extensions.load(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("in_process")
def test_what_cannot_be_imported(tmp_path):
    (tmp_path / "random.py").write_text("")
    for name, message in (
        (str(tmp_path / "none.py"), "there is no such file"),
        (str(tmp_path / "random.py"), "another module is called random .*Rename the file"),
        ("no_such_module", r"no such module is installed\. .*as in --with my_parts\.py"),
    ):
        with pytest.raises(UserError, match=message):
            extensions.load(name)
    with pytest.raises(UserError, match="--with names no module"):
        extensions.take_from(["--with"])
    assert extensions.take_from(["dataset=RTS", "-m"]) == ["dataset=RTS", "-m"]


@pytest.mark.usefixtures("in_process")
def test_the_environment_tells_the_processes_that_are_started(tmp_path):
    file = tmp_path / "parts_of_mine.py"
    file.write_text("VALUE = 3\n")
    assert extensions.take_from(["a=1", f"--with={file}"]) == ["a=1"]
    (loaded,) = extensions.loaded()
    assert loaded.path == file
    code = (
        "import parts_of_mine; from stnlab import extensions; from stnlab.config import compose; "
        "compose(); print(extensions.loaded())"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"sha256='{loaded.sha256}'" in child.stdout, child.stderr
