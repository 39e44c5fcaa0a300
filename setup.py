"""Installs the packages as sts_net.models, sts_net.datasets, ..., and compiles the TV-L1 kernel and what reads images.

The folders have generic names: installed under them, this project would overwrite Hugging Face's
`datasets` in site-packages. Without a C++ compiler, or libjpeg-turbo's headers, they are left out, and compiled or
replaced by Python when they are needed. Metadata is in pyproject.toml.
"""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from setuptools import Command, Extension, setup

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # for sts_common.native: a build in isolation has not got it

PACKAGES = (
    "models",
    "models.distill",
    "datasets",
    "datasets.decoding.jpeg",
    "datasets.stores",
    "flow",
    "engine",
    "engine.checkpoint",
    "utils1",
)
NATIVE = {
    package: runpy.run_path(str(ROOT / package.replace(".", "/") / "build.py"))["LIBRARIES"]
    for package in ("flow", "datasets.decoding.jpeg")
}


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


def extension(package: str, library: Any) -> Extension:
    """A native library of a package, left out with a warning if it cannot be compiled."""
    folder = package.replace(".", "/")
    return Extension(
        f"sts_net.{package}._{library.name}",
        [f"{folder}/{source}" for source in library.sources],
        depends=[f"{folder}/{path.name}" for path in sorted(library.folder.glob(library.headers))],
        define_macros=[(f"{library.name.upper()}_SOURCE", f'"{library.source_hash()}"')],
        extra_compile_args=list(library.flags),
        extra_link_args=list(library.libraries),
        language="c++",
        optional=True,
    )


setup(
    packages=["sts_common", *(f"sts_net.{name}" for name in PACKAGES)],  # the former has a name that nobody else uses
    package_dir={"sts_common": "sts_common"} | {f"sts_net.{name}": name.replace(".", "/") for name in PACKAGES},
    package_data={f"sts_net.{name}": ["*.cpp", "*.h"] for name in NATIVE},
    py_modules=["sts_common.native"],
    ext_modules=[extension(package, library) for package, libraries in NATIVE.items() for library in libraries],
    cmdclass={"develop": Develop},
)
