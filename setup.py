"""The compiled kernel; everything else about the package is in pyproject.toml."""

from setuptools import Extension, setup

# A plain shared library, loaded by ctypes (stnlab/kernels/blocks.py): it fits every Python. Where
# there is no compiler that understands it, the package is installed without.
setup(
    ext_modules=[
        Extension(
            "stnlab.kernels._blocks",
            ["src/stnlab/kernels/blocks.c"],
            depends=["src/stnlab/kernels/blocks_of_width.h"],
            extra_compile_args=["-O3", "-ffp-contract=fast", "-Wno-psabi"],
            optional=True,
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
