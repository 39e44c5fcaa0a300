"""The contract of the networks, over every entry of MODELS and a 2D network that is invented here."""

import re
from collections import OrderedDict
from importlib.util import find_spec
from typing import ClassVar

import pytest
import torch
from helpers import TINY, fill, options, untruncated, words_for
from torch import Tensor, nn

import predict
import STS_train
import test_single_stream
import train
from datasets import FLOW, RGB
from engine import checkpoint
from models import MODELS, Output, StreamNetwork, build_model, create_model, estimate, inference_ready, load_stream
from models.analysis.gradcam import evidence
from models.backbones import clip_shape
from models.backbones.contract import POOLED, PREACT, Backbone, ChannelLayout, InputSpec, ModelSpec, without_numbers
from models.backbones.layout import merge_frames, split_frames
from models.distill.distiller import counterpart
from models.finetune import parameter_groups
from models.inference.folding import fold_batch_norms
from models.layers import conv_gradients
from opts import parse_opts
from utils1 import grad_cam, layer_similarity
from workflows.exporting.export import export
from workflows.exporting.plan import build_export
from workflows.predicting.predict_options import build_parser

BOTH = (RGB, FLOW)


class Flat(Backbone):
    """Two 2D stages over the frames: names, order of registration and of norms are like nothing else here."""

    stages: ClassVar = {"low": ("low", "low_norm"), "high": ("before", "high")}
    first_conv, classifier = "entry.filters", "head"
    dialects: ClassVar = {"published": {"conv1_custom.": "entry.filters.", "fc_custom.": "head."}}

    def __init__(self, *, in_channels: int, num_classes: int, channels: int = 4, bias: bool = False) -> None:
        super().__init__()
        self.before, self.high = nn.BatchNorm2d(channels), nn.Conv2d(channels, 2 * channels, 1)
        self.low_norm, self.low = nn.BatchNorm2d(channels), nn.Conv2d(channels, channels, 3, 2, 1, bias=bias)
        filters = nn.Conv2d(in_channels, channels, 5, 2, 2, bias=False)
        self.entry = nn.Sequential(OrderedDict(filters=filters, norm=nn.BatchNorm2d(channels), relu=nn.ReLU()))
        self.head = nn.Linear(2 * channels, num_classes)
        self.feature_channels = {"low": channels, "high": 2 * channels, POOLED: 2 * channels}

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        frames = x.shape[2]
        low = split_frames(self.low_norm(self.low(self.entry(merge_frames(x)))).relu(), frames)
        high = split_frames(self.high(self.before(merge_frames(low))).relu(), frames)
        return {"low": low, "high": high, POOLED: high.mean((2, 3, 4))}


SEEN = InputSpec(frames=3, size=24, sampling="segments", mean={"rgb": (100.0,) * 3}, std={"rgb": (50.0,) * 3})
SPEC = ModelSpec(Flat, smallest={"channels": 4}, input_spec=SEEN)
STACKS = ModelSpec(
    Flat, input_spec=InputSpec(frames=2, size=24, layout=ChannelLayout(flow_stack=4, flow_order="rotated"))
)


@pytest.fixture(autouse=True)
def invented(monkeypatch):
    """All that it takes: the class, and its lines in the table. Transformers begin with weights that cost little."""
    monkeypatch.setitem(MODELS, "flat", SPEC)
    monkeypatch.setitem(MODELS, "stacks", STACKS)
    monkeypatch.setattr(nn.init, "trunc_normal_", untruncated)


NO_TIMM = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
TIMM = [pytest.param(f"{form}timm:test_efficientnet", marks=[pytest.mark.slow, NO_TIMM]) for form in ("", "inflated:")]
TORCHVISION = [
    pytest.param(f"torchvision:{name}", marks=pytest.mark.slow) for name in ("r3d_18", "s3d", "mvit_v1_b", "swin3d_t")
]
NETWORKS = [*MODELS, "flat", "stacks", *TIMM, *TORCHVISION]
RGB_ALONE = {"hidden_two_stream"}  # which estimates the flow that it needs


def smallest(name: str, stream=RGB, num_classes: int = 5) -> Backbone:
    torch.manual_seed(0)
    return create_model(name, stream.channels, num_classes, **MODELS[name].smallest)


