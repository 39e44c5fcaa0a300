"""Weight gradients on CPUs are right at every number of frames, whatever asks for them, and all else stays torch's."""

import json
import math
import os

import pytest
import torch
import torch.nn.functional as F
from helpers import small
from small_tasks import relative_error
from torch import nn

from benchmarks import conv_gradients as benchmark
from engine.device.precision import autocast
from models import MODELS
from models.backbones.output import Output
from models.distill import OutputShapes
from models.distill.review import Review
from models.layers import conv_gradients
from models.layers.conv_gradients import Geometry, by_frames, gradient_of_padded, left_to_torch, too_few_frames
from models.layers.gradient_errors import errors_by_torch, weight_error

CPU, BF16 = torch.device("cpu"), torch.bfloat16
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last_3d}
FRAMES = (1, 2, 3, 4, 8)
IN_TIME = [name for name in MODELS if any(isinstance(module, nn.Conv3d) for module in small(name).modules())]


def is_wrong(x, weight, stride, padding) -> bool:
    """Where AVX512's bfloat16 is wrong, of convolutions with padding of half the kernel."""
    in_time = x.dim() == 5 and stride[0] == 1 and padding[0] > 0 and 2 <= x.shape[2] < weight.shape[2]
    steps = zip(x.shape[-2:], stride[-2:], padding[-2:], strict=True)
    return x.dtype == BF16 and (in_time or any(pad > 0 and side < step for side, step, pad in steps))


@pytest.fixture
def faulty(monkeypatch):
    """A CPU whose torch has the fault, whether this one's has it or not; none of its faulty kernels runs here.

    They may end the process, or write into what another test reads.
    """
    native = conv_gradients.native

    def broken(keys, grad, x, weight, bias_sizes, stride, padding, *rest):
        *fields, (for_input, for_weight, for_bias) = rest
        if (for_weight or for_bias) and is_wrong(x, weight, stride, padding):
            mask = (for_input, False, False)
            of_input = native(keys, grad, x, weight, bias_sizes, stride, padding, *fields, mask)[0]
            of_bias = grad.sum((0, *range(2, grad.dim()))) if for_bias else None
            return of_input, torch.full_like(weight, math.nan) if for_weight else None, of_bias
        return native(keys, grad, x, weight, bias_sizes, stride, padding, *rest)

    monkeypatch.setattr(conv_gradients, "native", broken)


