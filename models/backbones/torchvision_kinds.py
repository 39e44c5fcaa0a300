"""Video networks of torchvision, whose layers, names of weights and answers are the library's: where the stages are."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.pooling import AvgPool3d, interpolate
from .contract import POOLED, Backbone, Weights
from .images import check_dropout

PREFIX = "torchvision:"
BODY = "body"


class TorchvisionNetwork(Backbone):
    """A video network of torchvision; a subclass of a kind says where its parts are, and one of a name states which.

    Attributes:
        name: Of torchvision's function.
        least: Frames, height and width that it takes at least.
    """

    name: ClassVar[str] = ""
    least: ClassVar[tuple[int, int, int]] = (1, 1, 1)
    kernel_dims: ClassVar = 3
    dialects: ClassVar = {"torchvision": {"": f"{BODY}."}}
    body: Any

    def make_body(self, in_channels: int, num_classes: int, **arguments: Any) -> None:
        """Build torchvision's network, with a first convolution for other streams than RGB."""
        from torchvision.models import get_model  # a second that other networks need not wait

        self.body = get_model(self.name, weights=None, num_classes=num_classes, **arguments)
        conv = cast(nn.Conv3d, self.get_submodule(self.first_conv))
        if in_channels != conv.in_channels:
            size: Any = {"kernel_size": conv.kernel_size, "stride": conv.stride, "padding": conv.padding}
            fresh = nn.Conv3d(in_channels, conv.out_channels, bias=conv.bias is not None, **size)
            nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
            self.set_submodule(self.first_conv, fresh)

    def drop_paths(self, share: float) -> None:
        """Have the last block dropped so often in training, and those before it less; raises ValueError."""
        from torchvision.ops import StochasticDepth

        drops = [module for module in self.body.modules() if isinstance(module, StochasticDepth)]
        most = max(drop.p for drop in drops)
        for drop in drops:
            drop.p *= check_dropout(share) / most

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        self.check_clip(*x.shape[2:])
        features = dict[str, Tensor]()
        x = self.stem(x)
        for stage in self.stages:
            features[stage], x = self.merge_segments(self.run_stage(stage, x))
        return features | {POOLED: self.head(x)}

    def check_clip(self, frames: int, height: int, width: int) -> None:
        """Refuse clips that the network cannot see.

        Raises:
            ValueError: Names the sizes that it takes.
        """
        if any(given < least for given, least in zip((frames, height, width), self.least, strict=True)):
            least = "{} frames of {} x {}".format(*self.least)
            given = f"--sample_duration {frames}, {height} x {width} pixels"
            raise ValueError(f"{given}: --model {PREFIX}{self.name} takes at least {least}")

    def stem(self, x: Tensor) -> Tensor:
        """Compute what the first stage reads of clips."""
        raise NotImplementedError

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """Compute the map of a stage, (N, C, T, H, W), from that of the one before it."""
        raise NotImplementedError

    def head(self, x: Tensor) -> Tensor:
        """Compute what the classifier reads, (N, C), from the last stage's map."""
        raise NotImplementedError


