"""Commands of IBM's Action Recognition Study (IBM/action-recognition-pytorch on GitHub) as commands of this project."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import FLOW
from engine.command.cli import ArgumentParser

TRAIN, TEST = "train.py", "test_single_stream.py"
SCRIPTS = {"train.py": TRAIN, "test.py": TEST}
NETWORKS = {"resnet": "resnet2d", "inception_v1": "googlenet"}  # others are called as there
RESNETS = ("resnet", "i3d_resnet", "s3d_resnet")
TWO_D = tuple(NETWORKS)
DATASETS = ("st2stv2", "mini_st2stv2", "kinetics400", "mini_kinetics400", "moments", "mini_moments")
STACK = 5  # flows of each group
SCALE = 0.875  # of the short side that a crop has
SCHEDULES = {"step": "step", "multisteps": "multistep", "cosine": "cosine", "plateau": "plateau"}
LEFT_OUT = {
    "threed_data": "follows from the network",
    "gpu": "train.py and test_single_stream.py have --device",
    "disable_cudnn_benchmark": "follows from the machine",
    "print_freq": "epochs are logged",
    "show_model": "use utils1/model_info.py",
    "multiprocessing_distributed": "run it by torchrun --nproc_per_node N",
    **dict.fromkeys(("world_size", "rank", "dist_url", "dist_backend"), "torchrun sets it"),
}


class StudyOptions(Namespace):
    """Options of the study, by its names; remembers which of them were read."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            vars(self).setdefault("_read", set()).add(name)
        return super().__getattribute__(name)


class Command(NamedTuple):
    """A command of this project."""

    script: str
    words: list[str]  # its options
    dropped: dict[str, str]  # options of the study's command that no option honours, with the reason


def import_command(words: Sequence[str]) -> Command:
    """Translate a command of the study, from `train.py` or `test.py` on.

    Raises ValueError if it is none of these, or an option needs another that is missing.
    """
    name = Path(words[0]).name if words else ""
    if name not in SCRIPTS:
        raise ValueError(f"{name or '(no command)'}: expected {' or '.join(SCRIPTS)} and the options of the study")
    parser = build_parser(name)
    study = parser.parse_args(words[1:], StudyOptions())
    assert isinstance(study, StudyOptions)
    given = {key for key, value in vars(study).items() if value != parser.get_default(key)} - {"_read"}
    vars(study)["_read"] = set()  # the parser reads all of them
    trains = name == "train.py" and not study.evaluate
    translated = [*data_words(study, trains), *network_words(study), *clip_words(study, trains)]
    translated += [*training_words(study), *start_words(study)] if trains else testing_words(study)
    unread = [key for key in vars(study) if key in given - vars(study)["_read"]]
    dropped = {key: LEFT_OUT.get(key, f"the study's {name} does nothing with it here") for key in unread}
    return Command(TRAIN if trains else TEST, translated, dropped)


def build_parser(name: str) -> ArgumentParser:
    """Build the parser of the study's options."""
    parser = ArgumentParser(prog=name, description=__doc__)
    add = parser.add_argument
    add("--backbone_net", default="s3d", choices=("s3d", "i3d", "s3d_resnet", "i3d_resnet", *TWO_D))
    add("-d", "--depth", default=18, type=int)
    add("--dropout", default=0.5, type=float)
    add("--groups", default=16, type=int)
    add("--frames_per_group", default=1, type=int)
    add("--pooling_method", default="max", choices=("avg", "max"))
    add("--temporal_module_name", choices=("TSN", "TAM"))
    add("--blending_frames", default=3, type=int)
    add("--blending_method", default="sum", choices=("sum", "max"))
    add("-b", "--batch-size", "--batch_size", default=256, type=int)
    add("--lr", default=0.01, type=float)
    add("--lr_scheduler", default="cosine", choices=SCHEDULES)
    add("--lr_steps", default=[15, 30, 45], type=int, nargs="+")
    add("--momentum", default=0.9, type=float)
    add("--weight-decay", "--wd", "--weight_decay", default=5e-4, type=float)
    add("--epochs", default=50, type=int)
    add("--start-epoch", "--start_epoch", default=0, type=int)
    add("--resume", default="")
    add("--pretrained", default="")
    add("--clip_gradient", "--cg", type=float)
    add("-j", "--workers", default=18, type=int)
    add("--datadir", required=True)
    add("--dataset", default="st2stv2", choices=DATASETS)
    add("--input_size", default=224, type=int)
    add("--augmentor_ver", default="v1", choices=("v1", "v2"))
    add("--scale_range", default=[256, 320], type=int, nargs=2)
    add("--modality", default="rgb", choices=("rgb", "flow"))
    add("--mean", type=float, nargs="+")
    add("--std", type=float, nargs="+")
    add("--logdir", default="")
    add("--num_crops", default=1, type=int, choices=(1, 3, 5, 10))
    add("--num_clips", default=1, type=int)
    add("-e", "--evaluate", action="store_true")
    for flag in ("without_t_stride", "dw_t_conv", "no_dw_conv", "nesterov", "no_imagenet_pretrained", "sync-bn"):
        add(f"--{flag}", action="store_true")
    for flag in ("disable_scaleup", "random_sampling", "dense_sampling"):
        add(f"--{flag}", action="store_true")
    for flag in ("threed_data", "disable_cudnn_benchmark", "show_model", "multiprocessing-distributed"):
        add(f"--{flag}", action="store_true")
    for option in ("gpu", "print-freq", "world-size", "rank", "dist-url", "dist-backend"):
        add(f"--{option}")
    return parser


