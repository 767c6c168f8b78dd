"""What a wheel takes into the package of the files that lie at the top here."""

import shutil
from pathlib import Path

from setuptools import setup
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


setup(cmdclass={"build_py": BuildWithFiles})
