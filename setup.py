"""Installs the packages as sts_net.models, sts_net.datasets, ..., and compiles the TV-L1 kernel.

The folders have generic names: installed under them, this project would overwrite Hugging Face's
`datasets` in site-packages. Without a C++ compiler the kernel is left out, and compiled or replaced by torch when it
is needed. Metadata is in pyproject.toml.
"""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Extension, setup

PACKAGES = ("models", "models.distill", "datasets", "flow", "engine", "utils1")
KERNEL = runpy.run_path(str(Path(__file__).with_name("flow") / "build.py"))


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
    package_data={"sts_net.flow": ["*.cpp", "*.h"]},
    ext_modules=[
        Extension(
            "sts_net.flow._tvl1",
            ["flow/tvl1.cpp"],
            depends=[str(path) for path in sorted(Path("flow").glob("tvl1*.h"))],
            define_macros=[("TVL1_SOURCE", f'"{KERNEL["source_hash"]()}"')],
            extra_compile_args=list(KERNEL["FLAGS"]),
            language="c++",
            optional=True,  # a compiler that is missing or fails is a warning
        )
    ],
    cmdclass={"develop": Develop},
)
