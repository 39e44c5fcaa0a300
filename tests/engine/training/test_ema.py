"""The average of the weights, against its formula."""

import pytest
import torch
from torch import nn

from engine import checkpoint
from engine.training.ema import Ema


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(2, 3, 1), nn.BatchNorm3d(3), nn.Flatten(), nn.Linear(24, 2))


def train(net: nn.Module, ema: Ema, steps: int, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    """Weights after each step."""
    generator = torch.Generator().manual_seed(seed)
    optimizer, history = torch.optim.SGD(net.parameters(), lr=0.1), []
    for _ in range(steps):
        clips = torch.randn(4, 2, 2, 2, 2, generator=generator, dtype=net[0].weight.dtype)
        net(clips).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        ema.update()
        history.append({name: value.clone() for name, value in net.state_dict().items()})
    return history


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.99])
def test_the_average_follows_its_formula(decay):
    net = network().double()
    expected = {name: value.clone() for name, value in net.state_dict().items()}
    ema = Ema(net, decay)
    for t, weights in enumerate(train(net, ema, 12), 1):
        d = min(decay, (1 + t) / (10 + t))
        for name, value in weights.items():
            expected[name] = d * expected[name] + (1 - d) * value if value.is_floating_point() else value
    assert ema.updates == 12
    for name, value in expected.items():
        torch.testing.assert_close(ema.average[name], value, rtol=1e-12, atol=1e-14)


def test_statistics_of_batch_norms_are_averaged_and_their_counters_copied():
    net = network()
    ema = Ema(net, 0.99)
    history = train(net, ema, 5)
    assert ema.average["1.num_batches_tracked"] == 5
    means = torch.stack([weights["1.running_mean"] for weights in history])
    assert not torch.equal(ema.average["1.running_mean"], means[-1])
    assert (ema.average["1.running_mean"].abs() <= means.abs().max(0).values + 1e-6).all()


def test_averaged_weights_are_applied_and_the_own_ones_put_back_bit_for_bit():
    net = network()
    ema = Ema(net, 0.9)
    own = train(net, ema, 4)[-1]
    addresses = [value.data_ptr() for value in net.state_dict().values()]
    with pytest.raises(RuntimeError, match="evaluation failed"), ema.applied(), torch.inference_mode():
        assert all(torch.equal(value, ema.average[name]) for name, value in net.state_dict().items())
        assert not torch.equal(net[0].weight, own["0.weight"])
        net.eval()(torch.zeros(1, 2, 2, 2, 2))
        raise RuntimeError("evaluation failed")
    assert all(torch.equal(value, own[name]) for name, value in net.state_dict().items())
    assert addresses == [value.data_ptr() for value in net.state_dict().values()]
    train(net.train(), ema, 1)  # and it can go on learning


def test_an_average_comes_back_from_a_checkpoint_bit_for_bit(tmp_path):
    def start():
        torch.manual_seed(1)
        net = network()
        return net, Ema(net, 0.99)

    net, ema = start()
    train(net, ema, 3)
    state = {"ema": ema.state(), "state_dict": ema.average, "raw": net.state_dict()}
    checkpoint.save(tmp_path / "a.pth", state)
    train(net, ema, 4, seed=7)
    other, again = start()
    loaded = checkpoint.load(tmp_path / "a.pth")
    other.load_state_dict(loaded["raw"])
    again.load(loaded["ema"], loaded["state_dict"])
    train(other, again, 4, seed=7)
    assert again.updates == ema.updates == 7
    assert all(torch.equal(value, again.average[name]) for name, value in ema.average.items())


def test_an_average_learns_nothing_and_needs_a_decay_below_one():
    ema = Ema(network(), 0.5)
    assert not any(value.requires_grad for value in ema.average.values())
    for decay in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="--ema must be"):
            Ema(network(), decay)
