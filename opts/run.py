"""Options of a run: its optimisation and learning rate, its files, device and number format; and refused ones."""

import argparse

from engine import AMP, OPTIMIZERS, SCHEDULES
from engine.command.cli import RefusedOption
from models import COMPILE, LR_MULTIPLES, MOTION

from .option import SCRIPTS, TESTING, TRAIN, TRAINING, OptionTable

REFUSED = {
    "--training": "train.py and STS_train.py train, test_*.py test",
    "--SFS": "STS_train.py always distils; choose the losses with --distill",
    "--MARS": "STS_train.py always distils; --distill mse is MARS",
    "--random_seed": "use --manual_seed",
}


def add_training_options(table: OptionTable) -> None:
    """Add options of the optimisation."""
    add = table.group("training", "run", TRAINING)
    add("--optimizer", default="sgd", choices=OPTIMIZERS, help="optimiser")
    add("--learning_rate", type=float, help="0.1, or 0.001 with --pretrain_path")
    add(
        "--lr_multiples",
        default="off",
        choices=LR_MULTIPLES,
        help="of the rate, by kind of parameter; tsn: biases 2, a first convolution of flow 5 and its biases 10, no "
        "weight decay of biases and norms; tsm: the classifier 5 and its biases 10 as well",
    )
    add("--momentum", default=0.9, help="of SGD")
    add("--dampening", default=0.9, help="of SGD; 0 with --nesterov")
    add("--weight_decay", type=float, help="1e-3, or 1e-5 with --pretrain_path")
    add("--nesterov", action="store_true", help="Nesterov momentum")
    add("--iter_size", default=1, help="gradient accumulation: batches per optimiser step")
    add("--clip_grad", default=0.0, help="max gradient norm; 0: no clipping")
    add(
        "--ema",
        default=0.0,
        help="EMA decay of the weights, which are then validated and saved as the network; 0: no EMA",
    )
    add("--label_smoothing", default=0.0, help="probability mass of a label that is spread over all classes")
    add("--mixup", scripts=(TRAIN,), default=0.0, help="alpha of the beta distribution of mixup; 0: off")
    add("--cutmix", scripts=(TRAIN,), default=0.0, help="alpha of CutMix; 0: off; with both, one is drawn per batch")
    add(
        "--motion",
        scripts=(TRAIN,),
        default="off",
        choices=MOTION,
        help="hidden_two_stream: learn motion from frames alone, without labels, or jointly with the classes",
    )
    add(
        "--motion_schedule",
        scripts=(TRAIN,),
        default=[],
        nargs="*",
        metavar="LOSS=SCHEDULE",
        help="factor on a loss of motion (photometric, smoothness, ssim) over the epochs, FACTOR or "
        "FROM..TO@FIRST-LAST",
    )


def add_schedule_options(table: OptionTable) -> None:
    """Add options of the learning rate over the epochs, and of the course of a run."""
    add = table.group("schedule", "run", TRAINING)
    add("--lr_schedule", default="plateau", choices=SCHEDULES, help="learning-rate schedule")
    add("--lr_step", default=150, help="step: epochs between decays of the learning rate")
    add("--lr_milestones", default=[200, 300], nargs="+", help="multistep: epochs after which the rate decays")
    add("--lr_gamma", default=0.1, help="step, multistep: decay factor of the learning rate")
    add("--lr_warmup", default=0.0, help="epochs of linear warm-up (onecycle: else 0.3 of the run)")
    add("--lr_warmup_factor", default=0.1, help="first learning rate of the warm-up, as a fraction of the full one")
    add(
        "--lr_scale_base",
        default=0,
        help="clips per step that the learning rate is for; linear scaling to the real number; 0: off",
    )
    add(
        "--lr_patience",
        default=10,
        help="plateau: epochs without a lower validation loss before the rate falls to a tenth",
    )
    add("--n_epochs", free=True, default=400, help="last epoch")
    add("--begin_epoch", role="machine", default=1, help="first epoch of a fresh run")
    add("--checkpoint", free=True, default=2, help="epochs between checkpoints")
    add("--save_steps", free=True, default=0, help="batches between checkpoints inside an epoch; 0: none")
    add("--keep", free=True, default=3, help="newest checkpoints that are kept, beside the best; 0: all")
    add("--manual_seed", scripts=SCRIPTS, default=1, help="seed of everything random")


def add_run_options(table: OptionTable) -> None:
    """Add options of the run: its files, device and number format."""
    add = table.group("run", "machine")
    add("--config", help="YAML file of options; the command line overrides it")
    add("--result_path", default="results", help="results go to <result_path>/<dataset>/")
    add(
        "--run_name",
        role="run",
        help="what the names of this run's files begin with, in place of its main options; a test of one checkpoint "
        "takes its run's",
    )
    add("--log", default=1, choices=(0, 1), help="write logs and result files")


def add_device_options(table: OptionTable) -> None:
    """Add options of the device and the number format, and the refused ones."""
    add = table.group("device", "machine")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add(
        "--amp",
        role="run",
        free=True,
        default="auto",
        choices=AMP,
        help="number format; auto: bf16 on GPUs that have it, else off, which is float32; tf32: of GPUs, quicker",
    )
    add(
        "--compile",
        role="run",
        free=True,
        nargs="?",
        const="default",
        default="off",
        choices=COMPILE,
        help="takes minutes, then is faster",
    )
    add("--deterministic", role="run", free=True, action="store_true", help="GPUs: the same bits in every run; slower")
    add("--group_width", scripts=TESTING, default=1, help="join groups of convolutions to this many channels")
    add("--sync_bn", role="run", scripts=TRAINING, action="store_true", help="SyncBN: batch statistics over all GPUs")
    add("--profile", scripts=TRAINING, default=0, metavar="N", help="trace N steps, after 10, into the run's folder")
    add(
        "--resume_anyway",
        scripts=TRAINING,
        action="store_true",
        help="resume with other data, network or seed options than the run had",
    )
    add("--debug", action="store_true", help="show tracebacks")
    for option, reason in REFUSED.items():
        add(
            option,
            action=RefusedOption,
            const=f"has no effect: {reason}",
            nargs="?",
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )
