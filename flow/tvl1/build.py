"""The TV-L1 kernel in C++: its sources, and building it where no installer did.

    python flow/tvl1/build.py        # build it now and print where it is

It imports sts_common alone, because setup.py reads this file, too.
"""

import logging
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by path; sts_common.native is in the root

from sts_common.native import Library

KERNEL = Library(
    name="tvl1",
    title="TV-L1 kernel",
    folder=Path(__file__).parent,
    sources=("tvl1.cpp",),
    headers="tvl1*.h",
    flags=("-O3", "-std=c++17", "-fno-math-errno", "-fPIC", "-pthread"),
    abi=1,
)
LIBRARIES = (KERNEL,)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger(__name__).info("%s", KERNEL.build())
