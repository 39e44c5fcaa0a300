"""The invented trees of every data set whose lists are official."""

from pathlib import Path

from helpers import CLASSES, write_frames, write_hmdb51


def make_ucf101(root: Path) -> Path:
    labels = root / "labels"
    labels.mkdir(parents=True)
    (labels / "classInd.txt").write_bytes(b"1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n")
    videos = ["ApplyEyeMakeup/v_ApplyEyeMakeup", "HandstandPushups/v_HandStandPushups"]
    for split in (1, 2, 3):
        train = [f"{v}_g0{g}_c01.avi {i}\r\n" for i, v in enumerate(videos, 1) for g in (1, 2)]
        (labels / f"trainlist0{split}.txt").write_bytes("".join(train).encode())
        (labels / f"testlist0{split}.txt").write_bytes("".join(f"{v}_g03_c01.avi\r\n" for v in videos).encode())
    for v, video in enumerate(videos):
        for group in (1, 2, 3):
            name = f"{video}_g0{group}_c01"
            if (v, group) == (1, 2):
                name = name.replace("HandStand", "Handstand")  # other tools' capitals
            write_frames(root / "frames" / name, seed=group)
    return root


def make_kinetics(root: Path) -> Path:
    labels = root / "labels"
    labels.mkdir(parents=True)
    for subset in ("train", "val"):
        lines = []
        for label, name in enumerate(("abseiling", "air drumming")):
            for v in range(2):
                path = f"{subset}/{name}/-clip{v} of_000001_000011"
                write_frames(root / "frames" / path, seed=v)
                lines.append(f"{path} {label} 300\n")
        (labels / f"Kinetics_{subset}_labels.txt").write_text("".join(lines))
    return root


TREES = {
    "HMDB51": (write_hmdb51, list(CLASSES), 9, 6),
    "UCF101": (make_ucf101, ["ApplyEyeMakeup", "HandstandPushups"], 4, 2),
    "Kinetics": (make_kinetics, ["abseiling", "air drumming"], 4, 4),
    "Mini_Kinetics": (make_kinetics, ["abseiling", "air drumming"], 4, 4),
}
