"""Collection of garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Let nothing be collected in this block, which makes millions of objects that stay.

    Python would look through all of them again and again, which takes as long as to make them.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
