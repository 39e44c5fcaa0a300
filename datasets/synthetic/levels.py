"""The levels of made-up videos, from their classes to a film."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import moving_objects
from .conditions import Conditions
from .files import SPLITS, TEST, TRAIN, UNUSED, Tags, shared_splits
from .layers import ExactFlow
from .scenes import Video, build_scene, render_scene

OTHER_DRAWS = 7919  # keeps draws of themes and of compression apart from those of looks


class Film(NamedTuple):
    """Frames (T, H, W, 3), BGR, as a camera saw them, their exact flow, and how coarsely they are to be compressed."""

    pixels: NDArray[np.uint8]
    exact: ExactFlow | None
    quantiser: int | None


@dataclass(frozen=True)
class Level:
    """A level: its classes, what its videos are by default, and how they are filmed."""

    classes: tuple[str, ...]  # in the order of their names
    size: int  # height and width, pixels
    frames: int
    conditions: Conditions | None = None  # how a figure is filmed; None of the level that has no figure

    def film(self, video: Video, *, size: int, frames: int, seed: int, exact: bool = False) -> Film:
        """Film a video, with its flow if it is to be `exact`.

        The same pixels for the same arguments, whatever was drawn before.
        """
        if self.conditions is None:
            return film_object(video, size, frames, seed, exact)
        scene = build_scene(video, self.conditions, size, frames, seed)
        drawn, flow = render_scene(scene, size, frames, exact)
        rng = np.random.default_rng([seed, video.source, video.clip + 1, OTHER_DRAWS])
        least, most = self.conditions.quantiser
        return Film(scene.light.shine(drawn), flow, int(rng.integers(least, most + 1)))

    def tags(self, label: int, train_sources: int, test_sources: int) -> Tags:
        """Return the sources of a class, and for what they are in each of the splits; no two classes share one."""
        if self.conditions is None:
            sources = train_sources + test_sources
            return shared_splits(range(label * sources, (label + 1) * sources), test_sources)
        tags: dict[int, list[int]] = {}
        for split, index in enumerate(SPLITS):
            for tag, number in ((TRAIN, train_sources), (TEST, test_sources)):
                for j in islice(pool(tag, index), number):
                    source = (2 * j + (tag == TEST)) * len(self.classes) + label
                    tags.setdefault(source, [UNUSED] * len(SPLITS))[split] = tag
        return {source: tuple(tags[source]) for source in sorted(tags)}

    def theme(self, label: int, source: int, *, bias: float, seed: int) -> float:
        """Draw the colours of a source, of as many as there are classes.

        With probability `bias` a source for training has those of its class; all others have any.
        """
        rng = np.random.default_rng([seed, source, OTHER_DRAWS])
        follows, other = rng.uniform() < bias, int(rng.integers(len(self.classes)))
        trains = (source // len(self.classes)) % 2 == 0
        return (label if follows and trains else other) / len(self.classes)


def film_object(video: Video, size: int, frames: int, seed: int, exact: bool) -> Film:
    """Film a moving object, which has no theme."""
    named = video[:3]
    pixels, _ = moving_objects.render(*named, size=size, frames=frames, seed=seed)
    flow = moving_objects.exact_flow(*named, size=size, frames=frames, seed=seed) if exact else None
    return Film(pixels, flow, None)


def pool(tag: int, split: int) -> Iterator[int]:
    """Return the numbers of sources for training or the test of a split, without end.

    A third of each pool is a split's own: its test videos are in no other test, and of its training videos half are in
    another split's training. More videos leave those in place that fewer have.
    """
    return (j for j in count() if (j % len(SPLITS) == split - 1) == (tag == TEST))


STANDARD = Conditions(
    wall=(55, 95),
    clutter=11.0,
    tones=(150.0, 190.0),
    pan=0.35,
    shake=0.15,
    zoom=0.004,
    roll=0.02,
    drift=0.3,
    gain=0.08,
    slope=0.2,
    flicker=0.0,
    passers=(0, 2),
    before=0.0,
    quantiser=(2, 5),
)
HARD = Conditions(
    wall=(90, 140),
    clutter=20.0,
    tones=(65.0, 180.0),
    pan=0.8,
    shake=0.4,
    zoom=0.01,
    roll=0.06,
    drift=0.6,
    gain=0.2,
    slope=0.4,
    flicker=0.03,
    passers=(1, 4),
    before=0.4,
    quantiser=(4, 10),
)
PAIRS = ("pick_up", "put_down", "stand_up", "sit_down", "open", "close", "push", "pull")  # each and its reversal
SINGLE = ("clap", "jump", "kick", "wave")
LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "easy": Level(moving_objects.CLASSES, size=48, frames=20),
        "standard": Level(tuple(sorted((*PAIRS, *SINGLE))), size=64, frames=24, conditions=STANDARD),
        "hard": Level(
            tuple(sorted((*PAIRS, *SINGLE, "walk", "walk_back", "throw", "catch"))),
            size=64,
            frames=24,
            conditions=HARD,
        ),
    }
)
