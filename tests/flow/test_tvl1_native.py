"""The native TV-L1 kernel: as OpenCV's, the same on every path, whatever the images."""

import itertools
import os
import pickle
import threading

import numpy as np
import pytest

from benchmarks.synthetic.scenes import end_point_error, grey_difference, make_scene, rotation, translation, zoom
from flow import available, build_flow
from flow.tvl1.native import NativeTVL1, isa_paths, isa_used
from flow.tvl1.parameters import PRESETS, build_parameters

pytestmark = pytest.mark.skipif(bool(available()["native"]), reason=f"no kernel: {available()['native']}")
PATHS = [] if available()["native"] else isa_paths()  # of this processor
SPEEDS = {"noise": 2, "leaves": 5, "sensor": 10}


def native(preset: str = "opencv", isa: str = "auto", threads: int | None = None, **parameters) -> NativeTVL1:
    return NativeTVL1(build_parameters(preset, parameters), isa, threads)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("texture", SPEEDS)
def test_it_finds_the_flow_of_opencv(texture):
    scene = make_scene(3, 128, 170, SPEEDS[texture] / 2, texture)
    images = scene.previous, scene.following
    flow, theirs = native()(*images), build_flow("tvl1", "opencv")(*images)
    difference, within = grey_difference(flow, theirs)
    assert end_point_error(flow, theirs) <= 0.05
    assert difference <= 0.25
    assert within >= 0.98


@pytest.mark.slow
def test_it_finds_the_flow_of_opencv_on_a_set_of_scenes():
    reference, ours = build_flow("tvl1", "opencv"), {preset: native(preset) for preset in PRESETS}
    truth, parity = [], []
    for texture, speed in itertools.product(SPEEDS, (2, 5, 10)):
        scene = make_scene(speed, 192, 256, speed, texture)
        images = scene.previous, scene.following
        theirs = reference(*images)
        flows = {preset: solve(*images) for preset, solve in ours.items()}
        truth.append([end_point_error(flow, scene.flow) for flow in (theirs, *flows.values())])
        parity.append(
            [(end_point_error(flow, theirs), *grey_difference(flow, theirs)) for flow in list(flows.values())[:2]]
        )
    for difference, grey, within in np.mean(parity, 0):  # of opencv and of fixed
        assert difference <= 0.05
        assert grey <= 0.25
        assert within >= 0.98
    theirs, opencv, fixed, fast = np.mean(truth, 0)
    assert opencv <= 1.02 * theirs
    assert fixed <= 1.02 * theirs
    assert fast <= 0.8 * theirs


CHANGES = {"tau": 0.05, "lambda_": 0.6, "theta": 1.0, "scale_step": 0.5, "warps": 1, "scales": 1, "inner_iterations": 2}


@pytest.mark.parametrize("name", [*CHANGES, "outer_iterations", "median_filtering"])
def test_every_parameter_means_what_it_means_to_opencv(name):
    scene = make_scene(4, 64, 80, 1.5)
    images = scene.previous, scene.following
    # Without an epsilon both make the same number of iterations, and nothing but rounding is between them.
    usual = {"epsilon": 0.0, "scales": 2, "warps": 2, "outer_iterations": 2, "inner_iterations": 10}
    theirs = build_flow("tvl1", "opencv", **usual | {name: CHANGES.get(name, 3)})(*images)
    assert end_point_error(native(**usual | {name: CHANGES.get(name, 3)})(*images), theirs) < 1e-3
    assert end_point_error(native(**usual)(*images), theirs) > 5e-3


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "scene",
    [translation(2.0, -1.0), translation(0.25, 0.5), rotation(2.0), zoom(1.03)],
    ids=["3", "1/2", "turn", "zoom"],
)
def test_exact_motion_is_found_by_every_preset(scene, preset):
    flow = native(preset)(scene.previous, scene.following)
    inner = np.s_[8:-8, 8:-8]
    assert end_point_error(flow[inner], scene.flow[inner]) < 0.1


def test_the_fast_preset_is_more_accurate_where_motion_is_large():
    scene = make_scene(5, 160, 200, 10)
    errors = {p: end_point_error(native(p)(scene.previous, scene.following), scene.flow) for p in ("opencv", "fast")}
    assert errors["fast"] <= 0.8 * errors["opencv"]


