"""Compiled kernels for the CPU, and which of them this process takes."""
