"""Train SFS, an RGB student that learns motion from a frozen flow teacher, or a student of several teachers.

Examples:
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth --distill mse     # MARS
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth --flow_source online     # needs no stored flow
    python STS_train.py --teacher flow=flow.pth --teacher rgb=large.pth --teacher_losses rgb=dkd*0.5 --project auto
    python STS_train.py --teacher image=resnet18.pth --distill logits --ce_weight 0 --n_classes 1000 --only_RGB
"""

from argparse import Namespace
from functools import partial

from datasets import build_annotation, build_loader, build_recipe, check_data
from engine import build_run, build_settings, check_results, full_rate, setup
from engine.command import cli, naming
from models import start_stream
from opts import ARCHITECTURE, CLIP, DISTILL, parse_opts
from workflows.training.chosen_teachers import (
    all_losses,
    build_task,
    choose_teachers,
    flow_readers,
    learns_classes,
    load_teachers,
    read_by,
)
from workflows.training.loss_report import balance_losses, print_loss_report
from workflows.training.session import choose_start, complete, describe_data, log_columns, run_info, task_groups
from workflows.training.teacher_flow import shared_flow
from workflows.training.teachers import state_teachers, tell_student


def main(opt: Namespace) -> dict[str, float]:
    """Distil as `opt` says; return "acc", the validation accuracy of its best epoch, in [0, 1]."""
    opt, state, source, resuming = choose_start(opt, opt.resume or opt.SFS_resume_path, naming.distillation_files)
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    files = naming.distillation_files(opt)
    check_results(files, resuming=resuming)
    teacher_choices = choose_teachers(opt.teacher or (), opt.resume_path1, opt.modality, opt.teacher_losses or ())
    annotation = build_annotation(opt)
    names = annotation.class_names("train")
    outputs = opt.n_finetune_classes if opt.pretrain_path else opt.n_classes
    losses = all_losses(teacher_choices, opt.distill, opt.teacher_losses or ())
    classes = learns_classes(losses, opt.ce_weight, outputs, len(names))
    teachers = load_teachers(opt, teacher_choices, names if classes else None)
    online = opt.flow_source == "online"
    views = read_by(opt.modality, teachers, frames_alone=opt.only_RGB and not online)
    flow = shared_flow(flow_readers(teachers), device, in_workers=bool(opt.n_workers)) if online else None

    student = start_stream(opt, views[0].stream, state, source, len(names), resuming=resuming)
    architecture = {option: getattr(opt, option) for option in ARCHITECTURE}
    for teacher in teachers:
        tell_student(architecture, teacher.architecture, source, teacher.name, given=opt.given)
    check_data(opt, state, source, views[0].stream, names if (resuming or opt.keep_classifier) and classes else None)
    begin = opt.ft_begin_index if opt.pretrain_path else 0
    task = build_task(opt, student, teachers, begin, knows_classes=classes)
    teacher_info = state_teachers(task, state if resuming else {}, source, anyway=opt.resume_anyway)
    task = task.to(device)
    train = build_loader(opt, "train", views, flow, annotation)
    val_views = views[:1] if classes else views
    val_flow = flow if any(view.stream.is_flow for view in val_views) else None
    val = build_loader(opt, "val", val_views, val_flow, annotation, beside=views)
    balance = balance_losses(task, train, device, opt.amp, opt.balance, state if resuming else {})
    if opt.loss_report:
        return print_loss_report(task, train, device, opt.amp)
    groups = task_groups(task, begin, full_rate(build_settings(opt), opt.batch_size), opt.lr_multiples)
    recipe = build_recipe(opt, train, CLIP, flow.record if flow else None)
    class_names, data = names if classes else [], describe_data(train, val)
    info = balance | teacher_info | run_info(student, class_names, recipe, data=data, options=vars(opt))
    run = build_run(opt, task, groups, len(train), files=files, device=device, info=info)
    if resuming:
        run.resume(state, source)
    columns = log_columns(naming.student_name(opt.distill), task.names, classes=classes)
    return complete(run, student, train, val, columns, compile_mode=opt.compile)


if __name__ == "__main__":
    cli.run(main, partial(parse_opts, script=DISTILL, description=__doc__))
