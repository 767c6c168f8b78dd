"""A user's own images: folders of files, IDX files, NumPy archives."""
