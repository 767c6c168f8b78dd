"""docs/use.md: what it shows is run."""

import re
import shlex

import pytest
import torch
from PIL import Image
from rich.console import Console
from short_run import SHORT

from stnlab import export, predict
from stnlab.config import PROJECT_DIR, compose
from stnlab.data import mnist
from stnlab.run import train

PAGE = (PROJECT_DIR / "docs" / "use.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = {"stnlab.predict": predict.main, "stnlab.export": export.main}
SMALL = ["dataset.num_train=64", "dataset.num_val=16", "dataset.num_test=20"]


# Lightning's advice on workers, on Slurm and on a GPU that is not used.
@pytest.mark.filterwarnings("ignore::lightning_fabric.utilities.warnings.PossibleUserWarning")
# TorchScript is on its way out of torch, and still what some runtimes read.
@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:FutureWarning")
def test_the_pages_commands_and_snippets_run(tmp_path, monkeypatch, capsys):
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    digits = mnist.load(None)
    Image.fromarray(digits.test_images[0].numpy()).save("seven.png")
    known: dict = {}
    for language, text in BLOCKS:
        if language == "python":
            exec(compile(text, "docs/use.md", "exec"), known)
            continue
        for line in text.strip().splitlines():
            words = shlex.split(line)
            if words[1] == "train.py":
                small = [*SMALL, f"dataset.root={tmp_path / 'data'}"] if "mimic" in line else []
                train(compose([*words[2:], *SHORT, *small]), Console(quiet=True))
            else:
                assert words[:2] == ["python", "-m"]
                assert COMMANDS[words[2]](words[3:]) == 0, capsys.readouterr().err
    written = {path.name for path in tmp_path.iterdir()}
    assert {"seven.csv", "seven-warped.png", "digits.onnx", "digits.pt", "digits.pt2"} <= written
    assert known["found"].labels.shape == torch.Size([1])
    inputs = known["run"].prepare("seven.png")
    for name in ("digits.pt", "digits.pt2"):
        load = (
            torch.jit.load if name == "digits.pt" else lambda path: torch.export.load(path).module()
        )
        torch.testing.assert_close(load(name)(inputs), known["run"].network(inputs))
