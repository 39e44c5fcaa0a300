"""Installs the packages as sts_net.models, sts_net.datasets, ...

The folders have generic names: installed under them, this project would overwrite Hugging Face's
`datasets` in site-packages. Metadata is in pyproject.toml.
"""

import subprocess
import sys
from typing import ClassVar

from setuptools import Command, setup

PACKAGES = ("models", "models.distill", "datasets", "flow", "engine", "utils1")


class Develop(Command):
    """`python setup.py develop`, as setuptools has done it since 80: through pip.

    Older ones put this folder itself on the path, and with it a top-level `datasets`.
    """

    user_options: ClassVar = [("no-deps", "N", "don't install dependencies")]
    boolean_options: ClassVar = ["no-deps"]

    def initialize_options(self) -> None:
        self.no_deps = False

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        options = ["--no-deps"] if self.no_deps else []
        subprocess.run([sys.executable, "-m", "pip", "install", "--editable", ".", *options], check=True)


setup(
    packages=[f"sts_net.{name}" for name in PACKAGES],
    package_dir={f"sts_net.{name}": name.replace(".", "/") for name in PACKAGES},
    cmdclass={"develop": Develop},
)
