"""What the training scripts share: what a run begins with.

This composes the packages, as the scripts do, and so stands beside them.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engine import checkpoint, find_start, resumed_options
from engine.naming import RunFiles
from models import ARCHITECTURE
from opts import adopt


class Start(NamedTuple):
    """What a run begins with.

    Attributes:
        opt: Options as used: those that were not given are taken from the checkpoint.
        state: Content of the checkpoint, empty from scratch.
        source: Its name.
        resuming: Whether it is one of the same run.
    """

    opt: Namespace
    state: Mapping[str, Any]
    source: str
    resuming: bool


def choose_start(opt: Namespace, resume: str, files_of: Callable[[Namespace], RunFiles]) -> Start:
    """The checkpoint to go on from, or the pre-trained one, or none.

    Args:
        opt: Options.
        resume: A checkpoint of this run, "auto" for its newest good one, or "".
        files_of: Names the files of a run by its options.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If one is damaged, or of a run with other data, network or seed options.
    """
    pretrained = checkpoint.load(opt.pretrain_path) if opt.pretrain_path else {}
    opt = adopt(opt, pretrained, ARCHITECTURE)
    state, source = find_start(resume, files_of(opt))
    if source:
        return Start(resumed_options(state, opt, source), state, source, True)
    return Start(opt, pretrained, opt.pretrain_path, False)
