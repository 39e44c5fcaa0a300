"""Actions of a figure as motions of its hips, hands and feet and of the things that it handles.

Points are complex, x + iy, in heights of the figure: it faces along x, the floor is at 0, and up is negative. Of two
actions that are each other's reversal in time one alone is described here, see `REVERSED`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Path = NDArray[np.complex128]
Times = NDArray[np.floating[Any]]

STANDING, ANKLE = 0.53, 0.03  # heights of the hips and of the ankles of a standing figure
TORSO, THIGH, SHIN, UPPER_ARM, FOREARM = 0.3, 0.26, 0.26, 0.17, 0.17
BOX, LID, ITEM = (0.34, 0.25), 0.05, 0.075  # width and height of the box; height of its lid; radius of the item
NARROW = 0.04  # distance of the feet from the middle
REVERSED: Mapping[str, str] = MappingProxyType(  # class -> the class of the reversed film
    {
        "put_down": "pick_up",
        "sit_down": "stand_up",
        "close": "open",
        "pull": "push",
        "walk_back": "walk",
        "catch": "throw",
    }
)


@dataclass
class Motion:
    """Paths of shape (T,); the box and the item are None where the action needs none."""

    hip: Path
    lean: Times  # of the torso to the front, radians
    hands: tuple[Path, Path]  # the near and the far one
    feet: tuple[Path, Path]  # ankles
    box: Path | None = None  # middle of its floor
    lid: Times | None = None  # angle to which it is open, radians
    item: Path | None = None


def up(x: float | Times, y: float | Times, frames: int | None = None) -> Path:
    """Return points at `x` to the front and `y` above the floor, (T,)."""
    points = np.asarray(x) - 1j * np.asarray(y)
    return np.broadcast_to(points, (frames,)).copy() if frames else points


def shoulders(hip: Path, lean: Times) -> Path:
    """Return where the arms begin."""
    return hip - 1j * TORSO * np.exp(1j * lean)


def between(first: Path, last: Path, share: Times) -> Path:
    """Return points that go from the first to the last."""
    return first + (last - first) * share


def standing(frames: int) -> Motion:
    """Return the motion of a figure that stands still with hanging arms."""
    hip, lean = up(0, STANDING, frames), np.zeros(frames)
    return Motion(hip, lean, hanging(hip, lean), (up(NARROW, ANKLE, frames), up(-NARROW, ANKLE, frames)))


def hanging(hip: Path, lean: Times) -> tuple[Path, Path]:
    """Return the hands of hanging arms."""
    shoulder = shoulders(hip, lean)
    return shoulder + up(0.05, -0.32), shoulder + up(0.0, -0.32)


def progress(frames: int, rng: np.random.Generator) -> Times:
    """Draw a passage from 0 to 1 that begins and ends within the film, smoothly."""
    first, last = rng.uniform(-0.05, 0.15), rng.uniform(0.85, 1.05)
    t = np.clip((np.linspace(0, 1, frames) - first) / (last - first), 0, 1)
    return t * t * (3 - 2 * t)


def phase(frames: int, rng: np.random.Generator, period: tuple[float, float]) -> Times:
    """Draw the phase, in radians, of a movement with a period in frames from this range."""
    begin = rng.uniform(0, 2 * np.pi)
    return begin + 2 * np.pi * np.arange(frames) / rng.uniform(*period)


def pick_up(frames: int, rng: np.random.Generator) -> Motion:
    """Rise from the knees with the item."""
    share = progress(frames, rng)
    hip, lean = between(up(-0.12, 0.26), up(0, STANDING), share), 1.1 * (1 - share)
    item = between(up(0.28, ITEM), up(0.24, 0.66), share)
    still = standing(frames)
    return Motion(hip, lean, (item, item - 0.03), still.feet, item=item)


def stand_up(frames: int, rng: np.random.Generator) -> Motion:
    """Rise from a seat on the box, leaning to the front on the way."""
    share = progress(frames, rng)
    hip = between(up(-0.22, BOX[1] + LID + 0.055), up(0, STANDING), share)
    lean = 0.1 * (1 - share) + 0.7 * np.sin(np.pi * share)
    hands = between(up(0.22, -0.2), up(0.05, -0.32), share) + shoulders(hip, lean)
    return Motion(hip, lean, (hands, hands - 0.03), standing(frames).feet, box=up(-0.27, 0, frames))


def lift_lid(frames: int, rng: np.random.Generator) -> Motion:
    """Lift the lid of the box by its near edge."""
    share = progress(frames, rng)
    box, angle = up(0.37, 0, frames), 0.05 + 1.7 * share
    hip, lean = between(up(-0.02, 0.42), up(0.06, 0.52), share), 0.9 - 0.45 * share
    edge = box + up(BOX[0] / 2, BOX[1]) - 0.9 * BOX[0] * np.exp(1j * angle)
    hands = (edge, hanging(hip, lean)[1])
    return Motion(hip, lean, hands, standing(frames).feet, box=box, lid=angle)


def push(frames: int, rng: np.random.Generator) -> Motion:
    """Walk behind the box, bent over it, both hands on it."""
    motion = walk(frames, rng)
    motion.hip += up(0, 0.42 - STANDING)
    motion.lean = np.full(frames, 1.0)
    hand = motion.hip.real + up(0.38, BOX[1] + 0.01, frames)
    motion.hands, motion.box = (hand, hand - 0.03), motion.hip.real + up(0.33 + BOX[0] / 2, 0, frames)
    return motion


def walk(frames: int, rng: np.random.Generator) -> Motion:
    """Walk to the front; a foot on the floor stays where it is."""
    speed, stride = rng.uniform(0.022, 0.032), rng.uniform(0.42, 0.52)  # heights per frame, per two steps
    x = speed * (np.arange(frames) - (frames - 1) / 2)
    steps = x / stride + rng.uniform()
    feet = tuple(x + foot(steps + shift, stride) for shift in (0, 0.5))
    hip, lean = x + up(0, STANDING - 0.02 + 0.01 * np.cos(4 * np.pi * steps)), np.full(frames, 0.08)
    swing = 0.6 * np.sin(2 * np.pi * steps)
    shoulder = shoulders(hip, lean)
    hands = (shoulder + 0.32j * np.exp(1j * swing), shoulder + 0.32j * np.exp(-1j * swing))
    return Motion(hip, lean, hands, (feet[0], feet[1]))


def foot(steps: Times, stride: float) -> Path:
    """Return an ankle relative to the hips: on the floor in the first half of a step, and back through the air."""
    t = steps % 1
    back = np.clip(2 * t - 1, 0, 1)
    back = back * back * (3 - 2 * back)
    x = np.where(t < 0.5, stride * (0.25 - t), stride * (back - 0.5) / 2)
    return up(x, ANKLE + 0.07 * np.sin(np.pi * back))


def wave(frames: int, rng: np.random.Generator) -> Motion:
    """Swing an arm above the head."""
    motion, swing = standing(frames), rng.uniform(0.6, 0.9) * np.sin(phase(frames, rng, (9, 13)))
    shoulder = shoulders(motion.hip, motion.lean)
    motion.hands = (shoulder - 0.32j * np.exp(1j * (0.25 + swing)), motion.hands[1])
    return motion


def clap(frames: int, rng: np.random.Generator) -> Motion:
    """Clap the hands before the chest."""
    motion = standing(frames)
    apart = rng.uniform(0.13, 0.17) * (1 + np.cos(phase(frames, rng, (9, 13)))) / 2
    middle = shoulders(motion.hip, motion.lean) + up(0.24, -0.03)
    motion.hands = (middle - 1j * apart, middle + 1j * apart)
    return motion


def jump(frames: int, rng: np.random.Generator) -> Motion:
    """Jump up and down, arms and all."""
    motion, height = standing(frames), np.sin(phase(frames, rng, (12, 16)))
    flight, crouch = rng.uniform(0.14, 0.2) * np.maximum(height, 0), np.maximum(-height, 0)
    motion.hip = motion.hip - 1j * flight + 0.14j * crouch
    motion.lean = 0.4 * crouch
    motion.feet = (motion.feet[0] - 1j * flight, motion.feet[1] - 1j * flight)
    swing = np.exp(1j * (0.6 - 1.2 * np.clip(height, -0.5, 1)))
    shoulder = shoulders(motion.hip, motion.lean)
    motion.hands = (shoulder + 0.32j * swing, shoulder + 0.32j * swing - 0.03)
    return motion


def kick(frames: int, rng: np.random.Generator) -> Motion:
    """Swing a leg to the front and back."""
    motion = standing(frames)
    swing = 0.35 + rng.uniform(0.7, 0.9) * np.sin(phase(frames, rng, (11, 15)))
    motion.feet = (motion.hip + 0.5j * np.exp(-1j * swing), motion.feet[1])
    motion.lean = -0.15 * swing
    motion.hands = hanging(motion.hip, motion.lean)
    return motion


def throw(frames: int, rng: np.random.Generator) -> Motion:
    """Swing the item from behind and let it fly."""
    motion, t = standing(frames), np.arange(frames, dtype=np.float64)
    leaves = frames * rng.uniform(0.4, 0.6)
    swing = np.clip((t - leaves) / 10, -1, 0.3)  # of the arm, from behind over the head to the front
    shoulder = shoulders(motion.hip, motion.lean)
    hand = shoulder + 0.32 * np.exp(1j * (2.6 * swing - 0.7))
    flight = np.maximum(t - leaves, 0)
    released = shoulder + 0.32 * np.exp(-0.7j)
    item = np.where(t < leaves, hand, released + up(0.05 * flight, 0.022 * flight - 0.0022 * flight**2))
    motion.hands, motion.item = (hand, motion.hands[1]), item
    return motion


ACTIONS: dict[str, Callable[[int, np.random.Generator], Motion]] = {
    "clap": clap,
    "jump": jump,
    "kick": kick,
    "open": lift_lid,
    "pick_up": pick_up,
    "push": push,
    "stand_up": stand_up,
    "throw": throw,
    "walk": walk,
    "wave": wave,
}