def clips_for(network: Backbone, count: int = 2) -> Tensor:
    channels, frames, _, _ = clip_shape(network)
    return torch.randn(count, channels, min(frames, 8), 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("stream", BOTH, ids=lambda stream: stream.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_those_that_are_named(name, stream):
    if stream == FLOW and name in RGB_ALONE:
        with pytest.raises(ValueError, match="use --modality RGB"):
            smallest(name, stream)
        return
    network = smallest(name, stream)
    clips = clips_for(network)
    assert clips.shape[1] == stream.channels == network.in_channels
    out = network(clips)
    assert out.logits.shape == (2, network.num_classes) == (2, 5)
    named = [x for stage in network.stages for x in ([stage + PREACT] if network.has_preact else []) + [stage]]
    assert list(out.features) == list(network.feature_channels) == [*named, POOLED]
    for feature, values in out.features.items():
        assert values.dim() == (2 if feature == POOLED else 5)
        assert values.shape[:2] == (2, network.feature_channels[feature])
        assert values.isfinite().all()
    for stage in network.stages if network.has_preact else ():
        assert torch.equal(out.features[stage + PREACT].relu(), out.features[stage])
        assert (out.features[stage + PREACT] < 0).any()  # not overwritten by the ReLU
    assert network.num_features == network.feature_channels[POOLED]
    torch.testing.assert_close(network.classify(out.features[POOLED]), out.logits)
    shapes = {feature: values.shape for feature, values in without_numbers(network, clips.shape[1:]).features.items()}
    assert shapes == {feature: values.shape for feature, values in out.features.items()}


ODD = [(1, 32, 32), (3, 33, 48), (7, 40, 24), (2, 15, 15), (1, 1, 1)]  # frames, height, width
REST = [pytest.param(f"torchvision:{name}", marks=pytest.mark.slow) for name in ("mc3_18", "r2plus1d_18", "mvit_v2_s")]


@pytest.mark.parametrize("name", [*NETWORKS, *REST])
def test_clips_of_any_shape_are_seen_or_refused_in_a_line_that_says_what_is_seen(name):
    with torch.device("meta"):
        network = smallest(name)
    for shape in ODD:
        try:
            out = without_numbers(network, (3, *shape))
        except ValueError as error:
            assert re.fullmatch(r"--sample_(size|duration).*\btakes? .*\d+.*", str(error)), (shape, error)
        else:
            assert out.logits.shape == (2, 5), shape
            assert all(min(x.shape) > 0 for x in out.features.values()), shape
    clips = torch.randn(2, 3, 5, 33, 40, generator=torch.Generator().manual_seed(1))
    out = smallest(name)(clips)
    assert all(x.isfinite().all() for x in (out.logits, *out.features.values()))


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_reaches_every_parameter(name):
    network = smallest(name)
    network(clips_for(network)).logits.square().sum().backward()
    convolutions = [name for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Conv3d))]
    centred = {f"{name}.bias" for name in convolutions}  # a batch norm that follows takes the mean away, and so all
    found = {name: p.grad for name, p in network.named_parameters()}
    assert [name for name, grad in found.items() if grad is None or not (grad.any() or name in centred)] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_of_the_stem_a_stage_or_the_classifier_and_stages_learn_alone(name):
    network, firsts = smallest(name), []
    count = len(network.stages)
    for begin in range(count + 2):
        network.requires_grad_(True)
        groups = parameter_groups(network, begin, 0.1)
        assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
        firsts.append(min(network.stage_of(n) for n, p in network.named_parameters() if p.requires_grad))
        out = network(clips_for(network))
        grown = [stage for stage in network.stages if out.features[stage].requires_grad]
        assert grown == (list(network.stages)[begin - 1 :] if begin else list(network.stages))
    assert firsts == [0, *range(1, count + 2)]
    with pytest.raises(ValueError, match=rf"--ft_begin_index {count + 2}: .*{count + 1} the classifier"):
        parameter_groups(network, count + 2, 0.1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_reset_classifier_is_fresh_and_alone(name):
    network = smallest(name)
    before = {n: p.clone() for n, p in network.state_dict().items()}
    network.reset_classifier(9)
    changed = {n for n, p in network.state_dict().items() if not torch.equal(p, before[n])}
    assert network.num_classes == 9
    assert changed == {f"{network.classifier}.weight", f"{network.classifier}.bias"}
    assert network(clips_for(network)).logits.shape == (2, 9)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_checkpoint_states_builds_the_network_again(name):
    network = smallest(name)
    origin = network.origin
    again = create_model(origin["name"], 3, 5, **origin["args"])
    assert [(n, p.shape) for n, p in again.state_dict().items()] == [
        (n, p.shape) for n, p in network.state_dict().items()
    ]
    state = {"state_dict": network.state_dict(), "network": origin, "recipe": {}}
    model = load_stream(parse_opts([]), RGB, state, "x.pth")  # whatever network the options are of
    assert type(model.network) is MODELS[name].build
    assert all(torch.equal(a, b) for a, b in zip(model.network.parameters(), network.parameters(), strict=True))


@pytest.mark.parametrize("stream", BOTH, ids=lambda stream: stream.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_in_the_memory_format_of_their_rank_and_folding_keeps_the_logits(name, stream):
    if stream == FLOW and name in RGB_ALONE:
        with pytest.raises(ValueError, match="use --modality RGB"):
            smallest(name, stream)
        return
    network = smallest(name, stream)
    network.load_state_dict(fill.fill(network.state_dict()))
    model = StreamNetwork(network, stream).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    assert all(p.is_contiguous(memory_format=formats[p.dim()]) for p in network.parameters() if p.dim() in formats)
    batch = {stream.name: (clips_for(network) * 40 + 128).clamp(0, 255).to(torch.uint8)}
    ready = inference_ready(model, group_width=4)
    with torch.inference_mode():
        whole, folded = model(batch), ready(batch)
    torch.testing.assert_close(folded.logits, whole.logits, rtol=1e-3, atol=1e-4 * float(whole.logits.abs().max()))
    for feature, values in whole.features.items():
        error = (folded.features[feature] - values).norm() / values.norm()
        assert error < 1e-4, feature
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in ready.modules())
    assert not any(parameter.requires_grad for parameter in ready.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())  # a copy was changed


@pytest.mark.parametrize("name", NETWORKS)
def test_costs_are_counted_whatever_the_rank(name):
    costs = estimate(smallest(name), (3, 8, 32, 32))
    assert costs.flops_training > costs.flops_forward > 0
    assert costs.activation_bytes > 0
    if name == "flat":
        macs = 8 * (16 * 16 * 4 * 3 * 25 + 8 * 8 * 4 * 4 * 9 + 8 * 8 * 8 * 4) + 8 * 5
        assert costs.flops_forward == 2 * macs


@pytest.mark.parametrize("name", NETWORKS)
def test_grad_cam_sees_every_map(name):
    network = StreamNetwork(smallest(name), RGB).eval()
    batch = {"rgb": torch.randint(0, 256, (2, 3, 8, 32, 32), dtype=torch.uint8)}
    for name, feature in network(batch).features.items():
        if feature.dim() == 5:
            maps = evidence(network, batch, 2, name).maps
            assert maps.shape[1:] == feature.shape[2:]
            assert maps.isfinite().all()
    with pytest.raises(ValueError, match=", ".join(network.network.stages)[:3]):
        evidence(network, batch, layer="nothing")


def numbered(frames: int) -> Tensor:
    """Flow whose values say frame and axis: 10 times the frame, and 1 more for y."""
    return torch.stack([torch.arange(frames) * 10.0, torch.arange(frames) * 10.0 + 1]).view(1, 2, frames, 1, 1)


@pytest.mark.parametrize(
    ("order", "first"), [("interleaved", [0, 1, 10, 11, 20, 21]), ("rotated", [10, 11, 20, 21, 0, 1])]
)
def test_stacks_have_the_published_orders_of_channels(order, first):
    stacked = ChannelLayout(3, order)(numbered(6))
    assert stacked.shape == (1, 6, 2, 1, 1)
    assert stacked[0, :, 0].flatten().tolist() == first
    assert stacked[0, :, 1].flatten().tolist() == [value + 30 for value in first]
    with pytest.raises(ValueError, match="--sample_duration 5: the network reads flow in stacks of 3 pairs"):
        ChannelLayout(3, order)(numbered(5))


def test_colours_may_be_the_other_way_round():
    frames = torch.arange(3.0).view(1, 3, 1, 1, 1)
    assert ChannelLayout(colour_order="bgr")(frames).flatten().tolist() == [2, 1, 0]
    assert ChannelLayout(colour_order="bgr")(numbered(1)).flatten().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model flat --model_args depth=3", "has an option of its own, --model_depth"),
        ("--model flat --model_args wings=3", "of these --model flat takes channels, bias, flow_stack"),
        ("--model flat --model_args channels", "expected KEY=VALUE"),
        ("--model flat --model_args channels=many", "expected a value like 4"),
        ("--model flat --model_args bias=3", "expected a value like False"),
        ("--model flat --model_args flow_order=planar", "choose one of interleaved, rotated"),
        ("--model flat --model_args flow_stack=0", "a stack has at least one pair"),
        ("--model flat --model_depth 18", "--model_depth: --model flat takes --model_args channels=VALUE"),
        ("--model flat --width 0.5", "--width: --model flat takes --model_args channels=VALUE"),
        ("--model resnet --model_depth 10 --resnext_cardinality 16", "--resnext_cardinality: --model resnet takes"),
    ],
)
def test_arguments_that_a_network_has_not_got_are_refused(words, message, capsys):
    with pytest.raises((SystemExit, ValueError)) as error:
        opt = parse_opts(words.split())
        build_model(opt, 2, 5)
    assert message in f"{capsys.readouterr().err} {error.value}"


