"""The convolutional block that every network here is made of.

On the CPU a chain of blocks is one call of the compiled kernel (:mod:`stnlab.kernels.blocks`).
Where that is missing, the blocks of images are arranged so that torch's own operators are fast
(:class:`_ConvPoolRelu`); every other device has the three plain operators. All compute the same up
to rounding.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from stnlab.kernels import blocks as kernel
from stnlab.tracing import is_traced

# A group of output columns times the output channels fills the vector registers up to about here;
# beyond, it only multiplies with zeros.
_MAX_CHANNELS_OF_FOUR_COLUMNS = 40


class ConvPoolRelu(nn.Conv2d):
    """Convolution (stride 1, no padding), max-pool 2, ReLU.

    (N, in, H, W) to (N, out, (H-k+1)//2, (W-k+1)//2). Parameters, their names and their start are
    :class:`torch.nn.Conv2d`'s. A tie in a pooling window goes where torch's pooling sends it.

    A ``Dropout2d`` that stands between the convolution and the pooling may follow this block
    instead: it multiplies whole channels by 0 or 2, which neither maximum nor ReLU disturbs, and it
    draws the same numbers.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)

    def forward(self, images: Tensor) -> Tensor:
        return in_a_row(images, self)


class ConvPoolRelu1d(nn.Conv1d):
    """The same block on series: (N, in, T) to (N, out, (T-k+1)//2)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)

    def forward(self, series: Tensor) -> Tensor:
        return in_a_row(series, self)


Block = ConvPoolRelu | ConvPoolRelu1d


def conv_pool_relu(num_axes: int, in_channels: int, out_channels: int, kernel_size: int) -> Block:
    """The block for series (1 axis) or images (2 axes)."""
    block = ConvPoolRelu1d if num_axes == 1 else ConvPoolRelu
    return block(in_channels, out_channels, kernel_size)


Norm = nn.BatchNorm1d | nn.BatchNorm2d


def norm(num_axes: int, channels: int) -> Norm:
    """Batch norm of series (1 axis) or images (2 axes)."""
    return (nn.BatchNorm1d if num_axes == 1 else nn.BatchNorm2d)(channels)


def in_a_row(
    inputs: Tensor, *blocks: Block, norms: Sequence[Norm] = (), last_pool: bool = True
) -> Tensor:
    """What the blocks make of ``inputs``, one after the other; faster than a call of each.

    Args:
        inputs: (N, C, ...).
        blocks: one or more.
        norms: between each block's convolution and its pooling; none, or one for each. In training
            they look at the whole batch, which takes torch's own operators.
        last_pool: whether the last block has its pooling.
    """
    if not last_pool:
        before = norms[:-1]
        inputs = in_a_row(inputs, *blocks[:-1], norms=before) if len(blocks) > 1 else inputs
        last = _convolve(inputs, blocks[-1])
        return (norms[-1](last) if norms else last).relu()
    if any(each.training for each in norms):
        for block, between in zip(blocks, norms, strict=True):
            y = between(_convolve(inputs, block))
            inputs = (F.max_pool1d if y.dim() == 3 else F.max_pool2d)(y, 2).relu_()
        return inputs
    parameters: list[Tensor] = []
    for block in blocks:
        assert block.bias is not None
        parameters += [block.weight, block.bias]
    if norms:
        parameters = _with_norms(parameters, norms)
    if kernel.takes(inputs, *parameters):
        return kernel.conv_pool_relu(inputs, *parameters)
    if _rearranged_is_faster(inputs, parameters):
        for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
            inputs = _ConvPoolRelu.apply(inputs, weight, bias)
        return inputs
    return kernel.plain(inputs, *parameters)


def _convolve(inputs: Tensor, block: Block) -> Tensor:
    """The block's convolution alone."""
    convolved: Tensor = block._conv_forward(inputs, block.weight, block.bias)
    return convolved


def _with_norms(parameters: list[Tensor], norms: Sequence[Norm]) -> list[Tensor]:
    """Weights and biases of blocks that do their norms' work: after training each is one line."""
    found: list[Tensor] = []
    for weight, bias, each in zip(parameters[::2], parameters[1::2], norms, strict=True):
        assert each.running_mean is not None
        assert each.running_var is not None
        slope = each.weight * (each.running_var + each.eps).rsqrt()
        found += [
            weight * slope.view(-1, *[1] * (weight.dim() - 1)),
            each.bias + slope * (bias - each.running_mean),
        ]
    return found


def _rearranged_is_faster(inputs: Tensor, parameters: list[Tensor]) -> bool:
    return (
        inputs.dim() == 4
        and inputs.device.type == "cpu"
        and inputs.dtype == parameters[0].dtype
        and not torch.is_autocast_enabled("cpu")
        and not is_traced()
    )