def reads_flow(study: StudyOptions) -> bool:
    """Return whether the study's network reads flow."""
    return FLOW.name == str(study.modality)


def data_words(study: StudyOptions, trains: bool) -> list[str]:
    """Return the options of the data and of their loading."""
    root = study.datadir
    lists = f"{root}/mini_train.txt" if study.dataset.startswith("mini_") else root
    words = ["--dataset", "List", "--frame_dir", root, "--annotation_path", lists, "--n_workers", str(study.workers)]
    words += ["--modality", "Flow"] if reads_flow(study) else ["--modality", "RGB", "--only_RGB"]
    words += ["--no_flip"] if trains and "st2stv2" in study.dataset else []  # its labels tell left from right
    return words + (["--result_path", study.logdir] if study.logdir else [])


def network_words(study: StudyOptions) -> list[str]:
    """Return the options of the network, and of how inputs are normalised."""
    name, images = study.backbone_net, study.backbone_net in TWO_D
    words = ["--model", NETWORKS.get(name, name), *(["--model_depth", str(study.depth)] if name in RESNETS else [])]
    args = [f"temporal_stride={'off' if study.without_t_stride else 'on'}", f"dropout={study.dropout:g}"]
    args += ["pooling=avg"] if study.pooling_method == "avg" and (images or name not in RESNETS) else []
    args += ["dw_t_conv=on"] if study.dw_t_conv and name.startswith("s3d") else []
    if images and study.temporal_module_name == "TAM":
        args += ["temporal=tam", f"blend_frames={study.blending_frames}", f"blend_method={study.blending_method}"]
        args += ["blend_full=on"] if study.no_dw_conv else []
    args += [f"flow_stack={STACK}"] if reads_flow(study) else []
    return [*words, "--model_args", *args, *normalisation_words(study)]


def normalisation_words(study: StudyOptions) -> list[str]:
    """Return the option that `--mean` and `--std` are, in grey levels of each channel; raises as `import_command`."""
    if study.mean is None and study.std is None:
        return []
    channels = 2 if reads_flow(study) else 3
    if study.mean is None or study.std is None:
        raise ValueError("--mean and --std go together here: give both")
    values = [(list(given) * channels)[:channels] if len(given) == 1 else given for given in (study.mean, study.std)]
    return ["--normalisation", *(f"{255 * value:g}" for given in values for value in given)]


def clip_words(study: StudyOptions, trains: bool) -> list[str]:
    """Return the options of the clips: frames, side and sampling."""
    steps = study.groups if study.dense_sampling or not trains else study.groups * study.frames_per_group
    frames = steps * (STACK if reads_flow(study) else 1)
    words = ["--sample_duration", str(frames), "--sample_size", str(study.input_size)]
    if not study.disable_scaleup:
        words += ["--short_side", str(int(study.input_size / SCALE + 0.5))]
    if study.dense_sampling:
        words += ["--clip_stride", str(study.frames_per_group)]
    if trains and study.dense_sampling:
        words += ["--train_sampling", "dense", "--val_sampling", "center"]
    return words


def training_words(study: StudyOptions) -> list[str]:
    """Return the options of augmentation and optimisation."""
    words = ["--crop", "fixed"]
    if study.augmentor_ver == "v2":
        scales = [f"{side / study.input_size:g}" for side in study.scale_range]
        words = ["--crop", "short_side", "--crop_scales", *scales]
    words += ["--batch_size", str(study.batch_size), "--optimizer", "sgd", "--learning_rate", f"{study.lr:g}"]
    words += ["--momentum", f"{study.momentum:g}", "--dampening", "0", "--weight_decay", f"{study.weight_decay:g}"]
    words += ["--n_epochs", str(study.epochs), "--lr_schedule", SCHEDULES[study.lr_scheduler]]
    words += {
        "step": ["--lr_step", str(study.lr_steps[0])],
        "multisteps": ["--lr_milestones", *map(str, study.lr_steps)],
    }.get(study.lr_scheduler, [])
    words += ["--nesterov"] if study.nesterov else []
    words += ["--sync_bn"] if study.sync_bn else []
    return words + (["--clip_grad", f"{study.clip_gradient:g}"] if study.clip_gradient else [])


def start_words(study: StudyOptions) -> list[str]:
    """Return the options of what a training begins with."""
    words = ["--begin_epoch", str(study.start_epoch + 1)] if study.start_epoch else []
    if study.pretrained:
        words += ["--pretrain_path", study.pretrained, "--ft_begin_index", "0"]
    elif not study.no_imagenet_pretrained:
        words += ["--init", "imagenet"]
    return words + (["--resume", study.resume] if study.resume else [])


def testing_words(study: StudyOptions) -> list[str]:
    """Return the options of a test; raises as `import_command`."""
    weights = study.pretrained or study.resume
    if not weights:
        raise ValueError("--pretrained FILE is missing: the checkpoint to test")
    if not study.evaluate:
        instead = f"python predict.py {study.datadir} --weights {weights} --json answers.json"
        raise ValueError(f"without -e videos have no labels: {instead}")
    sampling = "random_segments" if study.random_sampling else "segments"
    words = ["--resume_path1", weights, "--test_sampling", "spaced" if study.dense_sampling else sampling]
    return [*words, "--num_clips", str(study.num_clips), "--num_crops", str(study.num_crops)]
