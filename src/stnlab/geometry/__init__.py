"""Warps as pure functions: parameters, grids, sampling. Nothing here knows of a network."""
