"""Networks as plain data, for ``engine.js`` to compute what torch computes."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from stnlab.errors import UserError
from stnlab.layers.classifier import ConvClassifier, FullyConnected
from stnlab.layers.convolution import ConvPoolRelu
from stnlab.layers.localization import Localization
from stnlab.layers.network import Network
from stnlab.layers.transformer import SpatialTransformer
from stnlab.parts import ImageWarp

_NUM_TRIED = 16  # thetas that tell whether a grid is linear


def describe(network: Network) -> dict[str, Any]:
    """What there is to compute, without the weights; a layer says where its own begin.

    Raises:
        UserError: something is in it that the page cannot compute.
    """
    starts, start = {}, 0
    for name, value in network.state_dict().items():
        starts[name] = start
        start += value.numel()
    transformer = network.transformer
    if transformer is not None and not isinstance(transformer, SpatialTransformer):
        raise _cannot(transformer)
    return {
        "transformer": transformer and _transformer(transformer, starts),
        "classifier": _layers("classifier", network.classifier, starts),
    }


def weights(state: Mapping[str, Tensor]) -> str:
    """All weights of a network's ``state_dict``, one after the other."""
    return floats(torch.cat([value.flatten().float() for value in state.values()]).numpy())


def floats(values: ArrayLike) -> str:
    """Numbers as base64 of little-endian float32."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def _transformer(module: SpatialTransformer, starts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "per_channel": module.per_channel,
        "size": list(module.view_size),
        "padding": module.padding_mode,
        "align_corners": module.align_corners,
        "names": list(module.parameter_names),
        "grid": _grid(module.warp, module.view_size, module.align_corners),
        "localization": _layers("transformer.localization", module.localization, starts),
    }


def _grid(warp: ImageWarp, size: tuple[int, int], align_corners: bool) -> dict[str, Any]:
    """How a grid follows from theta: by a matrix of its own, or as what is linear in theta."""
    if warp.matrix_in_javascript is not None:
        return {"matrix": [list(row) for row in warp.matrix_in_javascript]}

    def planes(theta: Tensor) -> Tensor:
        """(N, 2 * height * width): all x, then all y."""
        return warp.grid(theta, size, align_corners).permute(0, 3, 1, 2).flatten(1)

    num = len(warp.parameter_names)
    of_units = planes(torch.cat([torch.zeros(1, num), torch.eye(num)]).double())
    constant, linear = of_units[:1], of_units[1:] - of_units[:1]
    tried = torch.tensor(warp.identity).double() + torch.randn(
        *(_NUM_TRIED, num), dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    if not torch.allclose(planes(tried), constant + tried @ linear, atol=1e-6):
        raise UserError(
            f"warp={warp.name}: its grid is not linear in theta, so the page needs its matrix: "
            f"{type(warp).__name__}.matrix_in_javascript, which stnlab.parts.ImageWarp explains."
        )
    return {"linear": floats(torch.cat([constant, linear]).numpy())}


def _layers(prefix: str, module: nn.Module, starts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Blocks of convolution, pooling and ReLU, then linear layers with ReLU between them."""
    if not isinstance(module, Localization | ConvClassifier | FullyConnected):
        raise _cannot(module)
    layers: list[dict[str, Any]] = []
    for name, layer in module.named_modules(prefix=prefix):
        if not isinstance(layer, ConvPoolRelu | nn.Linear):
            continue
        places = {"weight": starts[f"{name}.weight"], "bias": starts[f"{name}.bias"]}
        out, inputs, *kernel = layer.weight.shape
        layers.append({"out": out, "in": inputs, "kernel": kernel, **places})
    return layers


def _cannot(module: nn.Module) -> UserError:
    return UserError(
        f"the page cannot compute a {type(module).__name__}: it shows images (dataset=rot90, RTS, "
        "two-channel, same-image, images) and model=stn, multi-stn, cnn and fcn."
    )
