"""Hidden Two-Stream by the commands: motion without labels, then classes by it, a test, a prediction of the flow."""

import json
import shlex

import numpy as np
import pytest
from helpers import words_for
from runs import differences

import test_single_stream
import train
from engine import checkpoint
from flow import build_flow
from opts import SINGLE, TRAIN, parse_opts

KEPT = ("state_dict", "optimizer", "scheduler", "rng", "metrics")
HIDDEN = "--model hidden_two_stream --model_depth 18 --width 0.125 --sample_size 32 --sample_duration 3 --model_args "
HIDDEN += "frames=3 motion_width=0.0156 temporal=resnet2d"
TEMPORAL = (
    "--model resnet2d --model_depth 18 --width 0.125 --sample_size 32 --sample_duration 2 --model_args flow_stack=2"
)


@pytest.mark.slow
def test_motion_then_classes_then_a_test(hmdb51, tmp_path, caplog):
    def run(name: str, network: str, words: str) -> dict[str, float]:
        options = [*words_for(hmdb51, tmp_path, network.split(), TRAIN), "--run_name", name, *words.split()]
        return train.main(parse_opts(options, TRAIN))

    caplog.set_level("INFO")
    run("motion", HIDDEN, "--modality RGB --motion alone --optimizer adamw --learning_rate 1e-4")
    best = tmp_path / "HMDB51" / "motion_best.pth"
    (line,) = [text for text in caplog.messages if text.startswith("next, learn the classes: ")]
    row = json.loads((tmp_path / "HMDB51" / "motion" / "metrics.jsonl").read_text().splitlines()[-1])
    assert "val_acc" not in row
    assert row["val_loss"] == pytest.approx(sum(row[f"val_loss_{n}"] for n in ("photometric", "smoothness", "ssim")))
    assert row["val_still"] > 0

    run("temporal", TEMPORAL, "--modality Flow")
    words = [*shlex.split(line.partition(": ")[2])[2:], "--temporal_path", str(tmp_path / "HMDB51/temporal_best.pth")]
    joint = train.main(parse_opts([*words, "--n_epochs", "1"], TRAIN))
    assert 0 <= joint["acc"] <= 1
    classes = tmp_path / "HMDB51" / "motion_joint_best.pth"
    test = [*words_for(hmdb51, tmp_path, (), SINGLE), "--modality", "RGB", "--resume_path1", str(classes)]
    assert 0 <= test_single_stream.main(parse_opts(test, SINGLE))["top1"] <= 1
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32), np.uint8)
    assert np.isfinite(build_flow("motionnet", weights=str(best), device="cpu")(images[:-1], images[1:])).all()


@pytest.mark.slow
@pytest.mark.parametrize("motion", ["alone", "joint"])
def test_motion_that_is_stopped_goes_on_to_the_same_bits_past_a_damaged_checkpoint(motion, hmdb51, tmp_path, caplog):
    def run(folder: str, words: str) -> None:
        options = [*words_for(hmdb51, tmp_path / folder, HIDDEN.split(), TRAIN), "--run_name", "m", *words.split()]
        options += ["--modality", "RGB", "--motion", motion, "--optimizer", "adamw", "--learning_rate", "1e-3"]
        train.main(parse_opts([*options, "--checkpoint", "1", "--keep", "0"], TRAIN))

    caplog.set_level("INFO")
    run("whole", "--n_epochs 3")
    run("parts", "--n_epochs 2")
    last = tmp_path / "parts" / "HMDB51" / "m_2.pth"
    last.write_bytes(last.read_bytes()[:-1000])
    run("parts", "--n_epochs 3 --resume auto")
    assert any("m_2.pth" in text and "damaged" in text for text in caplog.messages)
    ends = [checkpoint.load(tmp_path / part / "HMDB51" / "m_3.pth") for part in ("whole", "parts")]
    for name in KEPT:
        assert differences(*(end[name] for end in ends)) == [], name


def test_damaged_weights_of_motion_or_of_flow_are_a_line(hmdb51, tmp_path):
    damaged = tmp_path / "cut.pth"
    damaged.write_bytes(b"PK" + bytes(200))
    for option in ("--pretrain_path", "--temporal_path"):
        options = [*words_for(hmdb51, tmp_path, HIDDEN.split(), TRAIN), "--modality", "RGB", "--motion", "joint"]
        with pytest.raises(ValueError, match=r"cut\.pth: damaged[^\n]*$"):
            train.main(parse_opts([*options, option, str(damaged)], TRAIN))
    with pytest.raises(ValueError, match=r"cut\.pth: [^\n]*$"):
        build_flow("motionnet", weights=str(damaged), device="cpu")
