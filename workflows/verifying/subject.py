"""Subject of a verification: a checkpoint, the data at hand, and the options that follow from both."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from datasets import Stream, check_data, class_names, modality_of
from engine import checkpoint, setup
from engine.checkpoint.resuming import stored_options
from models import StreamNetwork, load_stream
from opts import HERE, VALIDATION, VIEWS, as_trained

from ..testing.inputs import stream_of


@dataclass(frozen=True)
class System:
    """A checkpoint and the data on which it is scored.

    Attributes:
        file: The checkpoint.
        state: Its content.
        opt: Options of its validation: as given, else as in the checkpoint.
        test_opt: Those of its test: as given, else as recorded, else as in the checkpoint.
        stream: What it reads.
        model: The network.
        device: Where it is.
    """

    file: str
    state: Mapping[str, Any]
    opt: Namespace
    test_opt: Namespace
    stream: Stream
    model: StreamNetwork
    device: torch.device

    def options(self, part: str) -> Namespace:
        """Return the options of the "val" or "test" part."""
        return self.test_opt if part == "test" else self.opt

    def stated(self, part: str) -> Mapping[str, Any]:
        """Return the checkpoint's description of the videos of a part, see `describe_videos`; {} if there is none."""
        data = self.state.get("data", {}).get("val") if part == "val" else self.state.get("tested", {}).get("data")
        return data or {}


def load_system(opt: Namespace, file: str) -> System:
    """Read a checkpoint, and take options that were not given from it.

    Args:
        opt: Options of the test scripts; `given` names those that were set.
        file: The checkpoint.

    Raises:
        FileNotFoundError: If the checkpoint or the annotation is missing.
        ValueError: If it is damaged, or of other classes than the annotation.
    """
    state = checkpoint.load(file)
    for name in ("options", "recipe", "metrics", "data", "tested"):
        if not isinstance(state.get(name, {}), Mapping):
            raise ValueError(
                f"{file}: its {name} is a {type(state[name]).__name__}, so it is no checkpoint of this project"
            )
    stream = stream_of(state, file)
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    recorded = {"options": state.get("tested", {}).get("options", {})}
    validation = merged(
        opt, stream, stored_options(recorded, opt, file) | stored_options(state, opt, file, HERE), VALIDATION
    )
    test = merged(
        as_trained(opt, state),
        stream,
        stored_options(state, opt, file, HERE) | stored_options(recorded, opt, file),
        (*VALIDATION, *VIEWS) if recorded["options"] else VALIDATION,
    )
    model = load_stream(validation, stream, state, file).to(device)
    check_data(validation, state, file, stream, class_names(validation, "test"))
    return System(file, state, validation, test, stream, model, device)


def merged(opt: Namespace, stream: Stream, stored: Mapping[str, Any], names: tuple[str, ...]) -> Namespace:
    """Return options in which those of `names` that were not given are as stored; no difference of flow is refused."""
    taken = {name: stored[name] for name in names if name in stored and name not in opt.given}
    modality = {} if "modality" in (*opt.given, *stored) else {"modality": modality_of([stream])}
    return Namespace(**vars(opt) | modality | taken | {"allow_flow_mismatch": True})
