"""Imported by a fork server that many runs share: it outlives a run that is killed while it asks for a process."""

import errno
from multiprocessing import reduction

receive = reduction.recvfds


def recvfds(*arguments) -> list[int]:
    """Descriptors; the error that the server's loop passes over where the other side has gone, not one that ends it."""
    try:
        return receive(*arguments)
    except EOFError:
        raise OSError(errno.ECONNABORTED, "the run that asked for a process has ended") from None


reduction.recvfds = recvfds
