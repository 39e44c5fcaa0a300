"""Image networks of timm by name, https://huggingface.co/docs/timm: their stages are those that timm names.

Which modules learn with which stage, and how maps lie in memory, is seen from one pass without numbers.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from inspect import signature
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from .contract import POOLED, ModelSpec, within
from .images import ImageNetwork, check_dropout, input_of_images
from .layout import merge_frames, split_frames

PREFIX = "timm:"
BODY = "body"
ANY_SIZE = {"dynamic_img_size": True, "strict_img_size": False}  # of transformers that are made for one size else


def library() -> ModuleType:
    """Return the module timm.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import timm
    except ImportError:
        raise ValueError(f"--model {PREFIX}NAME needs timm: pip install timm") from None
    return timm


class Form(NamedTuple):
    """How the map of a stage lies in memory.

    Attributes:
        channels: Its channels.
        axis: Where they are: 1 in (N, C, H, W), -1 in (N, H, W, C) and in (N, tokens, C).
        tokens: Tokens before those of places; -1 for a map.
    """

    channels: int
    axis: int
    tokens: int = -1


class TimmNetwork(ImageNetwork):
    """A network of timm; a subclass of a name states which.

    Args:
        dropout: Before the classifier, as timm places it.
        drop_path: Of timm's `drop_path_rate`, where the network has it.

    Raises:
        ValueError: If there is no such argument, or a dropout cannot be.
    """

    name: ClassVar[str]
    sized: ClassVar[Mapping[str, bool]]  # arguments with which it takes images of any size
    forms: ClassVar[Mapping[str, Form]]
    modules_of: ClassVar[Mapping[str, str]]  # stage -> its module in timm's network
    dialects: ClassVar = {"timm": {"": f"{BODY}."}}

    def __init__(self, *, in_channels: int, num_classes: int, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        given = {"drop_path_rate": check_dropout(drop_path)} if drop_path else {}
        drop_rate = check_dropout(dropout)
        self.body = make(
            self.name, in_chans=in_channels, num_classes=num_classes, drop_rate=drop_rate, **self.sized, **given
        )
        self.feature_channels = {stage: form.channels for stage, form in self.forms.items()}
        self.feature_channels[POOLED] = self.num_features

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        frames, features = x.shape[2], dict[str, Tensor]()
        hooks = [
            self.body.get_submodule(module).register_forward_hook(partial(self.note, features, frames, stage))
            for stage, module in self.modules_of.items()
        ]
        try:
            last = self.body.forward_features(merge_frames(x))
        except AssertionError as error:  # of networks of one size
            raise ValueError(f"--sample_size {x.shape[-1]}, --model {PREFIX}{self.name}: {error}") from error
        finally:
            for hook in hooks:
                hook.remove()
        pooled = self.body.forward_head(last, pre_logits=True)
        return features | {POOLED: pooled.unflatten(0, (-1, frames)).mean(1)}

    def note(
        self, features: dict[str, Tensor], frames: int, stage: str, module: nn.Module, given: object, gave: Tensor
    ) -> Tensor:
        """Note the map of a stage as a feature of clips, and give it back as the next stage reads it (forward hook)."""
        tokens, form = gave, self.forms[stage]
        if form.tokens >= 0:
            places = tokens.shape[1] - form.tokens
            side = round(places**0.5)
            gave = tokens[:, form.tokens :].unflatten(1, (side, side))
        images = gave if form.axis == 1 else gave.movedim(-1, 1)
        features[stage], kept = self.merge_segments(split_frames(images, frames))
        images = merge_frames(kept)
        gave = images if form.axis == 1 else images.movedim(1, -1)
        return gave if form.tokens < 0 else torch.cat([tokens[:, : form.tokens], gave.flatten(1, 2)], 1)


@cache
def timm_spec(model: str) -> ModelSpec:
    """Return the entry of a network of timm's, like "timm:resnet18".

    Raises:
        ValueError: If timm is not installed or has no such network, or it is not of the kind that can be wrapped.
    """
    timm, name = library(), model.removeprefix(PREFIX)
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.partition('.')[0][:6]}*")[:5])
        raise ValueError(f"--model {model}: timm has no such network{f'; it has {near}' if near else ''}")
    with torch.device("meta"):
        plain = make(name)
        taken = signature(type(plain).__init__).parameters
        sized = {argument: value for argument, value in ANY_SIZE.items() if argument in taken}
        body = make(name, **sized).eval() if sized else plain.eval()
    config = body.pretrained_cfg
    side = config["input_size"][-1]
    mean, std = (tuple(255.0 * value for value in config[name]) for name in ("mean", "std"))
    stated = {"name": name, "sized": sized, **parts_of(model, body, side), "__doc__": TimmNetwork.__doc__}
    build = cast(type[TimmNetwork], type("Timm_" + name.replace(".", "_"), (TimmNetwork,), stated))
    return ModelSpec(build, input_spec=input_of_images(mean, std, size=side))


