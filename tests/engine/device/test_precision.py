"""Number formats: what --amp means, that losses stay in float32, and that half-precision convolutions are right."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from helpers import small
from torch import nn

from engine.device.precision import AMP, autocast, dtype_of, resolve, round_float32, scaler
from engine.device.reproducibility import setup
from models import Classify, Output, StreamNetwork
from models.distill import OutputShapes, decoupled_kd, hierarchical_context_loss, logit_kd
from models.distill.feature_mse import FeatureMSE
from models.distill.review import Review
from models.streams import normalise

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


class Stream:
    name, channels, mean, std = "rgb", 3, (114.7, 107.7, 99.4), (38.8, 37.9, 39.9)


def test_auto_is_off_on_a_processor_and_every_other_format_is_what_is_computed_in():
    layer, x = nn.Linear(4, 4), torch.randn(2, 4)
    for amp, dtype in (("off", torch.float32), ("auto", torch.float32), ("bf16", torch.bfloat16)):
        assert dtype_of(CPU, amp) == dtype
        with autocast(CPU, amp):
            assert layer(x).dtype == dtype


def test_what_a_device_cannot_do_is_refused_with_what_it_can():
    with pytest.raises(ValueError, match="--amp fp16 is for GPUs, and the device is cpu: use bf16 or off"):
        autocast(CPU, "fp16")
    with pytest.raises(ValueError, match="--amp tf32 is for GPUs, and the device is cpu: use bf16 or off"):
        autocast(CPU, "tf32")
    with pytest.raises(ValueError, match="--amp half: is none of auto, off, tf32, bf16, fp16"):
        scaler(CPU, "half")


@pytest.mark.parametrize(("has_bf16", "auto"), [(True, "bf16"), (False, "off")])
def test_auto_on_a_gpu_is_bf16_where_its_cores_multiply_it(monkeypatch, has_bf16, auto):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16 or including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old GPU")
    gpu = torch.device("cuda")
    assert resolve(gpu, "auto") == auto
    assert resolve(gpu, "fp16") == "fp16"
    if not has_bf16:
        for amp in ("bf16", "tf32"):
            with pytest.raises(ValueError, match=f"--amp {amp}: an old GPU has no {amp} arithmetic: use fp16 or off"):
                resolve(gpu, amp)


@pytest.fixture
def new_gpu(monkeypatch) -> Iterator[torch.device]:
    """One that can do everything, beside torch's own settings, which are restored."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    yield torch.device("cuda")
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False


def rounds() -> tuple[bool, bool]:
    """Whether convolutions and products of a GPU round float32 factors to ten bits."""
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("amp", AMP)
@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_float32_on_a_gpu_is_float32_in_convolutions_and_products_and_tf32_in_both_where_it_is_asked_for(new_gpu, amp):
    autocast(new_gpu, amp)
    assert rounds() == (amp == "tf32", amp == "tf32")
    assert dtype_of(new_gpu, amp) == {"auto": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16}.get(
        amp, torch.float32
    )
    assert torch.get_float32_matmul_precision() == ("high" if amp == "tf32" else "highest")  # what compilers read


def test_a_processor_leaves_the_settings_of_gpus_alone(new_gpu):
    before = rounds()
    round_float32(CPU, "off")
    assert rounds() == before == (True, False)


def test_a_gpu_computes_in_float32_until_it_is_told_otherwise_and_is_the_current_one(new_gpu, monkeypatch):
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    assert setup(None, "cuda:1") == torch.device("cuda:1")
    assert rounds() == (False, False)
    assert current == [torch.device("cuda:1")]
    setup(None, "cuda")
    assert len(current) == 1


def test_memory_is_not_filled_where_the_same_bits_are_asked_for(monkeypatch):
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    setup(None, "cpu", deterministic=True)
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_only_fp16_scales_gradients():
    assert [scaler(CPU, amp) for amp in ("auto", "off", "bf16")] == [None, None, None]


def half_outputs(*seeds: int) -> list[Output]:
    made = []
    for seed in seeds:
        torch.manual_seed(seed)
        maps = {"layer4_preact": torch.randn(3, 8, 2, 6, 6), "avgpool": torch.randn(3, 8)}
        made.append(Output(30 * torch.randn(3, 7).bfloat16(), {k: v.bfloat16() for k, v in maps.items()}))
    return made


SHAPES = OutputShapes({"layer4": (8, 2, 6, 6), "avgpool": (8,)}, 7)  # of half_outputs
LOGIT_LOSSES = {
    "kd": lambda s, t: logit_kd(s, t, 4.0),
    "tckd": lambda s, t: decoupled_kd(s, t, torch.tensor([0, 3, 6]), 4.0)[0],
    "nckd": lambda s, t: decoupled_kd(s, t, torch.tensor([0, 3, 6]), 4.0)[1],
}


@pytest.mark.parametrize("name", LOGIT_LOSSES)
def test_losses_of_half_precision_logits_are_those_of_the_same_logits_in_float32(name):
    student, teacher = (out.logits for out in half_outputs(1, 2))
    with autocast(CPU, "bf16"):
        half = LOGIT_LOSSES[name](student, teacher)
    assert half.dtype == torch.float32
    assert torch.equal(half, LOGIT_LOSSES[name](student.float(), teacher.float()))


def test_feature_errors_are_summed_in_float32():
    student, teacher = half_outputs(1, 2)
    with autocast(CPU, "bf16"):
        (half,) = FeatureMSE(SHAPES, SHAPES)(student, teacher, torch.zeros(3)).values()
    wanted = 50 * F.mse_loss(student.features["avgpool"].float(), teacher.features["avgpool"].float())
    assert half.dtype == torch.float32
    assert torch.equal(half, wanted)


