"""What networks ask of a dataset that read series of time alone."""

from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec, SeriesSpec
from stnlab.errors import UserError
from stnlab.parts import ModelPart

if TYPE_CHECKING:
    from stnlab.schema import ExperimentConfig


def require_series(model: ModelPart, config: "ExperimentConfig", spec: DatasetSpec) -> SeriesSpec:
    """The spec, of series.

    Raises:
        UserError: the dataset has images.
    """
    if not isinstance(spec, SeriesSpec):
        raise UserError(
            f"model={model.name} does not go with dataset={config.dataset.name}: it reads series "
            "of time, and these are images. Use model=stn or model=cnn, or series (dataset=mimic, "
            "dataset=physionet2012, dataset=series)."
        )
    return spec
