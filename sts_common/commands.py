"""The commands of this project by the names that `sts` gives them."""

import sys
from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    """A command.

    Attributes:
        script: Path of its file below the root of the project.
        purpose: What it does, on a line of `sts --help`.
    """

    script: str
    purpose: str


COMMANDS = {
    "init": Command("utils1/init_dataset.py", "lists of your own videos, and every command to a fused result"),
    "lists": Command("utils1/make_lists.py", "lists of videos from one form to another"),
    "extract": Command("utils1/extract_frames_flows.py", "videos to frames and optical flow"),
    "extract-frames": Command("utils1/extract_frames.py", "videos to frames"),
    "audit": Command("utils1/audit.py", "every problem of a data set, before training"),
    "pack": Command("utils1/pack.py", "frame folders to one file per video, and back"),
    "train": Command("train.py", "train an RGB or a Flow network"),
    "distill": Command("STS_train.py", "train a student that sees RGB and learns motion from a Flow teacher"),
    "test": Command("test_single_stream.py", "test one network"),
    "fuse": Command("test_two_stream.py", "test two or more networks together"),
    "predict": Command("predict.py", "the actions in video files, folders, cameras"),
    "export": Command("export.py", "networks to ONNX, pt2 or safetensors"),
    "report": Command("utils1/report.py", "one page that explains results"),
    "fusion-lab": Command("utils1/fusion_lab.py", "every fusion of score files, and how sure it is"),
    "verify": Command("utils1/verify.py", "whether a checkpoint gives the numbers that it states"),
    "checkpoint": Command("utils1/checkpoint.py", "the card of a checkpoint"),
    "plot": Command("utils1/plot_run.py", "curves of runs"),
    "grad-cam": Command("utils1/grad_cam.py", "where and when networks look"),
    "similarity": Command("utils1/layer_similarity.py", "how alike the features of student and teacher are"),
    "show-flow": Command("utils1/show_flow.py", "frames beside their flow in colours"),
    "compare-flow": Command("utils1/flow_compare.py", "how far two folders of stored flow are apart"),
    "convert-flow": Command("utils1/flow_convert.py", "stored flow to another bound or form"),
    "bench-loader": Command("utils1/bench_loader.py", "how many clips this machine loads per second"),
    "doctor": Command("utils1/doctor.py", "what this machine can do, and what is missing"),
    "demo": Command("demo.py", "the whole story on made-up videos"),
}


def typed_as(script: str) -> str | None:
    """Return the name of a script for `sts`, like "sts train", if that is how this process was started; else None."""
    if not Path(sys.argv[0]).name.startswith("sts "):
        return None
    return next((f"sts {name}" for name, command in COMMANDS.items() if command.script == script), None)
