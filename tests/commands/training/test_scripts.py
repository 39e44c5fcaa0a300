"""The scripts end to end on noise: what they write, resuming, and what they say to bad input."""

import copy
import io
import json
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from helpers import CLASSES, TINY, words_for
from runs import differences, one
from source_files import ROOT

import STS_train
import test_single_stream
import test_two_stream
import train
from engine import checkpoint
from opts import SINGLE, TRAIN, parse_opts
from workflows.exporting.plan import build_export
from workflows.predicting.agreement import common_recipe


@pytest.fixture(scope="module")
def trained(hmdb51, tmp_path_factory) -> dict[str, Path]:
    """Checkpoints of the three streams after an epoch."""
    results = tmp_path_factory.mktemp("trained")
    words = words_for(hmdb51, results)
    train.main(parse_opts([*words, "--modality", "RGB"]))
    train.main(parse_opts([*words, "--modality", "Flow"]))
    made = {"rgb": one(results, "HMDB51_1_RGB_*varLR1.pth"), "flow": one(results, "HMDB51_1_Flow_*varLR1.pth")}
    opt = parse_opts([*words, "--modality", "RGB_Flow", "--resume_path1", str(made["flow"])])
    before = copy.deepcopy(opt)
    STS_train.main(opt)
    assert opt == before  # scripts read options, they do not write them
    return made | {"sfs": one(results, "SFS_*_1.pth"), "results": results, "options": opt}


# Options of a test, without those that the checkpoints know.
data_words = partial(words_for, network=())


def test_a_run_leaves_logs_metrics_options_and_curves(trained):
    folder = trained["results"] / "HMDB51"
    log = one(folder, "HMDB51_1_RGB_train_*varLR.log").read_bytes()
    assert log.startswith(b"epoch\tloss\tacc\tlr\r\n1\t")
    assert one(folder, "SFS_*_train_*.log").read_text().split("\n")[0] == "epoch\tloss\tloss_MSE\tloss_SFS\tacc\tlr"
    assert one(folder, "SFS_*_val_*.log").read_text().split("\n")[0] == "epoch\tloss\tacc"
    run = one(folder, "SFS_*/metrics.jsonl").parent
    row = json.loads((run / "metrics.jsonl").read_text())
    levels = ("layer1", "layer2", "layer3", "layer4", "avgpool")
    terms = {"loss_ce", "loss_mse_avgpool", "loss_tckd", "loss_nckd", *(f"loss_review_{level}" for level in levels)}
    assert {f"train_{term}" for term in terms} | {"train_acc_teacher", "val_acc", "lr", "epoch"} <= row.keys()
    assert row["train_loss"] == pytest.approx(sum(row[f"train_{term}"] for term in terms), rel=1e-4)
    repeated = vars(parse_opts(["--config", str(run / "options.yaml")]))
    assert repeated | {"given": None, "config": None} == vars(trained["options"]) | {"given": None, "config": None}
    assert list((run / "tensorboard").iterdir())


def test_checkpoints_bring_what_it_takes_to_use_them(trained):
    state = checkpoint.load(trained["sfs"])
    assert state["arch"] == "resnet-10"
    assert state["class_names"] == list(CLASSES)
    assert state["stream"] == "rgb"
    assert state["epoch"] == 2
    assert state["recipe"]["sample_size"] == 32
    assert state["recipe"]["normalisation"]["mean"] == pytest.approx([114.7748, 107.7354, 99.4750])
    assert state["losses"]
    assert not any("connectors" in name for name in state["state_dict"])


def test_one_stream_is_tested_with_the_published_result_file(trained, hmdb51, tmp_path, capsys):
    words = [*data_words(hmdb51, tmp_path), "--modality", "Flow", "--resume_path1", str(trained["flow"])]
    metrics = test_single_stream.main(parse_opts(words))
    lines = (tmp_path / "HMDB51" / "test_resnet10_HMDB51_1_Flow_8.txt").read_text().split("\n")
    assert lines[0].startswith("Namespace(")
    assert len(lines) == 1 + 6 + 1 + 1
    assert lines[1].startswith("Video[0] : \t top5 [")
    assert lines[-2] == f"Video accuracy = {metrics['top1']}"
    assert capsys.readouterr().out == f"Video accuracy =  {metrics['top1']}\n"


def test_nothing_is_written_without_log(trained, hmdb51, tmp_path):
    words = [*data_words(hmdb51, tmp_path), "--log", "0", "--resume_path1", str(trained["rgb"])]
    test_single_stream.main(parse_opts(words))
    assert list(tmp_path.iterdir()) == []


