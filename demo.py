"""The whole story on made-up videos, with the scripts that real data sets are trained with.

Makes videos of moving objects, extracts frames and TV-L1 flow, trains RGB, Flow and SFS, tests each of them and
the fusions RGB + SFS (STS-Net, no flow needed) and RGB + Flow, and names the action in one video file.

Examples:
    python demo.py
    python demo.py --seeds 3      # mean over three training seeds, on the same videos
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import torch

from datasets.synthetic import CLASSES, write_videos
from engine import checkpoint
from engine.command import cli
from engine.evaluation.statistics import gap_closed
from sts_common.json_text import as_json
from workflows.shared.plots import plot_confusion, plot_curves

ROOT = Path(__file__).parent
# Motion is below 2 pixels a frame: a bound of 5 keeps four times as many grey levels of it as the usual 20.
FLOW_OPTIONS = ("--bound", "5")
SYSTEMS = ("RGB", "Flow", "SFS", "RGB+SFS", "RGB+Flow")


class Stages:
    """Runner of commands that keeps their time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}  # wall time by stage; a stage that comes again adds up

    def run(self, stage: str, *words: object) -> None:
        """Run a script of this project, showing the command as one would type it; raises ValueError if it fails."""
        script, *arguments = map(str, words)
        print("\n$ python", script, *arguments, flush=True)
        start = time.perf_counter()
        code = subprocess.run([sys.executable, str(ROOT / script), *arguments], check=False).returncode
        self.add(stage, time.perf_counter() - start)
        if code:
            raise ValueError(f"{script} ended with exit code {code}, see above")

    def add(self, stage: str, seconds: float) -> None:
        """Count time to a stage."""
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + seconds, 1)


def main(opt: Namespace) -> dict:
    """Run the demo; return what it writes to summary.json."""
    out = Path(opt.out).resolve() / ("quick" if opt.quick else "")  # other videos, so another folder
    stages = Stages()
    make_data(out, opt.quick, stages)
    runs = {seed: run_seed(out, seed, opt.quick, stages) for seed in range(opt.seed, opt.seed + opt.seeds)}
    first = out / f"seed{opt.seed}"
    plot_curves({name: first / name for name in ("RGB", "Flow", "SFS")}, out / "curves.png")
    plot_confusion(first / "RGB+SFS.npz", out / "confusion.png")
    video = sorted((out / "videos" / CLASSES[0]).glob("*.avi"))[-1]
    stages.run("predict", "predict.py", video, "--weights", weights(first / "RGB"), weights(first / "SFS"))
    scores = [first / f"{name}.npz" for name in ("RGB+SFS", "RGB+Flow")]
    stages.run("report", "utils1/report.py", *scores, "--out", out / "report")
    mean = {name: float(np.mean([run[name] for run in runs.values()])) for name in SYSTEMS}
    summary = {
        "accuracy": mean,
        "runs": [{"seed": seed, "accuracy": run} for seed, run in runs.items()],
        "gap_closed": gap_closed(mean["RGB"], mean["RGB+Flow"], mean["RGB+SFS"]),
        "seconds": stages.seconds | {"total": round(sum(stages.seconds.values()), 1)},
        "seed": opt.seed,
        "quick": opt.quick,
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "opencv": cv2.__version__,
            "numpy": np.__version__,
        },
    }
    (out / "summary.json").write_text(as_json(summary, indent=2) + "\n", "utf-8")
    print_table(summary, out)
    return summary


def make_data(out: Path, quick: bool, stages: Stages) -> None:
    """Make videos, their frames and their flow; the same every time, and extraction skips what is complete."""
    start = time.perf_counter()
    train, test = (8, 4) if quick else (44, 20)  # videos per class
    print(f"writing {(train + test) * len(CLASSES)} videos of {len(CLASSES)} classes to {out / 'videos'}")
    write_videos(out / "videos", out / "labels", train_per_class=train, test_per_class=test)
    stages.add("videos", time.perf_counter() - start)
    words = ["utils1/extract_frames_flows.py", str(out / "videos"), str(out / "frames"), "0", str(len(CLASSES)), "0"]
    stages.run("extraction", *words, "--short_side", "48", *FLOW_OPTIONS)


def run_seed(out: Path, seed: int, quick: bool, stages: Stages) -> dict[str, float]:
    """Train and test everything with one seed; returns the accuracy of each system."""
    folder = out / f"seed{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier run left would be mistaken for this one's
    data = ["--frame_dir", str(out / "frames"), "--annotation_path", str(out / "labels")]
    train = ["--config", os.path.relpath(ROOT / "configs" / "demo.yaml"), *data, "--manual_seed", str(seed)]
    if quick:
        train += ["--n_epochs", "2", "--batch_size", "8"]
    for name in ("RGB", "Flow"):
        stages.run(f"train {name}", "train.py", *train, "--modality", name, "--result_path", folder / name)
    teacher = ["--modality", "RGB_Flow", "--resume_path1", str(weights(folder / "Flow"))]
    stages.run("train SFS", "STS_train.py", *train, *teacher, "--result_path", folder / "SFS")

    accuracy = {}
    for name in SYSTEMS:
        streams = name.split("+")
        modality = "RGB_Flow" if name == "RGB+Flow" else "Flow" if name == "Flow" else "RGB"
        test = [*data, "--modality", modality, "--n_workers", "1", "--result_path", str(folder / "tests")]
        paths = [f"--resume_path{i}={weights(folder / stream)}" for i, stream in enumerate(streams, 1)]
        script = "test_single_stream.py" if len(streams) == 1 else "test_two_stream.py"
        scores = folder / f"{name}.npz"
        stages.run("tests", script, *test, *paths, "--scores_path", scores)
        with np.load(scores) as saved:
            accuracy[name] = float((saved["fused"].argmax(1) == saved["label"]).mean())
    return accuracy


def weights(folder: Path) -> Path:
    """Find the checkpoint of the last epoch below `folder`."""
    return max(folder.rglob("*[0-9].pth"), key=lambda path: checkpoint.load(path)["epoch"])


def print_table(summary: dict, out: Path) -> None:
    """Print the accuracies, and where their files are."""
    accuracy = summary["accuracy"]
    print("\n| stream | reads at test time | top-1 |\n|---|---|---|")
    for name in SYSTEMS:
        reads = "frames and flow" if name == "RGB+Flow" else "flow" if name == "Flow" else "frames"
        print(f"| {name} | {reads} | {accuracy[name]:.3f} |")
    if summary["quick"]:
        print("\n--quick learns too little for these numbers to mean anything; it shows that everything runs.")
    elif summary["gap_closed"] is not None:
        print(f"\nRGB+SFS closes {summary['gap_closed']:.0%} of the gap between RGB and RGB+Flow.")
    print(
        f"{summary['seconds']['total']:.0f} s in all; "
        f"curves, confusion, summary.json and report/index.html are in {out}"
    )


def parse_args() -> Namespace:
    """Parse the options of the demo."""
    parser = cli.ArgumentParser(description="Train and test everything on made-up videos.")
    parser.add_argument("--seeds", default=1, type=int, choices=range(1, 11), help="training seeds to average over")
    parser.add_argument("--seed", default=1, type=int, help="first training seed")
    parser.add_argument("--out", default="results/demo", help="folder for everything")
    parser.add_argument("--quick", action="store_true", help="few videos and epochs: tries the path, learns little")
    return parser.parse_args()


if __name__ == "__main__":
    cli.run(main, parse_args)