def make(name: str, **arguments: Any) -> Any:
    """Build a network of timm's with random weights."""
    return library().create_model(name, pretrained=False, **arguments)


def parts_of(model: str, body: Any, side: int) -> dict[str, Any]:
    """Return the class attributes of a `TimmNetwork`, from a pass without numbers through timm's, in eval mode.

    Raises:
        ValueError: If something is missing.
    """
    first, classifier = (str(body.pretrained_cfg.get(key)) for key in ("first_conv", "classifier"))
    modules, wraps = dict(body.named_modules()), "pre_logits" in signature(body.forward_head).parameters
    reductions = [(info["module"], info["num_chs"]) for info in getattr(body, "feature_info", None) or ()]
    if reductions and not any(
        isinstance(layer, nn.Conv2d | nn.Linear) for layer in modules[reductions[0][0]].modules()
    ):
        reductions = reductions[1:]  # the stem
    ends: list[tuple[str, Any]] = []  # modules in the order in which they are through, with what they gave
    hooks = [
        module.register_forward_hook(lambda _, given, gave, name=name: ends.append((name, gave)))
        for name, module in modules.items()
        if name in dict(reductions) or list(module.parameters(recurse=False))
    ]
    body(torch.empty(2, 3, side, side, device="meta"))
    for hook in hooks:
        hook.remove()
    forms = [
        form_of(dict(ends).get(name), channels, getattr(body, "num_prefix_tokens", 0)) for name, channels in reductions
    ]
    fits = isinstance(modules.get(first), nn.Conv2d) and isinstance(modules.get(classifier), nn.Linear)
    if not (reductions and wraps and fits and all(forms)):
        raise ValueError(f"--model {model}: lacks one first convolution, stages with maps or one linear classifier")
    names = [name.replace(".", "_") for name, _ in reductions]
    owned = share_out([name for name, _ in ends], [name for name, _ in reductions], classifier)
    return {
        "stages": {stage: [f"{BODY}.{name}" for name in parts] for stage, parts in zip(names, owned, strict=True)},
        "forms": dict(zip(names, forms, strict=True)),
        "modules_of": dict(zip(names, (name for name, _ in reductions), strict=True)),
        "first_conv": f"{BODY}.{first}",
        "classifier": f"{BODY}.{classifier}",
    }


def form_of(gave: Any, channels: int, prefix: int) -> Form | None:
    """Return how a map of so many channels lies in memory; None if it is none."""
    if not isinstance(gave, Tensor):
        return None
    if gave.dim() == 4 and channels in (gave.shape[1], gave.shape[3]):
        return Form(channels, 1 if gave.shape[1] == channels else -1)
    square = gave.dim() == 3 and round((gave.shape[1] - prefix) ** 0.5) ** 2 == gave.shape[1] - prefix
    return Form(channels, -1, prefix) if square and gave.shape[2] == channels else None


def share_out(order: Sequence[str], stages: Sequence[str], classifier: str) -> list[list[str]]:
    """Return the modules that learn with each stage: itself, and what comes after the one before it or after the last.

    `order` has the modules as they are through, and `stages` those of them that are stages; the classifier is in none.
    """
    owned, current = [[stage] for stage in stages], 0
    for name in order:
        if current < len(stages) and name == stages[current]:
            current += 1
        elif current and name != classifier and not any(within(name, stage) for stage in stages):
            owned[min(current, len(stages) - 1)].append(name)
    return owned


def timm_weights(model: str) -> tuple[str, str]:
    """Return the address of timm's weights of a network, and the name of their file.

    Raises:
        ValueError: If timm has none, or has not this network.
    """
    name = model.removeprefix(PREFIX)
    timm_spec(model)
    config = library().get_pretrained_cfg(name)
    if config.url:
        return config.url, config.url.rpartition("/")[2]
    if not config.hf_hub_id:
        raise ValueError(f"--init imagenet: timm has no weights of {name}; leave it out")
    return f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors", f"{name}.safetensors"
