"""Networks of unlike families under one protocol: each on RGB and on flow, and students of one flow teacher."""

from opts import DISTILL

from .rows import FLOW, RGB, Fusion, Row

# Name -> the network as `sts info` takes it; a quarter of the published widths, which one core trains in minutes.
NETWORKS = {
    "I3D": "i3d,width=0.25",
    "S3D": "s3d,width=0.25",
    "I3D-ResNet-18": "i3d_resnet,depth=18,width=0.25",
    "S3D-ResNet-18": "s3d_resnet,depth=18,width=0.25",
    "ResNet3D-18": "resnet,depth=18,width=0.25,no_max_pool=on",
    "R(2+1)D-18": "resnet2p1d,depth=18,width=0.25,no_max_pool=on",
    "C3D": "c3d,width=0.25",
    "TSN, ResNet-18": "resnet2d,depth=18,width=0.25",
    "TAM, ResNet-18": "resnet2d,depth=18,width=0.25,temporal=tam",
    "TSM, ResNet-18": "resnet2d,depth=18,width=0.25,temporal=tsm",
}
FRAMES, SIDE = 8, 48
# Dense clips: of frames spread over a whole video a student cannot see the motion that its teacher is shown.
CLIPS = f"--sample_duration {FRAMES} --sample_size {SIDE} --clip_stride 2 --train_sampling random "
CLIPS += "--val_sampling center"
PROTOCOL = f"{CLIPS} --n_epochs 30"  # after ten, flow networks name a tenth of the training videos
LONG = f"{CLIPS} --n_epochs 48"  # students take longer, and are compared with RGB as long
TEST = "--test_sampling spaced --num_clips 3"
TEACHER = "ResNet3D-18"
STUDENTS = ("TAM, ResNet-18", "I3D", "C3D")  # of other families than their teacher and each other
WEIGHTS = "--distill_norm variance --distill_warmup 1 --review_weight 1 --review_mid 32 "
WEIGHTS += "--dkd_alpha 2 --dkd_beta 2 --dkd_temperature 2"
# mse presumes the pooled vectors of one family; of stages all are reviewed that have a counterpart at the teacher.
LOSSES = f"--modality RGB_Flow --distill review dkd --project auto {WEIGHTS}"
FLAGS = ("no_max_pool",)
OPTIONS = {"depth": "--model_depth", "width": "--width"}


def options_of(network: str) -> str:
    """Return the options of a network in words such as "resnet,depth=18,no_max_pool=on"."""
    name, *pairs = network.split(",")
    words, further = ["--model", name], []
    for key, value in (pair.split("=") for pair in pairs):
        if key in FLAGS:
            words.append(f"--{key}")
        elif key in OPTIONS:
            words += [OPTIONS[key], value]
        else:
            further.append(f"{key}={value}")
    return " ".join([*words, *(["--model_args", *further] if further else [])])


ROWS = {
    **{f"RGB, {name}": Row("RGB", f"{RGB} {PROTOCOL} {options_of(net)}", TEST) for name, net in NETWORKS.items()},
    **{f"Flow, {name}": Row("flow", f"{FLOW} {PROTOCOL} {options_of(net)}", TEST) for name, net in NETWORKS.items()},
    **{f"long RGB, {name}": Row("RGB", f"{RGB} {LONG} {options_of(NETWORKS[name])}", TEST) for name in STUDENTS},
    **{
        f"SFS, {name}": Row(
            "RGB",
            f"{LOSSES} {LONG} {options_of(NETWORKS[name])}",
            TEST,
            script=DISTILL,
            begins={"--resume_path1": f"Flow, {TEACHER}"},
        )
        for name in STUDENTS
    },
}
FUSIONS = {
    **{f"RGB + Flow, {name}": Fusion((f"RGB, {name}", f"Flow, {name}")) for name in NETWORKS},
    **{f"RGB + SFS, {name}": Fusion((f"long RGB, {name}", f"SFS, {name}")) for name in STUDENTS},
}
