"""Families of warps: what theta's entries are called, and what they do. A file each."""