def test_two_streams_are_the_mean_of_single_ones_over_clips(trained, hmdb51, tmp_path):
    words = data_words(hmdb51, tmp_path)
    saved = {}
    for name, modality in (("rgb", "RGB"), ("flow", "Flow"), ("sfs", "RGB")):
        path = tmp_path / f"{name}.npz"
        own = ["--modality", modality, "--resume_path1", str(trained[name]), "--scores_path", str(path)]
        test_single_stream.main(parse_opts([*words, *own]))
        saved[name] = np.load(path)
    for second, modality, file in (("sfs", "RGB", "RGB_SFS"), ("flow", "RGB_Flow", "RGB_Flow")):
        path = tmp_path / "fused.npz"
        pair = ["--resume_path1", str(trained["rgb"]), "--resume_path2", str(trained[second])]
        test_two_stream.main(parse_opts([*words, "--modality", modality, *pair, "--scores_path", str(path)]))
        fused = np.load(path)
        assert fused["streams"].tolist() == ["rgb", second]
        assert fused["video"].tolist() == saved["rgb"]["video"].tolist()
        assert (fused["clips"] == saved["rgb"]["clips"]).all()
        mean = (saved["rgb"]["logits"][0] + saved[second]["logits"][0]) / 2
        np.testing.assert_allclose(fused["fused"], mean, rtol=1e-4, atol=1e-4 * np.abs(mean).max())
        assert (tmp_path / "HMDB51" / f"test_{file}_resnet10_HMDB51_1_8.txt").exists()


def test_three_streams_may_be_fused_and_weighted(trained, hmdb51, tmp_path):
    words = [*data_words(hmdb51, tmp_path), "--modality", "RGB_Flow", "--scores_path", str(tmp_path / "s.npz")]
    paths = [w for i, name in enumerate(("rgb", "flow", "sfs"), 1) for w in (f"--resume_path{i}", str(trained[name]))]
    test_two_stream.main(parse_opts([*words, *paths, "--fusion", "softmax", "--fusion_weights", "1", "0", "3"]))
    scores = np.load(tmp_path / "s.npz")
    assert scores["streams"].tolist() == ["rgb", "flow", "sfs"]
    np.testing.assert_allclose(scores["fused"].sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("batch", ["1", "3", "16"])
def test_the_result_does_not_depend_on_the_batch(trained, hmdb51, tmp_path, batch):
    words = [*data_words(hmdb51, tmp_path), "--resume_path1", str(trained["rgb"])]
    for name, size in (("a", "5"), ("b", batch)):
        own = ["--clips_per_batch", size, "--scores_path", str(tmp_path / f"{name}.npz")]
        test_single_stream.main(parse_opts([*words, *own]))
    a, b = (np.load(tmp_path / f"{name}.npz")["logits"] for name in "ab")
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(a).max())


def test_fine_tuning_moves_only_what_it_should(trained, hmdb51, tmp_path, caplog):
    words = [*data_words(hmdb51, tmp_path), "--pretrain_path", str(trained["rgb"]), "--learning_rate", "0.1"]
    train.main(parse_opts([*words, "--ft_begin_index", "4", "--freeze_BN"]))
    tuned = checkpoint.load(one(tmp_path, "PreKin_*varLR1.pth"))
    before, after = checkpoint.load(trained["rgb"])["state_dict"], tuned["state_dict"]
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"layer4", "fc"}
    assert len(tuned["optimizer"]["param_groups"]) == sum(not n.endswith(("mean", "var", "tracked")) for n in before)
    assert one(tmp_path, "PreKin_*_train_*.log").read_text().splitlines()[1].split("\t")[-1] == "0.1"


def test_a_classifier_of_the_same_classes_may_be_kept(trained, own_hmdb51, hmdb51, tmp_path, capsys):
    words = ["--pretrain_path", str(trained["rgb"]), "--ft_begin_index", "0", "--learning_rate", "1e-9"]
    before = checkpoint.load(trained["rgb"])["state_dict"]["fc.weight"]
    after = []
    for name, more in {"kept": ["--keep_classifier", "--sample_duration", "16"], "fresh": []}.items():
        train.main(parse_opts([*data_words(hmdb51, tmp_path / name), *words, *more]))
        after.append(checkpoint.load(one(tmp_path / name, "PreKin_*varLR1.pth"))["state_dict"]["fc.weight"])
    assert torch.allclose(after[0], before, atol=1e-6)
    assert not torch.allclose(after[1], before, atol=1e-2)
    with pytest.raises(ValueError, match="3 classes, but the annotation has 2: leave out --keep_classifier"):
        train.main(parse_opts([*data_words(own_hmdb51, tmp_path / "other"), *words, "--keep_classifier"]))
    for wrong in ([], [*words, "--n_finetune_classes", "3"]):
        with pytest.raises(SystemExit):
            parse_opts([*wrong, "--keep_classifier"])
        assert "--keep_classifier needs --pretrain_path, and no --n_finetune_classes" in capsys.readouterr().err


