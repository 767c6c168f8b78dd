"""One run, from a config to a complete run folder."""

from stnlab.run.train import Outcome, train

__all__ = ["Outcome", "train"]
