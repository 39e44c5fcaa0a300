"""Outputs of teachers that are cached are those of the first pass to the last bit, and never another's."""

from argparse import Namespace

import pytest
import torch
from helpers import small
from small_tasks import RGB

from models import Distill, StreamNetwork
from models.distill import create_distiller
from models.distill.shapes import OutputShapes
from models.inference import cached_outputs
from models.inference.cached_outputs import CachedOutputs
from workflows.training.teachers import cache_teachers


def make_teacher(view: str = "rgb") -> StreamNetwork:
    torch.manual_seed(0)
    return StreamNetwork(small("resnet", width=0.0625), RGB, view=view).requires_grad_(False).eval()


@pytest.fixture
def clips() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 255, (4, 3, 4, 32, 32), dtype=torch.uint8, generator=generator)


def same(a, b, features=("avgpool", "layer4")) -> bool:
    pairs = [(a.logits, b.logits), *((a.features[name], b.features[name]) for name in features)]
    return all(torch.equal(*pair) for pair in pairs)


def test_clips_that_come_back_in_any_order_have_the_bits_of_a_pass(clips, tmp_path):
    teacher = make_teacher()
    cache = CachedOutputs(tmp_path, teacher, ["avgpool", "layer4"])
    with torch.no_grad():
        first = cache(teacher, {"rgb": clips})
        assert (cache.found, cache.computed) == (0, 4)
        order = torch.tensor([2, 0, 3, 1])
        again = CachedOutputs(tmp_path, make_teacher(), ["layer4", "avgpool"])
        teacher.network = None  # nothing is computed
        found = again(make_teacher(), {"rgb": clips[order]})
        computed = make_teacher()({"rgb": clips[order]})
    assert (again.found, again.computed) == (4, 0)
    assert found.logits.dtype == torch.float32
    assert same(found, computed)
    assert found.features["layer4"].stride() == computed.features["layer4"].stride()  # of which sums depend
    assert torch.equal(first.logits[order], found.logits)
    with pytest.raises(ValueError, match="a loss reads the teacher's layer1, which is not cached"):
        found.features["layer1"]
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def test_names_of_clips_are_found_before_they_are_on_their_device(clips, tmp_path, monkeypatch):
    task = Distill(make_teacher(), make_teacher(), [create_distiller("kd", OutputShapes({}, 5), OutputShapes({}, 5))])
    task.cache_teachers(tmp_path, in_training=False)
    batch = {"rgb": clips, "label": torch.zeros(4, dtype=torch.long)}
    assert task.train().prepare(batch).keys() == batch.keys()
    task.cache_teachers(tmp_path, in_training=True)
    prepared = task.prepare(batch)
    monkeypatch.setattr(cached_outputs, "clip_digests", None)
    for computed, found in ((4, 0), (4, 4)):
        task(prepared)
        assert (task.caches[""].computed, task.caches[""].found) == (computed, found)


def change_weights(teacher, clips):
    teacher.network.state_dict()["fc.bias"][0] += 1e-6


def change_statistics(teacher, clips):
    next(norm for name, norm in teacher.network.named_buffers() if name.endswith("running_var")).mul_(1.001)


def change_normalisation(teacher, clips):
    teacher.mean += 1e-4


def change_view(teacher, clips):
    teacher.view = "rgb@32"


def change_pixel(teacher, clips):
    clips[:, 0, 0, 0, 0] ^= 1


@pytest.mark.parametrize("change", [change_weights, change_statistics, change_normalisation, change_view, change_pixel])
def test_what_differs_in_anything_is_computed(change, clips, tmp_path):
    teacher, changed = make_teacher(), make_teacher()
    with torch.no_grad():
        CachedOutputs(tmp_path, teacher)(teacher, {"rgb": clips})
        change(changed, clips)
        cache = CachedOutputs(tmp_path, changed)
        out = cache(changed, {changed.view: clips})
        expected = changed({changed.view: clips})
    assert (cache.found, cache.computed) == (0, 4)
    assert torch.equal(out.logits, expected.logits)


def test_batches_of_another_size_or_number_format_have_entries_of_their_own(clips, tmp_path):
    teacher = make_teacher()
    cache = CachedOutputs(tmp_path, teacher)
    with torch.no_grad():
        cache(teacher, {"rgb": clips})
        assert torch.equal(cache(teacher, {"rgb": clips[:1]}).logits, teacher({"rgb": clips[:1]}).logits)
        with torch.autocast("cpu", torch.bfloat16):
            assert cache(teacher, {"rgb": clips}).logits.dtype == torch.bfloat16
            assert cache(teacher, {"rgb": clips}).logits.dtype == torch.bfloat16
    assert (cache.found, cache.computed) == (4, 9)
    with pytest.raises(ValueError, match="the batch has no rgb, which the network reads"):
        cache(teacher, {"flow": clips})


def test_a_damaged_entry_is_computed_again(clips, tmp_path, caplog):
    teacher = make_teacher()
    cache = CachedOutputs(tmp_path, teacher)
    with torch.no_grad():
        first = cache(teacher, {"rgb": clips})
        path = next(tmp_path.rglob("*.pth"))
        path.write_bytes(path.read_bytes()[:100])
        assert torch.equal(cache(teacher, {"rgb": clips}).logits, first.logits)
        assert f"{path}: damaged" in caplog.text
        cache(teacher, {"rgb": clips})
    assert (cache.found, cache.computed) == (4, 5)


def test_clips_that_are_drawn_are_refused_where_validation_asks_no_teacher(tmp_path, caplog):
    caplog.set_level("INFO")
    asked = []
    task = Namespace(knows_classes=True, cache_teachers=lambda folder, in_training: asked.append(in_training))
    with pytest.raises(ValueError, match=r"\(--crop corners\), .* give --train_sampling center --crop cen"):
        cache_teachers(task, tmp_path, ["--crop corners"])
    cache_teachers(task, tmp_path, [])
    task.knows_classes = False
    cache_teachers(task, tmp_path, ["--crop corners"])
    assert asked == [True, False]
    assert "validation clips alone, since training clips are drawn (--crop corners)" in caplog.text