def test_without_freeze_bn_statistics_move_as_published(trained, hmdb51, tmp_path):
    words = [*data_words(hmdb51, tmp_path), "--pretrain_path", str(trained["rgb"])]
    train.main(parse_opts([*words, "--ft_begin_index", "5"]))
    before = checkpoint.load(trained["rgb"])["state_dict"]
    after = checkpoint.load(one(tmp_path, "PreKin_*varLR1.pth"))["state_dict"]
    moved = {name.rsplit(".", 1)[1] for name in before if "fc" not in name and not before[name].equal(after[name])}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


def test_fine_tuning_defaults_apply_only_where_none_were_given(caplog):
    caplog.set_level("INFO")
    fresh = parse_opts([])
    tuned = parse_opts(["--pretrain_path", "x.pth"])
    own = parse_opts(["--pretrain_path", "x.pth", "--learning_rate", "0.05"])
    assert (fresh.learning_rate, fresh.weight_decay) == (0.1, 1e-3)
    assert (tuned.learning_rate, tuned.weight_decay) == (0.001, 1e-5)
    assert (own.learning_rate, own.weight_decay) == (0.05, 1e-5)
    assert "--learning_rate 0.001" in caplog.text
    distilled = "--pretrain_path x.pth --modality RGB_Flow --dataset Kinetics".split()
    assert parse_opts(distilled).learning_rate == 0.1


