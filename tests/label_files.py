"""Invented label files of every data set, like the official ones, and lists in every form."""

import json
from pathlib import Path

from datasets.lists.entries import Entry, Segment

TEMPLATES = ("Holding something", "Pushing something from left to right")
TAXONOMY = [
    {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None},
    {"nodeId": 1, "nodeName": "Sports", "parentId": 0, "parentName": "Root"},
    {"nodeId": 2, "nodeName": "Surfing", "parentId": 1, "parentName": "Sports"},
    {"nodeId": 3, "nodeName": "Archery", "parentId": 1, "parentName": "Sports"},
]


def something_v2(prefix: str) -> dict[str, str]:
    train = [
        {"id": "78687", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]},
        {"id": "42", "label": "x", "template": "Pushing [something] from left to right", "placeholders": ["x"]},
    ]
    labels = {name: str(i) for i, name in enumerate(TEMPLATES)}
    return {
        f"{prefix}labels.json": json.dumps(labels),
        f"{prefix}train.json": json.dumps(train, indent=1),
        f"{prefix}validation.json": json.dumps([{**train[1], "id": "7"}]),
    }


def twentybn(name: str) -> dict[str, str]:
    return {
        f"{name}-labels.csv": "Swiping Left\nSwiping Right\n",
        f"{name}-train.csv": "100;Swiping Right\n200;Swiping Left\n",
        f"{name}-validation.csv": "300;Swiping Left\n",
    }


def activity(subset: str, *segments: tuple[list[float], str]) -> dict:
    return {"subset": subset, "annotations": [{"segment": s, "label": label} for s, label in segments]}


KINETICS = "label,youtube_id,time_start,time_end,split,is_cc\n"
ANET = {
    "taxonomy": TAXONOMY,
    "database": {
        "abcdefghijk": activity("training", ([1.5, 20], "Archery"), ([30, 40.25], "Surfing")),
        "lmnopqrstuv": activity("validation", ([0, 9], "Surfing")),
        "zzzzzzzzzzz": activity("testing"),
    },
}
HARA = {
    "labels": ["catch", "brush_hair"],
    "database": {
        "film_g01_c01": {"subset": "training", "annotations": {"label": "brush_hair", "segment": [1, 61]}},
        "film_g01_c02": {"subset": "training", "annotations": {"label": "catch"}},
        "other": {"subset": "validation", "annotations": {"label": "catch"}},
        "secret": {"subset": "testing", "annotations": {}},
    },
}


def ungrouped(*pairs: tuple[str, int]) -> list[Entry]:
    """Entries of videos that are each a group of its own, by path and label."""
    return [Entry(path, label, path) for path, label in pairs]


# Data set, files, class names, entries to train on, entries to test on.
TREES = [
    *(
        ("Something_v2", something_v2(prefix), list(TEMPLATES), ungrouped(("78687", 0), ("42", 1)), ungrouped(("7", 1)))
        for prefix in ("something-something-v2-", "")
    ),
    *(
        (
            name,
            twentybn(file),
            ["Swiping Left", "Swiping Right"],
            ungrouped(("100", 1), ("200", 0)),
            ungrouped(("300", 0)),
        )
        for name, file in (("Something_v1", "something-something-v1"), ("Jester", "jester-v1"))
    ),
    (
        "Jester",
        {
            "Train.csv": 'video_id,label,frames,label_id,shape,format\n1,"Doing, other",37,1,"(176, 100)",JPEG\n',
            "Validation.csv": 'video_id,label,frames,label_id,shape,format\n2,Stop,37,0,"(176, 100)",JPEG\n',
        },
        ["Stop", "Doing, other"],
        ungrouped(("Train/1", 1)),
        ungrouped(("Validation/2", 0)),
    ),
    (
        "Moments",
        {
            "moments_categories.txt": "clapping,0\nadult+male+singing,1\n",
            "trainingSet.csv": (
                "adult+male+singing/yt-ab_1.5_12.mp4,adult+male+singing,3,1\nclapping/v_3.mp4,clapping,3,0\n"
            ),
            "validationSet.csv": "clapping/getty-id9.mp4,clapping,3,0\n",
        },
        ["clapping", "adult+male+singing"],
        [
            Entry("training/adult+male+singing/yt-ab_1.5_12", 1, "yt-ab_1.5"),
            Entry("training/clapping/v_3", 0, "v"),
        ],
        [Entry("validation/clapping/getty-id9", 0, "getty-id")],
    ),
    (
        "ActivityNet",
        {"activity_net.v1-3.min.json": json.dumps(ANET)},
        ["Surfing", "Archery"],
        [
            Entry("v_abcdefghijk", 1, "v_abcdefghijk", Segment(1.5, 20, "seconds")),
            Entry("v_abcdefghijk", 0, "v_abcdefghijk", Segment(30, 40.25, "seconds")),
        ],
        [Entry("v_lmnopqrstuv", 0, "v_lmnopqrstuv", Segment(0, 9, "seconds"))],
    ),
    (
        "JSON",
        {"hmdb51_1.json": json.dumps(HARA), "hmdb51_2.json": "{}"},
        ["catch", "brush_hair"],
        [
            Entry("brush_hair/film_g01_c01", 1, "brush_hair/film_g01", Segment(1, 60, "frames")),
            Entry("catch/film_g01_c02", 0, "catch/film_g01"),
        ],
        [Entry("catch/other", 0, "catch/other")],
    ),
    (
        "Diving48",
        {
            "Diving48_vocab.json": '[["Back", "15som"], ["Forward", "25som", "PIKE"]]',
            "Diving48_V2_train.json": '[{"vid_name": "_8Vy_00001", "label": 1, "start_frame": 0, "end_frame": 163}]',
            "Diving48_V2_test.json": '[{"vid_name": "x_00000", "label": 0, "start_frame": 0, "end_frame": 9}]',
        },
        ["Back 15som", "Forward 25som PIKE"],
        [Entry("_8Vy_00001", 1, "_8Vy")],
        [Entry("x_00000", 0, "x")],
    ),
    *(
        (
            name,
            {
                "kinetics-400_train.csv": (
                    f'{KINETICS}air drumming,-abc,9,19,train,0\n"abseiling",d_1,0.0,10.0,train,1\n'
                ),
                "kinetics-400_val.csv": f"{KINETICS}abseiling,xyz,000100,000110,validate,0\n",
            },
            ["abseiling", "air drumming"],
            [
                Entry("train/air drumming/-abc_000009_000019", 1, "-abc"),
                Entry("train/abseiling/d_1_000000_000010", 0, "d_1"),
            ],
            [Entry("val/abseiling/xyz_000100_000110", 0, "xyz")],
        )
        for name in ("Kinetics", "Kinetics700")
    ),
]


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, newline="")
    return folder


