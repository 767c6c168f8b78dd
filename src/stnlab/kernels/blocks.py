"""Chains of blocks (convolution, max-pool 2, ReLU) by the compiled kernel of ``blocks.c``.

Wherever :func:`takes` says no, the caller has torch's own operators.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stnlab.kernels.compiled import Sizes, call, library, sizes
from stnlab.kernels.compiled import takes as tensors_fit

_MAX_BLOCKS = 4  # as in blocks.c
_DENSE = torch.contiguous_format


def plain(inputs: Tensor, *parameters: Tensor) -> Tensor:
    """What the kernel computes, by torch's operators; arguments as :func:`conv_pool_relu`'s."""
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        if inputs.dim() == 3:
            inputs = F.max_pool1d(F.conv1d(inputs, weight, bias), 2).relu_()
        else:
            inputs = F.max_pool2d(F.conv2d(inputs, weight, bias), 2).relu_()
    return inputs


def takes(inputs: Tensor, *parameters: Tensor) -> bool:
    """Whether the kernel computes this: plain float32 tensors on the CPU, and nothing traced."""
    return (
        tensors_fit(inputs, *parameters)
        and all(each.is_contiguous() for each in parameters)
        and _shapes(inputs.shape, *(each.shape for each in parameters[::2])) is not None
    )


def conv_pool_relu(inputs: Tensor, *parameters: Tensor) -> Tensor:
    """A chain of blocks; what lies between two of them never leaves the kernel's own layout.

    A pixel that is no number reaches the result as with torch's operators. In the weight's gradient
    it stands only where pooling chose it; torch adds 0 times it everywhere else, too.

    Args:
        inputs: (N, C, H, W) images or (N, C, T) series.
        parameters: weight (O, C, k, k) or (O, C, k) and bias (O,) of each block in turn.

    Returns:
        (N, O, height, width) or (N, O, hours) of the last block.
    """
    if torch.is_grad_enabled() and any(each.requires_grad for each in (inputs, *parameters)):
        result: Tensor = _Chain.apply(inputs, *parameters)
        return result
    return _forward(inputs.contiguous(), parameters, keep=False)[0]


class _Shapes(NamedTuple):
    """Sizes of a chain as blocks.c takes them, of its result, and of its tape in bytes."""

    shape: Sizes
    result: tuple[int, ...]
    tape: int


@lru_cache(maxsize=64)
def _shapes(inputs: torch.Size, *weights: torch.Size) -> _Shapes | None:
    """None where a block has nothing to give, or there are too many blocks."""
    num_images, channels, *size = inputs
    is_series = len(size) == 1
    numbers = [num_images, *([1] if is_series else []), *size, len(weights)]
    for weight in weights:
        if weight[1] != channels:
            return None
        channels = weight[0]
        numbers += [weight[1], channels, *([1] if is_series else []), *weight[2:]]
        numbers.append(1 if is_series else 2)
        size = [(length - kernel + 1) // 2 for length, kernel in zip(size, weight[2:], strict=True)]
        if min(size) < 1:
            return None
    found = library()
    if len(weights) > _MAX_BLOCKS or found is None:
        return None
    shape = sizes(*numbers)
    return _Shapes(shape, (num_images, channels, *size), found.stnlab_tape_size(shape))


class _Chain(torch.autograd.Function):
    """:func:`conv_pool_relu` with its backward, which torch's operators take for a second one."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, *parameters: Tensor) -> Tensor:
        result, tape = _forward(inputs.contiguous(), parameters, keep=True)
        ctx.save_for_backward(inputs, tape, *parameters)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, tape, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():  # of the gradient, too, a gradient will be asked
            return _plain_gradients((inputs, *parameters), ctx.needs_input_grad, grad)
        inputs, grad = inputs.contiguous(), grad.contiguous()
        grads = [torch.empty_like(each, memory_format=_DENSE) for each in parameters]
        grad_inputs = None
        if ctx.needs_input_grad[0]:
            grad_inputs = torch.empty_like(inputs, memory_format=_DENSE)
        shapes = _shapes(inputs.shape, *(each.shape for each in parameters[::2]))
        assert shapes is not None
        weights, of_weights, of_biases = parameters[::2], grads[::2], grads[1::2]
        call(
            "stnlab_backward",
            shapes.shape,
            *(inputs, weights, tape, grad, grad_inputs, of_weights, of_biases),
        )
        return grad_inputs, *grads


def _forward(
    inputs: Tensor, parameters: Sequence[Tensor], keep: bool
) -> tuple[Tensor, Tensor | None]:
    shapes = _shapes(inputs.shape, *(each.shape for each in parameters[::2]))
    assert shapes is not None
    result = inputs.new_empty(shapes.result)
    tape = torch.empty(shapes.tape, dtype=torch.uint8) if keep else None
    call("stnlab_forward", shapes.shape, inputs, parameters[::2], parameters[1::2], result, tape)
    return result, tape


def _plain_gradients(
    operands: tuple[Tensor, ...], needed: Sequence[bool], grad: Tensor
) -> tuple[Tensor | None, ...]:
    wanted = [each for each, is_needed in zip(operands, needed, strict=True) if is_needed]
    found = iter(torch.autograd.grad(plain(*operands), wanted, grad, create_graph=True))
    return tuple(next(found) if is_needed else None for is_needed in needed)
