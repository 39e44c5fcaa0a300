"""Triton's kernels of TV-L1 find the flow of plain torch: interpreted on a CPU, and on a GPU where there is one.

Triton decides when it is imported whether it interprets. Run as a script, this file computes what the tests compare:
`TRITON_INTERPRET=1 python tests/flow/test_tvl1_triton.py RESULTS.npz`.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from flow import pairs_at_once
from flow.tvl1 import triton_solver as tvl1_triton
from flow.tvl1.parameters import build_parameters
from flow.tvl1.tensors import CHECK_EVERY, with_gradient
from flow.tvl1.torch_solver import Iterations, TorchTVL1, linearise, with_margin
from flow.tvl1.triton_solver import TritonTVL1

ROOT = Path(__file__).parents[2]
ENDLESS = {"epsilon": 0.0, "outer_iterations": 1, "median_filtering": 1}
STILL = "a batch of which a pair stands still"
# Name -> (pairs, height, width), changes to the preset "fixed" with one round of iterations, whatever moves.
FLOWS = {
    "a pair": ((33, 27), {"warps": 2, "inner_iterations": 7, "scales": 2}),
    "a batch": ((2, 20, 30), {"warps": 1, "inner_iterations": 5, "scales": 2}),
    "several tiles": ((70, 61), {"warps": 1, "inner_iterations": 11, "scales": 1}),
    "a median of 3": ((17, 19), {"warps": 1, "inner_iterations": 3, "outer_iterations": 2, "median_filtering": 3}),
    "a median of 5": ((17, 19), {"warps": 1, "inner_iterations": 3, "outer_iterations": 2, "median_filtering": 5}),
    STILL: (
        (2, 20, 60),
        ENDLESS | {"epsilon": 0.1, "outer_iterations": 2, "inner_iterations": 10, "median_filtering": 5, "warps": 1},
    ),
    "every number": (
        (24, 31),
        {"tau": 0.2, "lambda_": 0.05, "theta": 0.2, "scales": 3, "scale_step": 0.7, "warps": 1, "inner_iterations": 6},
    ),
    "a pixel": ((1, 1), {"warps": 1, "inner_iterations": 2}),
    "a row": ((1, 70), {"warps": 1, "inner_iterations": 6}),
    "a column": ((70, 1), {"warps": 1, "inner_iterations": 6}),
}
PAIRS, HEIGHT, WIDTH = SHAPE = 2, 61, 58  # of the single kernels: with the margins, more than one tile
STEPS = 5, 5, 2  # from the second launch on all of the state is in motion


def images(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Textures that move by (1, -1), another one for each pair."""
    *pairs, height, width = shape
    previous, following = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for pair in np.ndindex(*pairs):
        noise = np.random.default_rng(sum(pair)).standard_normal((height + 16, width + 16))
        texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        previous[pair] = texture[8:-8, 8:-8]
        following[pair] = texture[9 : height + 9, 7 : width + 7]
    return previous, following


def flow_of(solver: type, name: str, **arguments) -> np.ndarray:
    """The flow of one of `FLOWS`."""
    shape, parameters = FLOWS[name]
    previous, following = images(shape)
    if name == STILL:
        following[1] = previous[1]
    return solver(build_parameters("fixed", ENDLESS | parameters), **arguments)(previous, following)


