"""What digits and images go through before the network sees them, a batch at a time."""

from stnlab.distortions.backends import Backend
from stnlab.distortions.elastic import Elastic
from stnlab.distortions.projective import Projective
from stnlab.distortions.similarity import Similarity, distort, distort_pil
from stnlab.parts import DistortionPart

__all__ = ["Backend", "Similarity", "alone", "distort", "distort_pil"]


def alone(factor: str, amount: float, backend: Backend) -> DistortionPart:
    """So much of one factor of :data:`stnlab.evaluation.robustness.AMOUNTS`, and no other."""
    if factor == "corner_sd":
        return Projective(corner_sd=amount, backend=backend)
    if factor == "point_sd":
        return Elastic(point_sd=amount)  # PIL has none
    return Similarity(**{factor: amount}, backend=backend)
