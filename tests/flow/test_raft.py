"""RAFT around its network: shapes, padding, weights. The weights here are random, so what it sees is not tested."""

import struct

import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_large, raft_small

from flow.raft import margins, raft


def save(network, path):
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(1)
    return save(raft_small(), tmp_path_factory.mktemp("raft") / "small.pth")


@pytest.fixture(scope="module")
def solve(weights):
    return raft(weights, iterations=1)


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("size", [(128, 128), (129, 200), (17, 19), (1, 1)])
def test_images_of_any_size_give_flow_of_that_size(solve, size):
    flow = solve(images(*size), images(*size, seed=1))
    assert flow.dtype == np.float32
    assert flow.shape == (*size, 2)
    assert np.isfinite(flow).all()
    assert flow.std() > 0 or size == (1, 1)


def test_the_flow_is_that_of_the_network_for_rgb_between_minus_1_and_1(solve, weights):
    network = raft_small()
    network.load_state_dict(torch.load(weights, weights_only=True))
    previous, following = images(128, 136), images(128, 136, seed=1)
    rgb = [torch.from_numpy(image).float().expand(1, 3, -1, -1) / 127.5 - 1 for image in (previous, following)]
    with torch.no_grad():
        expected = network.eval()(*rgb, num_flow_updates=1)[-1][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(solve(previous, following), expected, atol=1e-5)


def test_padding_repeats_the_edges_and_is_cut_off_where_it_was_put(solve):
    previous, following = images(101, 130), images(101, 130, seed=1)
    left, right, top, bottom = margins(101, 130)
    assert (130 + left + right, 101 + top + bottom) == (136, 128)
    padded = (np.pad(image, ((top, bottom), (left, right)), mode="edge") for image in (previous, following))
    whole = solve(*padded)
    np.testing.assert_array_equal(solve(previous, following), whole[top : top + 101, left : left + 130])


def test_a_batch_equals_its_pairs_however_it_is_divided(solve, weights):
    pairs = images(4, 128, 128)
    previous, following = pairs[:3], pairs[1:]
    whole = solve(previous, following)
    assert whole.shape == (3, 128, 128, 2)
    np.testing.assert_array_equal(whole, solve(previous, following))
    np.testing.assert_allclose(raft(weights, iterations=1, batch_size=2)(previous, following), whole, atol=1e-4)
    np.testing.assert_allclose(solve(previous[1], following[1]), whole[1], atol=1e-4)
    assert solve(previous[:0], following[:0]).shape == (0, 128, 128, 2)


def test_tensors_give_a_tensor_that_a_network_can_learn_from(solve):
    previous, following = images(2, 128, 128)
    flow = solve(torch.from_numpy(previous), torch.from_numpy(following))
    np.testing.assert_array_equal(flow.numpy(), solve(previous, following))
    weight = torch.ones(2, requires_grad=True)
    (flow @ weight).sum().backward()
    assert weight.grad is not None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_tensors_on_a_gpu_stay_there(weights):
    previous, following = (torch.from_numpy(image).cuda() for image in images(2, 128, 128))
    assert raft(weights)(previous, following).device == previous.device


def test_more_iterations_refine_the_flow_further(weights, solve):
    pair = images(2, 128, 128)
    assert np.abs(raft(weights, iterations=2)(*pair) - solve(*pair)).mean() > 1e-3


@pytest.mark.parametrize(("network", "size"), [(raft_small, "small"), (raft_large, "large")])
def test_the_size_is_seen_from_the_weights_and_recorded(tmp_path, network, size):
    path = save(network(), tmp_path / "weights.pth")
    description = raft(path).description
    assert description["algorithm"] == "raft"
    assert description["library"].startswith("torchvision 0.")
    assert description["parameters"] == {
        "iterations": 12,
        "size": size,
        "weights": description["parameters"]["weights"],
    }
    assert len(description["parameters"]["weights"]) == 12


@pytest.mark.parametrize("place", [0, -1])
def test_the_record_of_the_weights_depends_on_their_values_alone(tmp_path, weights, solve, place):
    state = torch.load(weights, weights_only=True)
    torch.save(dict(reversed(state.items())), tmp_path / "again.pth")
    recorded = solve.description["parameters"]["weights"]
    assert raft(tmp_path / "again.pth").description["parameters"]["weights"] == recorded
    list(state.values())[place][0] += 1
    torch.save(state, tmp_path / "other.pth")
    assert raft(tmp_path / "other.pth").description["parameters"]["weights"] != recorded


def test_without_weights_it_says_how_to_get_them():
    with pytest.raises(ValueError, match=r"with --flow_weights PATH; .*Raft_Large_Weights.*torch\.save|torch\.save.*"):
        raft()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth: no such file; .*Raft_Large_Weights"):
        raft("nowhere.pth")


def test_a_file_that_is_not_weights_is_refused(tmp_path, weights):
    whole = weights.read_bytes()
    for data in (b"", b"weights", struct.pack("<4i", 1, 2, 3, 4), b"PK\3\4" + bytes(40), whole[: len(whole) // 2]):
        (tmp_path / "bad.pth").write_bytes(data)
        with pytest.raises(ValueError, match=r"bad\.pth: damaged, or not a file of tensors"):
            raft(tmp_path / "bad.pth")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1, 2], "not the state dict of torchvision's raft_large or raft_small"),
        ({"fc.weight": torch.zeros(1)}, "not the state dict of torchvision's"),
        ({name: torch.zeros(1) for name in raft_small().state_dict()}, "a RAFT of other sizes"),
        (dict.fromkeys(raft_small().state_dict(), 3), "a RAFT of other sizes"),
    ],
)
def test_weights_of_something_else_are_refused(tmp_path, state, message):
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=rf"other\.pth: {message}"):
        raft(tmp_path / "other.pth")


@pytest.mark.parametrize("parameters", [{"iterations": 0}, {"iterations": 1.5}, {"batch_size": 0}])
def test_parameters_out_of_range_are_named(weights, parameters):
    ((name, value),) = parameters.items()
    with pytest.raises(ValueError, match=f"raft needs {name} >= 1, a whole number, got {value}"):
        raft(weights, **parameters)
