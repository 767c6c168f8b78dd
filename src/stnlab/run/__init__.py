"""One run, from a config to a complete run folder."""

from stnlab.run.run import Outcome, train

__all__ = ["Outcome", "train"]
