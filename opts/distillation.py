"""Options of distillation: losses, teachers, and how they are weighed."""

from models import DISTILLERS, LEVELS, NORMS, PROJECT

from .option import DISTILL, OptionTable


def add_distillation_options(table: OptionTable) -> None:
    """Add options of STS_train.py: losses, teachers, and how they are weighed."""
    add = table.group("distillation", "loss", (DISTILL,))
    add(
        "--distill",
        default=["mse", "review", "dkd"],
        nargs="+",
        choices=DISTILLERS,
        help="losses; mse alone is MARS, mers MERS",
    )
    add(
        "--teacher",
        role="machine",
        action="append",
        metavar="NAME=CHECKPOINT",
        help="a teacher, repeatable, in place of --resume_path1; the checkpoint says what it reads",
    )
    add(
        "--teacher_losses",
        action="append",
        metavar="NAME=LOSS,LOSS*FACTOR",
        help="losses of one of them, repeatable, in place of --distill",
    )
    add(
        "--teacher_size",
        action="append",
        metavar="NAME=PIXELS",
        help="side of what one of them sees, repeatable; else that of its training, or the student's",
    )
    add(
        "--teacher_clips",
        default="same",
        choices=("same", "others"),
        help="others: control experiment, in which teachers see other clips of the batch than the student",
    )
    add(
        "--project",
        default="off",
        choices=PROJECT,
        help="auto: features that differ in shape from the teacher's are projected",
    )
    add(
        "--loss_args",
        default=[],
        nargs="*",
        metavar="LOSS.KEY=VALUE",
        help="further arguments of losses; LOSS.optimizer.KEY, of a loss's own optimiser",
    )
    add(
        "--loss_schedule",
        default=[],
        nargs="*",
        metavar="LOSS=SCHEDULE",
        help="factor on a loss over the epochs, FACTOR or FROM..TO@FIRST-LAST, and :cosine unless linear; LOSS is ce, "
        "one of --distill, or TEACHER.LOSS",
    )
    add(
        "--balance",
        default=[],
        nargs="*",
        metavar="LOSS=SHARE",
        help="before the first step, weigh losses so that their gradients on the student are in these shares; the "
        "first one keeps its weight",
    )
    add(
        "--teacher_cache",
        role="machine",
        metavar="FOLDER",
        help="keep outputs of teachers on disk, for clips that are the same in every epoch",
    )
    add(
        "--loss_report",
        role="machine",
        action="store_true",
        help="print the gradient norm of each term on each stage of the student before the first step, and end",
    )


def add_loss_options(table: OptionTable) -> None:
    """Add options of single losses: weights, features, temperatures. What no paper gives has defaults of ours."""
    add = table.group("distillation", "loss", (DISTILL,))
    add(
        "--distill_norm",
        default="none",
        choices=NORMS,
        help="divide mse, mers, review by the teacher feature's variance",
    )
    add("--distill_warmup", default=5, help="epochs of linear warm-up of all losses but mse and mers")
    add("--ce_weight", default=1.0, help="weight of the cross-entropy")
    add(
        "--output_layers",
        action="append",
        metavar="LEVEL",
        help="features that mse and mers match, repeatable (avgpool)",
    )
    add("--SFS_alpha", "--MARS_alpha", default=50, type=float, help="weight of mse and mers (MARS: 50)")
    add("--review_weight", default=1.0, help="weight of every review level (ReviewKD: 0.6 to 8)")
    add(
        "--review_layers",
        default=list(LEVELS),
        nargs="+",
        metavar="LEVEL",
        help="stages of the student that are reviewed, and avgpool; else all that have a counterpart at the teacher",
    )
    add("--review_mid", default=256, help="channels of the review connectors")
    add("--review_time_kernel", default=1, choices=(1, 3), help="temporal size of their output convolution")
    add("--dkd_alpha", default=1.0, help="weight of the target-class term")
    add("--dkd_beta", default=1.0, help="weight of the non-target-class term (DKD: 0.25 to 8)")
    add("--dkd_temperature", default=2.0, help="temperature of dkd (DKD: 1 or 4)")
    add("--kd_weight", default=0.9, help="weight of kd")
    add("--kd_temperature", default=4.0, help="temperature of kd")