def test_the_context_loss_of_review_is_computed_in_float32_and_its_connectors_in_half_precision():
    student, teacher = half_outputs(1, 2)
    maps = [out.features["layer4_preact"].float() for out in (student, teacher)]
    with autocast(CPU, "bf16"):
        assert torch.equal(hierarchical_context_loss(*maps), (whole := hierarchical_context_loss(*maps)))
        review = Review(SHAPES, SHAPES, mid_channels=4)
        seen = []
        review.connectors["layer4"].conv1[0].register_forward_hook(lambda module, inputs, out: seen.append(out.dtype))
        terms = review(student, teacher, torch.zeros(3))
    assert torch.equal(whole, hierarchical_context_loss(*maps))
    assert seen == [torch.bfloat16]
    assert {term.dtype for term in terms.values()} == {torch.float32}


def test_cross_entropy_is_computed_in_float32():
    task = Classify(StreamNetwork(small("resnet"), Stream())).train()
    batch = {"rgb": torch.randint(0, 256, (3, 3, 4, 32, 32), dtype=torch.uint8), "label": torch.tensor([0, 1, 2])}
    with autocast(CPU, "bf16"):
        out = task(batch)
    assert out["loss"].dtype == torch.float32
    assert torch.equal(out["loss"], F.cross_entropy(out["logits"].float(), batch["label"]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_clips_are_normalised_in_float32_and_rounded_once(dtype):
    clips = torch.arange(256, dtype=torch.uint8).repeat(3, 1).view(1, 3, 4, 8, 8)
    mean, std = (torch.tensor(values).view(-1, 1, 1, 1) for values in (Stream.mean, Stream.std))
    made = normalise(clips, mean, std, dtype)
    assert torch.equal(made, ((clips.float() - mean) / std).to(dtype))
    assert made.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(
    ("amp", "frames", "learns", "dtype"),
    [
        ("off", 8, True, torch.float32),
        ("bf16", 8, True, torch.bfloat16),
        ("bf16", 4, False, torch.bfloat16),
        ("bf16", 4, True, torch.bfloat16),
    ],
)
def test_the_network_is_given_clips_in_the_format_that_it_computes_in(amp, frames, learns, dtype):
    model, seen = StreamNetwork(small("resnet"), Stream()), []
    model.network.get_submodule("conv1").register_forward_hook(
        lambda module, inputs, out: seen.extend([inputs[0].dtype, out.dtype])
    )
    with autocast(CPU, amp), torch.set_grad_enabled(learns):
        model({"rgb": torch.zeros(2, 3, frames, 32, 32, dtype=torch.uint8)})
    assert seen == [dtype, dtype]


def test_a_few_frames_can_be_learned_from_in_mixed_precision():
    model = StreamNetwork(small("resnet"), Stream())
    with autocast(CPU, "bf16"):
        out = model({"rgb": torch.randint(0, 256, (2, 3, 4, 32, 32), dtype=torch.uint8)})
    out.logits.float().square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.network.parameters())


CONVOLUTIONS = {
    "stem": (nn.Conv3d(3, 16, 7, (1, 2, 2), 3, bias=False), (2, 3, 8, 20, 22)),
    "pointwise": (nn.Conv3d(32, 64, 1, bias=False), (2, 32, 4, 7, 9)),
    "grouped": (nn.Conv3d(64, 64, 3, 2, 1, groups=16, bias=False), (2, 64, 5, 9, 9)),
    "dense": (nn.Conv3d(32, 32, 3, 1, 1, bias=False), (2, 32, 4, 7, 9)),
}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last_3d}
ROUNDED = {torch.bfloat16: 6e-3, torch.float16: 8e-4, torch.float32: 8e-4}  # TF32 has the ten bits of float16


def convolution_errors(name: str, layout: str, device: torch.device, dtype: torch.dtype) -> list[float]:
    """Relative errors of output, input gradient and weight gradient against float64 on the same rounded numbers."""
    template, shape = CONVOLUTIONS[name]
    torch.manual_seed(1)
    x, weight = torch.randn(shape, device=device).to(dtype), torch.randn_like(template.weight, device=device).to(dtype)
    results = []
    for kind in (dtype, torch.float64):
        with torch.no_grad():
            own = [t.to(kind).contiguous(memory_format=LAYOUTS[layout]).requires_grad_() for t in (x, weight)]
        stride, padding, groups = template.stride, template.padding, template.groups
        out = F.conv3d(own[0], own[1], stride=stride, padding=padding, groups=groups)
        torch.manual_seed(2)
        out.backward(torch.randn(out.shape, device=device).to(dtype).to(kind))
        results.append([out.detach(), own[0].grad, own[1].grad])
    return [float((a.double() - b).norm() / b.norm()) for a, b in zip(*results, strict=True)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_bf16_convolutions_on_a_processor_agree_with_float64(name, layout):
    output, of_input, of_weight = convolution_errors(name, layout, CPU, torch.bfloat16)
    assert max(output, of_weight) < ROUNDED[torch.bfloat16]
    assert of_input < 2 * ROUNDED[torch.bfloat16]  # without AVX512 torch adds its terms up in bf16


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", ROUNDED)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_half_precision_and_tf32_convolutions_on_a_gpu_agree_with_float64(name, layout, dtype):
    for benchmark in (False, True):
        with torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, allow_tf32=True):
            assert max(convolution_errors(name, layout, torch.device("cuda"), dtype)) < ROUNDED[dtype]


@pytest.mark.gpu
@needs_gpu
def test_fp16_gradients_are_scaled_on_a_gpu():
    scale = scaler(torch.device("cuda"), "fp16")
    assert scale is not None
    assert scale.is_enabled()
