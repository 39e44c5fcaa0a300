"""Configurations of Distil-2D-3D (https://github.com/deepmd/Distil-2D-3D) as options of STS_train.py.

Its files say what differs from a default configuration. Keys that are in neither were dropped there, so that typing
errors passed unnoticed; here they are refused, and what cannot be honoured is named.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .sections import Section, check_keys, choose, without_nulls

Options = dict[str, Any]

TEACHER = "image"  # name of the teacher
STUDENTS: dict[str, Options] = {
    "c3d": {"model": "c3d"},
    "r3d": {"model": "resnet", "model_depth": 10, "conv1_t_size": 3, "conv1_t_stride": 1, "no_max_pool": True},
    "r21d": {"model": "resnet2p1d", "model_depth": 10, "no_max_pool": True, "model_args": ["split_shortcut=true"]},
}
DATASETS = {"activitynet": "ActivityNet", "kinetics": "Kinetics", "ucf101": "UCF101", "hmdb51": "HMDB51"}
STD = [38.7568578, 37.88248729, 40.02898126]  # the deviations of all of its data sets, in grey levels
MEANS = {
    "activitynet": [114.7748, 107.7354, 99.4750],
    "kinetics": [110.63666788, 103.16065604, 96.29023126],
    "hmdb51": [110.63666788, 103.16065604, 96.29023126],
    "ucf101": [101.00131, 97.3644226, 89.42114168],
}
DISTANCES = {"L1": "l1", "L2": "l2", "CE": "ce", "KL_DIV": "kl"}
OPTIMIZERS = {"SGD": "sgd", "Adam": "adam"}
SCHEDULES = {"ReduceLROnPlateau": "plateau", "MultiStep": "multistep", "Exponential": "step"}
REGULARISERS = {"L1": "l1", "L2": "l2", "FakeAsReal": "fake_as_real"}


@dataclass
class Imported:
    """Options, and the keys of the other project that no option honours, with the reason."""

    options: Options = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)


def import_distillation(path: Path) -> Imported:
    """Read a configuration.

    Raises FileNotFoundError if there is no such file; ValueError if it is no YAML mapping, or has a key or a value that
    the other project does not have.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        config = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no YAML file ({type(error).__name__})") from error
    check_keys(config, str(path))
    config = without_nulls(config)
    if "train" not in config:
        raise ValueError(f"{path}: has no section train; for evaluation alone there is test_retrieval.py")
    imported = Imported()
    for part in (import_networks, import_run, import_data, import_losses, import_optimizers, import_evaluation):
        part(config, imported, str(path))
    return imported


def import_networks(config: Section, imported: Imported, source: str) -> None:
    """Take the student, and the teacher with the file of its weights."""
    model = config.get("model", {})
    imported.options |= choose(STUDENTS, model.get("s_arch"), "model.s_arch", source)
    depth = str(model.get("t_arch", "")).removeprefix("resnet")
    if not depth.isdecimal():
        raise ValueError(f"{source}: model.t_arch is {model.get('t_arch')}: choose resnet18, 34, 50, 101 or 152")
    weights = model.get("t_pretrain_path")
    if weights is None:
        weights = f"resnet{depth}.pth"
        imported.dropped["model.t_pretrain_path"] = f"left out, ImageNet weights there: have torchvision's in {weights}"
    imported.options |= {"teacher": [f"{TEACHER}={weights}"], "n_classes": model.get("n_classes", 1000)}
    if "s_pretrain_path" in model:
        imported.options["pretrain_path"] = model["s_pretrain_path"]