# Forms of lists: files, and the class names.
IBM, IBM_TEST = "some video/a 1 30 0\nsome video/b 5 25 1\n", "some video/c 1 9 1\n"
IBM_SEMICOLONS = {"train.txt": "some video/a;1;30;0\nsome video/b;5;25;1\n", "val.txt": "some video/c;1;9;1\n"}
IBM_COMMAS = {"train.txt": "some video/a,1,30,0\nsome video/b,5,25,1\n", "val.txt": "some video/c,1,9,1.0\n"}
SETTINGS = "v_A_g01_c01 120 0\nv_B_g01_c01 80 1\n"
FORMS = {
    "ibm by spaces": ({"train.txt": IBM, "val.txt": IBM_TEST}, "class 0|class 1"),
    "ibm by semicolons": (IBM_SEMICOLONS, "class 0|class 1"),
    "ibm by commas": (IBM_COMMAS, "class 0|class 1"),
    "ibm with unlabelled test": ({"train.txt": IBM, "val.txt": IBM_TEST, "test.txt": "x 1 9\n"}, "class 0|class 1"),
    "ibm mini": (
        {"mini_train.txt": IBM, "mini_val.txt": IBM_TEST, "mini_ssv2.txt": "Holding\nPushing\n"},
        "Holding|Pushing",
    ),
    "settings": (
        {
            f"{subset}_{stream}_split{n}.txt": text.replace("A", f"A{n}")
            for subset, text in (("train", SETTINGS), ("val", "v_B_g02_c01 7 1\n"))
            for stream in ("rgb", "flow")
            for n in (1, 2, 3)
        }
        | {"classInd.txt": "1 Apply\n2 Box\n"},
        "Apply|Box",
    ),
    "csv with names": (
        {"train.csv": "path,label\na/1.mp4,wave\nb/1.mp4,clap\n", "val.csv": "path,label\na/2.mp4,wave\n"},
        "clap|wave",
    ),
    "csv without header": ({"train.csv": "x/1.mp4,0\ny/2.avi,1\n", "test.csv": "x/3.mp4,0\n"}, "x|y"),
    "csv by semicolons": ({"train.csv": '"x;y";0\nz;1\n', "test.csv": "w;0\n"}, "class 0|class 1"),
    "one csv with splits": (
        {"videos.csv": "x/1,wave,train\ny/1,clap,train\ny/2,clap,val\n", "classes.txt": "wave\nclap\n"},
        "wave|clap",
    ),
    "classes with indices": (
        {"all.csv": "video,class,subset\nx,b,training\ny,a,testing\n", "classes.csv": "index,name\n1,a\n0,b\n"},
        "b|a",
    ),
    "labels that are digits": ({"train.txt": "x 7\ny 3\n", "val.txt": "z 3\n", "classes.txt": "3\n7\n"}, "3|7"),
}