def level() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images of one level and a flow that leads out of them in places."""
    previous, following = (torch.from_numpy(x)[:, None].float() for x in images(SHAPE))
    u = 10 * torch.randn(PAIRS, 2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    return previous, with_gradient(following), u


def data_term() -> torch.Tensor:
    """Planes as of the kernel `linearise`, but of any size: (N, 4, H, W)."""
    data = torch.randn(PAIRS, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    data[:, 3].abs_().neg_()  # what turns a into b is negative
    return data


def interpret_flows() -> dict[str, np.ndarray]:
    """Each of `FLOWS`, computed by the interpreter."""
    return {name: flow_of(TritonTVL1, name, device="cpu") for name in FLOWS}


def interpret_kernels() -> dict[str, np.ndarray]:
    """Return the state after each kernel, computed by the interpreter."""
    from flow.tvl1 import triton_kernels as kernels
    from flow.tvl1 import triton_median as filters

    results = {}
    parameters, (previous, planes, u), data = build_parameters("fixed", {}), level(), data_term()
    state = torch.zeros(PAIRS, 6, HEIGHT, WIDTH)
    state[:, :2] = u
    found = torch.full_like(data, torch.nan)
    blocks = -(-HEIGHT * WIDTH // kernels.BLOCK)
    sizes = HEIGHT, WIDTH
    kernels.linearise[(PAIRS * blocks,)](
        previous, planes, state, found, *sizes, parameters.theta, parameters.lambda_, kernels.BLOCK
    )
    results["linearise"] = found.numpy()
    inner = kernels.TILE - 2 * kernels.HALO
    tiles = -(-HEIGHT // inner) * -(-WIDTH // inner)
    assert tiles > 1

    def iterate(programs: int, changes: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        result, changed = torch.full_like(state, torch.nan), torch.full_like(changes, torch.nan)
        launch = *(state, 6, state, data, changes, result, changed, *sizes, steps, 0.2, 1.0), *constants
        kernels.iterate[(programs,)](*launch)
        return result, changed

    constants = kernels.TILE, kernels.HALO, filters.CHUNK
    moving = torch.full((PAIRS, tiles), torch.inf)
    for steps in STEPS:
        state, changed = iterate(PAIRS * tiles, moving, steps)
    results["iterate"], results["changed"] = state.numpy(), changed.numpy()
    results["one tile"] = iterate(1, moving, 5)[0].numpy()
    for name, change in (("settled", 1.0 / tiles), ("settled before", -1.0)):
        results[name], results[f"{name}, changed"] = (
            x.numpy() for x in iterate(PAIRS * tiles, torch.full_like(moving, change), 5)
        )
    return results


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory) -> dict[str, np.ndarray]:
    """Return the result of a process whose kernels are interpreted."""
    pytest.importorskip("triton", reason="the kernels need Triton")
    path = tmp_path_factory.mktemp("triton") / "results.npz"
    env = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, __file__, str(path)], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with np.load(path) as results:
        return dict(results)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_the_interpreted_kernels_find_the_flow_of_torch(name, interpreted):
    found, expected = interpreted[name], flow_of(TorchTVL1, name)
    assert found.shape == (*FLOWS[name][0], 2)
    assert np.linalg.norm(found - expected, axis=-1).mean() < 1e-3
    assert np.median(np.abs(found - expected)) < 1e-5


@pytest.mark.slow
def test_the_kernel_linearises_as_torch_does_also_outside_of_the_image(interpreted):
    previous, planes, u = level()
    rho, a, b = linearise(previous, with_margin(planes), u, build_parameters("fixed", {}))
    found = torch.from_numpy(interpreted["linearise"]).flatten(2)
    torch.testing.assert_close(found[:, 3:] * found[:, 1:3], b, rtol=1e-3, atol=1e-3)
    textured = b.square().sum(1, keepdim=True) > 0.1
    assert 0.5 < textured.float().mean() < 0.98
    for mine, expected in ((found[:, :1], rho), (found[:, 1:2], a[:, :1]), (found[:, 2:3], a[:, 1:])):
        torch.testing.assert_close(mine[textured], expected[textured], rtol=1e-2, atol=1e-2)


@pytest.mark.slow
def test_the_tiles_of_a_kernel_iterate_as_torch_does_on_the_whole_image(interpreted):
    rho, a, a_to_b = data_term().flatten(2).split((1, 2, 1), 1)
    iterations = Iterations(level()[2].flatten(2).clone(), WIDTH, 0.2)
    iterations.advance((rho, a, a * a_to_b), sum(STEPS))
    u, p = iterations.u, iterations.p
    expected = torch.cat((u, p[:, :, 0].transpose(0, 1), p[:, :, 1].transpose(0, 1)), 1)
    found = torch.from_numpy(interpreted["iterate"]).flatten(2)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_the_tiles_leave_the_change_of_the_last_iteration(interpreted):
    rho, a, a_to_b = data_term().flatten(2).split((1, 2, 1), 1)
    iterations = Iterations(level()[2].flatten(2).clone(), WIDTH, 0.2)
    iterations.advance((rho, a, a * a_to_b), sum(STEPS) - 1)
    before = iterations.u.clone()
    iterations.advance((rho, a, a * a_to_b), 1)
    expected = (iterations.u - before).square().sum((1, 2)).numpy()
    np.testing.assert_allclose(interpreted["changed"].sum(1), expected, rtol=1e-3)


@pytest.mark.slow
def test_a_pair_that_has_settled_is_copied_once_and_then_left_alone(interpreted):
    np.testing.assert_array_equal(interpreted["settled"], interpreted["iterate"])
    assert np.isnan(interpreted["settled before"]).all()
    for name in ("settled, changed", "settled before, changed"):
        assert (interpreted[name] == -1).all()


@pytest.mark.slow
def test_a_tile_writes_nothing_but_what_is_its_own(interpreted):
    from flow.tvl1 import triton_kernels as kernels

    written = ~np.isnan(interpreted["one tile"])
    side = kernels.TILE - 2 * kernels.HALO
    assert written[0, :, :side, :side].all()
    assert written.sum() == 6 * side * side


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("name", ["linearise", "iterate", "smooth 3", "smooth 5"])
def test_the_kernels_compile_for_gpus_that_are_not_here(name, capability, tmp_path, monkeypatch):
    triton = pytest.importorskip("triton")
    compiler = pytest.importorskip("triton.backends.compiler")
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton cannot compile for NVIDIA's GPUs")
    from flow.tvl1 import triton_kernels as kernels
    from flow.tvl1 import triton_median as filters

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = dict.fromkeys(("height", "width", "steps", "u_planes", "tiles"), "i32")
    types |= dict.fromkeys(("theta", "lambda_", "tau", "enough"), "fp32")
    constants = {"block": kernels.BLOCK, "tile": kernels.TILE, "halo": kernels.HALO, "chunk": filters.CHUNK}
    kernel = filters.smooth if name.startswith("smooth") else getattr(kernels, name)
    if kernel is filters.smooth:
        constants |= {"block": filters.PIXELS, "side": int(name[-1])}
    signature = {
        argument: "constexpr" if argument in constants else types.get(argument, "*fp32")
        for argument in kernel.arg_names
    }
    source = triton.compiler.ASTSource(
        kernel, signature, {argument: constants[argument] for argument in signature if argument in constants}
    )
    options = {"num_warps": kernels.WARPS if name == "iterate" else 4, "enable_fp_fusion": True}
    compiled = triton.compile(source, target=compiler.GPUTarget("cuda", capability, 32), options=options)
    assert len(compiled.asm["cubin"]) > 1000
    assert compiled.metadata.shared <= 48 * 1024  # what every GPU has


def test_a_batch_is_as_large_as_the_processors_of_its_gpu_like_it(monkeypatch):
    pytest.importorskip("triton", reason="the tiles are those of its kernels")
    processors = {"cuda:0": 132, "cuda:1": 108}
    asked = lambda device: SimpleNamespace(multi_processor_count=processors[str(device)])  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_properties", asked)
    solver = TritonTVL1(build_parameters("fixed", {}), device="cpu")
    found = [solver.at_once(256, 340, 35, torch.device(place)) for place in ("cpu", "cuda:0", "cuda:1")]
    assert found == [35, 33, 27]
    solver.device = torch.device("cuda:0")
    assert pairs_at_once(solver, 256, 340, 3_000_000) == 33
    assert pairs_at_once(lambda *images: None, 256, 340, 3_000_000) == 35


def test_triton_and_torch_look_at_the_same_iterations():
    kernels = pytest.importorskip("flow.tvl1.triton_kernels")
    assert kernels.HALO == CHECK_EVERY


def test_without_a_gpu_that_is_what_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert tvl1_triton.missing().startswith("no CUDA device that this torch can use")


@pytest.mark.parametrize(
    ("capability", "modules", "reason"),
    [
        ((6, 1), {}, "Triton needs a GPU of compute capability 7.0 or newer"),
        ((9, 0), {"triton": None}, "no Triton: pip install triton"),
    ],
)
def test_what_a_gpu_lacks_is_named(monkeypatch, capability, modules, reason):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert tvl1_triton.missing() == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("Failed to find C compiler.\nPlease"), "Failed to find C compiler."),
        (subprocess.CalledProcessError(1, ["gcc", "main.c"]), r"Command '\['gcc', 'main.c'\]' returned non-zero"),
        (OSError(), "OSError"),
    ],
)
def test_a_triton_that_cannot_start_kernels_is_named_with_the_cure(monkeypatch, error, reason):
    triton = pytest.importorskip("triton")

    class Broken:
        @property
        def active(self):
            raise error

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(triton.runtime, "driver", Broken())
    with pytest.raises(AssertionError, match=f"^Triton cannot start kernels here: {reason}.*; install gcc and Python"):
        raise AssertionError(tvl1_triton.missing())
    assert "\n" not in tvl1_triton.missing()


@pytest.mark.gpu
@pytest.mark.skipif(tvl1_triton.missing() != "", reason=tvl1_triton.missing())
class TestOnAGPU:
    SHAPE = 3, 256, 340

    def test_the_flow_is_that_of_opencv_to_a_tenth_of_a_pixel(self):
        pairs = images(self.SHAPE)
        found = TritonTVL1(build_parameters("fixed", {}))(*pairs)
        assert isinstance(found, np.ndarray)
        solver = cv2.optflow.DualTVL1OpticalFlow.create()
        for flow, previous, following in zip(found, *pairs, strict=True):
            difference = flow - solver.calc(previous, following, None)
            assert np.linalg.norm(difference, axis=-1).mean() <= 0.1

    # At edges the iterations enlarge what is rounded: on a CPU float32 is as far from float64. And where a change is
    # as good as `enough`, rounding decides on five iterations.
    @pytest.mark.parametrize(("preset", "tolerance"), [("fixed", 0.02), ("fast", 0.03)])
    @pytest.mark.parametrize("shape", [SHAPE, (1, 1), (1, 90), (70, 1), (240, 320), (2, 131, 97)])
    def test_the_flow_is_that_of_torch(self, preset, tolerance, shape):
        parameters = build_parameters(preset, {})
        pair = [torch.from_numpy(x).to("cuda") for x in images(shape)]
        found, expected = TritonTVL1(parameters)(*pair), TorchTVL1(parameters)(*pair)
        assert found.device == pair[0].device
        distance = torch.linalg.vector_norm(found - expected, dim=-1)
        assert distance.mean().item() <= tolerance
        assert distance.median().item() <= 1e-3

    def test_a_batch_has_the_flow_of_its_pairs_and_twice_the_same(self):
        solver, (previous, following) = TritonTVL1(build_parameters("fast", {})), images(self.SHAPE)
        together = solver(previous, following)
        np.testing.assert_array_equal(solver(previous, following), together)
        for pair, flow in enumerate(together):
            np.testing.assert_array_equal(solver(previous[pair], following[pair]), flow)

    def test_the_other_stream_and_tensors_of_the_cpu_are_served(self):
        solver, (previous, following) = TritonTVL1(build_parameters("fast", {})), images((64, 80))
        tensors = torch.from_numpy(previous), torch.from_numpy(following)
        with torch.cuda.stream(torch.cuda.Stream()):
            found = solver(*tensors)
        assert found.device.type == "cpu"
        np.testing.assert_array_equal(found.numpy(), solver(previous, following))


if __name__ == "__main__":
    np.savez(sys.argv[1], **interpret_flows(), **interpret_kernels())
