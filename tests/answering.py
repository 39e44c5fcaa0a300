"""Small networks in checkpoints for predict.py, and running it."""

import numpy as np
import torch
from helpers import options

import predict
from datasets import FLOW, RGB
from datasets.synthetic import render, write_avi
from engine import checkpoint
from models import build_model
from workflows.predicting.predict_options import build_parser

NAMES = ("clap", "run", "wave")
PROVENANCE = {"fps": 25.0, "short_side": 40, "algorithm": "dis", "bound": 5.0}


def write_weights(path, stream=RGB, names=NAMES, modality=None, **recipe):
    """A checkpoint of a tiny random network, as the training scripts write them."""
    torch.manual_seed(sum(path.name.encode()))
    opt = options("resnet", 10, width=0.0625)
    network = build_model(opt, stream.channels, len(names))
    own = {"sample_size": 32, "sample_duration": 8, "clip_stride": 1, "provenance": PROVENANCE} | recipe
    given = vars(opt) | {"modality": modality or {"rgb": "RGB", "flow": "Flow"}[stream.name]}
    state = {"options": given, "class_names": list(names), "stream": stream.name, "recipe": own}
    checkpoint.save(path, state | {"arch": "resnet-10", "epoch": 3, "state_dict": network.state_dict()})
    return str(path)


def write_all_weights(folder):
    return {
        "rgb": write_weights(folder / "rgb.pth"),
        "student": write_weights(folder / "student.pth"),
        "flow": write_weights(folder / "teacher_flow.pth", FLOW),
    }


def make_videos(folder):
    """A folder of a short video and a long one."""
    write_avi(folder / "run" / "short.avi", render("disc_rise", 0, 0, frames=11)[0])
    write_avi(folder / "run" / "long.avi", np.concatenate([render("bar_sway", i, 0, frames=20)[0] for i in range(3)]))
    return folder


def run(*words):
    return predict.main(build_parser().parse_args([str(word) for word in words]))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())
