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

from .backbones import Backbone
from .backbones.contract import CONSENSUS, Weights, within
from .backbones.inflation import DIVIDE, inflated, is_of_images
from .backbones.timm_networks import PREFIX, timm_weights
from .weights import check_finite, strip_prefix, weights_of

RANDOM, IMAGENET = "random", "imagenet"
DEPTHS = {"resnet2d": "resnet{depth}", "vgg": "vgg{depth}", "googlenet": "googlenet"}  # names of torchvision


def published_weights(origin: Mapping[str, Any]) -> tuple[str, str]:
    """Return the address of the ImageNet weights of a network, and the name of their file.

    Those of torchvision are the first ones of each network, which the two-stream networks began with.

    Args:
        origin: {"name", "args"} of it.

    Raises:
        ValueError: If nobody publishes any.
    """
    name, arguments = origin["name"], origin["args"]
    if name.startswith(PREFIX):
        return timm_weights(name)
    if name not in DEPTHS or arguments.get("width", 1.0) != 1.0:
        wide = f" of --width {arguments['width']}" if name in DEPTHS else ""
        raise ValueError(f"--init {IMAGENET}: there are no such weights for --model {name}{wide}; leave it out")
    from torchvision.models import get_model_weights  # a second that others need not wait

    known = DEPTHS[name].format(**arguments) + ("_bn" if arguments.get("batch_norm") else "")
    address = str(get_model_weights(known)["IMAGENET1K_V1"].url)
    return address, address.rpartition("/")[2]


def find_weights(init: str, origin: Mapping[str, Any], *, download: bool) -> Path:
    """Return the file of the weights that `--init` names.

    Args:
        init: `IMAGENET`, or a path.
        origin: {"name", "args"} of the network.
        download: Whether a file that is not in torch's cache is fetched.

    Raises:
        ValueError: If there are none for this network.
        FileNotFoundError: Names the path, the address and the option.
    """
    if init != IMAGENET:
        if not Path(init).is_file():
            raise FileNotFoundError(f"--init {init}: there is no such file; give {IMAGENET}, {RANDOM} or a path")
        return Path(init)
    address, name = published_weights(origin)
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        if not download:
            raise FileNotFoundError(f"--init {IMAGENET}: no {path}; get it with --download, or put {address} there")
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


def by_own_names(network: Backbone, weights: Weights, inflate: str) -> Weights:
    """Return weights by the names of a network, those of images inflated if it is 3D; arguments as `start_from`."""
    plain, state = strip_prefix(weights), network.state_dict()
    if state[f"{network.first_conv}.weight"].dim() != 5 or not is_of_images(plain):
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
    named, state = by_own_names(network, weights, inflate), network.state_dict()
    first, loaded = f"{network.first_conv}.weight", {}
    for name, own in state.items():
        if within(name, network.classifier) or within(name, CONSENSUS) or name.endswith("num_batches_tracked"):
            continue
        if name not in named:
            raise ValueError(f"{source}: weights of another network, which have no {name}: check --model")
        given = named[name]
        loaded[name] = cross_modality(given, own.shape[1]) if name == first and given.dim() == own.dim() else given
        if loaded[name].shape != own.shape:
            shapes = f"{tuple(given.shape)}, the network's is {tuple(own.shape)}"
            raise ValueError(f"{source}: {name} has shape {shapes}: check --model and its arguments")
    check_finite(loaded, source)
    network.load_state_dict(state | loaded)


def cross_modality(weight: Tensor, channels: int) -> Tensor:
    """Return the weights of a first convolution for so many input channels: their mean for each of them.

    Args:
        weight: Shape (out channels, in channels, ...); as it is where these are as many.
        channels: Wanted.
    """
    if weight.shape[1] == channels:
        return weight
    return weight.mean(1, keepdim=True).expand(-1, channels, *weight.shape[2:]).contiguous()


def describe(network: Backbone, weights: Weights, path: Path) -> str:
    """Return a line that says what a network begins with."""
    plain = strip_prefix(weights)
    first = f"{network.first_conv}.weight"
    given, wanted = (named[first].shape[1] for named in (network.in_dialect(plain) or plain, network.state_dict()))
    mean = f"; its first convolution is the mean over {counted(given, 'channel')}, for {wanted}"
    return f"{path}: the network begins with it, but for the classifier{mean if given != wanted else ''}"
