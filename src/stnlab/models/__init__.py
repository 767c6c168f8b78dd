"""The networks that a config can choose: a file each, assembled from :mod:`stnlab.layers`."""
