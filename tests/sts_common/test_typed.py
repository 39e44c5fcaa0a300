"""Arguments of a wrong type are refused by name, in one line, before anything is done."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import sts_net
from engine.training.settings import create_settings
from models.distill import OutputShapes
from sts_common.typed import typed

SHAPES = OutputShapes({}, 3)


@typed
def take(
    number: int = 1,
    *,
    rate: float | None = None,
    file: str | Path = "",
    names: Sequence[str] = (),
    weights: Sequence[float] = (),
    by_name: Mapping[str, int] | None = None,
    each: Callable[[int], int] | None = None,
    items: Iterable[int] = (),
    flag: bool = False,
    **others: int,
) -> int:
    return number


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"number": "1"}, r"take: number='1': must be a whole number"),
        ({"number": True}, r"take: number=True: must be a whole number"),
        ({"number": 1.0}, r"take: number=1.0: must be a whole number"),
        ({"rate": "a"}, r"take: rate='a': must be a number or None"),
        ({"file": ["a"]}, r"take: file=\['a'\]: must be a string or a path"),
        ({"names": "abc"}, r"take: names='abc': must be a list, each item a string"),
        ({"names": [1]}, r"take: names=\[1\]: must be a list, each item a string"),
        (
            {"by_name": {"a": "b"}},
            "take: by_name={'a': 'b'}: must be a mapping by name, each value a whole .* or None",
        ),
        ({"each": 3}, r"take: each=3: must be a function or None"),
        ({"items": "12"}, r"take: items='12': must be a list, each item a whole number"),
        ({"flag": "yes"}, r"take: flag='yes': must be True or False"),
        ({"names": ["x\n" * 99, 1]}, r"take: names=[^\n]{80}\.\.\.: must be a list, each item a string"),
    ],
)
def test_a_wrong_type_is_refused_by_name(values, problem):
    with pytest.raises(ValueError, match=f"^{problem}$"):
        take(**values)


def test_what_is_of_its_type_is_taken():
    assert take(np.int64(3), rate=2, file=Path("a"), names=("a", "b"), by_name={"a": 1}, each=abs, anything="x") == 3
    for weights in (np.ones(2), torch.ones(2), [1, 0.5]):
        assert take(weights=weights, items=iter([1]), each=None) == 1


def test_an_argument_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"^make_loader: .*'workers'; it takes videos, clips, batch_size, .*n_workers"):
        sts_net.make_loader(None, workers=2)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: sts_net.open_videos("a", "b", video_fps="25"), r"open_videos: video_fps='25': must be a number"),
        (lambda: sts_net.ClipOptions(length="16"), r"ClipOptions: length='16': must be a whole number"),
        (lambda: sts_net.ClipOptions(augment="erasing"), r"ClipOptions: augment='erasing': must be a list"),
        (lambda: sts_net.ClipOptions(short_side=-5), r"--short_side must be >= 1, got -5"),
        (lambda: sts_net.Recipe(short_side="128"), r"Recipe: short_side='128': must be a whole number or None"),
        (lambda: sts_net.FlowRecipe(bound="20"), r"FlowRecipe: bound='20': must be a number"),
        (lambda: sts_net.FlowRecipe(name="tvl2"), r"flow tvl2: is none of tvl1, "),
        (
            lambda: sts_net.create_model("resnet", 3, 3, depth="10"),
            r"--model resnet: depth='10': must be a whole number",
        ),
        (lambda: sts_net.create_model("resnet", 3, 3, depth=10, no_max_pool="on"), "--model resnet: no_max_pool='on'"),
        (lambda: sts_net.create_distiller("dkd", SHAPES, SHAPES, alpha="1"), r"dkd: alpha='1': must be a number"),
        (lambda: create_settings(n_epochs="3"), r"fit: n_epochs='3': must be a whole number"),
    ],
)
def test_the_interface_refuses_wrong_types(call, problem):
    with pytest.raises(ValueError, match=rf"^{problem}"):
        call()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"checkpoint": 0}, r"--checkpoint must be >= 1, got 0"),
        ({"iter_size": 0}, r"--iter_size must be >= 1, got 0"),
        *(({name: -1}, f"--{name} must be >= 0, got -1") for name in ("save_steps", "keep", "profile")),
        ({"clip_grad": -1.0}, r"--clip_grad must be >= 0, got -1"),
        ({"learning_rate": float("nan")}, r"--learning_rate must be >= 0, got nan"),
        ({"begin_epoch": 5, "n_epochs": 1}, r"--begin_epoch 5: is after the last, --n_epochs 1"),
    ],
)
def test_settings_outside_their_limits_are_refused(settings, problem):
    with pytest.raises(ValueError, match=rf"^{problem}$"):
        create_settings(**settings)