def test_rare_arguments_reach_the_constructor_and_the_checkpoint():
    opt = parse_opts("--model flat --model_args channels=6 bias=on flow_stack=2".split())
    network = build_model(opt, 2, 5)
    assert network.head.in_features == 12
    assert network.low.bias is not None
    assert network.entry.filters.in_channels == 4
    assert network.origin == {
        "name": "flat",
        "args": {"channels": 6, "bias": True}
        | {"flow_stack": 2, "flow_order": "interleaved", "colour_order": "rgb", "frame_stack": 1}
        | {"segments": 1, "consensus": "average", "encoding_size": 0},
    }


def test_files_from_before_an_argument_existed_go_on_loading():
    network = smallest("resnet")
    stored = {"options": {"model": "resnet", "model_depth": 10, "width": 0.125}, "state_dict": network.state_dict()}
    opt = options("resnet")
    for name in ("model_args", "conv1_t_size", "conv1_t_stride", "no_max_pool"):
        vars(opt).pop(name, None)
    assert load_stream(opt, RGB, stored, "old.pth").network.num_classes == 5


def test_a_network_is_shown_the_clips_that_it_wants_unless_others_are_asked_for():
    opt = parse_opts(["--model", "flat"])
    assert (opt.sample_duration, opt.sample_size) == (3, 24)
    assert (opt.train_sampling, opt.test_sampling) == ("segments", "segments")
    assert parse_opts(["--model", "stacks", "--modality", "Flow"]).sample_duration == 8
    assert parse_opts(["--model", "flat", "--sample_size", "32"]).sample_size == 32
    model = train.start_stream(opt, RGB, {}, "", 3, resuming=False)
    assert model.normalisation == {"mean": [100.0] * 3, "std": [50.0] * 3}
    assert train.start_stream(opt, FLOW, {}, "", 3, resuming=False).normalisation["mean"] == list(FLOW.mean)


