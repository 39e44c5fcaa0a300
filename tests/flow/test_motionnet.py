"""MotionNet: its shapes, what it learns from frames alone, and its flow of pairs."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from flow import build_flow
from sts_common.motionnet import objective
from sts_common.motionnet.network import MotionNet, whole_flow
from sts_common.motionnet.objective import MotionObjective, charbonnier, roughness, ssim, warp

WIDTH = 1 / 64  # 1 to 16 channels
SHIFT = 3  # pixels to the right from frame to frame


def shifted(count: int = 3, side: int = 64, seed: int = 0) -> torch.Tensor:
    """Clips (1, 3, F, side, side) in [0, 1] of a smooth texture that moves to the right."""
    noise = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    texture = F.interpolate(noise, (side, side + SHIFT * count), mode="bicubic", align_corners=True).clamp(0, 1)
    offsets = [SHIFT * (count - 1 - k) for k in range(count)]
    return torch.stack([texture[..., offset : offset + side] for offset in offsets], 2)


@pytest.mark.parametrize(("frames", "size"), [(2, (64, 64)), (11, (61, 95)), (3, (33, 40))])
def test_flow_has_five_scales_and_gradients_reach_every_weight(frames, size):
    network = MotionNet(frames, WIDTH)
    clips = torch.rand(2, 3, frames, *size)
    flows = network(clips)
    sides = [tuple(-(-side // 2**k) for side in size) for k in (5, 4, 3, 2, 1)]
    assert [tuple(flow.shape) for flow in flows] == [(2, frames - 1, 2, *side) for side in sides]
    sum(MotionObjective()(clips, flows).values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_the_published_network_is_as_large_as_published_layers_make_it():
    with torch.device("meta"):
        network = MotionNet()
    assert network.encoder[0][0][0].weight.shape == (64, 33, 3, 3)
    assert [head.weight.shape[:2] for head in network.predict] == [(20, n) for n in (1024, 512, 256, 128, 64)]
    assert [layer.weight.shape[1] for layer in network.refine] == [1044, 788, 404, 212]


def test_warping_by_the_true_flow_gives_the_frame_before():
    first, following = shifted()[0].transpose(0, 1)[:2]
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, 0] = SHIFT
    warped = warp(following[None], flow)
    torch.testing.assert_close(warped[..., :-SHIFT], first[None, ..., :-SHIFT], atol=1e-5, rtol=0)
    torch.testing.assert_close(warped[..., -SHIFT:], following[None, ..., -1:].expand(-1, -1, -1, SHIFT))


def test_sampling_whose_sums_have_an_order_is_torchs():
    """As with `--deterministic` on a GPU, where torch refuses its own."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 9, 11, generator=generator, dtype=torch.float64)
    flow = (6 * torch.randn(2, 2, 9, 11, generator=generator, dtype=torch.float64)).requires_grad_()
    results = []
    for is_unordered in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(objective, "is_unordered", lambda x, answer=is_unordered: answer)
            patch.setattr(F, "grid_sample", F.grid_sample if not is_unordered else None)
            warped = warp(images, flow)
        results.append((warped, torch.autograd.grad(warped.square().sum(), flow)[0]))
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_flow_that_leaves_the_frame_is_no_way_out():
    clips, objective = shifted(), MotionObjective()
    sides = [2, 4, 8, 16, 32]
    none, outside = (
        objective(clips, [torch.full((1, 2, 2, side, side), far) for side in sides]) for far in (0.0, 100.0)
    )
    for name in ("photometric", "ssim"):
        assert outside[name] > 1.2 * none[name]


def test_the_true_flow_is_better_than_none_or_the_opposite_and_smooth():
    clips, objective = shifted(), MotionObjective()
    sides = [2, 4, 8, 16, 32]

    def terms(x: float) -> dict[str, torch.Tensor]:
        return objective(clips, [torch.tensor([x, 0.0]).view(2, 1, 1).expand(1, 2, 2, s, s) for s in sides])

    true, none, opposite = terms(SHIFT), terms(0), terms(-SHIFT)
    for name in ("photometric", "ssim"):
        assert true[name] < 0.5 * none[name] < none[name] < opposite[name]
    assert true["smoothness"] == none["smoothness"]  # of constant flow: the rounding of the penalty alone


def test_penalties_by_their_formulas():
    flow = torch.tensor([[[[0.0, 2.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]]])
    right, below = np.array([2.0, 0, 0, 0]), np.array([0, -2.0, 0, 0])
    expected = sum(((part**2 + 1e-6) ** 0.3).mean() for part in (right, below))
    assert roughness(flow).item() == pytest.approx(expected, rel=1e-5)
    assert charbonnier(torch.tensor(10.0), 0.4).item() == pytest.approx(100**0.4)
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ssim(image, image), torch.ones(1, 3, 2, 2))
    other = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    a, b = image[0, 0, :8, :8].double(), other[0, 0, :8, :8].double()
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    expected = (2 * a.mean() * b.mean() + 1e-4) * (2 * covariance + 1e-3)
    expected /= (a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var(correction=0) + b.var(correction=0) + 1e-3)
    assert ssim(image, other)[0, 0, 0, 0].item() == pytest.approx(expected.item(), abs=1e-4)


