"""Every option of the training and test scripts, once. Those that STS-Net and MARS have keep their names."""

import argparse
from typing import Any

from datasets import (
    AUGMENTS,
    CROPS,
    DATASETS,
    DECODERS,
    FLOW_SOURCES,
    LOADERS,
    MISSING,
    MODALITIES,
    SAMPLERS,
    STORES,
    TAILS,
    TEST_CROPS,
    TEST_SAMPLERS,
)
from datasets.stores.provenance import frame_rate
from engine import AMP, OPTIMIZERS, SCHEDULES
from engine.command.cli import ArgumentParser
from models import COMPILE, DISTILLERS, FUSIONS, LEVELS, MODELS, NORMALISATIONS, NORMS, SHORTCUTS

TESTED = ("test", "val")
CLIP_MEANS = ("before", "after")
REFUSED = {
    "--training": "train.py and STS_train.py train, test_*.py test",
    "--SFS": "STS_train.py always distils; choose the losses with --distill",
    "--MARS": "STS_train.py always distils; --distill mse is MARS",
    "--random_seed": "use --manual_seed",
}


class RefusedOption(argparse.Action):
    """An option of the published scripts that had no effect there, and would mislead here."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        parser.error(f"{option} has no effect: {REFUSED[str(option)]}")


def build_parser() -> ArgumentParser:
    """Build the parser of all scripts."""
    parser = ArgumentParser(description="Options of train.py, STS_train.py and test_*.py; see docs/commands.md.")
    add_data_options(parser)
    add_clip_options(parser)
    add_loading_options(parser)
    add_model_options(parser)
    add_training_options(parser)
    add_distillation_options(parser)
    add_test_options(parser)
    add_run_options(parser)
    return parser


def add_data_options(parser: ArgumentParser) -> None:
    """Add options of the data and their storage."""
    add = parser.add_argument_group("data").add_argument
    add("--dataset", default="HMDB51", choices=DATASETS, help="data set, whose annotation files are read")
    add("--frame_dir", default="dataset/HMDB51/", help="folder of the extracted frames, or of the videos")
    add("--annotation_path", default="dataset/HMDB51_labels", help="folder of the official label files, or one list")
    add("--split", default=1, type=int, choices=(1, 2, 3), help="official split")
    add("--modality", default="RGB", choices=MODALITIES, help="streams to read")
    add("--only_RGB", action="store_true", help="flow is not on disk, or not wanted: frames alone count")
    add(
        "--layout",
        default="auto",
        choices=("auto", *STORES),
        metavar="LAYOUT",
        help="what is in --frame_dir: auto looks; video, for video files; pack; or the tool that named the frames",
    )
    add("--video_fps", default=25.0, type=frame_rate, help="frames per second that video files are read at, or source")
    add("--missing", default="error", choices=MISSING, help="what is done about a video that cannot be used")
    add("--max_bad", default=0, type=int, help="damaged videos that training leaves out before it stops")
    add(
        "--val_fraction",
        default=0.1,
        type=float,
        help="fraction of the training videos held out for validation; 0: the test list, as published",
    )
    add(
        "--flow_source", default="files", choices=FLOW_SOURCES, help="STS_train: 'online' computes flow from the frames"
    )
    add("--allow_flow_mismatch", action="store_true", help="use flow that differs from what a checkpoint saw")


def add_clip_options(parser: ArgumentParser) -> None:
    """Add options of the clips: their frames, crops and augmentation."""
    add = parser.add_argument_group("clips").add_argument
    add("--sample_size", default=112, type=int, help="side of the input, pixels")
    add("--sample_duration", default=16, type=int, help="frames per clip")
    add("--clip_stride", default=1, type=int, help="steps from one frame of a clip to the next")
    add("--sampling", default="corrected", choices=("corrected", "compat"), help="compat: with the published slips")
    add("--train_sampling", default="random", choices=SAMPLERS, help="frames of a training clip; segments is TSN")
    add("--val_sampling", default="center", choices=SAMPLERS, help="of a validation clip ('random' as published)")
    add("--short_side", type=int, help="validation, tests: frames are resized to this, then cropped; else to the crop")
    add(
        "--crop", default="corners", choices=CROPS, help="training: corners (STS-Net), fixed (TSN), resized, short_side"
    )
    add("--crop_scales", type=float, nargs="+", help="of --crop: sides over the short side, or the ends of a range")
    add(
        "--flip",
        default="auto",
        choices=("auto", "always", "never"),
        help="mirror half of the training clips; auto: unless labels tell left from right",
    )
    add("--no_flip", dest="flip", action="store_const", const="never", help="the same as --flip never")
    add(
        "--augment",
        default=[],
        nargs="*",
        choices=AUGMENTS,
        help="further augmentation of training clips, in this order",
    )
    add(
        "--color_jitter",
        default=[0.4, 0.4, 0.4, 0.0],
        type=float,
        nargs=4,
        help="brightness, contrast, saturation, hue (which is slow), of RGB",
    )
    add("--grayscale", default=0.2, type=float, help="probability")
    add("--randaugment", default=[2, 9], type=int, nargs=2, help="operations per clip, and their strength of 30")
    add("--erasing", default=0.25, type=float, help="probability")


def add_loading_options(parser: ArgumentParser) -> None:
    """Add options of the loader."""
    add = parser.add_argument_group("loading").add_argument
    add("--batch_size", default=20, type=int, help="videos per training batch (tests: see --clips_per_batch)")
    add("--n_workers", default="auto", type=workers, help="threads or processes that load; 0: none; auto: a core each")
    add("--loader", default="auto", choices=LOADERS, help="auto: threads with the native decoder, else processes")
    add(
        "--decode",
        default="exact",
        choices=("exact", "fast"),
        help="fast: training decodes at half size if it hardly shows",
    )
    add("--decoder", default="auto", choices=DECODERS, help="auto: native where it can be built, see utils1/doctor.py")
    add("--cache", default="none", help="keep decoded frames: none, ram, or a folder")


def workers(text: str) -> int | str:
    """Parse a number of workers, or "auto"."""
    if text != "auto" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number >= 0 nor auto")
    return text if text == "auto" else int(text)


def add_model_options(parser: ArgumentParser) -> None:
    """Add options of the network and its initial weights."""
    add = parser.add_argument_group("network").add_argument
    add("--model", default="resnext", choices=MODELS, help="architecture")
    add("--model_depth", default=101, type=int, help="resnext: 50, 101, 152; resnet: 10, 18, 34")
    add("--resnet_shortcut", default="B", choices=SHORTCUTS, help="A: zero padding, B: 1x1x1 convolution")
    add("--resnext_cardinality", default=32, type=int, help="groups of the 3x3x3 convolutions")
    add("--width", default=1.0, type=float, help="factor on all channel counts, for small networks")
    add("--conv1_t_size", default=7, type=int, help="frames that the first convolution spans; 3 is cheaper")
    add("--conv1_t_stride", default=1, type=int, help="its step from frame to frame; 3D-ResNets has 2 for long clips")
    add("--no_max_pool", action="store_true", help="leave out the pooling after it, as some 3D-ResNets weights do")
    add(
        "--normalisation",
        default=["auto"],
        nargs="+",
        metavar="NAME",
        help=f"of inputs, where weights do not state theirs: {', '.join(NORMALISATIONS)}; auto, by whose they are; or "
        "the mean of each channel and then the standard deviations, in grey levels",
    )
    add("--input_channels", type=int, help="follows from --modality; accepted if it agrees")
    add("--n_classes", type=int, help="outputs of the (pre-trained) network; else as the labels or the weights")
    add("--n_finetune_classes", type=int, help="outputs after the classifier is replaced; else as the labels")
    add("--pretrain_path", "--SFS_pretrain_path", "--MARS_pretrain_path", default="", help="checkpoint to fine-tune")
    add(
        "--ft_begin_index",
        default=4,
        type=int,
        choices=range(6),
        help="fine-tuning: first stage that learns; 0 all, 5 fc",
    )
    add("--partial_BN", action="store_true", help="keep the statistics of all batch norms but the first (TSN)")
    add("--freeze_BN", action="store_true", help="keep the statistics of batch norms below --ft_begin_index")
    add("--resume_path1", default="", help="train: checkpoint to resume; STS_train: flow teacher; tests: stream 1")
    add("--resume_path2", default="", help="tests: checkpoint of stream 2")
    add("--resume_path3", default="", help="tests: checkpoint of a third stream")
    add("--resume", default="", help="auto: the newest good checkpoint of this run, if any; or its path")
    add("--SFS_resume_path", "--MARS_resume_path", default="", help="STS_train: checkpoint of the student to resume")


def add_training_options(parser: ArgumentParser) -> None:
    """Add options of the optimisation."""
    add = parser.add_argument_group("training").add_argument
    add("--optimizer", default="sgd", choices=OPTIMIZERS, help="optimiser")
    add("--learning_rate", type=float, help="0.1, or 0.001 with --pretrain_path")
    add("--momentum", default=0.9, type=float, help="of SGD")
    add("--dampening", default=0.9, type=float, help="of SGD; 0 with --nesterov")
    add("--weight_decay", type=float, help="1e-3, or 1e-5 with --pretrain_path")
    add("--nesterov", action="store_true", help="Nesterov momentum")
    add("--iter_size", default=1, type=int, help="gradient accumulation: batches per optimiser step")
    add("--clip_grad", default=0.0, type=float, help="max gradient norm; 0: no clipping")
    add(
        "--ema",
        default=0.0,
        type=float,
        help="EMA decay of the weights, which are then validated and saved as the network; 0: no EMA",
    )
    add(
        "--label_smoothing", default=0.0, type=float, help="probability mass of a label that is spread over all classes"
    )
    add("--mixup", default=0.0, type=float, help="train.py: alpha of the beta distribution of mixup; 0: off")
    add(
        "--cutmix", default=0.0, type=float, help="train.py: alpha of CutMix; 0: off; with both, one is drawn per batch"
    )
    add("--lr_schedule", default="plateau", choices=SCHEDULES, help="learning-rate schedule")
    add("--lr_step", default=150, type=int, help="step: epochs between decays of the learning rate")
    add(
        "--lr_milestones", default=[200, 300], type=int, nargs="+", help="multistep: epochs after which the rate decays"
    )
    add("--lr_gamma", default=0.1, type=float, help="step, multistep: decay factor of the learning rate")
    add(
        "--lr_warmup",
        default=0.0,
        type=float,
        help="epochs of linear warm-up (onecycle: else 0.3 of the run)",
    )
    add(
        "--lr_warmup_factor",
        default=0.1,
        type=float,
        help="first learning rate of the warm-up, as a fraction of the full one",
    )
    add(
        "--lr_scale_base",
        default=0,
        type=int,
        help="clips per step that the learning rate is for; linear scaling to the real number; 0: off",
    )
    add(
        "--lr_patience",
        default=10,
        type=int,
        help="plateau: epochs without a lower validation loss before the rate falls to a tenth",
    )
    add("--n_epochs", default=400, type=int, help="last epoch")
    add("--begin_epoch", default=1, type=int, help="first epoch of a fresh run")
    add("--checkpoint", default=2, type=int, help="epochs between checkpoints")
    add("--save_steps", default=0, type=int, help="batches between checkpoints inside an epoch; 0: none")
    add("--keep", default=3, type=int, help="newest checkpoints that are kept, beside the best; 0: all")
    add("--manual_seed", default=1, type=int, help="seed of everything random")


def add_distillation_options(parser: ArgumentParser) -> None:
    """Add options of STS_train.py. The paper gives no values: the defaults of new options are ours."""
    add = parser.add_argument_group("distillation (STS_train.py)").add_argument
    add(
        "--distill",
        default=["mse", "review", "dkd"],
        nargs="+",
        choices=DISTILLERS,
        help="losses; mse alone is MARS, mers MERS",
    )
    add("--distill_norm", default="none", choices=NORMS, help="divide feature losses by the teacher feature's variance")
    add("--distill_warmup", default=5, type=int, help="epochs of linear warm-up of the review and logit losses")
    add("--ce_weight", default=1.0, type=float, help="weight of the cross-entropy")
    add(
        "--output_layers",
        action="append",
        choices=[*LEVELS],
        help="features that mse and mers match, repeatable (avgpool)",
    )
    add("--SFS_alpha", "--MARS_alpha", default=50, type=float, help="weight of mse and mers (MARS: 50)")
    add("--review_weight", default=1.0, type=float, help="weight of every review level (ReviewKD: 0.6 to 8)")
    add("--review_layers", default=list(LEVELS), nargs="+", choices=LEVELS, help="levels that are reviewed")
    add("--review_mid", default=256, type=int, help="channels of the review connectors")
    add("--review_time_kernel", default=1, type=int, choices=(1, 3), help="temporal size of their output convolution")
    add("--dkd_alpha", default=1.0, type=float, help="weight of the target-class term")
    add("--dkd_beta", default=1.0, type=float, help="weight of the non-target-class term (DKD: 0.25 to 8)")
    add("--dkd_temperature", default=2.0, type=float, help="temperature of dkd (DKD: 1 or 4)")
    add("--kd_weight", default=0.9, type=float, help="weight of kd")
    add("--kd_temperature", default=4.0, type=float, help="temperature of kd")


def add_test_options(parser: ArgumentParser) -> None:
    """Add options of the test scripts, which score whole videos."""
    add = parser.add_argument_group("testing").add_argument
    add(
        "--stream",
        action="append",
        metavar="NAME=CHECKPOINT",
        help="test_two_stream.py: a stream to score, repeatable, in place of --resume_path1 to 3; the checkpoint says "
        "what it reads",
    )
    add("--test_subset", default="test", choices=TESTED, help="val: the training videos that --val_fraction holds out")
    add("--clips_per_batch", default=16, type=int, help="clips per forward pass; bounds memory for any video length")
    add(
        "--test_sampling",
        default="all",
        choices=TEST_SAMPLERS,
        help="clips of a test video; all: sliding window over every frame",
    )
    add("--num_clips", default=10, type=int, help="clips per video, unless all are taken")
    add("--num_crops", default="1", choices=TEST_CROPS, help="crops per clip; 10: 5 and their mirror images")
    add("--tail", default="overlap", choices=TAILS, help="last frames: an overlapping clip, or dropped as published")
    add(
        "--clip_mean",
        default="before",
        choices=CLIP_MEANS,
        help="the mean over the clips of a video is taken before the activation, as published, or after it",
    )
    add(
        "--fusion",
        default="activno",
        choices=(*FUSIONS, "all"),
        help="activation before streams are averaged; activno is none; all: a table of every one, result by activno",
    )
    add("--fusion_weights", type=float, nargs="+", help="one per stream; else equal")
    add("--scores", nargs="+", metavar="FILE", help="test_two_stream.py: fuse score files, without data or networks")
    add("--use", nargs="+", metavar="NAME", help="streams of --scores, in this order; else all")
    add("--scores_path", default="", help="the score file; else with --log 1 beside the result file")


def add_run_options(parser: ArgumentParser) -> None:
    """Add options of the run: its files, device and number format."""
    add = parser.add_argument_group("run").add_argument
    add("--config", help="YAML file of options; the command line overrides it")
    add("--result_path", default="results", help="results go to <result_path>/<dataset>/")
    add(
        "--run_name",
        help="what the names of this run's files begin with, in place of its main options; a test of one checkpoint "
        "takes its run's",
    )
    add("--log", default=1, type=int, choices=(0, 1), help="write logs and result files")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--amp", default="auto", choices=AMP, help="mixed precision; auto: bf16 on GPUs that have it, else off")
    add(
        "--compile",
        nargs="?",
        const="default",
        default="off",
        choices=COMPILE,
        help="takes minutes, then is faster",
    )
    add("--deterministic", action="store_true", help="GPUs: the same bits in every run; slower")
    add("--group_width", default=1, type=int, help="tests: join groups of convolutions to this many channels")
    add("--sync_bn", action="store_true", help="SyncBN: batch statistics over all GPUs")
    add("--profile", default=0, type=int, metavar="N", help="training: trace N steps, after 10, into the run's folder")
    add("--resume_anyway", action="store_true", help="resume with other data, network or seed options than the run had")
    add("--debug", action="store_true", help="show tracebacks")
    for option, reason in REFUSED.items():
        add(option, action=RefusedOption, nargs="?", default=argparse.SUPPRESS, help=f"refused: {reason}")
