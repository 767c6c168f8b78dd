"""One warp for each of two objects."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.errors import UserError
from stnlab.models.stn import Stn, build_image_network
from stnlab.parts import add_model

if TYPE_CHECKING:
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@add_model("multi-stn")
@dataclass
class MultiStn(Stn):
    """One localization network and one set of convolutions, shared by a view for each object.

    Objects on channels of their own go through the localization network one by one; crops of one
    image come from one pass. Source: SEED sections 4.2.2 and 5.1.2.
    """

    def view_size(self, spec: ImageSpec) -> tuple[int, int]:
        return spec.object_size

    def num_thetas(self, spec: DatasetSpec) -> int:
        assert isinstance(spec, ImageSpec)
        return 1 if spec.objects_have_channels else spec.num_objects

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        if isinstance(spec, ImageSpec) and spec.num_objects < 2:
            raise UserError(
                f"model={self.name} does not go with dataset={config.dataset.name}: it warps each "
                "of two objects, and this dataset has one. Use model=stn, or a pair dataset "
                "(dataset=two-channel or dataset=same-image)."
            )
        super().check(config, spec)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        assert isinstance(spec, ImageSpec)
        return build_image_network(
            self,
            config,
            spec,
            view_size=spec.object_size,
            num_views=spec.num_objects,
            per_channel=spec.objects_have_channels,
        )
