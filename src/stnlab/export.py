"""Give a trained network to other runtimes: ``python -m stnlab.export RUN --to onnx``.

What is written reads normalised inputs (batch, channels, ...) of any batch size and gives logits
(batch, classes); where series are of unequal length also their lengths (batch,), int64, with inputs
padded to the longest of training. It is run and held against torch at three batch sizes before it
is called done.
preprocessing.json of the run says how inputs are normalised, and goes into the file as well.
"""

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stnlab import extensions
from stnlab.errors import UserError, command

if TYPE_CHECKING:
    from torch import Tensor

    from stnlab.trained import Trained

    Forward = Callable[..., Tensor]  # of inputs, and of lengths where there are

TOLERANCE = 1e-5  # of a logit, or of the largest of a batch where that is above 1
BATCH_SIZES = (1, 3, 64)

_INPUTS, _OUTPUT = ("inputs", "lengths"), "logits"
_NOTE = "preprocessing.json"


def export(trained: "Trained", to: str, out: str | Path | None = None) -> Path:
    """Write a trained network for another runtime.

    Args:
        trained: of :func:`stnlab.load`.
        to: "onnx" (needs the extra ``export``), "torchscript" or "torch-export".
        out: the file; None for ``network.onnx``, ``.pt`` or ``.pt2`` in the run's folder.

    Returns:
        The file.

    Raises:
        UserError: a package is missing, the file cannot be written, or what it computes differs.
    """
    if to not in FORMATS:
        raise UserError(f"--to is '{to}'; allowed: {', '.join(FORMATS)}.")
    ending, write = FORMATS[to]
    path = Path(out) if out is not None else trained.path / f"network{ending}"
    if to == "torch-export" and path.suffix != ending:
        raise UserError(f"--out: {path}: torch.export reads files that end in {ending} alone.")
    trained.network.cpu().eval()
    try:
        # Beside its place, so that it gets there in one step.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            temporary = Path(folder) / f"network{ending}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about torch's own insides
                forward = write(trained, temporary)
            _check(trained, forward, to)
            temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"--out: cannot write {path} ({error.strerror or error}). Name another file."
        ) from error
    return path


def _example(trained: "Trained", num: int, seed: int = 0) -> "tuple[Tensor, ...]":
    """What the network is called with: inputs, and their lengths where they differ."""
    import torch

    from stnlab.data.spec import SeriesSpec

    spec = trained.spec
    rng = torch.Generator().manual_seed(seed)
    inputs = torch.randn(num, spec.channels, *spec.size, generator=rng)
    if not (isinstance(spec, SeriesSpec) and spec.unequal_lengths):
        return (inputs,)
    return inputs, torch.randint(2, spec.size[0] + 1, (num,), generator=rng)


def _check(trained: "Trained", forward: "Forward", to: str) -> None:
    import torch

    for num in BATCH_SIZES:
        inputs = _example(trained, num, seed=num)
        with torch.no_grad():
            expected, found = trained.network(*inputs), forward(*inputs)
        scale = max(1.0, expected.abs().max().item())
        if found.shape != expected.shape:
            raise UserError(
                f"--to {to}: what was written gives {tuple(found.shape)} for a batch of {num}, "
                f"and torch {tuple(expected.shape)}. Nothing was kept."
            )
        difference = (found - expected).abs().max().item() / scale
        if not difference <= TOLERANCE:
            raise UserError(
                f"--to {to}: what was written differs from torch by {difference:.1e} at a batch "
                f"of {num}; allowed: {TOLERANCE:.0e}. Nothing was kept."
            )


def _note(trained: "Trained") -> str:
    return json.dumps({"classes": trained.classes, **trained.preprocessing})


def _write_onnx(trained: "Trained", path: Path) -> "Forward":
    import logging

    import torch

    try:
        import onnx  # noqa: F401  # which torch needs
        import onnxruntime
        import onnxscript  # noqa: F401  # the same
    except ImportError as error:
        raise UserError(
            f"--to onnx needs {error.name}, which is not installed: pip install 'stnlab[export]', "
            "or -e '.[export]' in a checkout."
        ) from error
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = _example(trained, 3)
    names = _INPUTS[: len(example)]
    try:
        program = torch.onnx.export(
            trained.network,
            example,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},) * len(example),
            input_names=names,
            output_names=[_OUTPUT],
            external_data=False,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        first = str(error).splitlines()[0]
        raise UserError(f"--to onnx: torch cannot export this network ({first}).") from error
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    assert program is not None
    program.model.metadata_props[_NOTE] = _note(trained)
    program.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def forward(*inputs: "Tensor") -> "Tensor":
        named = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, named)[0])

    return forward


def _write_torchscript(trained: "Trained", path: Path) -> "Forward":
    import torch

    traced = torch.jit.trace(trained.network, _example(trained, 3), check_trace=False)
    torch.jit.save(traced, str(path), _extra_files={_NOTE: _note(trained)})
    loaded: Forward = torch.jit.load(str(path))
    return loaded


def _write_torch_export(trained: "Trained", path: Path) -> "Forward":
    import torch

    example = _example(trained, 3)
    program = torch.export.export(
        trained.network,
        example,
        dynamic_shapes=({0: torch.export.Dim("batch")},) * len(example),
    )
    torch.export.save(program, str(path), extra_files={_NOTE: _note(trained)})
    loaded: Forward = torch.export.load(str(path)).module()
    return loaded


FORMATS: "dict[str, tuple[str, Callable[[Trained, Path], Forward]]]" = {
    "onnx": (".onnx", _write_onnx),
    "torchscript": (".pt", _write_torchscript),
    "torch-export": (".pt2", _write_torch_export),
}


@command
def main(arguments: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stnlab.export", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("run", type=Path, help="a complete run's folder")
    parser.add_argument("--to", choices=FORMATS, required=True, help="what for")
    parser.add_argument("--out", type=Path, help="the file; else network.* in the run's folder")
    parser.add_argument("--which", choices=("last", "best"), default="last", help="epoch")
    parser.add_argument("--with", metavar="FILE", help="parts of your own: docs/extending.md")
    given = parser.parse_args(extensions.take_from(list(arguments)))
    from stnlab.trained import load  # after the arguments are known: it takes seconds

    path = export(load(given.run, given.which), given.to, given.out)
    sizes = ", ".join(map(str, BATCH_SIZES))
    print(f"{path}: as torch to {TOLERANCE:.0e} at batches of {sizes}")


if __name__ == "__main__":
    sys.exit(main())