class Deep(Flat):
    def __init__(self, *, in_channels: int, num_classes: int, depth: int = 3) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes, channels=depth)


def test_arguments_that_are_not_given_have_the_defaults_of_the_constructor(monkeypatch):
    monkeypatch.setitem(MODELS, "deep", ModelSpec(Deep))
    opt = parse_opts(["--model", "deep"])
    assert (opt.model_depth, build_model(opt, 3, 5).arch) == (3, "deep-3")
    assert parse_opts(["--model", "flat"]).model_depth == 0
    assert parse_opts(["--model", "resnext"]).model_depth == 101
    assert parse_opts(["--model", "flat", "--model_depth", "0", "--width", "1.0"]).model == "flat"  # as runs store it


def test_weights_in_a_published_dialect_load():
    network = smallest("flat")
    names = {"entry.filters": "conv1_custom", "head": "fc_custom"}
    published = {
        f"module.{next((theirs + n.removeprefix(ours) for ours, theirs in names.items() if n.startswith(ours)), n)}": p
        for n, p in network.state_dict().items()
    }
    assert "module.fc_custom.bias" in published
    opt = parse_opts("--model flat".split())
    model = load_stream(opt, RGB, {"arch": "rgb_flat", "state_dict": published}, "theirs.pth")
    assert all(torch.equal(a, b) for a, b in zip(model.network.parameters(), network.parameters(), strict=True))


class Chain(nn.Module):
    """Layers one after the other, as far as folding sees a network."""

    def __init__(self, *layers: nn.Module, dims: int) -> None:
        super().__init__()
        self.layers, self.dims = nn.Sequential(*layers), dims

    def forward(self, x: Tensor):
        y = self.layers(x.flatten(2)[..., :6] if self.dims == 1 else merge_frames(x) if self.dims == 2 else x)
        return Output(y.flatten(1), {})


NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def chains(dims: int):
    """Layers, and how many norms are left."""
    conv, norm = CONVOLUTIONS[dims], NORMS[dims]
    return {
        "after": ([conv(4, 6, 3, padding=1, groups=2), norm(6)], 0),
        "before": ([norm(4), conv(4, 6, 3, groups=2, bias=False)], 0),
        "both": ([norm(4), conv(4, 6, 1), norm(6), nn.ReLU(), norm(6), conv(6, 4, 1)], 0),
        "transposed": ([TRANSPOSED[dims](4, 6, 3), norm(6)], 0),
        "padded": ([norm(4), conv(4, 6, 3, padding=1)], 1),
        "activated": ([norm(4), nn.ReLU(), conv(4, 6, 1)], 1),
        "linear": ([nn.Flatten(), nn.LazyLinear(5), nn.BatchNorm1d(5), nn.Linear(5, 3)], 0),
        "into linear": ([nn.Flatten(), nn.LazyLinear(5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 3)], 0),
    }


@pytest.mark.parametrize("kind", chains(3))
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_norms_fold_in_any_order_that_allows_it(dims, kind):
    layers, left = chains(dims)[kind]
    torch.manual_seed(0)
    network, x = Chain(*layers, dims=dims).double(), torch.randn(3, 4, 5, 6, 7).double()
    with torch.no_grad():
        network(x)
        for norm in (m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
            norm.running_mean.uniform_(-1, 1), norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 2), nn.init.uniform_(norm.bias, -1, 1)
        network.eval()
        before = network(x).logits
        fold_batch_norms(network, x.shape[1:])
        torch.testing.assert_close(network(x).logits, before)
    assert sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules()) == left