def gradients(module, *inputs):
    """Of the mean square of a module's output in mixed precision: of its parameters, added to what there is."""
    with autocast(CPU, "bf16"):
        out = module(*inputs)
    out.float().square().mean().backward()
    return {name: p.grad for name, p in module.named_parameters()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize(("kernel", "wrong"), [(3, (2,)), (5, (2, 3, 4)), (7, (2, 3, 4, 5, 6))])
def test_torch_is_wrong_where_the_kernel_is_longer_than_the_clip_and_here_it_is_right(
    faulty, kernel, wrong, groups, layout
):
    torch.manual_seed(1)
    convolution = nn.Conv3d(8, 8, (kernel, 3, 3), padding=(kernel // 2, 1, 1), groups=groups, bias=False)
    convolution = convolution.to(memory_format=LAYOUTS[layout])
    for frames in range(1, 9):
        x = torch.randn(2, 8, frames, 4, 5).contiguous(memory_format=LAYOUTS[layout])
        assert weight_error(convolution, x, BF16) < 0.01
        with left_to_torch():
            assert (weight_error(convolution, x, BF16) > 1) == (frames in wrong)


@pytest.mark.parametrize("kernel", [(3, 3, 3), (7, 3, 3), (5, 1, 1), (4, 2, 3), (1, 3, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_by_frames_is_the_weight_gradient_for_any_stride_padding_and_dilation(kernel, groups):
    torch.manual_seed(1)
    weight = torch.randn(4, 6 // groups, *kernel, dtype=torch.float64)
    for stride, padding, dilation, frames in (
        (s, p, d, n) for s in (1, 2, 3) for p in range(kernel[0]) for d in (1, 2) for n in (1, 2, 3, 8)
    ):
        if frames + 2 * padding <= dilation * (kernel[0] - 1):
            continue
        geometry = Geometry(None, (stride, 1, 2), (padding, 1, 1), (dilation, 1, 1), False, (0, 0, 0), groups)
        x = torch.randn(2, 6, frames, 3, 4, dtype=torch.float64)
        learns = weight.clone().requires_grad_()
        out = F.conv3d(x, learns, None, geometry.stride, geometry.padding, geometry.dilation, groups)
        grad = torch.randn_like(out)
        (wanted,) = torch.autograd.grad(out, learns, grad)
        made = by_frames(torch.ops.aten.convolution_backward, grad, x, weight, geometry)
        assert torch.allclose(made, wanted, atol=1e-12)


@pytest.mark.parametrize("convolve", [F.conv2d, F.conv3d])
@pytest.mark.parametrize("last", [False, True], ids=list(LAYOUTS))
@pytest.mark.parametrize(
    ("kernel", "stride", "side"), [(3, 2, 1), (3, 3, 2), (5, 1, 1), (5, 2, 1), (7, 2, 2), (7, 3, 2)]
)
def test_pictures_of_a_few_pixels_have_right_gradients(faulty, convolve, kernel, stride, side, last):
    torch.manual_seed(1)
    frames, in_time = ((4,), (1,)) if convolve is F.conv3d else ((), ())
    formats = torch.contiguous_format, torch.channels_last_3d if frames else torch.channels_last
    layout = formats[last]
    for height, width in ((side, side), (side, 6), (6, side)):
        x = torch.randn(2, 8, *frames, height, width).contiguous(memory_format=layout)
        weight = torch.randn(8, 4, *in_time, kernel, kernel)
        made, wanted = [], []
        for kind, gradients_of in ((BF16, made), (torch.float64, wanted)):
            learns = weight.to(BF16).to(kind).contiguous(memory_format=layout).requires_grad_()
            half = kernel // 2
            padding, steps = (*(0,) * len(frames), half, half), (*in_time, stride, stride)
            out = convolve(x.to(BF16).to(kind), learns, None, steps, padding, 1, 2)
            gradients_of += torch.autograd.grad(out.square().sum(), learns)
        assert relative_error(made[0], wanted[0]) < 0.02, (height, width)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("sizes", [(1, 3), (2, 1, 3), (4, 5, 2)], ids=str)
def test_of_padded_is_the_weight_gradient_for_any_stride_padding_and_dilation(sizes, transposed):
    torch.manual_seed(1)
    dims, padding = len(sizes), 1 if transposed else 2
    convolutions = [(F.conv2d, F.conv_transpose2d), (F.conv3d, F.conv_transpose3d)]
    convolve = convolutions[dims == 3][transposed]
    for stride, dilation in ((s, d) for s in (1, 2, 3) for d in (1, 2)):
        x, weight = torch.randn(2, 6, *sizes).double(), torch.randn(6, 3, *(3,) * dims).double().requires_grad_()
        geometry = Geometry(None, *((n,) * dims for n in (stride, padding, dilation)), transposed, (0,) * dims, 2)
        more = {"stride": geometry.stride, "padding": geometry.padding, "dilation": geometry.dilation, "groups": 2}
        out = convolve(x, weight, **more)
        grad = torch.randn_like(out)
        (wanted,) = torch.autograd.grad(out, weight, grad)
        made = gradient_of_padded(torch.ops.aten.convolution_backward, grad, x, weight, geometry)
        assert torch.allclose(made, wanted, atol=1e-12)


@pytest.mark.parametrize("name", IN_TIME)
def test_every_convolution_of_every_network_has_right_gradients_at_every_number_of_frames(faulty, name):
    torch.manual_seed(1)
    network = small(name).to(memory_format=torch.channels_last_3d)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv3d)]
    kinds = {geometry(convolution): convolution for convolution in reversed(convolutions)}  # the first of each
    for kind, convolution in kinds.items():
        for frames in FRAMES:
            x = torch.randn(2, convolution.in_channels, frames, 2, 2)
            x = x.contiguous(memory_format=torch.channels_last_3d)
            assert weight_error(convolution, x, BF16) < 0.01, (kind, frames)


def geometry(convolution: nn.Conv3d) -> tuple:
    """Geometry that a gradient depends on, but for the number of channels."""
    groups = convolution.groups
    grouping = ["dense", "grouped", "depthwise"][(groups > 1) + (groups == convolution.in_channels > 1)]
    return convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation, grouping


@pytest.mark.parametrize("name", IN_TIME)
def test_a_network_learns_from_short_clips_in_mixed_precision(faulty, name):
    torch.manual_seed(1)
    network, clips = small(name), torch.randn(3, 3, 5, 17, 17)  # S3D takes no fewer
    mixed = gradients(Logits(network), clips)
    assert all(gradient.isfinite().all() for gradient in mixed.values())
    network.zero_grad()
    with left_to_torch():
        assert not all(gradient.isfinite().all() for gradient in gradients(Logits(network), clips).values())


class Logits(nn.Module):
    """The logits of a network."""

    def __init__(self, network) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips):
        return self.network(clips).logits


def test_outputs_and_gradients_of_inputs_and_biases_are_torchs(faulty):
    torch.manual_seed(1)
    convolution, x = nn.Conv3d(4, 6, 3, padding=1), torch.randn(2, 4, 2, 5, 5)

    def run():
        learns = x.clone().requires_grad_()
        with autocast(CPU, "bf16"):
            out = convolution(learns)
        return out, *torch.autograd.grad(out.float().square().sum(), (learns, convolution.bias))

    here = run()
    with left_to_torch():
        out, of_input, of_bias = run()
    assert torch.equal(here[0], out)
    assert torch.equal(here[1], of_input)
    assert relative_error(here[2], of_bias) < 0.01


def test_a_layer_used_twice_accumulation_and_frozen_weights_are_as_ever(faulty):
    torch.manual_seed(1)
    shared = nn.Conv3d(4, 4, 3, padding=1)
    frozen = nn.Conv3d(4, 4, 3, padding=1).requires_grad_(False)
    network = nn.Sequential(nn.Conv3d(4, 4, 3, padding=1), shared, frozen, shared)
    x = torch.randn(2, 4, 2, 5, 5)
    mixed = {}
    for _ in range(2):
        mixed = gradients(network, x)
    learned = {name: gradient.clone() for name, gradient in mixed.items() if gradient is not None}
    assert learned.keys() == {"0.weight", "0.bias", "1.weight", "1.bias"}
    network.zero_grad()
    (2 * network(x).square().mean()).backward()
    for name, gradient in learned.items():
        assert relative_error(gradient, network.get_parameter(name).grad) < 0.05


def test_a_transposed_convolution_has_right_gradients_too():
    torch.manual_seed(1)
    geometry = {"stride": (2, 1, 1), "padding": 1, "output_padding": (1, 0, 0)}
    weight, x = torch.randn(4, 3, 3, 3, 3, dtype=torch.float64), torch.randn(2, 4, 1, 5, 5, dtype=torch.float64)
    made = []
    for dtype in (torch.float64, BF16):
        learns = weight.to(BF16).to(dtype).requires_grad_()
        out = F.conv_transpose3d(x.to(BF16).to(dtype), learns, **geometry)
        assert too_few_frames(out.shape[2], 3, 2, 1)
        made += torch.autograd.grad(out.sum(), learns)
    assert relative_error(made[1], made[0]) < 0.01


def test_what_distillation_learns_with_has_right_gradients(faulty):
    torch.manual_seed(1)
    shapes = OutputShapes({"layer3": (8, 2, 4, 4), "layer4": (8, 1, 2, 2), "avgpool": (8,)}, 5)
    review = Review(shapes, shapes, mid_channels=8, time_kernel=3)

    def output():
        maps = {"layer3_preact": torch.randn(3, 8, 2, 4, 4), "layer4_preact": torch.randn(3, 8, 1, 2, 2)}
        return Output(torch.randn(3, 5), maps | {"avgpool": torch.randn(3, 8)})

    pair, learned = (output(), output()), []
    for amp in ("bf16", "off"):
        review.zero_grad()
        with autocast(CPU, amp):
            terms = review(*pair, torch.zeros(3))
        sum(terms.values()).backward()
        learned.append({name: p.grad.clone() for name, p in review.named_parameters() if "conv2.0" in name})
    assert set(learned[0]) == {f"connectors.{level}.conv2.0.weight" for level in shapes.features}
    for name, wanted in learned[1].items():
        assert relative_error(learned[0][name], wanted) < 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled_networks_have_right_gradients(faulty):
    torch.manual_seed(1)
    first, last = nn.Conv3d(8, 8, 3, padding=1, bias=False), nn.Conv3d(8, 8, 3, padding=1)
    network = nn.Sequential(first, nn.BatchNorm3d(8), nn.ReLU(), last)
    network = network.to(memory_format=torch.channels_last_3d)
    x = torch.randn(2, 8, 2, 5, 5).contiguous(memory_format=torch.channels_last_3d)
    eager = {name: gradient.clone() for name, gradient in gradients(network, x).items()}
    network.zero_grad()
    network.compile()
    for name, gradient in gradients(network, x).items():
        assert relative_error(gradient, eager[name]) < 0.05


def test_float32_is_torchs_to_the_last_bit_for_kernels_of_three_frames():
    torch.manual_seed(1)
    weight, x = torch.randn(4, 3, 3, 3, 3, requires_grad=True), torch.randn(2, 3, 2, 5, 5)
    out = F.conv3d(x, weight, padding=1)
    (here,) = torch.autograd.grad(out.square().sum(), weight, retain_graph=True)
    with left_to_torch():
        (wanted,) = torch.autograd.grad(out.square().sum(), weight)
    assert torch.equal(here, wanted)


@pytest.mark.slow
def test_what_torch_computes_wrong_is_tried_in_another_process(tmp_path):
    trials = [(nn.Conv3d(4, 4, 3), torch.randn(1, 4, 5, 5, 5), torch.float32)] * 2
    errors = list(errors_by_torch([trials[0], (Dies(tmp_path / "pid"), *trials[0][1:]), trials[1]]))
    assert errors[0] == errors[2] < 1e-4
    assert errors[1] == math.inf
    assert int((tmp_path / "pid").read_text()) != os.getpid()


class Dies:
    """Memory that ends the process that reads it, as a faulty kernel may."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return die, (self.path,)


def die(path):
    path.write_text(str(os.getpid()))
    os.abort()


def test_the_benchmark_counts_what_is_wrong_by_torch_and_here(faulty, tmp_path, capsys, monkeypatch):
    def here(trials):
        for trial in trials:
            with left_to_torch():
                error = weight_error(*trial)
            yield error

    monkeypatch.setattr(benchmark, "errors_by_torch", here)  # this CPU may have no fault
    out = tmp_path / "new" / "gradients.json"
    words = "--frames 8 --rounds 1 --size 32".split()
    benchmark.main(benchmark.parse_args(["--networks", "resnet-10 x 0.125", *words, "--out", str(out)]))
    text, record = capsys.readouterr().out, json.loads(out.read_text())
    assert "| resnet-10 x 0.125 | 8 | 12 | 1 | inf | 0 | " in text
    assert [sum(layer["count"] for layer in row["layers"]) for row in record["networks"]] == [12]
    assert all(len(rounds) == 1 for rounds in record["seconds"].values())


def test_the_benchmark_names_networks_and_numbers_that_there_are():
    with pytest.raises(ValueError, match="--networks 'lstm-16': write 'resnext-101' or "):
        benchmark.main(benchmark.parse_args(["--networks", "lstm-16"]))
    with pytest.raises(ValueError, match="--frames 0 is not at least 1"):
        benchmark.main(benchmark.parse_args(["--frames", "8", "0"]))


def test_strided_1x1_convolutions_of_few_channels_are_computed_without_their_stride(monkeypatch):
    """With it oneDNN writes beyond its memory, which ends a process soon or late."""
    native, strides = conv_gradients.native, []

    def note(keys, grad, x, weight, bias_sizes, stride, *rest):
        strides.append((tuple(stride), rest[-1][1]))
        return native(keys, grad, x, weight, bias_sizes, stride, *rest)

    monkeypatch.setattr(conv_gradients, "native", note)
    for channels, stride in ((4, 1), (8, 2)):
        torch.manual_seed(1)
        convolution = nn.Conv2d(channels, 8, 1, 2).to(memory_format=torch.channels_last)
        x = torch.randn(3, channels, 7, 8).to(memory_format=torch.channels_last).requires_grad_()
        convolution(x).square().sum().backward()
        exact, inputs = nn.Conv2d(channels, 8, 1, 2).double(), x.detach().double().requires_grad_()
        exact.load_state_dict(convolution.state_dict())
        exact(inputs).square().sum().backward()
        for actual, wanted in zip((x, *convolution.parameters()), (inputs, *exact.parameters()), strict=True):
            torch.testing.assert_close(actual.grad.double(), wanted.grad, rtol=1e-4, atol=1e-4)
        assert {size for size, of_weight in strides if of_weight} == {(stride, stride)}
        strides.clear()
