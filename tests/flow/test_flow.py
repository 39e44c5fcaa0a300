"""Every flow finds a known motion, and its 8-bit encoding is the published one."""

import cv2
import numpy as np
import pytest
import torch

from flow import BACKENDS, FLOWS, LEARNED, PRESETS, QUANTISATIONS, available, build_flow, decode, encode, rebuild_flow
from flow.tvl1 import backends as solvers

# Every way to compute flow that this machine has; those that need a file of weights have tests of their own.
UNTRAINED = sorted(FLOWS.keys() - LEARNED)
WAYS = [(name, backend) for name in UNTRAINED for backend, lacks in available(name).items() if not lacks]
SHIFT = (3.0, -2.0)  # x first: to the right and up
LEVEL = 40 / 255
VALUES = [-30, -20, -0.1, 0, 0.1, 0.157, 10, 19.99, 20, 30]


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((80, 96)), (0, 0), 2)
    texture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    dx, dy = map(int, SHIFT)
    return texture[8:72, 8:88], texture[8 - dy : 72 - dy, 8 - dx : 88 - dx]


@pytest.mark.parametrize(("name", "backend"), WAYS)
def test_a_known_shift_is_found_with_x_first(name, backend, pair):
    for preset in PRESETS if name == "tvl1" else ["opencv"]:
        flow = build_flow(name, backend, preset)(*pair)
        assert flow.dtype == np.float32
        assert flow.shape == (64, 80, 2)
        np.testing.assert_allclose(np.median(flow, (0, 1)), SHIFT, atol=0.05)
        assert np.abs(flow[8:-8, 8:-8] - SHIFT).mean() < 0.15


@pytest.mark.parametrize(("name", "backend"), WAYS)
def test_a_batch_equals_single_pairs_and_nothing_is_remembered(name, backend, pair):
    flow, (first, second) = build_flow(name, backend), pair
    forth, back = flow(first, second), flow(second, first)
    batch = flow(np.stack([first, second]), np.stack([second, first]))
    np.testing.assert_allclose(batch, np.stack([forth, back]), atol=1e-4)
    np.testing.assert_array_equal(build_flow(name, backend)(second, first), back)
    assert flow(batch[:0, ..., 0].astype(np.uint8), batch[:0, ..., 0].astype(np.uint8)).shape == (0, 64, 80, 2)


@pytest.mark.parametrize(("name", "backend"), WAYS)
def test_tensors_give_a_tensor(name, backend, pair):
    first, second = map(torch.from_numpy, pair)
    flow = build_flow(name, backend)(first, second)
    assert isinstance(flow, torch.Tensor)
    assert flow.dtype == torch.float32
    np.testing.assert_array_equal(flow.numpy(), build_flow(name, backend)(*pair))


@pytest.mark.parametrize(("name", "backend"), WAYS)
def test_the_description_has_every_parameter_as_it_is_used(name, backend):
    description = build_flow(name, backend).description
    assert description["algorithm"] == name
    assert description["library"] == (f"opencv {cv2.__version__}" if backend == "opencv" else "sts_net 0.1")
    assert all(type(value) in (int, float, bool) for value in description["parameters"].values())
    assert build_flow(name, backend, **description["parameters"]).description == description
    parameter, value = next(iter(description["parameters"].items()))
    changed = build_flow(name, backend, **{parameter: 2 * value}).description
    assert changed["parameters"] == description["parameters"] | {parameter: 2 * value}


def test_every_backend_of_ours_has_the_parameters_of_opencvs_preset():
    opencv = build_flow("tvl1", "native").description
    for preset in ("opencv", "fixed"):
        assert build_flow("tvl1", "torch", preset).description == opencv


def test_a_record_of_the_schedule_that_fixed_once_had_is_obeyed(pair, monkeypatch):
    schedule = {"epsilon": 0.0, "outer_iterations": 1, "median_filtering": 1}
    record = build_flow("tvl1", "torch", "fixed", **schedule).description
    native = rebuild_flow(record)
    monkeypatch.setattr(solvers.kernel, "missing", lambda: "no C++ compiler: install one")
    plain = rebuild_flow(record)
    assert native.description == plain.description == record
    np.testing.assert_allclose(native(*pair), plain(*pair), atol=0.01)
    assert np.abs(plain(*pair) - build_flow("tvl1", "torch")(*pair)).max() > 0.01


