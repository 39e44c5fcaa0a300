"""Installs the packages as sts_net.models, sts_net.datasets, ...

The folders have generic names: installed under them, this project would overwrite Hugging Face's
`datasets` in site-packages. Metadata is in pyproject.toml.
"""

from setuptools import setup

PACKAGES = ("models", "models.distill", "datasets", "flow", "engine", "utils1")

setup(
    packages=[f"sts_net.{name}" for name in PACKAGES],
    package_dir={f"sts_net.{name}": name.replace(".", "/") for name in PACKAGES},
)