def test_the_losses_have_the_weights_of_the_published_layers():
    """Sums over channels and windows at 224 pixels, divided as the project's layers of Caffe divide them."""
    frames = torch.rand(2, 3, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    sizes = (7, 14, 28, 56, 112)
    noise = torch.Generator().manual_seed(2)
    flows = [torch.randn(2, 2, 2, side, side, generator=noise) for side in sizes]
    objective, clips = MotionObjective(), 16
    found = {name: float(term) / clips for name, term in objective(frames, flows).items()}
    photometric = smoothness = structure = 0.0
    for weight, flow, side in zip((0.16, 0.08, 0.04, 0.02, 0.01), flows, sizes, strict=True):
        small = F.interpolate(frames.transpose(1, 2).flatten(0, 1), (side, side), mode="bilinear", antialias=True)
        small = small.unflatten(0, (2, 3))
        first, following = small[:, :-1].flatten(0, 1), small[:, 1:].flatten(0, 1)
        moved = flow.flatten(0, 1) * side / 224
        warped, margin = warp(following, moved), round(0.1 * side)
        inside = torch.zeros(side, side)
        inside[margin : side - margin, margin : side - margin] = 1
        error = charbonnier(255 * (first - warped), 0.4) * inside
        # N x the sum of a mask of N clips and 30 channels
        photometric += float(error.sum() / (3 * len(error) * inside.sum())) / clips
        inner = [moved.diff(dim=axis)[..., margin : side - margin, margin : side - margin] for axis in (-1, -2)]
        steps = [charbonnier(step, 0.3).mean(dim=(0, 2, 3)) for step in inner]
        smoothness += (
            float(sum(steps).sum()) / 2 * 20 / 30 / clips
        )  # 20 differences of x and 20 of y, by that mask of 30
        alike = ssim(first, warped)
        windows = -(-(side - 8) // 8) + 1 if side > 8 else 1
        structure += weight * 30 * windows**2 * float((1 - alike).mean())
    assert found["photometric"] == pytest.approx(photometric, rel=1e-4)
    assert found["smoothness"] == pytest.approx(smoothness, rel=1e-4)
    assert found["ssim"] == pytest.approx(structure, rel=1e-4)


def test_a_network_learns_a_shift_from_frames_alone():
    torch.manual_seed(1)
    network, objective = MotionNet(2, 1 / 32), MotionObjective()
    clips = torch.cat([shifted(2, 32, seed) for seed in range(2)])
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(80):
        optimizer.zero_grad()
        sum(objective(clips, network(clips - 0.5)).values()).backward()
        optimizer.step()
    flow = whole_flow(network, clips - 0.5).detach()
    assert (flow[:, 0, 0].median() - SHIFT).abs() < 1
    assert flow[:, 0, 1].abs().median() < 0.5


def test_long_clips_are_seen_in_windows_and_short_ones_end_with_their_last_frame():
    network = MotionNet(3, WIDTH).eval()
    clips = torch.rand(1, 3, 6, 32, 32)
    with torch.no_grad():
        whole = whole_flow(network, clips)
        parts = [whole_flow(network, clips[:, :, a : a + 3]) for a in (0, 2, 3)]
        pair, padded = whole_flow(network, clips[:, :, :2]), whole_flow(network, clips[:, :, [0, 1, 1]])
    torch.testing.assert_close(whole, torch.cat((parts[0], parts[1], parts[2][:, 1:]), 1))
    torch.testing.assert_close(pair, padded[:, :1])


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(1)
    network = MotionNet(3, WIDTH)
    state = {f"motion.{name}": x for name, x in network.state_dict().items()} | {"fc.weight": torch.zeros(1)}
    made = {"state_dict": state, "recipe": {"normalisation": {"mean": [128.0] * 3, "std": [64.0] * 3}}}
    torch.save(made, tmp_path / "hidden.pth")
    return tmp_path / "hidden.pth", network


def test_as_a_flow_it_sees_videos_in_windows_and_says_whose_weights(checkpoint):
    path, network = checkpoint
    solve = build_flow("motionnet", weights=str(path), device="cpu")
    images = np.random.default_rng(0).integers(0, 256, (5, 40, 48), np.uint8)
    frames = (torch.from_numpy(images).float().expand(3, -1, -1, -1) - 128) / 64
    with torch.no_grad():
        expected = whole_flow(network.eval(), frames[None])[0].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(solve(images[:-1], images[1:]), expected, atol=1e-5)
    order = [0, 2]  # pairs that do not follow each other stand alone
    alone = solve(images[:-1][order], images[1:][order])
    np.testing.assert_allclose(alone[1], solve(images[2], images[3]), atol=1e-5)
    assert solve.description["parameters"]["frames"] == 3
    assert len(solve.description["parameters"]["weights"]) == 12


def test_what_is_no_motionnet_is_refused(tmp_path, checkpoint):
    with pytest.raises(ValueError, match="--flow_weights PATH"):
        build_flow("motionnet")
    torch.save({"state_dict": {"fc.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: not a checkpoint of a hidden two-stream network"):
        build_flow("motionnet", weights=tmp_path / "other.pth")
    state = torch.load(checkpoint[0])
    del state["state_dict"]["motion.predict.0.bias"]
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(ValueError, match=r"cut\.pth: a MotionNet of other sizes: .*predict\.0\.bias"):
        build_flow("motionnet", weights=tmp_path / "cut.pth")
