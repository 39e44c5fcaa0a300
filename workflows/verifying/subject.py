"""Subject of a verification: a checkpoint, the data at hand, and the options that follow from both."""

from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from datasets import Stream, build_annotation, check_data, modality_of
from engine import checkpoint, setup
from engine.checkpoint.resuming import stored_options
from models import StreamNetwork, load_stream
from opts import THIS_CALL, VALIDATION, VIEWS, as_trained, places_of

from ..testing.inputs import stream_of


@dataclass(frozen=True)
class System:
    """A checkpoint and the data on which it is scored."""

    file: str  # the checkpoint
    state: Mapping[str, Any]  # its content
    opt: Namespace  # options of its validation: as given, else as in the checkpoint
    test_opt: Namespace  # those of its test: as given, else as recorded, else as in the checkpoint
    stream: Stream  # what it reads
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
    """Read a checkpoint; options of the test scripts that were not `given` are taken from it.

    Raises FileNotFoundError if the checkpoint or the annotation is missing; ValueError if it is damaged, or of other
    classes than the annotation.
    """
    state = checkpoint.load(file)
    for name in ("options", "recipe", "metrics", "data", "tested"):
        if not isinstance(state.get(name, {}), Mapping):
            raise ValueError(
                f"{file}: its {name} is a {type(state[name]).__name__}, so it is no checkpoint of this project"
            )
    stream = stream_of(state, file)
    opt = Namespace(**vars(opt) | places_of(state, opt.given, file))
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    recorded = {"options": state.get("tested", {}).get("options", {})}
    stored, tested = stored_options(state, vars(opt), file, THIS_CALL), stored_options(recorded, vars(opt), file)
    names = (*VALIDATION, *VIEWS) if recorded["options"] else VALIDATION
    validation = Namespace(**vars(opt) | choose(opt.given, stream, tested | stored, VALIDATION))
    test = Namespace(**vars(as_trained(opt, state)) | choose(opt.given, stream, stored | tested, names))
    model = load_stream(validation, stream, state, file).to(device)
    check_data(validation, state, file, stream, build_annotation(validation).class_names("test"))
    return System(file, state, validation, test, stream, model, device)


def choose(given: Collection[str], stream: Stream, stored: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the options of `names` as stored that were not given; no difference of flow is refused."""
    options = {name: stored[name] for name in names if name in stored and name not in given}
    modality = {} if "modality" in (*given, *stored) else {"modality": modality_of([stream])}
    return modality | options | {"allow_flow_mismatch": True}
