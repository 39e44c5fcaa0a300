"""The flow of the made-up images is exact, and what is measured on them is what it says."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from benchmarks.synthetic.scenes import (
    SENSOR_NOISE,
    end_point_error,
    grey_difference,
    make_scene,
    rotation,
    translation,
    zoom,
)
from benchmarks.synthetic.textures import TEXTURES
from flow import build_flow

SIZE = {"height": 96, "width": 120}
SPEEDS = (0.0, 2.0, 5.0, 10.0)
MOTIONS = {
    "translation": translation(2.25, -1.5),
    "rotation": rotation(3.0),
    "zoom in": zoom(1.06),
    "zoom out": zoom(0.94),
}


def warped_back(scene) -> np.ndarray:
    height, width = scene.previous.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    target = x + scene.flow[..., 0], y + scene.flow[..., 1]
    return cv2.remap(scene.following, *target, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(float)


def photometric_error(scene) -> np.ndarray:
    return np.abs(warped_back(scene) - scene.previous)[scene.visible]


@pytest.mark.parametrize("scene", MOTIONS.values(), ids=MOTIONS)
def test_following_warped_back_by_the_flow_is_previous(scene):
    assert scene.visible.mean() > 0.85
    assert photometric_error(scene).mean() < 0.7
    assert np.percentile(photometric_error(scene), 99) <= 3


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("speed", SPEEDS)
def test_following_warped_back_is_previous_wherever_a_scene_says_that_it_is_visible(texture, speed):
    scene = make_scene(3, **SIZE, speed=speed, texture=texture)
    sensor = 1.5 * SENSOR_NOISE if texture == "sensor" else 0.0
    assert scene.visible.mean() > 0.8
    assert np.median(photometric_error(scene)) <= 1 + sensor
    # The rest are pixels that an outline runs through: they mix two motions.
    assert np.mean(photometric_error(scene) < 5 + sensor) > 0.95


def test_a_flow_that_is_a_tenth_of_a_pixel_off_does_not_reproduce_previous():
    scene = MOTIONS["rotation"]
    off = replace(scene, flow=scene.flow + np.float32(0.1))
    assert photometric_error(off).mean() > 2 * photometric_error(scene).mean()


@pytest.mark.parametrize(("dx", "dy"), [(3, -2), (-7, 0), (0, 5), (0, 0)])
@pytest.mark.parametrize("texture", ["noise", "leaves"])
def test_whole_pixels_of_translation_move_pixels(dx, dy, texture):
    scene = translation(dx, dy, 48, 64, texture=texture)
    y, x = np.nonzero(scene.visible)
    np.testing.assert_array_equal(scene.following[y + dy, x + dx], scene.previous[y, x])
    assert (scene.flow == (dx, dy)).all()
    assert scene.visible.sum() == (48 - abs(dy)) * (64 - abs(dx))


def test_a_turn_goes_from_the_x_to_the_y_axis_and_a_zoom_outwards():
    right_of_the_middle = 32, 79
    np.testing.assert_allclose(
        rotation(3.0).flow[right_of_the_middle], 39.5 * np.sin(np.radians(3)) * np.array((0, 1)), atol=0.1
    )
    np.testing.assert_allclose(zoom(1.06).flow[right_of_the_middle], (0.06 * 39.5, 0.06 * 0.5), atol=1e-5)


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("speed", SPEEDS)
def test_the_fastest_point_has_the_speed_asked_for(texture, speed):
    lengths = np.linalg.norm(make_scene(7, **SIZE, speed=speed, texture=texture).flow, axis=-1)
    assert lengths.max() == pytest.approx(speed, rel=1e-6)


def test_objects_move_apart_from_the_background_and_cover_a_part_of_it():
    scene = make_scene(1, **SIZE, speed=5.0, texture="sensor")
    moves = np.linalg.norm(scene.flow, axis=-1) > 0
    assert 0.05 < moves.mean() < 0.6
    assert not scene.visible[~moves].all()  # background that is covered in the following image
    assert scene.visible[~moves].mean() > 0.9


def test_a_still_sensor_sees_the_same_background_with_other_noise():
    scene = make_scene(2, **SIZE, speed=0.0, texture="sensor")
    difference = scene.following.astype(float) - scene.previous
    assert scene.visible.all()
    assert difference.std() == pytest.approx(np.sqrt(2) * SENSOR_NOISE, rel=0.05)


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_seed_gives_the_same_scene_and_another_seed_another(texture):
    first, again, other = (make_scene(seed, **SIZE, texture=texture) for seed in (4, 4, 5))
    for name in ("previous", "following", "flow", "visible"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()


@pytest.mark.parametrize("texture", TEXTURES)
def test_images_are_textured_and_seldom_saturated(texture):
    scene = make_scene(0, **SIZE, texture=texture)
    assert scene.previous.dtype == scene.following.dtype == np.uint8
    assert scene.flow.dtype == np.float32
    assert scene.previous.shape == scene.visible.shape == scene.flow.shape[:2] == (96, 120)
    assert scene.previous.std() > 20
    assert np.isin(scene.previous, (0, 255)).mean() < 0.02


def test_a_solver_finds_the_motion_of_a_scene():
    scene = make_scene(0, 128, 160, speed=2.0)
    flow = build_flow("farneback")(scene.previous, scene.following)
    still = np.zeros_like(flow)
    assert end_point_error(flow, scene.flow, scene.visible) < 0.25 * end_point_error(still, scene.flow, scene.visible)


def test_an_unknown_texture_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="texture 'photo' does not exist; choose from noise, leaves, sensor"):
        make_scene(0, texture="photo")


def test_end_point_error_is_a_length_and_takes_a_mask():
    truth, mask = np.zeros((2, 2, 2)), np.array([[True, False], [False, False]])
    flow = truth.copy()
    flow[0, 0] = 3, 4
    assert end_point_error(flow, truth) == 1.25
    assert end_point_error(flow, truth, mask) == 5
    assert end_point_error(flow, truth, ~mask) == 0


def test_grey_difference_counts_levels_after_rounding_and_clipping():
    level = 40 / 255
    a = np.full((2, 5, 2), 10.02)
    b = a + level * np.array([0, 1, 1, -2, 0])[:, None]
    mean, close = grey_difference(a, b)
    assert mean == pytest.approx(0.8)
    assert close == pytest.approx(0.8)
    assert grey_difference(a + 20, a + 30) == (0.0, 1.0)
    assert grey_difference(a, b, bound=200.0)[0] < 0.2
