"""Networks as plain data, for ``engine.js`` to compute what torch computes."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from stnlab.errors import UserError
from stnlab.layers.classifier import ConvClassifier, FullyConnected
from stnlab.layers.convolution import ConvPoolRelu, ConvPoolRelu1d
from stnlab.layers.localization import Localization, ThetaNetwork
from stnlab.layers.network import Network
from stnlab.layers.transformer import SpatialTransformer, TimeTransformer, Transformer
from stnlab.parts import ImageWarp, WarpPart

_NUM_TRIED = 16  # thetas that tell whether a grid is linear


def describe(network: Network) -> dict[str, Any]:
    """What there is to compute, without the weights; a layer says where its own begin.

    Raises:
        UserError: something is in it that the page cannot compute.
    """
    if network.num_steps is not None:
        raise UserError("the page cannot compute a network on series of unequal length.")
    starts, start = {}, 0
    for name, value in network.state_dict().items():
        starts[name] = start
        start += value.numel()
    transformer = network.transformer
    return {
        "transformer": None if transformer is None else _transformer(transformer, starts),
        "classifier": _layers("classifier", network.classifier, starts),
    }


def weights(state: Mapping[str, Tensor]) -> str:
    """All weights of a network's ``state_dict``, one after the other."""
    return floats(torch.cat([value.flatten().float() for value in state.values()]).numpy())


def floats(values: ArrayLike) -> str:
    """Numbers as base64 of little-endian float32."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def _transformer(module: Transformer, starts: Mapping[str, int]) -> dict[str, Any]:
    if not isinstance(module, SpatialTransformer | TimeTransformer):
        raise _cannot(module)
    localization = module.localization
    described: dict[str, Any] = {
        "names": list(module.parameter_names),
        "padding": module.padding_mode,
        "localization": _layers("transformer.localization", localization, starts),
    }
    if isinstance(localization, ThetaNetwork) and localization.bound is not None:
        described["bounded"] = [localization.centre.tolist(), localization.bound]
    if isinstance(module, TimeTransformer):
        if module.per_channel:
            raise UserError(
                "warp.per_channel is true: the page shows a warp of time that all channels share."
            )
        return described | {
            "per_channel": False,
            "size": [1, module.num_steps],
            "align_corners": True,  # of the grid; what the warp means by it is in the grid
            "has_values": module.slope_and_offset,
            "grid": _linear(module.warp, lambda theta: _row_of_moments(module, theta)),
        }
    size, corners, warp = module.view_size, module.align_corners, module.warp
    matrix = warp.matrix_in_javascript

    def planes(theta: Tensor) -> Tensor:
        """(N, 2 * height * width): all x, then all y."""
        return warp.grid(theta, size, corners).permute(0, 3, 1, 2).flatten(1)

    value = module.padding_value
    return described | {
        "per_channel": module.per_channel,
        "padding_value": [] if value is None else value.flatten().tolist(),  # by channel
        "size": list(size),
        "align_corners": corners,
        "has_values": False,
        "grid": _linear(warp, planes) if matrix is None else {"matrix": list(map(list, matrix))},
    }


def _row_of_moments(module: TimeTransformer, theta: Tensor) -> Tensor:
    """Moments as a grid of one row, with -1 and 1 at the first and the last step."""
    at = module.warp.moments(theta, module.num_steps, module.align_corners)
    x = 2 * at / (module.num_steps - 1) - 1
    return torch.cat([x, torch.zeros_like(x)], dim=1)


def _linear(warp: WarpPart, planes: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """A grid that is linear in theta: what it is at 0, and what a unit of each number adds.

    Raises:
        UserError: it is not.
    """
    num = len(warp.parameter_names)
    of_units = planes(torch.cat([torch.zeros(1, num), torch.eye(num)]).double())
    constant, linear = of_units[:1], of_units[1:] - of_units[:1]
    tried = torch.tensor(warp.identity).double() + torch.randn(
        *(_NUM_TRIED, num), dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    if not torch.allclose(planes(tried), constant + tried @ linear, atol=1e-6):
        remedy = (
            f"so the page needs its matrix: {type(warp).__name__}.matrix_in_javascript, which "
            "stnlab.parts.ImageWarp explains."
            if isinstance(warp, ImageWarp)
            else "and the page shows no other warp of time."
        )
        raise UserError(f"warp={warp.name}: its grid is not linear in theta, {remedy}")
    return {"linear": floats(torch.cat([constant, linear]).numpy())}


def _layers(prefix: str, module: nn.Module, starts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Blocks of convolution, batch norm, pooling and ReLU; linear layers with ReLU between them."""
    if not isinstance(module, ThetaNetwork | ConvClassifier | FullyConnected):
        raise _cannot(module)
    if isinstance(module, Localization) and (module.half_size or not module.last_pool):
        raise UserError(
            "the page cannot compute a localization network of the original paper's size, which "
            "reads the input at half its size or ends without pooling (model=stn-400k)."
        )
    layers: list[dict[str, Any]] = []
    for name, layer in module.named_modules(prefix=prefix):
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):  # of the convolution before it
            names = ("weight", "bias", "running_mean", "running_var")
            places = {each: starts[f"{name}.{each}"] for each in names}
            layers[-1]["norm"] = {**places, "eps": layer.eps}
        if not isinstance(layer, ConvPoolRelu | ConvPoolRelu1d | nn.Linear):
            continue
        places = {"weight": starts[f"{name}.weight"], "bias": starts[f"{name}.bias"]}
        out, inputs, *kernel = layer.weight.shape
        layers.append({"out": out, "in": inputs, "kernel": kernel, **places})
    return layers


def _cannot(module: nn.Module) -> UserError:
    return UserError(
        f"the page cannot compute a {type(module).__name__}: it shows model=stn, stn-fcn, "
        "multi-stn, ts-stn, cnn and fcn."
    )
