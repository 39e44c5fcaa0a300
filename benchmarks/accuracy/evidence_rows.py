"""Networks that show what a student learns from: motion, soft labels of any teacher, or just being a second network.

All have the same architecture and budget, which one core trains in minutes; no table of a paper has these numbers.
"""

from collections.abc import Mapping

from opts import DISTILL

from .rows import FLOW, NETWORK_3D, RGB, WEIGHTS, Fusion, Row

NETWORK = NETWORK_3D.replace("--n_epochs 10", "--n_epochs 48")  # with half as many no student has converged
LOSSES = "mse review dkd"
TWO_TEACHERS = "--teacher_losses flow=mse,review,dkd --teacher_losses rgb=dkd*0.5"


def student(
    losses: str,
    more: str = "",
    *,
    weights: str = WEIGHTS,
    begins: Mapping[str, str] | None = None,
    teachers: Mapping[str, str] | None = None,
) -> Row:
    """Build a student of these losses with further options, of the flow teacher unless it has others; see `Row`."""
    modality, teacher = ("", {}) if teachers else ("--modality RGB_Flow", {"--resume_path1": "Flow"})
    words = f"{modality} --distill {losses} {weights} {NETWORK} {more}".split()
    return Row("RGB", " ".join(words), script=DISTILL, begins=teacher | dict(begins or {}), teachers=teachers or {})


SFS = "SFS"
ROWS = {
    "RGB": Row("RGB", f"{RGB} {NETWORK}"),
    "Flow": Row("flow", f"{FLOW} {NETWORK}"),
    SFS: student(LOSSES),
    # What else could explain it: a second network, soft labels of any teacher, any teacher at all, soft labels alone.
    "RGB, other seed": Row("RGB", f"{RGB} {NETWORK}", seed_shift=1000),
    "student of RGB": student(LOSSES, "--only_RGB", teachers={"rgb": "RGB, other seed"}),
    "SFS, flow of other clips": student(LOSSES, "--teacher_clips others"),
    "RGB, label smoothing": Row("RGB", f"{RGB} {NETWORK} --label_smoothing 0.1"),
    # Which of the losses does it.
    "SFS, mse (MARS)": student("mse"),
    "SFS, mers (MERS)": student("mers"),
    "SFS, review": student("review"),
    "SFS, dkd": student("dkd"),
    "SFS, kd": student("kd"),
    "SFS, mse + review": student("mse review"),
    "SFS, mse + dkd": student("mse dkd"),
    "SFS, review + dkd": student("review dkd"),
    "SFS, all + dist": student(f"{LOSSES} dist"),
    "SFS, all, standardised": student(LOSSES, "--loss_args dkd.standardise=on"),
    "SFS, all, layer4 reviewed": student(LOSSES, "--review_layers layer4"),
    "SFS, all, from RGB": student(
        LOSSES, "--ft_begin_index 0 --keep_classifier", begins={"--SFS_pretrain_path": "RGB"}
    ),
    "SFS, all, default weights": student(LOSSES, weights=""),
    "SFS, two teachers": student(LOSSES, TWO_TEACHERS, teachers={"flow": "Flow", "rgb": "RGB, other seed"}),
}
STUDENTS = [name for name, row in ROWS.items() if row.script == DISTILL]
CONTROL, GOAL = "RGB + RGB, other seed", "RGB + Flow"
FITTED = "fitted temperatures"
ACTIVATIONS = ("softmax", "log_softmax", "sigmoid", "tanh", "relu", "l2")
CLAIMED = {f"RGB + {SFS}": ("RGB", SFS), CONTROL: ("RGB", "RGB, other seed"), GOAL: ("RGB", "Flow")}
FUSIONS = {
    **{name: Fusion(rows) for name, rows in CLAIMED.items()},
    "RGB + RGB, label smoothing": Fusion(("RGB", "RGB, label smoothing")),
    **{f"RGB + {name}": Fusion(("RGB", name)) for name in STUDENTS if name != SFS},
    **{f"{name}, {FITTED}": Fusion(rows, fitted=True) for name, rows in CLAIMED.items()},
    "RGB + Flow + SFS": Fusion(("RGB", "Flow", SFS)),
    **{
        f"{name}, {activation}": Fusion(rows, activation=activation)
        for name, rows in CLAIMED.items()
        for activation in ACTIVATIONS
    },
}
