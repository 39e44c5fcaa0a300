"""GoogLeNet (Szegedy et al., CVPR 2015) with batch norms, of torchvision.

torchvision has no BN-Inception (Ioffe and Szegedy, ICML 2015), the network of TSN; this is the nearest that it has.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from .contract import POOLED
from .images import ImageNetwork, check_dropout

POOLS = {"inception4": "maxpool3", "inception5": "maxpool4"}  # before a stage


class GoogLeNet(ImageNetwork):
    """torchvision's GoogLeNet without the auxiliary classifiers.

    Its ImageNet weights want inputs from -1 to 1, which is the `View` of the entry.

    Args:
        in_channels: Of an image.
        num_classes: Width of the classifier.
        dropout: Before the classifier: 0.2 as published, 0.8 RGB and 0.7 flow in TSN.

    Raises:
        ValueError: If the dropout cannot be.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        "inception3": ("inception3a", "inception3b"),
        "inception4": tuple(f"inception4{letter}" for letter in "abcde"),
        "inception5": ("inception5a", "inception5b"),
    }
    first_conv, classifier = "conv1.conv", "fc"

    def __init__(self, *, in_channels: int, num_classes: int, dropout: float = 0.2) -> None:
        from torchvision.models.googlenet import BasicConv2d  # a second that other networks need not wait
        from torchvision.models.googlenet import GoogLeNet as Published

        super().__init__()
        published = Published(num_classes, aux_logits=False, init_weights=False, dropout=check_dropout(dropout))
        for name, module in published.named_children():
            self.add_module(name, module)
        if in_channels != 3:
            self.conv1 = BasicConv2d(in_channels, 64, kernel_size=7, stride=2, padding=3)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.feature_channels = {"inception3": 480, "inception4": 832, "inception5": 1024, POOLED: 1024}

    def stem(self, images: Tensor) -> Tensor:
        for name in ("conv1", "maxpool1", "conv2", "conv3", "maxpool2"):
            images = self.get_submodule(name)(images)
        return images

    def run_stage(self, stage: str, images: Tensor) -> Tensor:
        for name in (*([POOLS[stage]] if stage in POOLS else []), *self.stages[stage]):
            images = self.get_submodule(name)(images)
        return images

    def head(self, images: Tensor) -> Tensor:
        return self.get_submodule("dropout")(images.mean((2, 3)))
