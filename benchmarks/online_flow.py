"""Cost of a training step with the teacher's flow computed (--flow_source online) and with flow read from files.

Distils networks with random weights on made-up videos in a temporary folder; epochs of the two kinds take turns.
Options of STS_train.py are taken as well: --model resnext --model_depth 101 --batch_size 20 --n_workers 16.
"""

import logging
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, check_least, environment, image_size, markdown, publish
from datasets import FLOW, FLOW_SOURCES, RGB, ClipLoader, build_loader
from datasets.synthetic import render, write_avi
from engine import build_settings, create_stepper, setup
from engine.command import cli
from engine.training.loop import Epoch, train_one_epoch
from models import Distill, build_distillers, parameter_groups, start_stream
from opts import parse_opts
from sts_common.timing import Seconds, alternated
from utils1 import extract_frames_flows
from workflows.training.teacher_flow import flow_seen

QUICK = {"model": "resnet", "model_depth": 18, "width": 0.25, "batch_size": 2, "n_workers": 2, "learning_rate": 1e-4}
CLASS = "star_sway"
NUM_CLASSES = 51  # of the networks; all videos are of one class
ROWS = {
    "step": "training step",
    "loading": "loading alone",
    "loading_cpu": "loading alone, CPU time of a single process",
}

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script; options of STS_train.py that were given are the list `training`."""
    parser = build_parser("online_flow", __doc__, rounds=2)
    parser.add_argument("--size", type=image_size, default=(340, 256), metavar="WxH", help="of the videos, pixels")
    parser.add_argument("--steps", type=int, default=4, help="of an epoch, which begins with no batch ready")
    opt, training = parser.parse_known_args(argv)
    return Namespace(**vars(opt), training=training)


def main(opt: Namespace) -> Record:
    """Measure, print the table, write the JSON."""
    check_least(opt, steps=1, rounds=1)
    with TemporaryDirectory() as folder:
        quick = [f"--{name}={value}" for name, value in QUICK.items()]
        words = [*quick, *opt.training, "--frame_dir", f"{folder}/frames", "--annotation_path", f"{folder}/labels"]
        words += ["--modality", "RGB_Flow", "--val_fraction", "0"]
        options = {source: parse_opts([*words, "--flow_source", source]) for source in FLOW_SOURCES}
        first = options[FLOW_SOURCES[0]]
        device = setup(first.manual_seed, first.device)
        write_tree(Path(folder), first.batch_size * opt.steps, first.sample_duration + 4, opt.size)
        loaders = {source: loader_of(options[source], device) for source in options}
        close = agreement(loaders)  # and the loader processes are up
        single = {s: loader_of(Namespace(**vars(o) | {"n_workers": 0}), device) for s, o in options.items()}

        def in_turn(
            call: Callable[[ClipLoader], object], loaders: Mapping[str, ClipLoader]
        ) -> list[dict[str, Seconds]]:
            return alternated({source: partial(call, loader) for source, loader in loaders.items()}, opt.rounds)

        log.info("loading alone")
        loading, working = in_turn(exhaust, loaders), in_turn(exhaust, single)
        log.info("training")
        epoch = epoch_of(first, device, opt.steps)
        epoch(loaders[FLOW_SOURCES[0]])
        training = in_turn(epoch, loaders)
    record = {
        "environment": environment(),
        "size": list(opt.size),
        "options": {key: value for key, value in vars(first).items() if key not in ("frame_dir", "annotation_path")},
        "device": str(device),
        "agreement": close,
        "step": milliseconds(training, opt.steps),
        "loading": milliseconds(loading, opt.steps),
        "loading_cpu": milliseconds(working, opt.steps, "cpu"),
    }
    return publish(opt.out, record, table(record))


def write_tree(root: Path, videos: int, frames: int, size: tuple[int, int]) -> None:
    """Write `root`/frames with frames and flow of so many videos, and `root`/labels in HMDB51's layout."""
    log.info("making %d videos of %d frames", videos, frames)
    width, height = size
    lines = []
    for source in range(videos):
        side = max(size) + max(size) % 2
        pixels, _ = render(CLASS, source, 0, size=side, frames=frames)
        name = f"film{source}_{CLASS}_f_cm_np1_fr_med_0"
        write_avi(root / "videos" / CLASS / f"{name}.avi", pixels[:, :height, :width])
        lines.append(f"{name}.avi 1 \n")
    (root / "labels").mkdir()
    (root / "labels" / f"{CLASS}_test_split1.txt").write_text("".join(lines), "utf-8")
    words = [str(root / "videos"), str(root / "frames"), "0", "1", "cpu", "--short_side", str(min(size))]
    extract_frames_flows.main(extract_frames_flows.parse_args(words))


