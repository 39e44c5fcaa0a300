"""Weights of ImageNet for networks of other channels and classes: from torch's cache or a file, downloaded if asked.

Cross-modality initialisation (Wang et al., 2015, https://arxiv.org/abs/1507.02159): a first convolution that reads
other channels than red, green and blue has for each of them the mean of the three filters, not rescaled.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sts_common import counted
from sts_common.tensors import MALFORMED, read_tensors

from .backbones import INFLATED, TIMM, TORCHVISION, Backbone, spec_of
from .backbones.contract import CONSENSUS, Weights, within
from .backbones.inflation import DIVIDE, inflated, is_of_images
from .backbones.timm_networks import timm_weights
from .backbones.torchvision_networks import kinetics_weights
from .weights import check_finite, strip_prefix, weights_of

RANDOM, IMAGENET, KINETICS = "random", "imagenet", "kinetics400"


def published_weights(init: str, origin: Mapping[str, Any]) -> tuple[str, str]:
    """Return the address of published weights, and the name of their file.

    Those of torchvision are the first ones of each network, which the two-stream networks began with.

    Args:
        init: `IMAGENET` or `KINETICS` for those of the network, or the name of another one of a library's.
        origin: {"name", "args"} of the network.

    Raises:
        ValueError: If nobody publishes any.
    """
    name = origin["name"].removeprefix(INFLATED)
    if init.startswith(TIMM):
        return timm_weights(init)
    if init.startswith(TORCHVISION):
        return kinetics_weights(init)
    if init == IMAGENET and name.startswith(TIMM):
        return timm_weights(name)
    if init == KINETICS and name.startswith(TORCHVISION):
        return kinetics_weights(name)
    known = imagenet_name(origin) if init == IMAGENET else ""
    if not known:
        narrow = origin["args"].get("width", 1.0)
        wide = f" of width {narrow}" if narrow != 1 and imagenet_name(origin, width=1.0) else ""
        raise ValueError(f"--init {init}: there are no such weights for --model {name}{wide}; leave it out")
    from torchvision.models import get_model_weights  # a second that others need not wait

    address = str(get_model_weights(known)["IMAGENET1K_V1"].url)
    return address, address.rpartition("/")[2]


def imagenet_name(origin: Mapping[str, Any], **changes: Any) -> str:
    """Return torchvision's name of the image network whose weights fit a network; "" if there is none."""
    return spec_of(origin["name"]).build.imagenet_name({**origin["args"], **changes})


def find_weights(init: str, origin: Mapping[str, Any], *, download: bool) -> Path:
    """Return the file of the weights that `--init` names.

    Args:
        init: As of `published_weights`, or a path.
        origin: {"name", "args"} of the network.
        download: Whether a file that is not in torch's cache is fetched.

    Raises:
        ValueError: If there are none for this network.
        FileNotFoundError: Names the path, the address and the option.
    """
    if init not in (IMAGENET, KINETICS) and not init.startswith((TIMM, TORCHVISION)):
        if not Path(init).is_file():
            raise FileNotFoundError(f"--init {init}: there is no such file; give {IMAGENET}, {RANDOM} or a path")
        return Path(init)
    address, name = published_weights(init, origin)
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        if not download:
            raise FileNotFoundError(f"--init {init}: no {path}; get it with --download, or put {address} there")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), progress=False)
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file of torch or of safetensors.

    Raises:
        ValueError: If it is neither, or holds no weights.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = read_tensors(path)
    except (*MALFORMED, SafetensorError) as error:
        raise ValueError(f"--init {path}: cannot be read as weights ({type(error).__name__})") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"--init {path}: holds no network weights")
    return weights_of(content, str(path))


def is_inflation(network: Backbone, weights: Weights) -> bool:
    """Return whether weights are of images and the network is 3D."""
    return network.state_dict()[f"{network.first_conv}.weight"].dim() == 5 and is_of_images(weights)


def convert_names(network: Backbone, weights: Weights, inflate: str) -> Weights:
    """Return weights by the names of a network, those of images inflated if it is 3D; arguments as `start_from`."""
    plain, state = strip_prefix(weights), network.state_dict()
    if not is_inflation(network, plain):
        return network.in_dialect(plain) or plain
    flat = {name: x for name, x in network.of_images(plain, inflate).items() if name in state}
    longer = {name: state[name].shape[2] for name, x in flat.items() if (x.dim(), state[name].dim()) == (4, 5)}
    return flat | {name: inflated(flat[name], frames, inflate) for name, frames in longer.items()}


def start_from(network: Backbone, weights: Weights, source: str, inflate: str = DIVIDE) -> None:
    """Load weights but for the classifier and what joins segments, which stay as they are.

    Args:
        network: Changed.
        weights: By its names or those of a dialect; what it has not got, such as auxiliary classifiers, is left.
        source: Where they are from, for errors.
        inflate: How a 3D network takes those of images, see `inflated`.

    Raises:
        ValueError: If something is missing, of another shape or not finite.
    """
    named, state = convert_names(network, weights, inflate), network.state_dict()
    first, loaded = f"{network.first_conv}.weight", {}
    for name, parameter in state.items():
        if within(name, network.classifier) or within(name, CONSENSUS) or name.endswith("num_batches_tracked"):
            continue
        if name not in named and network.is_drawn(name):
            continue
        if name not in named:
            raise ValueError(f"{source}: weights of another network, which have no {name}: check --model")
        given = named[name]
        loaded[name] = (
            cross_modality(given, parameter.shape[1]) if name == first and given.dim() == parameter.dim() else given
        )
        if loaded[name].shape != parameter.shape:
            shapes = f"{tuple(given.shape)}, the network's is {tuple(parameter.shape)}"
            raise ValueError(f"{source}: {name} has shape {shapes}: check --model and its arguments")
    check_finite(loaded, source)
    network.load_state_dict(state | loaded)


def cross_modality(weight: Tensor, channels: int) -> Tensor:
    """Return the weights (out channels, in channels, ...) of a first convolution for so many input channels.

    Each has their mean; where there are as many already the weights are as they were.
    """
    if weight.shape[1] == channels:
        return weight
    return weight.mean(1, keepdim=True).expand(-1, channels, *weight.shape[2:]).contiguous()


def describe(network: Backbone, weights: Weights, path: Path, inflate: str = DIVIDE) -> str:
    """Return a line that says what a network begins with."""
    plain = strip_prefix(weights)
    first = f"{network.first_conv}.weight"
    inflates = is_inflation(network, plain)
    given, wanted = (named[first].shape[1] for named in (convert_names(network, plain, inflate), network.state_dict()))
    longer = f"; kernels of images are inflated ({inflate})" if inflates else ""
    mean = f"; its first convolution is the mean over {counted(given, 'channel')}, for {wanted}"
    return f"{path}: the network begins with it, but for the classifier{longer}{mean if given != wanted else ''}"
