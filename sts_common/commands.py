"""Run a command of STS-Net by its name: `sts train --help` is `python train.py --help`, from any folder.

With several GPUs: `torchrun --nproc_per_node 8 -m sts_common.commands train ...`.
"""

import difflib
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

HERE = Path(__file__).resolve().parents[1]
INSTALLED = (HERE / "sts_net" / "train.py").is_file()
ROOT = HERE / "sts_net" if INSTALLED else HERE  # of what is installed, or of the sources
INTERRUPTED = 130


class Command(NamedTuple):
    """A command."""

    script: str  # path of its file below the root of the project
    purpose: str  # what it does, on a line of `sts --help`


COMMANDS = {
    "init": Command("utils1/init_dataset.py", "lists of your own videos, and every command to a fused result"),
    "lists": Command("utils1/make_lists.py", "lists of videos from one form to another"),
    "make-videos": Command("utils1/make_videos.py", "made-up videos, in which it is known what tells a class"),
    "extract": Command("utils1/extract_frames_flows.py", "videos to frames and optical flow"),
    "extract-frames": Command("utils1/extract_frames.py", "videos to frames"),
    "audit": Command("utils1/audit.py", "every problem of a data set, before training"),
    "pack": Command("utils1/pack.py", "frame folders to one file per video, and back"),
    "train": Command("train.py", "train an RGB or a Flow network"),
    "distill": Command("STS_train.py", "train a student that sees RGB and learns motion from a Flow teacher"),
    "import-config": Command("utils1/import_config.py", "settings of Distil-2D-3D and of IBM's study to options"),
    "test": Command("test_single_stream.py", "test one network"),
    "fuse": Command("test_two_stream.py", "test two or more networks together"),
    "retrieve": Command("test_retrieval.py", "the training videos nearest to each test video, by features"),
    "predict": Command("predict.py", "the actions in video files, folders, cameras"),
    "export": Command("export.py", "networks to ONNX, OpenVINO, pt2 or safetensors"),
    "reproduce": Command("utils1/reproduce.py", "a whole experiment from its recipe, from videos to a table"),
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
    "info": Command("utils1/model_info.py", "what networks cost: parameters, multiply-adds, memory, speed here"),
    "doctor": Command("utils1/doctor.py", "what this machine can do, and what is missing"),
    "demo": Command("demo.py", "the whole story on made-up videos"),
}


def main() -> None:
    """Run the command that the first word names, with the words after it."""
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(table())  # noqa: T201 - the result
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f"; did you mean {near[0]}?" if near else f": {', '.join(COMMANDS)}"
        sys.stderr.write(f"error: {name!r} is none of the commands{meant} (see sts --help)\n")
        sys.exit(2)
    if not INSTALLED:  # the packages have generic names; here they are those of this project, whatever else there is
        sys.path.insert(0, str(ROOT))
    sys.argv = [f"sts {name}", *words]
    script = ROOT / COMMANDS[name].script
    # As runpy.run_path, which would put the path in place of the name of the command.
    module = sys.modules["__main__"] = ModuleType("__main__")
    module.__file__ = str(script)
    try:
        exec(compile(script.read_text("utf-8"), str(script), "exec"), vars(module))
    except KeyboardInterrupt:  # while it imports; later it ends itself
        sys.exit(INTERRUPTED)


def table() -> str:
    """Format every command with its purpose."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.purpose}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: sts COMMAND [options], sts COMMAND --help", "", *lines])


def typed_as(script: str) -> str | None:
    """Return the name of a script for `sts`, like "sts train", if that is how this process was started; else None."""
    if not Path(sys.argv[0]).name.startswith("sts "):
        return None
    return next((f"sts {name}" for name, command in COMMANDS.items() if command.script == script), None)


if __name__ == "__main__":
    main()
