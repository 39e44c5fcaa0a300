"""Configurations of Distil-2D-3D in the options of STS_train.py: the same settings, or a reason why not."""

import copy
from pathlib import Path

import pytest
import yaml

from opts import DISTILL, parse_opts
from utils1 import import_config
from workflows.importing.distil_2d3d import import_distillation

ADVERSARIAL = """
model: {t_arch: resnet18, s_arch: r21d, d_arch: anc_discriminator, n_classes: 1000, t_pretrain_path: t.pth}
run: {exp_path: exps, exp_id: 7, gpus: -1, manual_seed: 3}
train:
  method: ANC
  batch_size: 16
  n_epochs: 200
  data: {name: ucf101, sample_size: 224, sample_duration: 16}
  sim_loss: {name: KL_DIV, weight: 2, temperature: 4}
  d_reg: {name: [L1, FakeAsReal], weight: 0.5}
  s_optimizer: {name: Adam, learning_rate: 0.001, weight_decay: 0.0002}
  d_optimizer: {name: SGD, learning_rate: 0.01, momentum: 0.9}
  s_scheduler: {name: MultiStep, milestones: [80, 120], gamma: 0.2}
  d_scheduler: {name: MultiStep, milestones: [40], gamma: 0.3}
"""
SIMPLE = """
model: {t_arch: resnet50, s_arch: r3d}
train:
  method: Simple
  logging_n: 50
  data: {name: hmdb51, sample_size: 128, norm_value: 1, mean: [114.75, 1, 2], n_scales: 2}
  sim_loss: {name: L2}
  optimizer: {name: SGD, learning_rate: 0.01, momentum: 0.9, weight_decay: 1.0e-4, eps: 1.0e-3}
  scheduler: {name: ReduceLROnPlateau, patience: 5, threshold: 0.1}
eval: {method: Retrieval, data: {name: hmdb51}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "theirs.yml"
    path.write_text(text)
    return path


def run(folder: Path, text: str):
    """The options that STS_train.py reads from what is written."""
    import_config.main(import_config.parse_args([str(write(folder, text)), str(folder / "ours.yaml")]))
    return parse_opts(["--config", str(folder / "ours.yaml")], DISTILL)


def test_the_adversarial_example(tmp_path, capsys):
    opt = run(tmp_path, ADVERSARIAL)
    assert (opt.model, opt.model_depth, opt.no_max_pool, opt.n_classes) == ("resnet2p1d", 10, True, 1000)
    assert (opt.teacher, opt.teacher_size, opt.sample_size) == (["image=t.pth"], ["image=224"], 112)
    assert (opt.dataset, opt.distill, opt.ce_weight, opt.project) == ("UCF101", ["anc", "logits"], 0, "auto")
    assert {"logits.distance=kl", "logits.weight=2.0", "logits.temperature=4.0"} <= set(opt.loss_args)
    assert {"anc.regularisers=l1,fake_as_real", "anc.regulariser_weight=0.5"} <= set(opt.loss_args)
    assert {"anc.optimizer.kind=sgd", "anc.optimizer.lr=0.01", "anc.optimizer.milestones=40"} <= set(opt.loss_args)
    assert (opt.optimizer, opt.learning_rate, opt.weight_decay) == ("adam", 0.001, 0.0002)
    assert (opt.lr_schedule, opt.lr_milestones, opt.lr_gamma) == ("multistep", [80, 120], 0.2)
    assert opt.crop_scales == pytest.approx([2 ** (-i / 4) for i in range(5)], abs=1e-6)
    assert (opt.run_name, opt.manual_seed, opt.device, opt.batch_size, opt.n_epochs) == ("7", 3, "cpu", 16, 200)
    assert capsys.readouterr().out == f"python STS_train.py --config {tmp_path / 'ours.yaml'}\n"


def test_the_simple_example_and_what_is_not_taken_over(tmp_path, capsys):
    opt = run(tmp_path, SIMPLE)
    assert (opt.model, opt.conv1_t_size, opt.conv1_t_stride, opt.sample_size) == ("resnet", 3, 1, 64)
    assert (opt.distill, opt.project, opt.lr_schedule, opt.lr_patience) == (["logits"], "off", "plateau", 5)
    assert (opt.optimizer, opt.momentum, opt.dampening, opt.run_name) == ("sgd", 0.9, 0, "theirs")
    assert [float(x) for x in opt.normalisation[:3]] == [114.75, 1, 2]
    assert len(opt.crop_scales) == 2
    said = capsys.readouterr().out
    for key in ("model.t_pretrain_path", "train.logging_n", "train.optimizer.eps", "train.scheduler.threshold", "eval"):
        assert f"{key}: not taken over (" in said
    assert opt.teacher == ["image=resnet50.pth"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["train", "batchsize"], 3, r"theirs\.yml: unknown key train.batchsize; there are adv_loss, batch_size"),
        (["training"], {}, "unknown key training; there are eval, model, run, train"),
        (["train", "data", "name"], "imagenet", "train.data.name is imagenet: choose one of activitynet"),
        (["train", "data"], 3, "train.data is no mapping"),
        (["model", "s_arch"], "i3d", "model.s_arch is i3d: choose one of c3d, r3d, r21d"),
        (["model", "t_arch"], "vgg", "model.t_arch is vgg: choose resnet18"),
        (["train", "method"], "KD", "train.method is KD: choose one of ANC, Simple"),
        (["train", "sim_loss", "name"], "MSE", "train.sim_loss.name is MSE: choose one of L1"),
        (["train", "sim_loss"], None, "train.method Simple needs train.sim_loss"),
        (["train", "s_optimizer"], {}, "train needs either optimizer, or s_optimizer and d_optimizer"),
        (["train", "scheduler"], None, "train needs either scheduler"),
        (["train", "optimizer", "name"], "RMSProp", "train.optimizer.name is RMSProp: choose one of SGD, Adam"),
        (["train", "scheduler", "decay_factor"], 0.5, "decay_factor: the rate falls to a tenth here"),
        (["train", "temporal_pooling"], "MAX", "temporal_pooling is MAX: choose AVG"),
        (["train"], None, "has no section train; for evaluation alone there is test_retrieval.py"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, place, value, message):
    config = copy.deepcopy(yaml.safe_load(SIMPLE))
    section = config
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    with pytest.raises(ValueError, match=message):
        import_distillation(write(tmp_path, yaml.safe_dump(config)))


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.yml: no such file"):
        import_distillation(tmp_path / "x.yml")
    for text in ("a: [", "- 3", "3"):
        with pytest.raises(ValueError, match=r"theirs\.yml: "):
            import_distillation(write(tmp_path, text))
    (tmp_path / "ours.yaml").write_text("kept")
    with pytest.raises(ValueError, match=r"ours\.yaml: is there already"):
        run(tmp_path, SIMPLE)
    assert (tmp_path / "ours.yaml").read_text() == "kept"