@pytest.mark.parametrize("isa", PATHS[2:])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_code_path_gives_the_flow_of_the_plain_one(preset, isa):
    scene = make_scene(2, 101, 163, 4)  # no multiple of any vector
    images = scene.previous, scene.following
    # Paths round differently. At one level that is all; a pyramid amplifies it where the flow is ambiguous.
    for limits, tolerance in (({"scales": 1, "warps": 2, "epsilon": 0.0}, 1e-4), ({}, 0.03)):
        flow, plain = native(preset, isa, **limits)(*images), native(preset, "baseline", **limits)(*images)
        assert end_point_error(flow, plain) < tolerance


def test_auto_takes_the_widest_path():
    assert isa_used() == isa_paths()[-1]
    images = noise(33, 47), noise(33, 47, seed=1)
    np.testing.assert_array_equal(native()(*images), native(isa=isa_used())(*images))


@pytest.mark.parametrize("isa", PATHS)
def test_bytes_depend_on_the_images_alone(isa):
    previous, following = noise(5, 40, 52), noise(5, 40, 52, seed=1)
    alone = np.stack([native(isa=isa)(*pair) for pair in zip(previous, following, strict=True)])
    native(isa=isa)(noise(70, 90), noise(70, 90, seed=1))  # leaves other numbers in the memory that is kept
    for threads in (1, 2, 3, 16):
        np.testing.assert_array_equal(native(isa=isa, threads=threads)(previous, following), alone)


@pytest.mark.parametrize("isa", PATHS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (17, 19), (16, 16), (31, 64), (97, 101), (15, 200)])
def test_any_size_works(size, isa):
    for preset in PRESETS:
        flow = native(preset, isa)(noise(*size), noise(*size, seed=1))
        assert flow.shape == (*size, 2)
        assert np.isfinite(flow).all()


@pytest.mark.slow
def test_a_4k_frame_works():
    flow = native("fast")(noise(2160, 3840), noise(2160, 3840, seed=1))
    assert np.isfinite(flow).all()


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_nothing_moves_where_there_is_nothing_to_see(grey):
    images = np.full((2, 40, 50), grey, np.uint8)
    for preset in PRESETS:
        assert not native(preset)(*images).any()


def test_extreme_images_give_finite_flow():
    board = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    for previous, following in ((board, 255 - board), (board * 0, board), (noise(64, 64), board)):
        for preset in PRESETS:
            assert np.isfinite(native(preset)(previous.astype(np.uint8), following.astype(np.uint8))).all()


def test_other_threads_run_while_the_kernel_works():
    solve, images, counted, stop = native("fixed"), (noise(200, 200), noise(200, 200, seed=1)), [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    for _ in range(5):
        solve(*images)
    during = counted[0] - before
    stop.set()
    thread.join()
    assert during > 1000  # with the GIL held it would be a few switches, and the count of those


def test_memory_does_not_grow():
    def resident() -> int:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    solve, images = native("fast", threads=2), (noise(2, 48, 64), noise(2, 48, 64, seed=1))
    for _ in range(100):
        solve(*images)
    before = resident()
    for _ in range(1000):
        solve(*images)
    assert resident() - before < 2**20


def test_a_solver_can_be_sent_to_another_process():
    images = noise(30, 40), noise(30, 40, seed=1)
    copy = pickle.loads(pickle.dumps(build_flow("tvl1", threads=1)))
    np.testing.assert_array_equal(copy(*images), native()(*images))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": 0.5}, "gamma is known to OpenCV's solver only"),
        ({"isa": "mmx"}, "no code path 'mmx'; it has auto, baseline"),
        ({"threads": 0}, "threads must be >= 1, got 0"),
        ({"scale_step": 1.0}, r"tvl1 needs scale_step in \(0, 1\), got 1.0"),
        ({"median_filtering": 7}, "tvl1 needs median_filtering 1, 3 or 5, got 7"),
        ({"tau": float("nan")}, "tvl1 needs tau > 0, got nan"),
    ],
)
def test_what_it_cannot_do_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        native(**arguments)