def test_auto_is_the_native_kernel_where_it_can_be_had(pair, monkeypatch, caplog):
    np.testing.assert_array_equal(build_flow("tvl1")(*pair), build_flow("tvl1", "native")(*pair))
    assert caplog.messages == []
    monkeypatch.setattr(solvers.kernel, "missing", lambda: "no C++ compiler: install one")
    flow = build_flow("tvl1")
    assert caplog.messages == [
        "flow by plain torch, several times slower than by the native kernel: no C++ compiler: install one"
    ]
    np.testing.assert_array_equal(flow(*pair), build_flow("tvl1", "torch")(*pair))
    asked = {"warps": 3, "epsilon": 0.02}
    assert build_flow("tvl1", **asked).description == build_flow("tvl1", "torch", **asked).description
    assert available()["native"] == "no C++ compiler: install one"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_tensors_on_a_gpu_are_solved_there(pair):
    first, second = (torch.from_numpy(image).cuda() for image in pair)
    flow = build_flow("tvl1")(first, second)
    assert flow.device == first.device
    np.testing.assert_allclose(flow.cpu(), build_flow("tvl1", "native", "fixed")(*pair), atol=0.05)


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
        ({"name": "brox"}, "flow brox: is none of tvl1, dis, farneback"),
        ({"name": "tvl1", "backend": "metal"}, f"flow backend metal: is none of {BACKENDS[0]}, "),
        ({"name": "dis", "backend": "cuda"}, "flow dis has no backend 'cuda'; choose from auto, opencv"),
        ({"name": "tvl1", "preset": "slow"}, "flow preset slow: is none of opencv, fixed, fast"),
        ({"name": "dis", "preset": "fast"}, "flow preset 'fast' is one of tvl1; dis has its parameters only"),
        ({"name": "tvl1", "device": "cuda", "backend": "native"}, "native computes on the CPU, not on cuda"),
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
        build_flow("tvl1", "opencv")
    assert "install opencv-contrib-python-headless" in available()["opencv"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_says_what_to_use():
    with pytest.raises(ValueError, match=r"flow backend cuda: no CUDA device .* use backend native"):
        build_flow("tvl1", "cuda")
    assert "backend native" in available()["cuda"]


@pytest.mark.parametrize(("name", "backend"), WAYS)
@pytest.mark.parametrize(
    ("previous", "following"),
    [
        (np.zeros((16, 16), np.float32), np.zeros((16, 16), np.float32)),
        (np.zeros(16, np.uint8), np.zeros(16, np.uint8)),
        (np.zeros((1, 16, 16, 3), np.uint8), np.zeros((1, 16, 16, 3), np.uint8)),
        (np.zeros((0, 16), np.uint8), np.zeros((0, 16), np.uint8)),
        (np.zeros((16, 16), np.uint8), np.zeros((16, 17), np.uint8)),
        (torch.zeros(16, 16), torch.zeros(16, 16)),
        ([["a"]], [["a"]]),
    ],
)
def test_images_that_are_not_two_grey_ones_of_one_size_are_refused(name, backend, previous, following):
    with pytest.raises(ValueError, match="flow needs"):
        build_flow(name, backend)(previous, following)


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


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
@pytest.mark.parametrize("bound", [5.0, 20.0, 33.3])
def test_tensors_have_the_levels_of_arrays(quantisation, bound):
    edges = decode(np.arange(256), bound) + bound / 255  # between two levels, where rounding decides
    flow = np.concatenate([edges, np.random.default_rng(0).uniform(-2 * bound, 2 * bound, 10**5)]).astype(np.float32)
    levels = encode(torch.from_numpy(flow), bound, quantisation)
    assert levels.dtype == torch.uint8
    np.testing.assert_array_equal(levels.numpy(), encode(flow, bound, quantisation))


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_decoding_is_within_half_a_level(quantisation):
    flow = np.linspace(-20, 20, 4001, dtype=np.float32).reshape(-1, 1)
    back = decode(encode(flow, 20.0, quantisation), 20.0, quantisation)
    assert back.dtype == np.float32
    assert np.abs(back - flow).max() <= LEVEL / 2 + 1e-5
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
        (([0.0], 20.0, "floor"), "quantisation floor: is none of truncate, round"),
        (([float("nan")],), "the flow holds NaN"),
    ],
)
def test_encoding_refuses_what_it_cannot_represent(arguments, message):
    with pytest.raises(ValueError, match=message):
        encode(*arguments)