def loader_of(opt: Namespace, device: torch.device) -> ClipLoader:
    """Build a loader of training batches, with published flow."""
    computed = opt.flow_source == "online"
    flow = flow_seen({}, "", device, in_workers=bool(opt.n_workers)) if computed else None
    return build_loader(opt, "train", flow=flow)


def agreement(loaders: Mapping[str, ClipLoader]) -> dict[str, float]:
    """Compute the difference of the loaders' flow: mean absolute grey levels, fraction within one level."""
    pairs = [[batch[FLOW.name].cpu().int() for batch in batches] for batches in zip(*loaders.values(), strict=True)]
    difference = torch.cat([(a - b).abs().flatten() for a, b in pairs]).float()
    return {"levels": difference.mean().item(), "within_1": (difference <= 1).float().mean().item()}


def exhaust(loader: ClipLoader) -> None:
    """Load an epoch, to the end of what a GPU computes of it."""
    for _ in loader:
        pass
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def epoch_of(opt: Namespace, device: torch.device, steps: int) -> Callable[[ClipLoader], dict[str, float]]:
    """Return a function that trains for an epoch of the loader it is given."""
    teacher, student = (start_stream(opt, stream, {}, "", NUM_CLASSES, resuming=False) for stream in (FLOW, RGB))
    task = Distill(student, teacher, build_distillers(opt, student.network, teacher.network, 0)).to(device)
    groups = parameter_groups(student.network, 0, opt.learning_rate)
    groups.append({"params": list(task.losses.parameters()), "lr": opt.learning_rate})
    stepper = create_stepper(build_settings(opt), task, groups, steps, device)
    return lambda loader: train_one_epoch(task, loader, stepper, device, Epoch("epoch"), amp=opt.amp)


def milliseconds(rounds: list[dict[str, Seconds]], steps: int, clock: str = "wall") -> dict[str, list[float]]:
    """Return milliseconds per batch in each round, by flow source."""
    return {source: [1000 * getattr(times[source], clock) / steps for times in rounds] for source in FLOW_SOURCES}


def table(record: Record) -> str:
    """Tabulate medians over rounds, their ratio, and the share of flow in a step."""
    rows = []
    for key, title in ROWS.items():
        files, online = (median(record[key][source]) for source in FLOW_SOURCES)
        share = f"{100 * (online - files) / online:.0f} %"
        rows.append([title, f"{files:.0f}", f"{online:.0f}", f"{online / files:.2f}", share])
    options, (width, height) = record["options"], record["size"]
    network = f"{options['model']}-{options['model_depth']} x {options['width']}, {options['batch_size']} clips of"
    return (
        f"{record['environment']['gpu'] if record['device'] != 'cpu' else record['environment']['cpu']}, "
        f"{options['n_workers']} loader processes, {network} {options['sample_duration']} frames "
        f"of {width}x{height}\n\n"
        + markdown(["ms per batch", "files", "online", "ratio", "share of flow"], rows)
        + f"\nComputed and stored flow differ by {record['agreement']['levels']:.2f} grey levels, "
        f"{100 * record['agreement']['within_1']:.1f} % by at most one.\n"
    )


if __name__ == "__main__":
    cli.run(main, parse_args)
