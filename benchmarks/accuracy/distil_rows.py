"""Students of a network of images that learn without labels, and of three teachers at once and of each alone."""

from opts import DISTILL

from .rows import FLOW, IMAGENET, PRETRAINED, RGB, Row

NETWORK = "--model resnet --model_depth 10 --width 0.25 --conv1_t_size 3 --sample_size 64 --sample_duration 8 "
NETWORK += "--clip_stride 2"
EPOCHS = "--n_epochs 8"
TEST = "--test_sampling spaced --num_clips 3"
# Clips that never change, so that what a teacher says of them is kept; it sees frames at 112 pixels.
STILL = "--train_sampling center --crop center --flip never"
IMAGE_SIZE = "--teacher_size image=112"
FREE = f"{RGB} {NETWORK} {STILL} {IMAGE_SIZE} --ce_weight 0 --n_classes 1000 --distill_warmup 0 --n_epochs 20"
PROBE = f"{RGB} {NETWORK} {EPOCHS} --ft_begin_index 5 --freeze_BN --learning_rate 0.01"
TUNED = f"{RGB} {NETWORK} {EPOCHS} --ft_begin_index 0"
# Of features: an error divided by the teacher's variance, after a projector; of logits: where classes are the same.
BANK = f"{NETWORK} {STILL} {EPOCHS} --distill mse --distill_norm variance --SFS_alpha 1 --kd_weight 0.1 --project auto"
LOSSES = {"flow": "mse,kd", "image": "mse", "rgb": "mse,kd"}
UNTRAINED, SCRATCH, TAUGHT = "untrained", "from scratch", "no labels, Lite0"
TEACHERS = {"flow": "Flow teacher", "image": IMAGENET, "rgb": f"fine-tuned, {TAUGHT}"}


def student_of(*names: str) -> Row:
    """Return the row of a student of some of `TEACHERS`, on clips that never change."""
    words = [f"--teacher_losses {name}={LOSSES[name]}" for name in names]
    words += [IMAGE_SIZE] if "image" in names else []
    only = [] if "flow" in names else ["--only_RGB"]
    return Row(
        "RGB",
        " ".join([BANK, *only, *words]),
        TEST,
        script=DISTILL,
        teachers={name: TEACHERS[name] for name in names},
        cached=True,
    )


def begun_with(kind: str, words: str, start: str) -> dict[str, Row]:
    """Return the row of a network for classes that begins with another one."""
    return {f"{kind}, {start}": Row("RGB", words, TEST, begins={PRETRAINED: start})}


ROWS = {
    SCRATCH: Row("RGB", f"{RGB} {NETWORK} {EPOCHS}", TEST, retrieves=True),
    # Nothing is learnt but the statistics of batch norms, without which random features would be worse than they are.
    UNTRAINED: Row("", f"{RGB} {NETWORK} --n_epochs 1 --learning_rate 0", retrieves=True),
    TAUGHT: Row(
        "", f"{FREE} --distill logits", script=DISTILL, teachers={"image": IMAGENET}, cached=True, retrieves=True
    ),
    **begun_with("linear probe", PROBE, UNTRAINED),
    **begun_with("linear probe", PROBE, TAUGHT),
    **begun_with("fine-tuned", TUNED, TAUGHT),
    "no labels, Lite0, anc": Row(
        "",
        f"{FREE} --distill logits anc --project auto",
        script=DISTILL,
        teachers={"image": IMAGENET},
        cached=True,
        retrieves=True,
    ),
    "Flow teacher": Row("flow", f"{FLOW} {NETWORK} {EPOCHS}", TEST),
    "student of none": Row("RGB", f"{RGB} {NETWORK} {STILL} {EPOCHS}", TEST),
    "student of Flow": student_of("flow"),
    "student of Lite0": student_of("image"),
    "student of RGB": student_of("rgb"),
    "student of all three": student_of(*TEACHERS),
}
