"""Train SFS, an RGB student that learns motion from a frozen flow teacher, or a student of several teachers.

Examples:
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth --distill mse     # MARS
    python STS_train.py --modality RGB_Flow --resume_path1 flow.pth --flow_source online     # needs no stored flow
    python STS_train.py --teacher flow=flow.pth --teacher rgb=large.pth --teacher_losses rgb=dkd*0.5 --project auto
"""

from argparse import Namespace
from functools import partial

from datasets import build_annotation, build_loader, build_recipe, check_data
from engine import build_run, build_settings, check_results, full_rate, setup
from engine.command import cli, naming
from models import start_stream
from opts import ARCHITECTURE, CLIP, DISTILL, parse_opts
from workflows.training.chosen_teachers import (
    build_task,
    choose_teachers,
    flow_readers,
    load_teachers,
    read_by,
    reads_flow,
)
from workflows.training.session import choose_start, complete, describe_data, log_columns, run_info, task_groups
from workflows.training.teacher_flow import shared_flow
from workflows.training.teachers import tell_student


def main(opt: Namespace) -> dict[str, float]:
    """Distil as `opt` says; return "acc", the best validation accuracy of the student, in [0, 1]."""
    opt, state, source, resuming = choose_start(opt, opt.resume or opt.SFS_resume_path, naming.distillation_files)
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    files = naming.distillation_files(opt)
    check_results(files, resuming=resuming)
    chosen = choose_teachers(opt.teacher or (), opt.resume_path1, opt.modality, opt.teacher_losses or ())
    annotation = build_annotation(opt)
    names = annotation.class_names("train")

    teachers = load_teachers(opt, chosen, names)
    online = opt.flow_source == "online"
    views = read_by(opt.modality, teachers, frames_alone=opt.only_RGB and not online)
    stream, flow = views[0].stream, None
    if online:
        flow = shared_flow(flow_readers(teachers), device, in_workers=bool(opt.n_workers))

    student = start_stream(opt, stream, state, source, len(names), resuming=resuming)
    own = {option: getattr(opt, option) for option in ARCHITECTURE}
    for teacher in teachers:
        tell_student(own, teacher.architecture, source, teacher.name, given=opt.given)
    check_data(opt, state, source, stream, names if resuming else None)

    begin = opt.ft_begin_index if opt.pretrain_path else 0
    task = build_task(opt, student, teachers, begin).to(device)
    train = build_loader(opt, "train", views, flow, annotation)
    val = build_loader(opt, "val", views[:1], flow if reads_flow(stream) else None, annotation, beside=views)
    groups = task_groups(task, begin, full_rate(build_settings(opt), opt.batch_size), opt.lr_multiples)
    recipe = build_recipe(opt, train, CLIP, flow.record if flow else None)
    info = run_info(student, names, recipe, data=describe_data(train, val), options=vars(opt))
    run = build_run(opt, task, groups, len(train), files=files, device=device, info=info)
    if resuming:
        run.resume(state, source)
    columns = log_columns(naming.student_name(opt.distill), task.names)
    return complete(run, student, train, val, columns, compile_mode=opt.compile)


if __name__ == "__main__":
    cli.run(main, partial(parse_opts, script=DISTILL, description=__doc__))
