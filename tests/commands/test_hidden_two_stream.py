"""Hidden Two-Stream by the commands: motion without labels, then classes by it, a test, a prediction of the flow."""

import json
import shlex

import numpy as np
import pytest
from helpers import words_for

import test_single_stream
import train
from flow import build_flow
from opts import SINGLE, TRAIN, parse_opts

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
