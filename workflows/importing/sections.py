"""Sections of a configuration of Distil-2D-3D: the keys that there are, and values out of tables."""

from collections.abc import Mapping
from typing import Any

Section = Mapping[str, Any]

KEYS: dict[str, set[str]] = {
    "": {"model", "run", "train", "eval"},
    "model": {"t_arch", "s_arch", "d_arch", "n_classes", "t_pretrain_path", "s_pretrain_path"},
    "run": {"exp_path", "exp_id", "gpus", "manual_seed"},
    "train": {
        *("method", "n_threads", "batch_size", "n_epochs", "checkpoint", "logging_n", "temporal_pooling", "data"),
        *("adv_loss", "sim_loss", "d_reg", "optimizer", "s_optimizer", "d_optimizer", "scheduler", "s_scheduler"),
        *("d_scheduler", "resume_path"),
    },
    "train.data": {
        *("name", "sample_size", "sample_duration", "norm_value", "mean", "std", "initial_scale", "n_scales"),
        *("scale_step", "train_crop"),
    },
    "train.adv_loss": {"name", "weight"},
    "train.sim_loss": {"name", "weight", "temperature"},
    "train.d_reg": {"name", "weight"},
    "eval": {"method", "n_threads", "batch_size", "epoch_n", "data"},
    "eval.data": {"name", "norm_value", "mean", "std"},
}
OPTIMIZER_KEYS = {
    *("name", "learning_rate", "momentum", "dampening", "weight_decay", "nesterov"),
    *("betas", "eps", "amsgrad", "alpha", "centered"),
}
SCHEDULER_KEYS = {
    *("name", "decay_factor", "patience", "threshold", "milestones", "gamma", "min_lr", "cooldown", "threshold_mode"),
}
KEYS |= {f"train.{who}optimizer": OPTIMIZER_KEYS for who in ("", "s_", "d_")}
KEYS |= {f"train.{who}scheduler": SCHEDULER_KEYS for who in ("", "s_", "d_")}


def check_keys(section: Any, source: str, place: str = "") -> None:
    """Raise ValueError for a key that the other project does not have."""
    if not isinstance(section, Mapping):
        raise ValueError(f"{source}: {place or 'the file'} is no mapping of keys to values")
    for key, value in section.items():
        where = f"{place}.{key}" if place else str(key)
        if key not in KEYS[place]:
            raise ValueError(f"{source}: unknown key {where}; there are {', '.join(sorted(KEYS[place]))}")
        if where in KEYS and value is not None:
            check_keys(value, source, where)


def without_nulls(section: Section) -> dict[str, Any]:
    """Leave out keys without a value, which keep the default."""
    return {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in section.items()
        if value is not None
    }


def choose(table: Mapping[str, Any], value: Any, key: str, source: str) -> Any:
    """Return what a value stands for; raises ValueError if the other project has no such value."""
    if value not in table:
        raise ValueError(f"{source}: {key} is {value}: choose one of {', '.join(table)}")
    return table[value]