class Read(nn.Module):
    """A convolution whose output is read beside its norm, or is a feature."""

    def __init__(self, *, returned: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.returned = nn.Conv3d(2, 2, 1), nn.BatchNorm3d(2), returned

    def forward(self, x: Tensor):
        y = self.conv(x)
        z = self.norm(y)
        return Output((z if self.returned else z + y).flatten(1), {"y": y} if self.returned else {})


@pytest.mark.parametrize("returned", [False, True])
def test_a_norm_stays_where_something_else_reads_what_it_reads(returned):
    network = Read(returned=returned).eval()
    fold_batch_norms(network, (2, 2, 3, 3))
    assert isinstance(network.norm, nn.BatchNorm3d)


@pytest.mark.parametrize(
    ("layer", "shape", "needed"),
    [
        (nn.Conv3d(2, 2, (7, 7, 7), padding=3), (1, 2, 4, 8, 8), True),
        (nn.Conv3d(2, 2, (1, 7, 7), padding=(0, 3, 3)), (1, 2, 4, 8, 8), False),
        (nn.Conv3d(2, 2, 3, padding=1), (1, 2, 4, 8, 8), False),
        (nn.Conv2d(2, 2, 7, padding=3), (1, 2, 4, 8), False),
        (nn.Conv1d(2, 2, 7, padding=3), (1, 2, 4), False),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weight_gradients_take_a_detour_where_the_convolution_needs_it_alone(layer, shape, needed, dtype, monkeypatch):
    taken = []
    right = conv_gradients.by_frames
    monkeypatch.setattr(conv_gradients, "by_frames", lambda *words: taken.append(1) or right(*words))
    layer.to(dtype)(torch.randn(shape, dtype=dtype)).sum().backward()
    assert bool(taken) == needed


def test_stages_of_other_names_are_paired_from_the_last():
    three, flat = (dict.fromkeys(smallest(model).feature_channels, 1) for model in ("resnet", "flat"))
    assert [counterpart(level, flat, three) for level in flat] == ["layer3", "layer4", POOLED]
    assert [counterpart(level, three, flat) for level in ("layer2", "layer4", "layer4_preact")] == ["", "high", ""]
    assert [counterpart(level, three, three) for level in three] == list(three)


def words(hmdb51, results, *more: str) -> list[str]:
    return [*words_for(hmdb51, results, network=()), "--model", "flat", "--model_args", "channels=4", *more]


def newest(folder, pattern="*_best.pth"):
    (path,) = folder.rglob(pattern)
    return path


@pytest.fixture
def flat_rgb(hmdb51, tmp_path):
    train.main(parse_opts(words(hmdb51, tmp_path / "rgb")))
    return newest(tmp_path / "rgb")


def test_the_invented_network_is_trained_resumed_tested_predicted_exported_and_looked_at(flat_rgb, hmdb51, tmp_path):
    state = checkpoint.load(flat_rgb)
    assert "_modelflat_" in flat_rgb.name
    assert (state["arch"], state["network"]["name"], state["network"]["args"]["channels"]) == ("flat", "flat", 4)
    assert state["recipe"]["normalisation"]["mean"] == [100.0] * 3
    # Two epochs in one go, and one and another one, have the same bits.
    through = parse_opts(words(hmdb51, tmp_path / "through", "--n_epochs", "2"))
    train.main(through)
    again = parse_opts(words(hmdb51, tmp_path / "rgb", "--n_epochs", "2", "--resume", "auto"))
    train.main(again)
    ends = [checkpoint.load(newest(tmp_path / run, "*varLR2.pth"))["state_dict"] for run in ("through", "rgb")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])

    state = checkpoint.load(flat_rgb)
    bare = words_for(hmdb51, tmp_path / "tested", network=())
    metrics = test_single_stream.main(parse_opts([*bare, "--resume_path1", str(flat_rgb)]))
    assert 0 <= metrics["top1"] <= 1
    film = next((hmdb51 / "frames").rglob("done")).parent
    predict.main(build_parser().parse_args([str(film), "--weights", str(flat_rgb)]))
    plan = build_export([str(flat_rgb)])
    clips = plan.clips(2)
    with torch.inference_mode():
        got = plan.deployed()(clips)["logits"]
    torch.testing.assert_close(got, plan.reference(clips), rtol=1e-3, atol=1e-4)
    program = torch.export.export(plan.deployed(), (clips,))
    torch.testing.assert_close(program.module()(clips)["logits"], got, rtol=1e-3, atol=1e-4)
    seen = ["--weights", str(flat_rgb), "--layer", "high", "--out", str(tmp_path / "cam"), "--device", "cpu"]
    grad_cam.main(grad_cam.parse_args([str(film), *seen]))
    assert (tmp_path / "cam" / "evidence.csv").exists()
    tuned = words(hmdb51, tmp_path / "tuned", "--pretrain_path", str(flat_rgb), "--ft_begin_index", "2")
    train.main(parse_opts(tuned))
    after = checkpoint.load(newest(tmp_path / "tuned"))["state_dict"]
    moved = {
        name for name, p in after.items() if not torch.equal(p, state["state_dict"][name]) and "running" not in name
    }
    assert {name.split(".")[0] for name in moved if "num_batches" not in name} == {"before", "high", "head"}


def test_it_is_a_teacher_and_a_student(flat_rgb, hmdb51, tmp_path):
    two = ["--modality", "RGB_Flow", "--sample_duration", "8", "--sample_size", "32"]
    flow = [*words_for(hmdb51, tmp_path / "flow", network=()), "--model", "stacks", "--modality", "Flow"]
    train.main(parse_opts(flow))
    teacher = newest(tmp_path / "flow")
    state = checkpoint.load(teacher)
    assert state["state_dict"]["entry.filters.weight"].shape[1] == 8
    assert state["recipe"]["sample_duration"] == 8
    test = words_for(hmdb51, tmp_path / "t", network=())
    test_single_stream.main(parse_opts([*test, "--modality", "Flow", "--resume_path1", str(teacher)]))
    taught = ["--resume_path1", str(teacher), "--distill"]
    into = words_for(hmdb51, tmp_path / "into", network=TINY)
    STS_train.main(parse_opts([*into, "--modality", "RGB_Flow", *taught, "dkd", "kd"]))
    both = words(hmdb51, tmp_path / "both", *two, *taught, "mse", "dkd", "--train_sampling", "random")
    STS_train.main(parse_opts(both))
    with pytest.raises(
        ValueError, match=r"low of the student has \d+ channels of 8x8x8 .*low of the teacher \d+ channels of 2x8x8"
    ):
        STS_train.main(parse_opts(words(hmdb51, tmp_path / "no", *two, *taught, "review")))
    pair = ["--student", str(newest(tmp_path / "both")), "--teacher", str(teacher), "--val_fraction", "0"]
    clips = words_for(hmdb51, tmp_path, network=(), script="test_single_stream.py")
    report = layer_similarity.main(layer_similarity.parse_args([*pair, *clips]))
    assert list(report["pairs"]["student, teacher"]) == ["low", "high", POOLED]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_it_is_exported_to_onnx(flat_rgb, tmp_path):
    pytest.importorskip("onnxruntime")
    done = export([str(flat_rgb)], tmp_path / "flat.onnx")
    assert done.parity.agreeing == done.parity.clips > 0
