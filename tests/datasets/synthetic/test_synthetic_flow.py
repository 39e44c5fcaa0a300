"""The exact flow of made-up videos, against their pixels and against TV-L1."""

import cv2
import numpy as np
import pytest

from datasets.synthetic import LEVELS
from datasets.synthetic.layers import Layer, draw, exact_flow
from datasets.synthetic.scenes import Video, build_scene, render_scene
from datasets.synthetic.shapes import disc, everywhere
from datasets.synthetic.surfaces import texture
from flow import build_flow

FIGURES = [(level, name) for level in ("standard", "hard") for name in LEVELS[level].classes]
EASY = [("easy", name) for name in LEVELS["easy"].classes[::4]]


def film(level: str, name: str, source: int = 3):
    """Frames without light and compression, (T, H, W, 3), and their exact flow."""
    kind, video = LEVELS[level], Video(name, source, 0, 0.25)
    if kind.conditions is None:
        result = kind.film(video, size=kind.size, frames=kind.frames, seed=0, exact=True)
        return result.pixels.astype(np.float32), result.exact
    scene = build_scene(video, kind.conditions, kind.size, kind.frames, 0)
    return render_scene(scene, kind.size, kind.frames)


def warped(following: np.ndarray, flow: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(following, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize(("level", "name"), FIGURES + EASY)
def test_the_next_frame_looked_up_by_the_flow_is_this_one_where_it_is_seen(level, name):
    pixels, (flow, hidden) = film(level, name)
    errors, still = [], []
    for t in range(0, len(flow), 5):
        shown = ~hidden[t]
        errors.append(np.abs(warped(pixels[t + 1], flow[t]) - pixels[t]).mean(-1)[shown])
        still.append(np.abs(pixels[t + 1] - pixels[t]).mean(-1)[shown])
    errors, still = np.concatenate(errors), np.concatenate(still)
    assert np.median(errors) < 1.0  # grey levels; what is left are edges, of which a pixel shows two things
    assert errors.mean() < 0.5 * still.mean()


def test_hidden_is_what_the_next_frame_covers_or_has_lost():
    """A disc that moves right over a wall that moves up, by whole pixels."""
    rng, size = np.random.default_rng(0), 32
    surface = (128 + 20 * texture(rng, 64, 4)).astype(np.float32)
    t = np.arange(2)
    wall = Layer(everywhere, None, surface, 1.0, np.ones(2, complex), -2j * t)
    ball = Layer(disc, (0, 1), surface, 5.0, np.full(2, 5 + 0j), 12 + 15j + 3 * t)
    _, owner = draw([wall, ball], size, 2)
    flow, hidden = exact_flow([wall, ball], owner)
    on_ball = owner[0] == 1
    np.testing.assert_allclose(flow[0][on_ball], [(3, 0)] * on_ball.sum(), atol=1e-6)
    np.testing.assert_allclose(flow[0][~on_ball], [(0, -2)] * (~on_ball).sum(), atol=1e-6)
    y, x = np.mgrid[:size, :size]
    covered = ~on_ball & (np.hypot(x - 15, y - 2 - 15) < 5)
    np.testing.assert_array_equal(hidden[0], covered | (y < 2) & ~on_ball)


def test_the_flow_of_mirrored_frames_is_mirrored():
    _, exact = film("standard", "push")
    mirrored = exact.mirrored()
    np.testing.assert_array_equal(mirrored.flow[:, :, 0, 0], -exact.flow[:, :, -1, 0])
    np.testing.assert_array_equal(mirrored.flow[:, :, 0, 1], exact.flow[:, :, -1, 1])
    np.testing.assert_array_equal(mirrored.hidden[:, :, 0], exact.hidden[:, :, -1])


@pytest.mark.parametrize("level", LEVELS)
def test_tvl1_measures_about_this_flow(level):
    pixels, (flow, hidden) = film(level, LEVELS[level].classes[5])
    grey = np.stack([cv2.cvtColor(np.clip(frame, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY) for frame in pixels])
    measured = build_flow("tvl1", "native", threads=1)(grey[:-1], grey[1:])
    distance = np.hypot(*np.moveaxis(measured - flow, -1, 0))[~hidden]
    speed = np.hypot(*np.moveaxis(flow, -1, 0))[~hidden]
    assert np.median(distance) < 0.15
    assert distance.mean() < 0.6 * speed.mean()