def import_run(config: Section, imported: Imported, source: str) -> None:
    """Take folders, seed, batch size and epochs."""
    run, train = config.get("run", {}), config["train"]
    options = {
        "result_path": run.get("exp_path", "exps"),
        "run_name": str(run.get("exp_id", Path(source).stem)),
        "manual_seed": run.get("manual_seed", 1),
        "n_workers": train.get("n_threads", 4),
        "batch_size": train.get("batch_size", 32),
        "n_epochs": train.get("n_epochs", 200),
        "checkpoint": train.get("checkpoint", 1),
    }
    if run.get("gpus") == -1:
        options["device"] = "cpu"
    elif run.get("gpus"):
        imported.dropped["run.gpus"] = "which GPUs: CUDA_VISIBLE_DEVICES, and torchrun for several"
    if "resume_path" in train:
        imported.dropped["train.resume_path"] = "checkpoints of that project's runs hold no state to go on from"
    if "logging_n" in train:
        imported.dropped["train.logging_n"] = "progress is shown throughout"
    if train.get("temporal_pooling", "AVG") != "AVG":
        raise ValueError(f"{source}: train.temporal_pooling is {train['temporal_pooling']}: choose AVG")
    imported.options |= options


def import_data(config: Section, imported: Imported, source: str) -> None:
    """Take the videos and what is seen of them; the student sees half the side of its teacher."""
    data = config["train"].get("data", {})
    name = data.get("name")
    dataset = choose(DATASETS, name, "train.data.name", source)
    side, norm = data.get("sample_size", 224), data.get("norm_value", 255)
    # Both are of grey levels that are divided by norm_value.
    mean = [x * norm for x in data["mean"]] if "mean" in data else MEANS[name]
    std = [x * norm for x in data["std"]] if "std" in data else STD
    first, step = data.get("initial_scale", 1.0), data.get("scale_step", 0.84089641525)
    imported.options |= {
        "dataset": dataset,
        "frame_dir": f"dataset/{dataset}",
        "annotation_path": f"dataset/{dataset}_labels",
        "modality": "RGB",
        "only_RGB": True,
        "sample_size": side // 2,
        "teacher_size": [f"{TEACHER}={side}"],
        "sample_duration": data.get("sample_duration", 16),
        "normalisation": [*mean, *std],
        "crop": "corners",
        "crop_scales": [round(first * step**i, 6) for i in range(data.get("n_scales", 5))],
    }
    if data.get("train_crop", "corner") != "corner":
        imported.dropped["train.data.train_crop"] = "ignored there, corners are taken"


def import_losses(config: Section, imported: Imported, source: str) -> None:
    """Take the losses, none of which reads labels."""
    train = config["train"]
    adversarial = choose({"ANC": True, "Simple": False}, train.get("method"), "train.method", source)
    losses, arguments = [], []
    if adversarial:
        losses.append("anc")
        arguments += adversarial_arguments(train, source)
    if similarity := train.get("sim_loss"):
        losses.append("logits")
        distance = choose(DISTANCES, similarity.get("name"), "train.sim_loss.name", source)
        arguments += [f"logits.distance={distance}", f"logits.weight={float(similarity.get('weight', 1))}"]
        arguments.append(f"logits.temperature={float(similarity.get('temperature', 1))}")
    if not losses:
        raise ValueError(f"{source}: train.method Simple needs train.sim_loss")
    if not adversarial:
        imported.dropped |= {
            f"train.{key}": "of the adversarial method alone" for key in ("adv_loss", "d_reg") if key in train
        }
    imported.options |= {"ce_weight": 0, "distill": losses, "loss_args": arguments, "distill_warmup": 0}
    imported.options |= {"project": "auto"} if adversarial else {}


def adversarial_arguments(train: Section, source: str) -> list[str]:
    """Return the arguments of the adversarial loss and of its regulariser."""
    loss, regulariser = train.get("adv_loss", {}), train.get("d_reg", {})
    choose({"BCE": True}, loss.get("name", "BCE"), "train.adv_loss.name", source)
    names = regulariser.get("name", [])
    names = [names] if isinstance(names, str) else names
    names = [choose(REGULARISERS, name, "train.d_reg.name", source) for name in names]
    weights = regulariser.get("weight", 1)
    weights = weights if isinstance(weights, list) else [weights]
    if len({*weights}) != 1:
        raise ValueError(f"{source}: train.d_reg.weight: several weights cannot be honoured, give one")
    return [
        f"anc.weight={float(loss.get('weight', 1))}",
        f"anc.regularisers={','.join(names)}",
        f"anc.regulariser_weight={float(weights[0])}",
    ]


