"""Recommended commands from a user's data set to a fused result, with sizes that suit it."""

from pathlib import Path

from engine.command.naming import named_files

from ..shared.command_lines import command
from .properties import VideoProperties

MIN_FITTED = 500  # training videos below which too few are held out to fit temperatures on
MIN_LARGE = 3000  # training videos from which a large network learns more than these videos alone
MIN_RESNET18 = 1000  # training videos from which 18 layers learn more than 10
SIDES = range(32, 113, 16)  # sizes of the input, pixels; 112 is the published one
SCALE = 2.5  # short side of a video over the size of the input
MAX_SHORT_SIDE = 256  # the short side that is extracted for large networks

# Losses that pull about as hard as the cross-entropy at first (--loss_report). With them a small student of J-HMDB
# named 19 % of the test videos after ten epochs, with the weights of configs/demo.yaml 12 %, see docs/systems.md; of
# held-out videos it named 19 % after 24 epochs and 27 % after 48, see docs/evidence.md.
SMALL_NETWORK = """\
model: resnet
model_depth: {depth}
width: 0.5
conv1_t_size: 3
sample_size: {size}
optimizer: adamw
learning_rate: 0.002
weight_decay: 0.01
lr_schedule: onecycle
batch_size: {batch}
n_epochs: 48
distill: [mse, review, dkd]
distill_norm: variance
distill_warmup: 1
SFS_alpha: 1
review_weight: 1
review_layers: [layer1, layer2, layer3, layer4]
review_mid: 32
dkd_alpha: 2
dkd_beta: 2
"""
CONFIG = "train.yaml"
RUN_NAMES = ("rgb", "flow", "flow_sfs")  # a training of flow that ends proposes the third for its student as well

Command = list[str | Path]


def choose_network(videos: int, properties: VideoProperties) -> tuple[str, str]:
    """Return the content of `--config` for a number of training videos, "" for none, and the reason for it."""
    if videos >= MIN_LARGE:
        return "", (
            f"{videos:,} training videos: the commands train the published network, ResNeXt-101, which wants a GPU; "
            "with weights of Kinetics it learns more, see --pretrain_path of train.py"
        )
    size, depth = input_size(properties.side), 10 if videos < MIN_RESNET18 else 18
    batch = next((size for size in (16, 8, 4) if 4 * size <= videos), 2)
    reason = (
        f"{videos:,} training {'video' if videos == 1 else 'videos'} and no pre-trained weights: a large network would "
        f"learn so few by heart, so the commands train a ResNet-{depth} of half width at {size} pixels, see {CONFIG}; "
        "with weights of Kinetics leave out --config and give train.py --pretrain_path"
    )
    return f"# {reason}\n" + SMALL_NETWORK.format(depth=depth, size=size, batch=batch), reason


def input_size(side: int) -> int:
    """Return the input size for videos of a short side, in pixels."""
    return max((size for size in SIDES if size * SCALE <= side), default=SIDES[0])


def next_commands(source: Path, out: Path, properties: VideoProperties, videos: int) -> list[Command]:
    """Return the commands to run, in this order, on the `source` of videos or frames.

    `out` has the lists and, of a small network, its `--config`; `videos` is the number of training videos.
    """
    small = videos < MIN_LARGE
    results = out / "results"
    listed: Command = ["--dataset", "List", "--annotation_path", out / "labels", "--result_path", results]
    config: Command = ["--config", out / CONFIG] if small else []
    original: Command = [*listed, "--frame_dir", source]
    if properties.kind == "files":
        original += ["--layout", "video", *(["--video_fps", "source"] if properties.source_rate else [])]
    frames = out / "frames" if properties.kind == "files" else source
    stored: Command = [*listed, "--frame_dir", frames]
    only_rgb: Command = ["--modality", "RGB", "--only_RGB"]

    rgb_best, flow_best, sfs_best = (named_files(results / "List", name).best for name in RUN_NAMES)
    rgb: Command = [*config, *original, *only_rgb, "--run_name", RUN_NAMES[0]]
    first: list[Command] = [] if properties.kind == "files" else [audit(source, out, properties)]
    first.append(["train.py", *rgb])
    if properties.kind not in ("files", "flow"):  # flow is computed from videos
        test: Command = ["test_single_stream.py", *original, *only_rgb, "--resume_path1", rgb_best]
        return [*first, test, report(results, out), predict(properties, rgb_best)]
    if properties.kind == "files":
        first.append(["utils1/extract_frames_flows.py", source, frames, *extraction(properties, small)])
    flow: Command = [*config, *stored, "--modality", "Flow", "--run_name", RUN_NAMES[1]]
    distil: Command = ["--modality", "RGB_Flow", "--run_name", RUN_NAMES[2], "--resume_path1", flow_best]
    sfs: Command = [*config, *stored, *distil]
    fused: Command = [*original, *only_rgb, "--resume_path1", rgb_best, "--resume_path2", sfs_best]
    return [
        *first,
        ["train.py", *flow],
        ["STS_train.py", *sfs],
        *(fitted(fused, results, out) if MIN_FITTED <= videos < MIN_LARGE else [["test_two_stream.py", *fused]]),
        report(results, out),
        predict(properties, rgb_best, sfs_best),
    ]


def fitted(fused: Command, results: Path, out: Path) -> list[Command]:
    """Return the commands that test a pair of networks, by the mean of its logits and by temperatures.

    Networks that few videos trained for long are over-confident, each to another degree: see docs/evidence.md.
    """
    test, held_out = results / "sts_net.npz", out / "held_out.npz"
    return [
        ["test_two_stream.py", *fused, "--scores_path", test],
        ["test_two_stream.py", *fused, "--test_subset", "val", "--scores_path", held_out],
        ["test_two_stream.py", "--scores", test, "--fit", held_out, "--scores_path", results / "fitted.npz"],
    ]


def extraction(properties: VideoProperties, small: bool) -> Command:
    """Return options of an extraction: no larger than the network can see, nor than the videos are."""
    side = min(properties.side, 2 * input_size(properties.side) if small else MAX_SHORT_SIDE)
    return ["--short_side", str(side), *(["--fps", "source"] if properties.source_rate else [])]


def audit(source: Path, out: Path, properties: VideoProperties) -> Command:
    """Return the command that names every video that cannot be used."""
    rate = ["--video_fps", "source"] if properties.source_rate else []
    return ["utils1/audit.py", "--dataset", "List", "--annotation_path", out / "labels", "--frame_dir", source, *rate]


def report(results: Path, out: Path) -> Command:
    """Return the command for the page of all results."""
    return ["utils1/report.py", results, "--out", out / "report"]


def predict(properties: VideoProperties, *weights: Path) -> Command:
    """Return the command that classifies one of the videos."""
    return ["predict.py", properties.example, "--weights", *weights]


def shown(line: Command) -> str:
    """Format a command as one types it here; a path that begins with a dash would be read as an option."""
    script, *words = (
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in line
    )
    return command(script, words)
