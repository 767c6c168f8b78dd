"""The datasets that a config can choose: a file each. Reading them is in :mod:`stnlab.data`."""
