"""Networks in other runtimes: every model on every kind of input, at any batch size."""

import sys

import pytest
import torch

from stnlab.config import compose
from stnlab.errors import UserError
from stnlab.export import FORMATS, export, main
from stnlab.inits import InitScheme
from stnlab.layers.network import build_network
from stnlab.trained import Trained

WARPS = ("translation", "rotation", "similarity", "scale-translation", "projective", "tps")
BENDING = (("monotone", "false"), ("cpab", "false"), ("cpab", "true"))
PAIRS = [
    *(("rot90", model) for model in ("cnn", "fcn", "stn", *("stn warp=" + w for w in WARPS))),
    ("rot90", "stn-fcn model.localization.bound=0.5"),
    ("two-channel", "multi-stn model.localization.batch_norm=true"),
    ("jaderberg-rts", "stn warp=tps padding=black"),
    *(("two-channel", model) for model in ("stn", "multi-stn", "multi-stn padding=black")),
    *(("same-image", model) for model in ("cnn", "multi-stn")),
    *(("mimic", m) for m in ("cnn", "fcn", "ts-stn", "lstm", "logistic", "time-in-range")),
    *(("mimic", f"ts-stn warp={warp} warp.per_channel={own}") for warp, own in BENDING),
    ("mimic", "ts-stn model.slope_and_offset=false"),
]


@pytest.fixture
def untrained(tmp_path):
    """A network whose warp is not the identity, as a trained one would be given."""

    def make(dataset, model):
        config = compose([f"dataset={dataset}", f"model={model.split()[0]}", *model.split()[1:]])
        config.init.scheme = InitScheme.torch_default
        spec = config.dataset.spec()
        network = build_network(config, spec).eval()
        return Trained(tmp_path, "last", config, spec, {}, {}, network)

    return make


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(("dataset", "model"), PAIRS)
def test_every_model_is_exported(untrained, dataset, model, to):
    """That what is written agrees with torch at three batch sizes is part of the export."""
    if to == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    path = export(untrained(dataset, model), to)
    assert path.name == f"network{FORMATS[to][0]}"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("dataset", "model"), PAIRS)
def test_every_model_is_compiled(untrained, dataset, model):
    """As one graph that holds for any batch; the code that is made of it is torch's business."""
    network = untrained(dataset, model).network
    torch.compiler.reset()
    # torch itself leaves an LSTM out of its graphs.
    compiled = torch.compile(network, backend="eager", fullgraph=model != "lstm", dynamic=True)
    spec = compose([f"dataset={dataset}"]).dataset.spec()
    with torch.no_grad():
        for num in (5, 2, 7):
            inputs = torch.randn(num, spec.channels, *spec.size)
            torch.testing.assert_close(compiled(inputs), network(inputs))


class DependsOnTheBatch(torch.nn.Module):
    """What a trace cannot know."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, inputs):
        return self.network(inputs) * (2 if len(inputs) > 10 else 1)


def test_what_differs_from_torch_is_not_kept(untrained):
    trained = untrained("rot90", "cnn")
    trained.network = DependsOnTheBatch(trained.network)
    with pytest.raises(
        UserError, match=r"differs from torch by .* at a batch of 64.*Nothing was kept"
    ):
        export(trained, "torchscript")
    assert not list(trained.path.iterdir())


def test_what_cannot_be_written_is_told(untrained, monkeypatch, tmp_path, capsys):
    trained = untrained("rot90", "fcn")
    with pytest.raises(UserError, match=r"cannot write .*No such file"):
        export(trained, "torchscript", tmp_path / "no" / "where.pt")
    with pytest.raises(UserError, match=r"reads files that end in \.pt2"):
        export(trained, "torch-export", tmp_path / "net.pt")
    with pytest.raises(UserError, match="--to is 'tensorrt'; allowed: onnx, torchscript"):
        export(trained, "tensorrt")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs onnxruntime.*\[export\]"):
        export(trained, "onnx")
    assert main([str(tmp_path / "none"), "--to", "onnx"]) == 1
    assert capsys.readouterr().err.startswith(
        f"error: {tmp_path / 'none'}: there is no such folder"
    )
