"""From hourly values to the benchmark's 76 columns: imputation, one-hot, masks.

The rules of the benchmark's discretizer, by name:

- ``previous``: the last value before; before the first, the variable's normal value.
- ``next``: the first value after; after the last, the normal value.
- ``normal_value``: the normal value, always.
- ``zero``: 0, and for a categorical variable no category at all.

The mask columns say what was measured, and are the same for every rule.
"""

import numpy as np
from numpy.typing import NDArray

from stnlab.data.mimic.episodes import HourlyValues, category_of
from stnlab.data.mimic.variables import COLUMNS, NUM_HOURS, NUM_VARIABLES, VARIABLES, Variable

IMPUTATIONS = ("previous", "next", "zero", "normal_value")


def _normal(variable: Variable) -> float:
    if not variable.categories:
        return float(variable.normal)
    category = category_of(variable, variable.normal)
    assert category is not None
    return category


_NORMAL = np.array([_normal(variable) for variable in VARIABLES], np.float32)
_FIRST_COLUMN = np.array([COLUMNS.index(variable.columns[0]) for variable in VARIABLES])
_CATEGORICAL = np.array([place for place, each in enumerate(VARIABLES) if each.categories])
_CONTINUOUS = np.array([place for place, each in enumerate(VARIABLES) if not each.categories])


def columns_of(hours: HourlyValues, imputation: str, chunk: int = 64) -> NDArray[np.float32]:
    """The array (N, 48, 76) of hourly values (N, 48, 17), ``chunk`` episodes at a time."""
    x = np.zeros((len(hours), NUM_HOURS, len(COLUMNS)), np.float32)
    for begin in range(0, len(hours), chunk):
        _fill(x[begin : begin + chunk], hours[begin : begin + chunk], imputation)
    return x


def _fill(x: NDArray[np.float32], hours: HourlyValues, imputation: str) -> None:
    observed = ~np.isnan(hours)
    values = _imputed(hours, observed, imputation)
    x[..., -NUM_VARIABLES:] = observed
    x[..., _FIRST_COLUMN[_CONTINUOUS]] = values[..., _CONTINUOUS]
    if imputation == "zero":
        episode, hour, which = np.nonzero(observed[..., _CATEGORICAL])
    else:
        episode, hour, which = np.indices((*hours.shape[:2], len(_CATEGORICAL))).reshape(3, -1)
    variable = _CATEGORICAL[which]
    category = values[episode, hour, variable].astype(np.int64)
    x[episode, hour, _FIRST_COLUMN[variable] + category] = 1


def _imputed(hours: HourlyValues, observed: NDArray[np.bool_], imputation: str) -> HourlyValues:
    if imputation == "zero":
        return np.where(observed, hours, np.float32(0))
    if imputation == "normal_value":
        return np.where(observed, hours, _NORMAL)
    # Hour by hour, each takes over what its neighbour has and itself lacks.
    values = hours.copy()
    order = range(NUM_HOURS) if imputation == "previous" else range(NUM_HOURS - 1, -1, -1)
    neighbour = np.broadcast_to(_NORMAL, values[:, 0].shape)
    for hour in order:
        np.copyto(values[:, hour], neighbour, where=~observed[:, hour])
        neighbour = values[:, hour]
    return values