def import_optimizers(config: Section, imported: Imported, source: str) -> None:
    """Take optimisers and schedules: a common one, or one of the student and one of the discriminator."""
    train = config["train"]
    for kind in ("optimizer", "scheduler"):
        if (kind in train) == (f"s_{kind}" in train or f"d_{kind}" in train):
            raise ValueError(f"{source}: train needs either {kind}, or s_{kind} and d_{kind}")
    settings, schedule = (train.get(kind, train.get(f"s_{kind}", {})) for kind in ("optimizer", "scheduler"))
    imported.options |= {
        "optimizer": choose(OPTIMIZERS, settings.get("name", "SGD"), "train.optimizer.name", source),
        "learning_rate": settings.get("learning_rate"),
        "weight_decay": settings.get("weight_decay", 0),
    }
    if settings.get("name", "SGD") == "SGD":
        imported.options |= {name: settings.get(name, 0) for name in ("momentum", "dampening")}
        imported.options |= {"nesterov": True} if settings.get("nesterov") else {}
    known = {"name", "learning_rate", "weight_decay", "momentum", "dampening", "nesterov"}
    imported.dropped |= {f"train.optimizer.{key}": "has no option" for key in settings if key not in known}
    imported.options |= as_schedule(schedule, source)
    imported.dropped |= {
        f"train.scheduler.{key}": "has no option"
        for key in schedule
        if key not in {"name", "milestones", "gamma", "patience", "decay_factor"}
    }
    if "anc" in imported.options["distill"]:
        settings, schedule = (train.get(kind, train.get(f"d_{kind}", {})) for kind in ("optimizer", "scheduler"))
        imported.options["loss_args"] += discriminator_arguments(settings, schedule, source)


def as_schedule(schedule: Section, source: str) -> Options:
    """Return the options of a schedule."""
    name = choose(SCHEDULES, schedule.get("name"), "train.scheduler.name", source)
    if name == "plateau":
        if schedule.get("decay_factor", 0.1) != 0.1:
            raise ValueError(f"{source}: train.scheduler.decay_factor: the rate falls to a tenth here")
        return {"lr_schedule": name, "lr_patience": schedule.get("patience", 10)}
    if name == "multistep":
        milestones = schedule.get("milestones", [])
        return {"lr_schedule": name, "lr_milestones": milestones, "lr_gamma": schedule.get("gamma", 0.1)}
    return {"lr_schedule": name, "lr_step": 1, "lr_gamma": schedule.get("gamma", 0.1)}


def discriminator_arguments(settings: Section, schedule: Section, source: str) -> list[str]:
    """Return the arguments of the discriminator's optimiser."""
    kind = choose(OPTIMIZERS, settings.get("name", "SGD"), "train.d_optimizer.name", source)
    values = {
        "kind": kind,
        "lr": settings.get("learning_rate"),
        "weight_decay": float(settings.get("weight_decay", 0)),
        **({"momentum": float(settings.get("momentum", 0))} if kind == "sgd" else {}),
    }
    if schedule.get("name") == "MultiStep":
        values |= {
            "milestones": ",".join(map(str, schedule.get("milestones", [0]))),
            "gamma": float(schedule.get("gamma", 0.1)),
        }
    return [f"anc.optimizer.{name}={value}" for name, value in values.items()]


def import_evaluation(config: Section, imported: Imported, source: str) -> None:
    """Name the script that takes the place of the evaluation."""
    if "eval" in config:
        choose({"Retrieval": True}, config["eval"].get("method"), "eval.method", source)
        imported.dropped["eval"] = "afterwards: test_retrieval.py --num_clips 10 --test_sampling stepped"
