"""Every flow finds a known motion, and its 8-bit encoding is the published one."""

import cv2
import numpy as np
import pytest
import torch

from flow import FLOWS, build_flow, decode, encode

SHIFT = (3.0, -2.0)  # x first: to the right and up
LEVEL = 40 / 255
VALUES = [-30, -20, -0.1, 0, 0.1, 0.157, 10, 19.99, 20, 30]


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((80, 96)), (0, 0), 2)
    texture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    dx, dy = map(int, SHIFT)
    return texture[8:72, 8:88], texture[8 - dy : 72 - dy, 8 - dx : 88 - dx]


@pytest.mark.parametrize("name", FLOWS)
def test_a_known_shift_is_found_with_x_first(name, pair):
    flow = build_flow(name)(*pair)
    assert flow.dtype == np.float32
    assert flow.shape == (64, 80, 2)
    np.testing.assert_allclose(np.median(flow, (0, 1)), SHIFT, atol=0.05)
    assert np.abs(flow[8:-8, 8:-8] - SHIFT).mean() < 0.15


@pytest.mark.parametrize("name", FLOWS)
def test_a_batch_of_tensors_equals_single_pairs_and_nothing_is_remembered(name, pair):
    flow, (first, second) = build_flow(name), pair
    forth, back = flow(first, second), flow(second, first)
    previous, following = torch.from_numpy(np.stack([first, second])), torch.from_numpy(np.stack([second, first]))
    np.testing.assert_array_equal(flow(previous, following), np.stack([forth, back]))
    np.testing.assert_array_equal(build_flow(name)(second, first), back)
    assert flow(previous[:0], following[:0]).shape == (0, 64, 80, 2)


@pytest.mark.parametrize("name", FLOWS)
def test_the_description_has_every_parameter_as_it_is_used(name):
    description = build_flow(name).description
    assert description["algorithm"] == name
    assert description["library"] == f"opencv {cv2.__version__}"
    assert all(type(value) in (int, float, bool) for value in description["parameters"].values())
    assert build_flow(name, **description["parameters"]).description == description
    parameter, value = next(iter(description["parameters"].items()))
    changed = build_flow(name, **{parameter: 2 * value}).description
    assert changed["parameters"] == description["parameters"] | {parameter: 2 * value}


def test_tvl1_has_the_parameters_of_the_published_tools():
    assert build_flow("tvl1").description["parameters"] == {
        "tau": 0.25,
        "lambda_": 0.15,
        "theta": 0.3,
        "scales": 5,
        "scale_step": 0.8,
        "warps": 5,
        "epsilon": 0.01,
        "inner_iterations": 30,
        "outer_iterations": 10,
        "gamma": 0.0,
        "median_filtering": 5,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "brox"}, "flow 'brox' does not exist; choose from tvl1, dis, farneback"),
        ({"name": "dis", "backend": "cuda"}, "flow backend 'cuda' does not exist; choose from auto, opencv"),
        ({"name": "dis", "preset": "fast"}, "flow preset 'fast' does not exist; choose from opencv"),
        ({"name": "tvl1", "alpha": 1}, "tvl1 has no parameter 'alpha'; it has tau, lambda_, theta"),
        ({"name": "tvl1", "warps": "many"}, "tvl1 does not take warps='many'"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_flow(**arguments)


def test_an_opencv_without_tvl1_says_which_package_has_it(monkeypatch):
    monkeypatch.delattr(cv2, "optflow")
    with pytest.raises(ValueError, match="install opencv-contrib-python-headless"):
        build_flow("tvl1")


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(
    ("previous", "following"),
    [
        (np.zeros((16, 16), np.float32), np.zeros((16, 16), np.float32)),
        (np.zeros(16, np.uint8), np.zeros(16, np.uint8)),
        (np.zeros((1, 16, 16, 3), np.uint8), np.zeros((1, 16, 16, 3), np.uint8)),
        (np.zeros((0, 16), np.uint8), np.zeros((0, 16), np.uint8)),
        (np.zeros((16, 16), np.uint8), np.zeros((16, 17), np.uint8)),
    ],
)
def test_images_that_are_not_two_grey_ones_of_one_size_are_refused(name, previous, following):
    with pytest.raises(ValueError, match="flow needs"):
        build_flow(name)(previous, following)


def test_images_too_small_for_a_solver_are_refused_with_their_size():
    with pytest.raises(ValueError, match="dis refuses images of 5x4: "):
        build_flow("dis")(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8))


@pytest.mark.parametrize(
    ("quantisation", "levels"),
    [
        ("truncate", [0, 0, 126, 127, 128, 128, 191, 254, 255, 255]),
        ("round", [0, 0, 127, 128, 128, 129, 191, 255, 255, 255]),
    ],
)
def test_levels_are_those_of_the_published_tools(quantisation, levels):
    assert encode(np.array(VALUES), 20.0, quantisation).tolist() == levels


@pytest.mark.parametrize(("quantisation", "error"), [("truncate", LEVEL), ("round", LEVEL / 2)])
def test_decoding_is_within_half_a_level_when_rounded_and_one_when_truncated(quantisation, error):
    flow = np.linspace(-20, 20, 4001, dtype=np.float32).reshape(-1, 1)
    back = decode(encode(flow, 20.0, quantisation), 20.0)
    assert back.dtype == np.float32
    assert np.abs(back - flow).max() <= error + 1e-5
    assert decode(np.array([0, 255], np.uint8), 15.0).tolist() == [-15.0, 15.0]


@pytest.mark.parametrize("bound", [15.0, 20.0, 32.0])
def test_every_level_survives_decoding_and_encoding(bound):
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(encode(decode(levels, bound), bound, "round"), levels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], 0.0), "bound must be a positive number"),
        (([0.0], float("nan")), "bound must be a positive number"),
        (([0.0], 20.0, "floor"), "quantisation 'floor' does not exist; choose from truncate, round"),
        (([float("nan")],), "the flow holds NaN"),
    ],
)
def test_encoding_refuses_what_it_cannot_represent(arguments, message):
    with pytest.raises(ValueError, match=message):
        encode(*arguments)