class VideoResNet(TorchvisionNetwork):
    """R3D, MC3 or R(2+1)D of 18 layers (Tran et al., CVPR 2018)."""

    stages: ClassVar[Mapping[str, Sequence[str]]] = {f"layer{i}": (f"{BODY}.layer{i}",) for i in (1, 2, 3, 4)}
    first_conv, classifier = f"{BODY}.stem.0", f"{BODY}.fc"

    def __init__(self, *, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.make_body(in_channels, num_classes)
        self.feature_channels = dict(zip((*self.stages, POOLED), (64, 128, 256, 512, 512), strict=True))

    def stem(self, x: Tensor) -> Tensor:
        return self.body.stem(x)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        return self.get_submodule(self.stages[stage][0])(x)

    def head(self, x: Tensor) -> Tensor:
        return self.body.avgpool(x).flatten(1)


S3D_LAYERS = {"conv2": (1, 4), "mixed3": (4, 7), "mixed4": (7, 13), "mixed5": (13, 16)}  # the first, and after the last


class S3D(TorchvisionNetwork):
    """S3D without gates (Xie et al., ECCV 2018).

    torchvision's last layer is a convolution over the means of 2 x 7 x 7 windows; here it is linear, with the same
    weights, and the means of its inputs are taken before it.

    Args:
        dropout: Before the classifier.

    Raises:
        ValueError: If the dropout cannot be.
    """

    least: ClassVar = (5, 17, 17)
    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        stage: tuple(f"{BODY}.features.{i}" for i in range(*part)) for stage, part in S3D_LAYERS.items()
    }
    first_conv, classifier = f"{BODY}.features.0.0.0", f"{BODY}.classifier.1"

    def __init__(self, *, in_channels: int, num_classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.make_body(in_channels, num_classes, dropout=check_dropout(dropout))
        self.feature_channels = dict(zip((*self.stages, POOLED), (192, 480, 832, 1024, 1024), strict=True))
        self.put_classifier(nn.Linear(1024, num_classes))

    def stem(self, x: Tensor) -> Tensor:
        return self.body.features[0](x)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        return self.body.features[slice(*S3D_LAYERS[stage])](x)

    def head(self, x: Tensor) -> Tensor:
        frames, height, width = x.shape[2:]
        window = min(2, frames), min(7, height), min(7, width)
        means = AvgPool3d(window, (1, 1, 1), (0, 0, 0))(x)
        return self.body.classifier[0](means.mean((2, 3, 4)))

    @classmethod
    def read_dialect(cls, weights: Weights) -> tuple[str, dict[str, Tensor] | None]:
        dialect, renamed = super().read_dialect(weights)
        name = f"{cls.classifier}.weight"
        return dialect, renamed and renamed | {name: renamed[name].flatten(1)}


class MViT(TorchvisionNetwork):
    """MViT (Fan et al., ICCV 2021; Li et al., CVPR 2022), a transformer whose tokens are pooled from stage to stage.

    torchvision takes 16 frames of 224 x 224 alone. For other clips the positions are interpolated here, as those of
    MViTv2 are relative to each other and interpolated there.

    Args:
        dropout: Before the classifier.
        drop_path: How often the last block is dropped in training.

    Raises:
        ValueError: If one of the two cannot be.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        "stage1": (f"{BODY}.blocks.0",),
        "stage2": (f"{BODY}.blocks.1", f"{BODY}.blocks.2"),
        "stage3": tuple(f"{BODY}.blocks.{i}" for i in range(3, 14)),
        "stage4": (f"{BODY}.blocks.14", f"{BODY}.blocks.15", f"{BODY}.norm"),
    }
    first_conv, classifier = f"{BODY}.conv_proj", f"{BODY}.head.1"

    def __init__(self, *, in_channels: int, num_classes: int, dropout: float = 0.5, drop_path: float = 0.2) -> None:
        super().__init__()
        self.make_body(in_channels, num_classes, dropout=check_dropout(dropout))
        self.drop_paths(drop_path)
        self.feature_channels = {}
        for stage in self.stages:
            linear = [layer for layer in self.blocks(stage)[-1].mlp if isinstance(layer, nn.Linear)]
            self.feature_channels[stage] = linear[-1].out_features
        self.feature_channels[POOLED] = self.num_features

    def blocks(self, stage: str) -> list[Any]:
        """Return the transformer blocks of a stage."""
        return [self.get_submodule(name) for name in self.stages[stage] if ".blocks." in name]

    def place(self, maps: Tensor) -> Tensor:
        """Return the maps of patches (N, C, t, h, w) as tokens that know their places, the class token first."""
        tokens, encoding = maps.flatten(2).transpose(1, 2), self.body.pos_encoding
        t, h, w = maps.shape[2:]
        space, time, first = encoding.spatial_pos, encoding.temporal_pos, encoding.class_pos
        if space is None or (t, (h, w)) == (encoding.temporal_size, encoding.spatial_size):
            return encoding(tokens)
        grid = space.T.unflatten(1, encoding.spatial_size)[None]
        space = F.interpolate(grid, (h, w), mode="bilinear")[0].flatten(1).T
        time = interpolate(time.T[None], t)[0].T
        places = torch.cat((first[None], (time[:, None] + space).flatten(0, 1)))
        return torch.cat((encoding.class_token.expand(len(tokens), 1, -1), tokens), 1) + places

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        features, maps = dict[str, Tensor](), self.body.conv_proj(x)
        tokens, places = self.place(maps), tuple(maps.shape[2:])
        for stage in self.stages:
            for block in self.blocks(stage):
                tokens, places = block(tokens, places)
            maps = tokens[:, 1:].transpose(1, 2).unflatten(2, places)  # the first one is the class token
            features[stage], kept = self.merge_segments(maps)
            tokens = torch.cat((tokens[:, :1], kept.flatten(2).transpose(1, 2)), 1)
        return features | {POOLED: self.body.head[0](self.body.norm(tokens)[:, 0])}


class Swin3d(TorchvisionNetwork):
    """Video Swin Transformer (Liu et al., CVPR 2022).

    Args:
        drop_path: How often the last block is dropped in training.

    Raises:
        ValueError: If that cannot be.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        "stage1": (f"{BODY}.features.0",),
        "stage2": (f"{BODY}.features.1", f"{BODY}.features.2"),
        "stage3": (f"{BODY}.features.3", f"{BODY}.features.4"),
        "stage4": (f"{BODY}.features.5", f"{BODY}.features.6", f"{BODY}.norm"),
    }
    first_conv, classifier = f"{BODY}.patch_embed.proj", f"{BODY}.head"

    def __init__(self, *, in_channels: int, num_classes: int, drop_path: float = 0.1) -> None:
        super().__init__()
        self.make_body(in_channels, num_classes)
        self.drop_paths(drop_path)
        width = self.num_features
        self.feature_channels = dict(zip(self.stages, (width // 8, width // 4, width // 2, width), strict=True))
        self.feature_channels[POOLED] = width

    def stem(self, x: Tensor) -> Tensor:
        return self.body.pos_drop(self.body.patch_embed(x)).movedim(-1, 1)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        x = x.movedim(1, -1)
        for name in self.stages[stage]:
            x = self.get_submodule(name)(x) if ".features." in name else x
        return x.movedim(-1, 1)

    def head(self, x: Tensor) -> Tensor:
        return self.body.norm(x.movedim(1, -1)).mean((1, 2, 3))
