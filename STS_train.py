"""Train SFS, an RGB student that learns motion from a frozen flow teacher.

Examples:
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth --distill mse     # MARS
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth --flow_source online     # needs no stored flow
"""

from argparse import Namespace
from functools import partial

from datasets import FLOW, MODALITIES, RGB, build_loader, build_recipe, check_data, class_names
from engine import build_run, check_results, checkpoint, setup, step_rate
from engine.command import cli, naming
from models import COMPARE_LOGITS, Distill, build_distillers, frozen_norms, load_stream, start_stream
from opts import CLIP, DISTILL, parse_opts
from workflows.training.session import choose_start, complete, describe_run, task_groups
from workflows.training.teacher_flow import build_teacher_flow
from workflows.training.teachers import teacher_options, tell_student


def main(opt: Namespace) -> dict[str, float]:
    """Distil as `opt` says; return "acc", the best validation accuracy of the student, in [0, 1]."""
    opt, state, source, resuming = choose_start(opt, opt.resume or opt.SFS_resume_path, naming.distillation_files)
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    files = naming.distillation_files(opt)
    check_results(files, resuming=resuming)
    if MODALITIES[opt.modality] != (RGB, FLOW):
        raise ValueError(f"--modality {opt.modality}: distillation reads both streams; use --modality RGB_Flow")
    if not opt.resume_path1:
        raise ValueError("--resume_path1 is missing: the checkpoint of the flow teacher (train.py --modality Flow)")
    names = class_names(opt, "train")

    teacher_checkpoint = checkpoint.load(opt.resume_path1)
    taught = teacher_options(opt, teacher_checkpoint)
    teacher = load_stream(taught, FLOW, teacher_checkpoint, opt.resume_path1)
    check_data(opt, teacher_checkpoint, opt.resume_path1, FLOW, names if COMPARE_LOGITS & set(opt.distill) else None)
    flow = build_teacher_flow(opt, teacher_checkpoint, opt.resume_path1, device)

    student = start_stream(opt, RGB, state, source, len(names), resuming=resuming)
    tell_student(opt, taught, source)
    check_data(opt, state, source, RGB, names if resuming else None)

    begin = opt.ft_begin_index if opt.pretrain_path else 0
    frozen = frozen_norms(student.network, begin if opt.freeze_BN else 0, opt.partial_BN)
    losses = build_distillers(opt, student.network, teacher.network, begin)
    task = Distill(
        *(student, teacher, losses),
        ce_weight=opt.ce_weight,
        frozen_norms=frozen,
        label_smoothing=opt.label_smoothing,
    ).to(device)

    train, val = build_loader(opt, "train", flow=flow), build_loader(opt, "val", (RGB,))
    groups = task_groups(task, begin, step_rate(opt))
    recipe = build_recipe(opt, train, CLIP, flow.record if flow else None)
    info = describe_run(opt, student, names, recipe, {"train": train, "val": val})
    run = build_run(opt, task, groups, len(train), files=files, device=device, info=info)
    if resuming:
        run.resume(state, source)
    return complete(opt, run, student, train, val, log_columns(opt))


def log_columns(opt: Namespace) -> dict[str, str]:
    """Return column of the published training log -> metric: the total, the feature loss, the cross-entropy."""
    terms = {"loss": "loss", "loss_MSE": "loss_mse", f"loss_{naming.student_name(opt.distill)}": "loss_ce"}
    return {"epoch": "epoch", **terms, "acc": "acc", "lr": "lr"}


if __name__ == "__main__":
    cli.run(main, partial(parse_opts, script=DISTILL, description=__doc__))
