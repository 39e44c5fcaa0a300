"""Installs the packages as sts_net.models, sts_net.datasets, ..., and compiles the TV-L1 kernel and what reads images.

The folders have generic names: installed under them, this project would overwrite Hugging Face's
`datasets` in site-packages. So what is installed imports `sts_net.datasets` where the sources have `datasets`.

Without a C++ compiler, or libjpeg-turbo's headers, the libraries are left out, and compiled or replaced by Python when
they are needed. Metadata is in pyproject.toml.
"""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from setuptools import Command, Extension, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # for sts_common: a build in isolation does not see it

from sts_common.commands import COMMANDS  # noqa: E402

FOLDERS = ("models", "datasets", "engine", "flow", "opts", "workflows", "utils1")
PACKAGES = [name for name in find_packages(str(ROOT)) if name.split(".")[0] in FOLDERS]
IMPORT = re.compile(rf"^(\s*from )(?=(?:{'|'.join(FOLDERS)})[.\w]* import )", re.MULTILINE)
SCRIPTS = [command.script for command in COMMANDS.values() if "/" not in command.script]
NATIVE = {
    package: runpy.run_path(str(ROOT / package.replace(".", "/") / "build.py"))["LIBRARIES"]
    for package in ("flow.tvl1", "datasets.decoding.jpeg")
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


class BuildPython(build_py):
    """Puts the scripts of the root beside the packages, where `sts` finds them, and all imports below one name."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        installed = Path(self.build_lib) / "sts_net"
        for script in SCRIPTS:
            shutil.copy(ROOT / script, installed / script)
        for file in installed.rglob("*.py"):
            text = file.read_text("utf-8")
            file.write_text(IMPORT.sub(r"\1sts_net.", text), "utf-8")


def extension(package: str, library: Any) -> Extension:
    """Return a native library of a package, left out with a warning if it cannot be compiled."""
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
    # sts_common has a name that nobody else uses.
    packages=[
        *("sts_common", "sts_common.motionnet", "sts_net", "sts_net.configs"),
        *(f"sts_net.{name}" for name in PACKAGES),
    ],
    package_dir={"sts_common": "sts_common", "sts_net": "sts_net", "sts_net.configs": "configs"}
    | {f"sts_net.{name}": name.replace(".", "/") for name in PACKAGES},
    package_data={f"sts_net.{name}": ["*.cpp", "*.h"] for name in NATIVE}
    | {f"sts_net.{name}": ["*.jinja"] for name in PACKAGES if list(ROOT.glob(f"{name.replace('.', '/')}/*.jinja"))}
    | {"sts_net.configs": ["*.yaml", "*/*.yaml"]},
    ext_modules=[extension(package, library) for package, libraries in NATIVE.items() for library in libraries],
    cmdclass={"develop": Develop, "build_py": BuildPython},
)