def output_size(size: tuple[int, ...], *kernel_sizes: int) -> tuple[int, ...]:
    """What blocks of ``kernel_sizes`` leave of an input of ``size``, axis by axis."""
    for kernel_size in kernel_sizes:
        size = tuple((length - kernel_size + 1) // 2 for length in size)
    return size


def stride(blocks: Sequence[Block]) -> int:
    """How far apart on the input the windows of two neighbouring outputs begin."""
    return int(2 ** len(blocks))


class _ConvPoolRelu(torch.autograd.Function):
    """The block by torch's operators, with its own backward.

    A group of b neighbouring output columns is b times the channels over a *strip* of k + b - 1
    input columns. On a strip the kernel is (k, 1). With the strips of all rows laid end to end,
    G to a row, it is (1, k) with dilation G over an image one row high: a few long matrix products
    for oneDNN instead of one short one for each row and kernel element. Within a group the even
    columns come before the odd, so that the pooling is a maximum of two halves.

    Its derivative can not itself be differentiated.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        num_images, channels, height, width = images.shape
        out, _, kernel_height, kernel_width = weight.shape
        # The pooling never sees an odd last row or column.
        rows = (height - kernel_height + 1) // 2 * 2
        columns = (width - kernel_width + 1) // 2 * 2
        fits = columns % 4 == 0 and 4 * out <= _MAX_CHANNELS_OF_FOUR_COLUMNS
        b = 4 if fits else 2
        groups, strip = columns // b, (kernel_width + b - 1) * channels

        strips = _to_pixels(images)[:, : rows + kernel_height - 1]
        strips = strips.unfold(2, strip, b * channels)[:, :, :groups]
        strips = _to_images(strips.reshape(num_images, 1, -1), strip)
        kernel = weight.new_zeros(2, b // 2, out, kernel_height, kernel_width + b - 1, channels)
        _shifted_copies(kernel, kernel_width).copy_(weight.permute(0, 2, 3, 1))
        kernel = _to_images(kernel.view(b * out, 1, -1), strip)
        y = F.conv2d(strips, kernel, bias.repeat(b), dilation=(1, groups))
        y = _to_pixels(y).view(num_images, rows, groups, 2, -1)

        # Columns before rows, as max_pool2d goes through a window, for the sake of ties.
        half_pooled = torch.maximum(y[..., 0, :], y[..., 1, :]).flatten(2)
        pooled = torch.maximum(half_pooled[:, 0::2], half_pooled[:, 1::2]).relu_()
        ctx.save_for_backward(strips, kernel, y, half_pooled, pooled)
        ctx.shapes = images.shape, weight.shape
        return _to_images(pooled, out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        strips, kernel, y, half_pooled, pooled = ctx.saved_tensors
        (num_images, channels, height, width), (out, _, kernel_height, kernel_width) = ctx.shapes
        _, rows, groups, _, half = y.shape
        b = 2 * half // out
        strip = (kernel_width + b - 1) * channels

        grad_pooled = torch.ops.aten.threshold_backward(_to_pixels(grad), pooled, 0)
        grad_half, grad_y = torch.empty_like(half_pooled), torch.empty_like(y)
        _maximum_backward(
            grad_pooled,
            (half_pooled[:, 0::2], half_pooled[:, 1::2]),
            into=(grad_half[:, 0::2], grad_half[:, 1::2]),
        )
        _maximum_backward(
            grad_half.view(num_images, rows, groups, half),
            (y[..., 0, :], y[..., 1, :]),
            into=(grad_y[..., 0, :], grad_y[..., 1, :]),
        )
        grad_y = _to_images(grad_y.view(num_images, 1, -1), b * out)

        grad_images = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            parts = F.conv_transpose2d(grad_y, kernel, dilation=(1, groups))
            parts = _to_pixels(parts).view(num_images, -1, groups, strip)
            pixels = parts.new_zeros(num_images, height, width * channels)
            for start in range(0, strip, b * channels):  # neighbouring strips overlap
                part = parts[..., start : start + b * channels]
                windows = pixels[:, : parts.shape[1], start:]
                windows = windows.unfold(2, part.shape[3], b * channels)
                windows[:, :, :groups].add_(part)
            grad_images = _to_images(pixels, channels)
        if ctx.needs_input_grad[1]:
            grad_kernel: Tensor = torch.ops.aten.convolution_backward(
                *(grad_y, strips, kernel, None, (1, 1), (0, 0), (1, groups), False, (0, 0), 1),
                output_mask=(False, True, False),
            )[1]
            grad_kernel = _to_pixels(grad_kernel).view(
                2, b // 2, out, kernel_height, kernel_width + b - 1, channels
            )
            copies = _shifted_copies(grad_kernel, kernel_width)
            grad_weight = copies.sum((0, 1)).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            # A bias moves every element of a window alike: its gradient passes the pooling by.
            grad_bias = grad_pooled.view(-1, out).sum(0)
        return grad_images, grad_weight, grad_bias


def _to_pixels(images: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H, W * C), channels fastest; a view of a channels_last tensor."""
    return images.permute(0, 2, 3, 1).reshape(images.shape[0], images.shape[2], -1)


def _to_images(pixels: Tensor, channels: int) -> Tensor:
    """(N, H, W * C) to (N, C, H, W), a channels_last view: the inverse of :func:`_to_pixels`."""
    num_images, height, _ = pixels.shape
    return pixels.view(num_images, height, -1, channels).permute(0, 3, 1, 2)


def _shifted_copies(kernel: Tensor, kernel_width: int) -> Tensor:
    """The places of a convolution's weight inside the kernel of a whole group of columns.

    A view (2, b/2, O, k, k, C) of ``kernel`` (2, b/2, O, k, k + b - 1, C); copy (i, j) lies
    2 j + i columns to the right, where that output column of the group reads.
    """
    stride = kernel.stride()
    size = (*kernel.shape[:4], kernel_width, kernel.shape[5])
    return kernel.as_strided(size, (stride[0] + stride[4], stride[1] + 2 * stride[4], *stride[2:]))


def _maximum_backward(
    grad: Tensor, operands: tuple[Tensor, Tensor], into: tuple[Tensor, Tensor]
) -> None:
    """Write the gradients of ``torch.maximum(*operands)``; a tie is the first operand's."""
    first, second = operands
    to_second = torch.ops.aten.threshold_backward(grad, second - first, 0)
    torch.sub(grad, to_second, out=into[0])
    into[1].copy_(to_second)
