"""Students of a network of images that learn without labels, and of three teachers at once and of each alone."""

from opts import DISTILL

from .rows import FLOW, IMAGENET, PRETRAINED, RGB, Row

NETWORK = "--model resnet --model_depth 10 --width 0.25 --conv1_t_size 3 --sample_size 64 --sample_duration 8 "
NETWORK += "--clip_stride 2"
EPOCHS = "--n_epochs 8"
TEST = "--test_sampling spaced --num_clips 3"
# Clips that never change, so that a teacher's outputs for them can be cached; it sees frames of 112 pixels.
CLIPS = "--train_sampling center --crop center --flip never"
TEACHER_SIZE = "--teacher_size image=112"
NO_LABELS = f"{RGB} {NETWORK} {CLIPS} {TEACHER_SIZE} --ce_weight 0 --n_classes 1000 --distill_warmup 0 --n_epochs 20"
PROBE = f"{RGB} {NETWORK} {EPOCHS} --ft_begin_index 5 --freeze_BN --learning_rate 0.01"
TUNED = f"{RGB} {NETWORK} {EPOCHS} --ft_begin_index 0"
# MSE of features after a projector, over the teacher's variance; KD of logits where the classes are the same.
BANK = f"{NETWORK} {CLIPS} {EPOCHS} --distill mse --distill_norm variance --SFS_alpha 1 --kd_weight 0.1 --project auto"
LOSSES = {"flow": "mse,kd", "image": "mse", "rgb": "mse,kd"}
UNTRAINED, SCRATCH, STUDENT = "untrained", "from scratch", "no labels, Lite0"
TEACHERS = {"flow": "Flow teacher", "image": IMAGENET, "rgb": f"fine-tuned, {STUDENT}"}


def student_without_labels(losses: str) -> Row:
    """Build the row of a student of the network of ImageNet, by losses that need no labels."""
    teachers = {"image": IMAGENET}
    return Row("", f"{NO_LABELS} {losses}", script=DISTILL, teachers=teachers, cached=True, retrieves=True)


def student_of(*names: str) -> Row:
    """Build the row of a student of some of `TEACHERS`, on clips that never change."""
    words = [BANK, *([] if "flow" in names else ["--only_RGB"])]
    words += [f"--teacher_losses {name}={LOSSES[name]}" for name in names]
    words += [TEACHER_SIZE] if "image" in names else []
    teachers = {name: TEACHERS[name] for name in names}
    return Row("RGB", " ".join(words), TEST, script=DISTILL, teachers=teachers, cached=True)


ROWS = {
    SCRATCH: Row("RGB", f"{RGB} {NETWORK} {EPOCHS}", TEST, retrieves=True),
    # Learns the statistics of batch norms alone, without which random features would be worse than they are.
    UNTRAINED: Row("", f"{RGB} {NETWORK} --n_epochs 1 --learning_rate 0", retrieves=True),
    STUDENT: student_without_labels("--distill logits"),
    f"linear probe, {UNTRAINED}": Row("RGB", PROBE, TEST, begins={PRETRAINED: UNTRAINED}),
    f"linear probe, {STUDENT}": Row("RGB", PROBE, TEST, begins={PRETRAINED: STUDENT}),
    f"fine-tuned, {STUDENT}": Row("RGB", TUNED, TEST, begins={PRETRAINED: STUDENT}),
    "no labels, Lite0, anc": student_without_labels("--distill logits anc --project auto"),
    "Flow teacher": Row("flow", f"{FLOW} {NETWORK} {EPOCHS}", TEST),
    "student of none": Row("RGB", f"{RGB} {NETWORK} {CLIPS} {EPOCHS}", TEST),
    "student of Flow": student_of("flow"),
    "student of Lite0": student_of("image"),
    "student of RGB": student_of("rgb"),
    "student of all three": student_of(*TEACHERS),
}
