"""Networks made quicker give the logits that they gave; the benchmark of steps measures what its table says."""

import json

import pytest
import torch
from small_tasks import relative_error, with_statistics

from benchmarks import step
from benchmarks.networks.ways import ORIGINAL
from engine.training.loop import evaluate
from models import Classify, StreamNetwork
from models.backbones.contract import Backbone
from models.inference import speed
from models.inference.speed import compiled, inference_ready


def clips(count: int = 3) -> dict[str, torch.Tensor]:
    return {"rgb": torch.randint(0, 256, (count, 3, 4, 32, 32), dtype=torch.uint8)}


def test_in_bf16_logits_differ_in_the_third_digit():
    own, batch = with_statistics("resnet").eval(), clips()
    with torch.inference_mode():
        made = inference_ready(own, torch.bfloat16)(batch)
        assert made.logits.dtype == torch.bfloat16
        assert relative_error(made.logits, own(batch).logits) < 2e-2


@pytest.fixture
def compiles_nothing(monkeypatch) -> None:
    """Compiled code is what it is made of: of interest is what it is given."""
    monkeypatch.setattr(Backbone, "compile", lambda self, mode: None)


def sizes_seen(model: StreamNetwork) -> list[int]:
    """Of the batches that the network will be given."""
    seen: list[int] = []
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    return seen


@pytest.mark.usefixtures("compiles_nothing")
def test_smaller_batches_are_filled_up_to_the_largest_so_far():
    own = with_statistics("resnet").eval()
    full = inference_ready(own, compile_mode="default")
    seen = sizes_seen(full.model)
    with torch.inference_mode():
        for count in (2, 1, 3, 2):
            batch = clips(count)
            made, wanted = full(batch), own(batch)
            assert made.logits.shape == wanted.logits.shape
            assert relative_error(made.logits, wanted.logits) < 1e-5
    assert seen == [2, 2, 3, 3]
    assert (full.stream, full.num_classes) == ("rgb", 5)


@pytest.mark.usefixtures("compiles_nothing")
def test_logits_of_a_cuda_graph_are_copied_and_its_features_left_before_another_network_overwrites_them():
    own = inference_ready(with_statistics("resnet").eval(), compile_mode="reduce-overhead")
    graph: list[torch.Tensor] = []
    own.model.network.register_forward_hook(lambda module, inputs, out: graph.append(out.logits))
    with torch.inference_mode():
        made = own(clips(3))
        kept = made.logits.clone()
        graph[0].zero_()
    assert torch.equal(made.logits, kept)
    assert made.features == {}


@pytest.mark.usefixtures("compiles_nothing")
def test_the_last_batch_of_a_validation_is_filled_up_for_a_compiled_network_and_counts_its_own_clips_alone():
    own = with_statistics("resnet")
    batches = [clips(count) | {"label": torch.arange(count)} for count in (3, 3, 1)]
    wanted = evaluate(Classify(own), batches, torch.device("cpu"))
    seen = sizes_seen(own)
    task = Classify(compiled(own, "default"))
    found = evaluate(task, batches, torch.device("cpu"))
    assert seen == [3, 3, 3]
    assert found == pytest.approx(wanted, rel=1e-5)
    task.train()(batches[2] | {"rgb": clips(2)["rgb"], "label": torch.arange(2)})
    assert seen[3:] == [2]  # batch statistics are of the clips that there are


def test_networks_that_are_not_compiled_see_batches_as_they_come():
    own = with_statistics("resnet").eval()
    seen = sizes_seen(own)
    with torch.inference_mode():
        for count in (2, 1):
            own(clips(count))
    assert seen == [2, 1]


def test_what_cannot_be_compiled_is_said_at_once(monkeypatch):
    own = with_statistics("resnet")
    with pytest.raises(ValueError, match="--compile fast: choose one of off, default"):
        compiled(own, "fast")
    monkeypatch.setattr(speed.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="--compile needs a C\\+\\+ compiler"):
        compiled(own, "default")
    assert compiled(own, "off") is own


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_compiled_networks_give_the_same_logits(dtype, tolerance):
    own = with_statistics("resnet").eval()
    ready = inference_ready(own, dtype, compile_mode="default")
    with torch.inference_mode():
        for count in (3, 1):
            batch = clips(count)
            assert relative_error(ready(batch).logits, own(batch).logits) < tolerance


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled_networks_train_alike_and_keep_the_names_of_their_weights():
    own = with_statistics("resnet").train()
    other = with_statistics("resnet").train()
    other.load_state_dict(own.state_dict())
    compiled(other, "default")
    batch = clips()
    for model in (own, other):
        model(batch).logits.square().sum().backward()
    assert other.state_dict().keys() == own.state_dict().keys()
    for one, two in zip(own.parameters(), other.parameters(), strict=True):
        assert relative_error(two.grad, one.grad) < 1e-3


@pytest.fixture(autouse=True)
def small_product(monkeypatch) -> None:
    """Processors without bf16 take a minute for the product of the benchmark."""
    monkeypatch.setattr(step, "SIDE", 64)


QUICK = "--model resnet --depth 10 --width 0.0625 --size 32 --duration 8 --rounds 2 --eager --device cpu".split()


@pytest.mark.slow
def test_the_benchmark_prints_its_tables_and_writes_every_number(tmp_path, capsys):
    out = tmp_path / "new" / "step.json"
    step.main(step.parse_args([*QUICK, "--only", "bf16", "--out", str(out), "--peak", "0.5"]))
    record, text = json.loads(out.read_text()), capsys.readouterr().out
    assert list(record["kinds"]) == ["training", "inference"]
    for kind, rows in record["kinds"].items():
        assert next(iter(rows)) == ORIGINAL
        assert rows[ORIGINAL]["difference"] == 0
        assert all("bf16" in name for name in list(rows)[1:])
        assert all(len(row["seconds"]) == 2 and min(row["seconds"]) > 0 for row in rows.values())
        assert f"| {kind} | ms per clip | clips/s | times as fast |" in text
    assert 0 < record["kinds"]["inference"]["bf16, folded, eager"]["difference"] < 0.05
    assert record["flops_per_clip"]["training"] > 2 * record["flops_per_clip"]["inference"]
    assert " % | 0 |" in text  # of the peak


def test_the_benchmark_names_its_rows_when_none_is_chosen():
    with pytest.raises(ValueError, match="no row's name holds int4; there are fp32, contiguous, eager; fp32, eager; "):
        step.main(step.parse_args([*QUICK, "--only", "int4"]))
    with pytest.raises(FileNotFoundError, match=r"--files absent\.xml: no such file"):
        step.main(step.parse_args([*QUICK, "--files", "absent.xml"]))
    with pytest.raises(ValueError, match="--rounds 0 is not at least 1"):
        step.main(step.parse_args([*QUICK, "--rounds", "0"]))
