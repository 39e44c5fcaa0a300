"""Train one stream with cross-entropy.

Examples:
    python train.py --dataset HMDB51 --modality RGB --only_RGB
    python train.py --dataset HMDB51 --modality Flow --pretrain_path trained_models/Kinetics/Flow_Kinetics_16f.pth
"""

from argparse import Namespace
from functools import partial

from datasets import SINGLE_STREAMS, build_annotation, build_loader, build_recipe, check_data
from engine import build_run, build_settings, check_results, checkpoint, full_rate, setup
from engine.command import cli, naming
from models import create_mixing, create_task, frozen_norms, start_stream, start_temporal
from opts import CLIP, TRAIN, parse_opts
from workflows.training.session import COLUMNS, choose_start, complete, describe_data, run_info, task_groups


def main(opt: Namespace) -> dict[str, float]:
    """Train as `opt` says: from scratch, from pre-trained weights, or on from a checkpoint of the same run.

    Returns:
        "acc", the validation accuracy of the best epoch, in [0, 1].
    """
    opt, state, source, resuming = choose_start(opt, opt.resume or opt.resume_path1, naming.single_stream_files)
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    files = naming.single_stream_files(opt)
    check_results(files, resuming=resuming)
    if opt.modality not in SINGLE_STREAMS:
        single = " or ".join(SINGLE_STREAMS)
        raise ValueError(f"--modality {opt.modality}: train.py trains one stream, {single}; STS_train.py takes both")
    stream = SINGLE_STREAMS[opt.modality]
    annotation = build_annotation(opt)
    names, learns_classes = annotation.class_names("train"), opt.motion != "alone"

    model = start_stream(opt, stream, state, source, len(names), resuming=resuming)
    if opt.temporal_path and not resuming:
        start_temporal(model, checkpoint.load(opt.temporal_path), opt.temporal_path)
    check_data(opt, state, source, stream, names if (resuming or opt.keep_classifier) and learns_classes else None)

    begin = opt.ft_begin_index if opt.pretrain_path else 0
    frozen = frozen_norms(model.network, begin if opt.freeze_BN else 0, opt.partial_BN, opt.freeze_affine)
    mixing = create_mixing(opt.mixup, opt.cutmix)
    task = create_task(
        model, frozen, mixing, label_smoothing=opt.label_smoothing, motion=opt.motion, schedule=opt.motion_schedule
    )
    task.to(device)

    train, val = (build_loader(opt, subset, annotation=annotation) for subset in ("train", "val"))
    groups = task_groups(task, begin, full_rate(build_settings(opt), opt.batch_size), opt.lr_multiples)
    recipe, data = build_recipe(opt, train, CLIP), describe_data(train, val)
    info = run_info(model, names if learns_classes else [], recipe, data=data, options=vars(opt))
    run = build_run(opt, task, groups, len(train), files=files, device=device, info=info)
    if resuming:
        run.resume(state, source)
    return complete(run, model, train, val, COLUMNS[opt.motion], compile_mode=opt.compile)


if __name__ == "__main__":
    cli.run(main, partial(parse_opts, script=TRAIN, description=__doc__))
