"""What pyproject.toml cannot say: the compiled kernels, and what a wheel has of the top's files."""

import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

TAKEN = {"conf": "conf", "data/published": "published"}  # see stnlab/data/places.py


class BuildWithFiles(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for source, target in TAKEN.items():
            place = Path(self.build_lib) / "stnlab" / target
            shutil.rmtree(place, ignore_errors=True)  # of an earlier build
            shutil.copytree(source, place)


# A plain shared library, loaded by ctypes (stnlab/kernels/compiled.py): it fits every Python. Where
# there is no compiler that understands it, the package is installed without.
KERNELS = Extension(
    "stnlab.kernels._kernels",
    [f"src/stnlab/kernels/{name}.c" for name in ("blocks", "flow", "homography")],
    depends=[f"src/stnlab/kernels/{name}.h" for name in ("blocks_of_width", "lanes", "paths")],
    extra_compile_args=["-O3", "-ffp-contract=fast", "-Wno-psabi"],
    optional=True,
    py_limited_api=True,
)

setup(
    cmdclass={"build_py": BuildWithFiles},
    ext_modules=[KERNELS],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
