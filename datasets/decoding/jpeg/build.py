"""Sources of the C++ library, and building it where no installer did.

    python datasets/decoding/jpeg/build.py        # build it now and print where it is

It imports sts_common alone, because setup.py reads this file, too.
"""

import logging
import platform
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # run by path; sts_common.native is in the root

from sts_common.native import Library

HEADERS = (
    "jpeglib.h is not there: install libjpeg-turbo's headers (Debian: apt-get install libjpeg62-turbo-dev; "
    "Ubuntu: libjpeg-turbo8-dev; Fedora: libjpeg-turbo-devel; conda: libjpeg-turbo)"
)
KERNEL = Library(
    name="clip",
    title="image loader",
    folder=Path(__file__).parent,
    sources=("clip.cpp",),
    headers="clip*.h",
    flags=("-O3", "-std=c++17", "-ffp-contract=off", "-fPIC", "-pthread"),
    libraries=("-ldl",) if platform.system() == "Linux" else (),
    abi=1,
    cures={"jpeglib.h": HEADERS},
)
LIBRARIES = (KERNEL,)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger(__name__).info("%s", KERNEL.build())
