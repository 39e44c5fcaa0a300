"""Outlines of made-up things, as depths inside them: negative outside, in units of the thing."""

import numpy as np
from numpy.typing import NDArray

from .layers import Depth, Points

Depths = NDArray[np.float64]


def everywhere(u: Points) -> Depths:
    """Return the depth of what has no outline."""
    return np.full(u.shape, np.inf)


def below(u: Points) -> Depths:
    """Return the depth below the horizon, where the coordinate is 0."""
    return u.imag


def limb(first: float, last: float) -> Depth:
    """Make a tapered limb from 0 to 1 with these radii at its ends."""

    def depth(u: Points) -> Depths:
        along = np.clip(u.real, 0, 1)
        inside: Depths = first + (last - first) * along - np.abs(u - along)
        return inside

    return depth


def block(width: float, height: float, corner: float = 0.0) -> Depth:
    """Make a rectangle round 0 with these sides and this radius of its corners."""

    def depth(u: Points) -> Depths:
        x, y = np.abs(u.real) - width / 2 + corner, np.abs(u.imag) - height / 2 + corner
        return corner - np.hypot(np.maximum(x, 0), np.maximum(y, 0)) - np.minimum(np.maximum(x, y), 0)

    return depth


def disc(u: Points) -> Depths:
    """Return the depth in the unit disc."""
    inside: Depths = 1 - np.abs(u)
    return inside


def star(u: Points) -> Depths:
    """Return about the depth in a star of three rounded points."""
    inside: Depths = 0.8 * (0.75 + 0.25 * np.cos(3 * np.angle(u)) - np.abs(u))
    return inside
