"""What a checkpoint says of itself, and its network as a safetensors file.

Examples:
    python -m engine.card results/HMDB51/SFS_..._best.pth
    python -m engine.card results/HMDB51/SFS_..._best.pth --export SFS_HMDB51_16f.safetensors
"""

import logging
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from . import checkpoint, cli, tensor_file

log = logging.getLogger(__name__)


def card(state: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A checkpoint's description as plain values, the most asked for first.

    Args:
        state: The checkpoint, or bare weights.
        source: Its name.

    Returns:
        "arch", "stream", "classes", ... as far as the checkpoint states them; "weights", counted; "holds", the names
        of the entries that are the state of a run.
    """
    weights = state.get("state_dict", state)
    tensors = [w for w in weights.values() if isinstance(w, Tensor)] if isinstance(weights, Mapping) else []
    described = {name: state[name] for name in tensor_file.DESCRIPTION if name in state}
    names = described.pop("class_names", [])
    options = described.pop("options", {})
    if not tensors and not described:
        raise ValueError(f"{source}: holds neither weights nor a description")
    return {
        "file": source,
        **{name: described.pop(name) for name in ("arch", "stream", "epoch") if name in described},
        "weights": {"tensors": len(tensors), "numbers": sum(tensor.numel() for tensor in tensors)},
        **described,
        "classes": {"number": len(names), "names": names} if names else "not stated",
        "options": dict(options) if options else "not stated",
        "holds": [str(name) for name in state if name not in tensor_file.DESCRIPTION] if "state_dict" in state else [],
    }


def main(opt: Namespace) -> dict[str, Any]:
    """Print the description of `opt.file`; write its network to `opt.export` if that is set."""
    state = checkpoint.load(opt.file)
    description = card(state, opt.file)
    print(yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=110), end="")  # noqa: T201
    if opt.export:
        tensor_file.write(Path(opt.export), state, opt.file)
        log.info("wrote %s", opt.export)
    return description


def parse_args() -> Namespace:
    """Options of this tool."""
    parser = cli.ArgumentParser(prog="python -m engine.card", description="What a checkpoint says of itself.")
    parser.add_argument("file", help="checkpoint: .pth or .safetensors")
    parser.add_argument("--export", help="write the network and its description to this .safetensors file")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser.parse_args()


if __name__ == "__main__":
    cli.run(main, parse_args)
