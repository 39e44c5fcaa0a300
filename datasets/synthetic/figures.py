"""An articulated figure: its joints by inverse kinematics, its limbs as layers."""

from dataclasses import dataclass

import numpy as np

from .actions import FOREARM, SHIN, THIGH, TORSO, UPPER_ARM, Motion, Path, shoulders
from .layers import Layer
from .shapes import disc, limb
from .surfaces import Array

BACKWARD, FORWARD = 1, -1  # to which side a joint bends
HEAD, NECK, TOE = 0.082, 0.13, 0.09  # radius; distance of its middle from the shoulders; length of a foot
GRAIN = 40.0  # pixels of a texture per height of a figure


@dataclass(frozen=True)
class Looks:
    """Surfaces of a figure and how stout it is."""

    skin: Array
    shirt: Array
    trousers: Array
    stout: float


def bend(root: Path, target: Path, lengths: tuple[float, float], side: int) -> tuple[Path, Path]:
    """Compute the middle joint and the end of two bones from `root` to `target`, or as far as they reach.

    Shapes (T,); `side` is that to which the joint bends.
    """
    first, second = lengths
    way = target - root
    distance = np.clip(np.abs(way), abs(first - second) + 1e-3, (first + second) * 0.999)
    direction = way / np.maximum(np.abs(way), 1e-9)
    cosine = (first**2 + distance**2 - second**2) / (2 * first * distance)
    joint = root + first * direction * np.exp(side * 1j * np.arccos(np.clip(cosine, -1, 1)))
    return joint, root + distance * direction


def bone(begin: Path, end: Path, radii: tuple[float, float], surface: Array) -> Layer:
    """Make a tapered limb between two joints, radii in heights of the figure."""
    length = float(np.abs(end - begin).mean())
    first, last = (radius / length for radius in radii)
    return Layer(limb(first, last), (0.5, 0.5 + max(first, last)), surface, GRAIN * length, end - begin, begin)


def arm(shoulder: Path, hand: Path, looks: Looks) -> list[Layer]:
    """Make a sleeve, a forearm and a hand."""
    elbow, end = bend(shoulder, hand, (UPPER_ARM, FOREARM), BACKWARD)
    upper = bone(shoulder, elbow, (0.045 * looks.stout, 0.038 * looks.stout), looks.shirt)
    return [bone(elbow, end, (0.034 * looks.stout, 0.036), looks.skin), upper]


def leg(hip: Path, ankle: Path, looks: Looks) -> list[Layer]:
    """Make a thigh, a shin and a foot."""
    knee, end = bend(hip, ankle, (THIGH, SHIN), FORWARD)
    # The foot lies on the floor under an upright shin and turns with half of the shin's lean.
    shin = end - knee
    toe = end + TOE * np.exp(0.5j * (np.angle(shin) - np.pi / 2))
    return [
        bone(end, toe, (0.03, 0.024), looks.skin),
        bone(knee, end, (0.05 * looks.stout, 0.032 * looks.stout), looks.trousers),
        bone(hip, knee, (0.07 * looks.stout, 0.052 * looks.stout), looks.trousers),
    ]


def figure(motion: Motion, looks: Looks) -> tuple[list[Layer], list[Layer]]:
    """Make what is behind the things that the figure handles, and what is before them, each from the back.

    Units are heights of the figure, as in `Motion`.
    """
    shoulder = shoulders(motion.hip, motion.lean)
    spine = shoulder - motion.hip
    head = shoulder + spine / TORSO * NECK
    torso = bone(motion.hip, shoulder, (0.085 * looks.stout, 0.095 * looks.stout), looks.shirt)
    turn = HEAD * spine / np.abs(spine)
    behind = [*arm(shoulder, motion.hands[1], looks), *leg(motion.hip, motion.feet[1], looks), torso]
    behind += [Layer(disc, (0, 1), looks.skin, GRAIN * HEAD, turn, head), *leg(motion.hip, motion.feet[0], looks)]
    return behind, arm(shoulder, motion.hands[0], looks)
