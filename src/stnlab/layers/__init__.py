"""The modules that networks are assembled from: blocks, localization, transformer, classifier."""
