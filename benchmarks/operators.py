"""The rewritten operators against the plain ones, one thread, alternating in one run.

    python -m benchmarks.operators           under a minute
    python -m benchmarks.operators --avx2    as on a processor without AVX-512

Distortion against PIL: the package's own reference backend, and torchvision's usual transforms
(RandomAffine, ToTensor, Normalize). The convolutional block, forward and backward, against
convolution, max-pool and ReLU, plain and in channels_last, and by torch's operators rearranged.
Written to benchmarks/results/operators-CLASS.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import naive
from benchmarks.machine import RESULTS, as_avx2, machine, processor_class
from stnlab.data import mnist
from stnlab.data.randomness import Stream, generator
from stnlab.distortions import Similarity, distort, distort_pil
from stnlab.kernels import compiled
from stnlab.layers.convolution import ConvPoolRelu, _ConvPoolRelu, output_size
from stnlab.run.overhead import keep_freed_memory

ROUNDS = 30
BLOCKS = {
    # name: images, channels, height, width, out, kernel, whether the input needs a gradient
    "cnn, first": (64, 1, 28, 28, 10, 5, False),
    "behind a transformer, first": (64, 1, 28, 28, 10, 5, True),
    "behind a transformer, second": (64, 10, 12, 12, 20, 5, True),
    "localization, first": (64, 1, 28, 28, 8, 7, False),
    "localization, second": (64, 8, 11, 11, 10, 5, True),
    "same-image localization, first": (64, 1, 28, 56, 8, 7, False),
    "same-image cnn, second": (64, 10, 12, 26, 25, 5, True),
}


def alternate(ways: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each way, taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 3):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number >= 3:  # the first three warm up
                times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(each) for name, each in times.items()}


def distortion() -> dict[str, float]:
    """Images a second of each way to distort, normalise and hand over a tensor."""
    digits = mnist.load()
    images, labels = digits.train_images[:512], digits.train_labels[:512]
    thetas = Similarity(45, 0.1, 0.3).draw(512, (28, 28), generator(Stream.distortion, 0))
    reference = naive.Digits(
        images, labels, torch.arange(512)[:, None], "single", amounts=(45, 0.1, 0.3)
    )

    def normalised(pixels: Tensor) -> Tensor:
        return pixels.mul_(1 / (255 * mnist.STD)).sub_(mnist.MEAN / mnist.STD)

    found = alternate(
        {
            "ours": lambda: normalised(distort(images[:, None], thetas)),
            "ours with PIL": lambda: normalised(distort_pil(images[:, None], thetas)),
            "torchvision with PIL": lambda: [reference[index] for index in range(512)],
        },
        rounds=10,
    )
    return {name: 512 / ms * 1000 for name, ms in found.items()}


def block(shape: tuple[int, int, int, int, int, int, bool]) -> dict[str, float]:
    """Milliseconds of forward and backward of one block."""
    num_images, channels, height, width, out, kernel, needs_grad = shape
    layer = ConvPoolRelu(channels, out, kernel)
    images = torch.randn(num_images, channels, height, width)
    grad = torch.randn(num_images, out, *output_size((height, width), kernel))

    def plain(memory_format: torch.memory_format) -> Callable[[], None]:
        inputs = images.contiguous(memory_format=memory_format).requires_grad_(needs_grad)
        weight = layer.weight.detach().contiguous(memory_format=memory_format).requires_grad_()
        grad_output = grad.contiguous(memory_format=memory_format)
        return lambda: F.relu(F.max_pool2d(F.conv2d(inputs, weight, layer.bias), 2)).backward(
            grad_output
        )

    parameters = layer.weight, layer.bias
    last, rearranged = torch.channels_last, _ConvPoolRelu.apply
    inputs = images.contiguous(memory_format=last).requires_grad_(needs_grad)
    grad_output = grad.contiguous(memory_format=last)
    return alternate(
        {
            "plain": plain(torch.contiguous_format),
            "channels_last": plain(last),
            "rearranged": lambda: rearranged(inputs, *parameters).backward(grad_output),
            "ours": lambda: layer(inputs).backward(grad_output),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--avx2", action="store_true", help="without AVX-512")
    is_avx2 = parser.parse_args().avx2
    if is_avx2:
        as_avx2()
    torch.set_num_threads(1)
    keep_freed_memory()
    console = Console(width=120)
    rates = distortion()
    table = Table("images distorted a second", "", "ours is", box=None)
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{rates['ours'] / rate:.1f}x")
    console.print(table)
    blocks = {name: block(shape) for name, shape in BLOCKS.items()}
    ways = ("plain", "channels_last", "rearranged", "ours")
    table = Table("ms, forward and backward", *ways, "ours/plain", box=None)
    for name, ms in blocks.items():
        row = [f"{ms[way]:.2f}" for way in ways]
        table.add_row(name, *row, f"{ms['ours'] / ms['plain']:.2f}")
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"operators-{processor_class()}.json"
    result = {
        "command": f"python -m benchmarks.operators{' --avx2' if is_avx2 else ''}",
        "machine": machine(),
        "kernel": compiled.path(),
        "images_per_second": rates,
        "block_ms": blocks,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
