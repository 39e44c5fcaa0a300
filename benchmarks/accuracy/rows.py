"""Networks of the comparison of systems, the options that they are trained and tested with, and their fusions.

Widths, sides and epochs are those at which a network learns in minutes on one core; no table of a paper has them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from opts import DISTILL, TRAIN

NETWORK_3D = "--model resnet --model_depth 10 --width 0.25 --conv1_t_size 3 --sample_size 48 --sample_duration 8 "
NETWORK_3D += "--clip_stride 2 --n_epochs 10"
# With these weights each of the three losses is about as strong as the cross-entropy at first, see --loss_report.
WEIGHTS = "--distill_norm variance --distill_warmup 1 --SFS_alpha 1 --review_weight 1 --review_mid 32 "
WEIGHTS += "--review_layers layer1 layer2 layer3 layer4 --dkd_alpha 2 --dkd_beta 2 --dkd_temperature 2"
SFS_LOSSES = f"--modality RGB_Flow {WEIGHTS}"
RGB, FLOW = "--modality RGB --only_RGB", "--modality Flow"
STEPPED = "--test_sampling stepped --num_clips 10"
MOTIONNET = f"{RGB} --model hidden_two_stream --model_depth 18 --width 0.25 --sample_size 64 --sample_duration 11 "
MOTIONNET += "--model_args motion_width=0.125 temporal=resnet2d "
# At this size SSIM weighs eight times as much as the photometric loss: it begins, and is off when that has to fall.
MOTIONNET += "--motion alone --learning_rate 0.0005 --weight_decay 0.0004 --batch_size 8 --n_epochs 44 --clip_grad 1 "
MOTIONNET += "--motion_schedule ssim=1..0@0-26 --crop fixed --crop_scales 1.0 0.75 0.5"
PRETRAINED = "--pretrain_path"
IMAGENET = "ImageNet"


@dataclass(frozen=True)
class Row:
    """A network of a comparison.

    Attributes:
        reads: Streams that its test reads; "" if it is not tested for classes.
        train: Options of its training.
        test: Further options of its test.
        script: Command that trains it.
        begins: Options that name a checkpoint -> the rows whose networks these are.
        imagenet: Whether it begins with the weights of ImageNet.
        seed_shift: Added to the seed, for a second network that differs in nothing else.
        teachers: Names of teachers -> the rows whose networks they are; `IMAGENET` is the network of ImageNet.
        cached: Whether outputs of its teachers are cached on disk, for training clips that never change.
        retrieves: Whether its features are judged by the training videos nearest to each test video.
    """

    reads: str
    train: str
    test: str = ""
    script: str = TRAIN
    begins: Mapping[str, str] = field(default_factory=dict)
    imagenet: bool = False
    seed_shift: int = 0
    teachers: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False
    retrieves: bool = False

    @property
    def rows(self) -> list[str]:
        """Return the rows that it needs."""
        return [*self.begins.values(), *(row for row in self.teachers.values() if row != IMAGENET)]

    @property
    def reads_imagenet(self) -> bool:
        """Return whether it needs the network of ImageNet."""
        return self.imagenet or IMAGENET in self.teachers.values()

    def checkpoint_words(self, file_of: Callable[[str], object]) -> list[str]:
        """Return the options that name its checkpoints, of which `file_of` gives each by its row."""
        files = [(option, str(file_of(row))) for option, row in self.begins.items()]
        files += [("--teacher", f"{name}={file_of(row)}") for name, row in self.teachers.items()]
        return [word for pair in files for word in pair]


class Fusion(NamedTuple):
    """A fusion of the logits of rows.

    Attributes:
        rows: Names of the rows.
        weights: Of each row; equal if there are none.
        activation: Applied before the mean, a key of `FUSIONS`.
        fitted: Whether rows are weighted by temperatures that are fitted on held-out videos.
    """

    rows: tuple[str, ...]
    weights: tuple[float, ...] = ()
    activation: str = "activno"
    fitted: bool = False


def image_rows(name: str, network: str, *, fine_tuning: str, classifier: int, imagenet: bool) -> dict[str, Row]:
    """Build the rows of a 2D network: single frames and flow stacks, TSN, and TLE.

    Args:
        name: Name of the network.
        network: Options of the network.
        fine_tuning: Options of a training that begins with its TSN.
        classifier: Index of the classifier among the stages, for `--ft_begin_index`.
        imagenet: As of `Row`.
    """
    tsn, head = f"TSN RGB, {name}", f"TLE first, {name}"
    clips = f"--segments 3 --sample_duration 3 {fine_tuning}"
    encoded = f"{RGB} {clips} --consensus tle_sketch --model_args encoding_size=1024"
    return {
        f"frame, {name}": Row("RGB", f"{RGB} {network}", STEPPED, imagenet=imagenet),
        f"stack, {name}": Row("flow", f"{FLOW} {network} --model_args flow_stack=10", STEPPED, imagenet=imagenet),
        tsn: Row("RGB", f"{RGB} {network} --sample_duration 3", f"{STEPPED} --sample_duration 1", imagenet=imagenet),
        f"TSN flow, {name}": Row(
            "flow",
            f"{FLOW} {network} --sample_duration 15 --model_args flow_stack=5",
            f"{STEPPED} --sample_duration 5",
            imagenet=imagenet,
        ),
        head: Row("", f"{encoded} --ft_begin_index {classifier}", begins={PRETRAINED: tsn}),
        f"TLE, {name}": Row(
            "RGB",
            f"{RGB} {clips} --ft_begin_index 0",
            "--test_sampling segments --num_clips 3",
            begins={PRETRAINED: head},
        ),
    }


ROWS = {
    "MotionNet": Row("", MOTIONNET),
    "RGB, 3D": Row("RGB", f"{RGB} {NETWORK_3D}"),
    "Flow, 3D": Row("flow", f"{FLOW} {NETWORK_3D}"),
    "SFS, 3D": Row("RGB", f"{SFS_LOSSES} {NETWORK_3D}", script=DISTILL, begins={"--resume_path1": "Flow, 3D"}),
    **image_rows(
        "ResNet-18",
        "--model resnet2d --model_depth 18 --width 0.25 --sample_size 64 --n_epochs 10",
        fine_tuning="--sample_size 64 --n_epochs 3 --learning_rate 0.0005",
        classifier=5,
        imagenet=False,
    ),
    "Hidden Two-Stream": Row(
        "RGB",
        f"{RGB} --sample_size 64 --sample_duration 11 --motion joint --ft_begin_index 0 --n_epochs 5 "
        "--learning_rate 0.001",
        begins={PRETRAINED: "MotionNet", "--temporal_path": "stack, ResNet-18"},
    ),
    **image_rows(
        "Lite0",
        "--model timm:tf_efficientnet_lite0 --sample_size 64 --n_epochs 4 --learning_rate 0.001",
        fine_tuning="--sample_size 64 --n_epochs 2 --learning_rate 0.0003",
        classifier=6,
        imagenet=True,
    ),
}
FUSIONS = {
    "STS-Net, 3D": Fusion(("RGB, 3D", "SFS, 3D")),
    "RGB + Flow, 3D": Fusion(("RGB, 3D", "Flow, 3D")),
    "very deep two-stream, ResNet-18": Fusion(("frame, ResNet-18", "stack, ResNet-18"), (1, 2)),
    "TSN, ResNet-18": Fusion(("TSN RGB, ResNet-18", "TSN flow, ResNet-18"), (1, 1.5)),
    "TLE + TSN flow, ResNet-18": Fusion(("TLE, ResNet-18", "TSN flow, ResNet-18")),
    "frame + Hidden Two-Stream, ResNet-18": Fusion(("frame, ResNet-18", "Hidden Two-Stream")),
    "very deep two-stream, Lite0": Fusion(("frame, Lite0", "stack, Lite0"), (1, 2)),
    "TSN, Lite0": Fusion(("TSN RGB, Lite0", "TSN flow, Lite0"), (1, 1.5)),
    "TLE + TSN flow, Lite0": Fusion(("TLE, Lite0", "TSN flow, Lite0")),
    "TSN RGB, Lite0 + Hidden Two-Stream": Fusion(("TSN RGB, Lite0", "Hidden Two-Stream")),
    "TSN RGB, Lite0 + SFS, 3D": Fusion(("TSN RGB, Lite0", "SFS, 3D")),
    "SFS, 3D + TSN flow, ResNet-18": Fusion(("SFS, 3D", "TSN flow, ResNet-18")),
    "SFS, 3D + TSN flow, Lite0": Fusion(("SFS, 3D", "TSN flow, Lite0")),
}