RUNS = {
    "sgd and plateau": (train, ["--modality", "RGB"]),
    "adamw and onecycle": (train, "--modality Flow --optimizer adamw --lr_schedule onecycle".split()),
    "fine-tuning with loader processes": (train, ["--modality", "RGB", "--n_workers", "2", "--ft_begin_index", "3"]),
    "differences": (train, "--modality RGBDiff --only_RGB --mixup 0.2 --augment color_jitter".split()),
    "distillation": (STS_train, ["--modality", "RGB_Flow", "--learning_rate", "0.001"]),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_stopping_and_resuming_gives_the_same_bits(name, trained, hmdb51, tmp_path):
    script, extra = RUNS[name]
    if script is STS_train:
        extra = [*extra, "--resume_path1", str(trained["flow"])]
    if "fine" in name:
        extra = [*extra, "--pretrain_path", str(trained["rgb"])]
    resume = "--SFS_resume_path" if script is STS_train else "--resume_path1"

    def run(folder: str, *words: str) -> Path:
        script.main(parse_opts([*words_for(hmdb51, tmp_path / folder), *extra, "--checkpoint", "1", *words]))
        return tmp_path / folder / "HMDB51"

    whole = run("whole", "--n_epochs", "2")
    # The run is cut by its checkpoint, not by --n_epochs: a one-cycle plan depends on how long it is.
    first = one(whole, "*varLR1.pth" if script is train else "*_1.pth")
    parts = run("parts", "--n_epochs", "2", resume, str(first))
    last = ["*varLR2.pth", "*_2.pth"][script is STS_train]
    a, b = (checkpoint.load(one(folder, last)) for folder in (whole, parts))
    for key in ("state_dict", "optimizer", "scheduler", "losses", "rng", "metrics", "best", "epoch"):
        assert differences(a.get(key), b.get(key), key) == []
    rows = [one(folder, "metrics.jsonl").read_text().splitlines() for folder in (whole, parts)]
    assert rows[0][1:] == rows[1]


def test_resuming_with_other_losses_is_refused(trained, hmdb51, tmp_path):
    words = [*words_for(hmdb51, tmp_path), "--modality", "RGB_Flow", "--resume_path1", str(trained["flow"])]
    words += ["--SFS_resume_path", str(trained["sfs"]), "--review_mid", "4"]
    with pytest.raises(ValueError, match=r"made with other options: review_mid 8 in the checkpoint, 4 now"):
        STS_train.main(parse_opts(words))
    with pytest.raises(ValueError, match=r"made with other losses.*--distill"):
        STS_train.main(parse_opts([*words, "--resume_anyway"]))


def test_a_published_checkpoint_resumes_without_schedule_and_says_so(trained, hmdb51, tmp_path, caplog):
    state = checkpoint.load(trained["rgb"])
    old = {"epoch": 2, "arch": state["arch"], "optimizer": state["optimizer"]}
    old["state_dict"] = {f"module.{k}": v for k, v in state["state_dict"].items()}
    torch.save(old, tmp_path / "old.pth")
    words = [*words_for(hmdb51, tmp_path), "--resume_path1", str(tmp_path / "old.pth"), "--n_epochs", "2"]
    train.main(parse_opts(words))
    assert "no learning-rate schedule" in caplog.text
    assert one(tmp_path, "*varLR2.pth")


def test_flow_that_a_checkpoint_did_not_see_is_refused(trained, own_hmdb51, tmp_path):
    state = checkpoint.load(trained["flow"])
    state["recipe"]["provenance"] = {"algorithm": "tvl1", "bound": 15.0}
    state["class_names"] = state["class_names"][:2]
    checkpoint.save(tmp_path / "flow.pth", state)
    (own_hmdb51 / "frames" / "flow.json").write_text('{"algorithm": "tvl1", "bound": 20.0}')
    words = [*data_words(own_hmdb51, tmp_path), "--modality", "Flow", "--resume_path1", str(tmp_path / "flow.pth")]
    with pytest.raises(ValueError, match=r"bound 20.0 here, 15.0 in the checkpoint.*--allow_flow_mismatch"):
        test_single_stream.main(parse_opts(words))
    with pytest.raises(ValueError, match=r"bound 20.0 here"):
        STS_train.main(parse_opts([*words, "--modality", "RGB_Flow"]))
    test_single_stream.main(parse_opts([*words, "--allow_flow_mismatch"]))


def test_outputs_without_a_name_are_warned_of_and_predict_and_export_refuse_them(words, tmp_path, caplog):
    train.main(parse_opts([*words, "--n_classes", "5"]))
    assert "--n_classes 5: the annotation has 3 classes" in caplog.text
    path = one(tmp_path, "*best.pth")
    with pytest.raises(ValueError, match=rf"{path}: 5 outputs for 3 class names: train it again"):
        build_export([path])


@pytest.mark.parametrize(("name", "cure"), [("x.pt2", r"predict\.py runs \.onnx"), ("x.bin", r"an \.xml file")])
def test_an_exported_file_in_place_of_a_checkpoint_is_told_from_a_damaged_one(name, cure, tmp_path):
    (tmp_path / name).write_bytes(b"PK of another kind")
    with pytest.raises(ValueError, match=f"{name}: is .*{cure}"):
        checkpoint.load(tmp_path / name)


def test_predict_takes_the_flow_from_the_flow_checkpoint_and_refuses_unlike_clips(trained):
    states = [checkpoint.load(trained[name]) for name in ("rgb", "flow")]
    states[0]["recipe"]["provenance"] = {"fps": 25.0}
    states[1]["recipe"]["provenance"] = {"fps": 25.0, "algorithm": "dis", "bound": 5.0}
    assert common_recipe(["rgb", "flow"], states)["provenance"]["bound"] == 5.0
    for fps, said in ((10.0, "10.0"), (None, "source")):
        states[0]["recipe"]["provenance"]["fps"] = fps
        with pytest.raises(ValueError, match=f"rgb: made with fps {said}, flow with 25.0"):
            common_recipe(["rgb", "flow"], states)
    del states[0]["recipe"]["provenance"]["fps"]
    assert common_recipe(["rgb", "flow"], states)["provenance"]["fps"] == 25.0


TRAINING_OPTIONS = (
    "--amp bf16 --deterministic",
    "--nesterov --no_flip --val_sampling random",
    "--begin_epoch 1 --lr_schedule cosine --crop_scales 1 0.8",
    "--resnet_shortcut A --conv1_t_size 3 --val_fraction 0",
    "--ema 0.9 --iter_size 2 --clip_grad 1 --label_smoothing 0.1 --lr_warmup 0.5 --lr_scale_base 16",
    "--lr_schedule step --lr_step 1 --partial_BN --save_steps 1 --keep 2 --sync_bn",
    "--lr_schedule multistep --lr_milestones 1 --lr_gamma 0.5 --max_bad 2 --missing skip",
    "--mixup 0.2 --cutmix 1 --crop resized --augment color_jitter grayscale randaugment erasing --flip always",
    "--crop fixed --train_sampling segments --val_sampling segment_centers --decoder python --profile 1",
    "--crop short_side --clip_stride 2 --sampling compat --decode fast --loader processes --n_workers 1",
    "--train_sampling dense --cache ram --short_side 36 --layout sts",
    pytest.param("--compile", marks=pytest.mark.slow),
)
DISTILLATION_OPTIONS = (
    "--amp bf16",
    "--distill mse --output_layers layer4 --output_layers avgpool",
    "--distill review kd --review_time_kernel 3 --review_layers layer3 avgpool --distill_norm variance",
    "--distill mers --ce_weight 0.5",
    "--ema 0.9 --label_smoothing 0.1 --iter_size 2 --crop resized --augment randaugment",
)
TEST_OPTIONS = (
    "--test_sampling spaced --num_clips 3 --num_crops 3",
    "--test_sampling stepped --num_clips 2 --num_crops 10 --short_side 40",
    "--test_sampling segments --num_clips 2 --num_crops two-stream",
    "--test_sampling stacks --num_clips 2 --num_crops 5 --sampling compat --decoder python",
    "--amp bf16 --group_width 16",
    pytest.param("--compile", marks=pytest.mark.slow),
)


@pytest.mark.parametrize("options", TRAINING_OPTIONS)
def test_training_options_run(options, words, tmp_path):
    assert 0 <= train.main(parse_opts([*words, *options.split()]))["acc"] <= 1
    assert one(tmp_path, "*varLR1.pth")


@pytest.mark.parametrize("options", TEST_OPTIONS)
def test_test_options_run(options, words, trained, tmp_path):
    words = [*words, "--only_RGB", "--resume_path1", str(trained["rgb"]), "--scores_path", str(tmp_path / "s.npz")]
    assert 0 <= test_single_stream.main(parse_opts([*words, *options.split()]))["top1"] <= 1
    with np.load(tmp_path / "s.npz") as scores:
        assert np.isfinite(scores["logits"]).all()


@pytest.mark.parametrize("options", DISTILLATION_OPTIONS)
def test_distillation_options_run(options, words, trained, tmp_path):
    opt = parse_opts([*words, "--modality", "RGB_Flow", "--resume_path1", str(trained["flow"]), *options.split()])
    assert 0 <= STS_train.main(opt)["acc"] <= 1
    assert one(tmp_path, "MERS_*_1.pth" if "mers" in options else "SFS_*_1.pth")


def test_a_test_runs_in_half_precision_with_nearly_the_same_scores(trained, hmdb51, tmp_path):
    logits = []
    for amp in ("off", "bf16"):
        words = [*data_words(hmdb51, tmp_path), "--resume_path1", str(trained["rgb"]), "--amp", amp]
        test_single_stream.main(parse_opts([*words, "--scores_path", str(tmp_path / "s.npz")]))
        logits.append(np.load(tmp_path / "s.npz")["logits"])
    np.testing.assert_allclose(logits[1], logits[0], atol=0.05 * np.abs(logits[0]).max())


def test_weights_that_do_not_fit_are_refused_before_anything_is_scored(trained, hmdb51, tmp_path, monkeypatch):
    monkeypatch.setattr("workflows.testing.scoring.score_videos", lambda *_, **__: pytest.fail("scored"))
    pair = ["--resume_path1", str(trained["rgb"]), "--resume_path2", str(trained["sfs"])]
    words = [*data_words(hmdb51, tmp_path), *pair, "--fusion_weights", "1", "2", "3"]
    with pytest.raises(ValueError, match="--fusion_weights"):
        test_two_stream.main(parse_opts(words))


def run_here(script: str, *words: str) -> tuple[int, str]:
    """Exit code and stderr of a script, in this process, which has torch imported already."""
    said = io.StringIO()
    with mock.patch.object(sys, "argv", [script, *words]), redirect_stderr(said), redirect_stdout(io.StringIO()):
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code
    return code, said.getvalue()


# Script, options and words of the error of a mistake; the tree and a checkpoint of each stream are filled in.
BAD_INPUT = {
    "missing weights": ("test_single_stream.py", "--resume_path1 none.pth", ["none.pth"]),
    "no weights": ("test_two_stream.py", "--resume_path1 {rgb}", ["--resume_path2"]),
    "another arch": ("test_single_stream.py", "--resume_path1 {rgb} --model resnext", ["--model"]),
    "another width": ("test_single_stream.py", "--resume_path1 {rgb} --width 0.5", ["--width"]),
    "class count": ("test_single_stream.py", "--resume_path1 {rgb} --n_classes 9", ["--n_classes"]),
    "channel count": (
        "test_single_stream.py",
        "--resume_path1 {flow} --modality RGB",
        ["2 input channels", "--modality"],
    ),
    "no data set": ("train.py", "--frame_dir nowhere", ["nowhere", "--frame_dir"]),
    "empty data set": ("train.py", "--frame_dir {root}/frames/unused", ["unused", "one folder too low"]),
    "no labels": ("train.py", "--annotation_path nowhere", ["nowhere", "--annotation_path"]),
    "no such split": ("train.py", "--split 2", ["split2.txt", "--split"]),
    "frame missing in the middle": ("train.py", "", ["00005.jpg", "missing"]),
    "frame missing at the end": ("train.py", "", ["00020.jpg", "missing"]),
    "truncated JPEG": ("train.py", "--n_workers 2", ["00010.jpg", "damaged"]),
    "no flow for a video": ("train.py", "--modality Flow", ["film0_cartwheel", "no flow"]),
    "two streams in one": ("train.py", "--modality RGB_Flow", ["--modality RGB_Flow"]),
    "two streams in one test": ("test_single_stream.py", "--modality RGB_Flow", ["RGB_Flow"]),
    "unknown config key": ("train.py", "--config {root}/c.yaml", ["c.yaml", "'learning_rat'"]),
    "unknown option": ("train.py", "--learning_rat 1", ["--learning_rat"]),
    "dead option": ("train.py", "--random_seed 1", ["--random_seed", "--manual_seed"]),
    "no teacher": ("STS_train.py", "--modality RGB_Flow", ["--resume_path1", "teacher"]),
    "one stream to distil": ("STS_train.py", "--resume_path1 {flow}", ["--modality RGB_Flow"]),
    "RGB teacher": ("STS_train.py", "--modality RGB_Flow --resume_path1 {rgb}", ["3 input channels"]),
    "video that is none": ("predict.py", "{root}/c.yaml --weights {rgb}", ["c.yaml"]),
}


def break_tree(name: str, root: Path) -> None:
    """Damage a tree as a mistake needs it."""
    folder = root / "frames" / "cartwheel" / "film0_cartwheel_f_cm_np1_fr_med_0"
    (root / "c.yaml").write_text("learning_rat: 0.1\n")
    if name == "empty data set":
        (root / "frames" / "unused").mkdir()
    if name == "no such split":
        for file in (root / "labels").glob("*split2*"):
            file.unlink()
    if name.startswith("frame missing"):
        (folder / ("00005.jpg" if "middle" in name else "00020.jpg")).unlink()
    if name == "truncated JPEG":
        image = folder / "00010.jpg"
        image.write_bytes(image.read_bytes()[:500])
    if name == "no flow for a video":
        for image in folder.glob("TVL1*"):
            image.unlink()
        (folder / "done").write_text("")


@pytest.fixture(scope="module")
def two_classes(trained, tmp_path_factory) -> dict[str, Path]:
    """Checkpoints of two streams, of the two classes of a tree to break."""
    folder, made = tmp_path_factory.mktemp("two_classes"), {}
    for stream in ("rgb", "flow"):
        state = checkpoint.load(trained[stream])
        made[stream] = folder / f"{stream}.pth"
        weights = {name: x[:2] if name.startswith("fc.") else x for name, x in state["state_dict"].items()}
        checkpoint.save(made[stream], state | {"class_names": state["class_names"][:2], "state_dict": weights})
    return made


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(name, own_hmdb51, two_classes, tmp_path):
    script, options, said = BAD_INPUT[name]
    break_tree(name, own_hmdb51)
    words = options.format(root=own_hmdb51, **two_classes).split()
    if script != "predict.py":
        network = () if script.startswith("test") else TINY
        words = [*words_for(own_hmdb51, tmp_path / "out", network, SINGLE if network == () else TRAIN), *words]
    extra = ["--val_fraction", "0", "--sample_duration", "16"] if script == "train.py" else []
    code, err = run_here(script, *words, *extra)
    errors = [line for line in err.splitlines() if "error" in line.lower()]
    assert code == 2, err
    assert len(errors) == 1, err
    assert errors[0].startswith("error: "), err
    assert "Traceback" not in err
    for word in said:
        assert word in errors[0]
    assert not list((tmp_path / "out").rglob("*.pth"))
