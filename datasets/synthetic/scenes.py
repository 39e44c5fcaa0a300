"""Scenes of the levels `standard` and `hard`: a figure that does something before a backdrop, under conditions.

All classes have the same looks: figure, box, item, backdrop and whatever passes by are drawn by one law, and what an
action does not need stands about. The class of a video and its reversal are the same frames in either order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .actions import ACTIONS, BOX, ITEM, LID, REVERSED, Motion, Path, Times, up
from .conditions import Camera, Conditions, Light, draw_camera, draw_light, draw_passers
from .figures import GRAIN, Looks, figure
from .layers import Array, ExactFlow, Layer, draw, exact_flow
from .shapes import below, block, disc, everywhere
from .surfaces import cloth, hue

SIDE = 64  # everything is designed in pixels of a picture of this side
CHROMA = 35.0  # of what a theme colours, grey levels
TEXTURE_SD = 18.0  # on figure and things, grey levels: TV-L1 follows nothing on a flat surface


class Video(NamedTuple):
    """A video, by what decides its content."""

    class_name: str  # of the level's classes
    source: int  # decides looks and place; non-negative
    clip: int  # decides the motion of figure and camera, and the light; non-negative
    theme: float  # colours of backdrop and shirt, as a share of the circle of hues


@dataclass(frozen=True)
class Scene:
    """Layers from the back to the front, as the picture shows them, and their light."""

    layers: Sequence[Layer]
    light: Light
    mirrored: bool


def build_scene(video: Video, conditions: Conditions, size: int, frames: int, seed: int) -> Scene:
    """Build the scene of a video; the class decides what the figure does, and nothing else."""
    looks = np.random.default_rng([seed, video.source])
    acting, filming, lighting, passing = np.random.default_rng([seed, video.source, video.clip + 1]).spawn(4)
    name = REVERSED.get(video.class_name, video.class_name)
    camera = draw_camera(filming, frames, size / SIDE, conditions)
    backdrop = draw_backdrop(looks, camera, size, video.theme, conditions)
    behind, before = draw_passers(passing, frames, conditions)
    actors = draw_actors(looks, ACTIONS[name](frames, acting), video.theme, conditions.tones)
    layers = [*backdrop, *(camera.see(layer, size) for layer in (*behind, *actors, *before))]
    light, mirrored = draw_light(lighting, frames, conditions), bool(lighting.integers(2))
    if video.class_name in REVERSED:
        return Scene([layer.reversed() for layer in layers], light.reversed(), mirrored)
    return Scene(layers, light, mirrored)


def render_scene(scene: Scene, size: int, frames: int, exact: bool = True) -> tuple[Array, ExactFlow | None]:
    """Draw the frames (T, size, size, 3), BGR, before light and compression, and if `exact` the flow of each."""
    pixels, owner = draw(scene.layers, size, frames)
    flow = exact_flow(scene.layers, owner) if exact else None
    if scene.mirrored:
        pixels, flow = np.ascontiguousarray(pixels[:, :, ::-1]), flow and flow.mirrored()
    return pixels, flow


def draw_backdrop(
    rng: np.random.Generator, camera: Camera, size: int, theme: float, conditions: Conditions
) -> list[Layer]:
    """Draw a far wall that drifts, posts before it, and the floor, all seen by the camera."""
    frames = len(camera.pan)
    ones, t = np.ones(frames, np.complex128), np.arange(frames, dtype=np.complex128) - (frames - 1) / 2
    angle, grey = 2 * np.pi * theme + rng.normal(0, 0.1), rng.uniform(*conditions.wall)
    clutter = conditions.clutter
    wall = hue(angle, CHROMA, grey) + clutter * cloth(rng, 3 * SIDE, rng.uniform(3, 6))
    floor = hue(angle, CHROMA, grey + rng.choice((-20, 20))) + clutter * cloth(rng, 3 * SIDE, rng.uniform(3, 6))
    far = np.asarray(conditions.drift * (rng.uniform(-1, 1) + 0.3j * rng.uniform(-1, 1)) * t, np.complex128)
    horizon = 1j * rng.uniform(11, 17)
    layers = [camera.see(Layer(everywhere, None, as_surface(wall), 1.0, ones, far), size, 0.4)]
    for _ in range(rng.integers(1, 4)):
        width, height = rng.uniform(4, 10), rng.uniform(14, 40)
        post = hue(angle, CHROMA, grey + rng.uniform(-25, 25)) + clutter * cloth(rng, SIDE, 4)
        place = rng.uniform(-34, 34) + horizon - 1j * (height / 2 - 2)
        layer = Layer(block(width, height, 1), (0, height), as_surface(post), 1.0, ones, place * ones)
        layers.append(camera.see(layer, size, 0.7))
    return [*layers, camera.see(Layer(below, None, as_surface(floor), 1.0, ones, horizon * ones), size)]


def draw_actors(rng: np.random.Generator, motion: Motion, theme: float, tones: Sequence[float]) -> list[Layer]:
    """Draw the figure with box and item, in pixels from the middle of the scene."""
    frames, height = len(motion.hip), rng.uniform(38, 43)
    floor = rng.uniform(-4, 4) + 1j * rng.uniform(21, 24)
    shirt = hue(2 * np.pi * (3 * theme + 0.5) + rng.normal(0, 0.1), CHROMA, rng.choice(tones))
    looks = Looks(
        skin=draw_surface(rng, 20, rng.choice(tones)),
        shirt=as_surface(shirt + TEXTURE_SD * cloth(rng, SIDE, 3)),
        trousers=draw_surface(rng, 20, rng.choice(tones)),
        stout=rng.uniform(0.85, 1.2),
    )
    side = rng.choice((-1, 1))
    idle = [up(side * shift * rng.uniform(0.4, 0.75), 0, frames) for shift in (1, -1)]
    box = draw_box(rng, idle[0] if motion.box is None else motion.box, motion.lid)
    item = draw_item(rng, idle[1] - 1j * ITEM if motion.item is None else motion.item)
    behind, near_arm = figure(motion, looks)
    return [layer.moved(height, floor) for layer in (*box, *behind, item, *near_arm)]


def draw_box(rng: np.random.Generator, floor: Path, lid: Times | None) -> list[Layer]:
    """Draw a box with a lid, hinged at its far side; `floor` is the middle of its floor, heights of a figure."""
    width, height = BOX
    corner = rng.choice((0.0, 0.06, 0.11))
    surfaces = draw_surface(rng, 30, rng.uniform(60, 190)), draw_surface(rng, 30, rng.uniform(60, 190))
    turn = np.exp(1j * (np.zeros(len(floor)) if lid is None else lid)).astype(np.complex128)
    hinge = floor + up(width / 2, height)
    middle = hinge + turn * up(-width / 2, LID / 2)
    upright = np.ones(len(floor), np.complex128)
    return [
        Layer(block(width, height, corner), (0, width), surfaces[0], GRAIN, upright, floor - 0.5j * height),
        Layer(block(width + 0.03, LID, 0.01), (0, width), surfaces[1], GRAIN, turn, middle),
    ]


def draw_item(rng: np.random.Generator, path: Path) -> Layer:
    """Draw what a hand can hold, a ball or a brick; its middle takes the path, heights of a figure."""
    outline = disc if rng.integers(2) else block(1.8, 1.6, 0.2)
    turn = np.full(len(path), ITEM * np.exp(1j * rng.uniform(-0.3, 0.3)), np.complex128)
    return Layer(outline, (0, 1.3), draw_surface(rng, 40, rng.uniform(60, 200)), GRAIN * ITEM, turn, path)


def draw_surface(rng: np.random.Generator, chroma: float, grey: float) -> Array:
    """Draw a surface of any hue."""
    return as_surface(hue(rng.uniform(0, 2 * np.pi), chroma, grey) + TEXTURE_SD * cloth(rng, SIDE, 3))


def as_surface(levels: np.ndarray) -> Array:
    """Return grey levels as float32, none of which light makes too bright to be seen."""
    return np.clip(levels, 10, 235).astype(np.float32)
