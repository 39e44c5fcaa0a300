"""Names of IBM's Action Recognition Study (Chen et al., CVPR 2021) and of TSM's files, which say what a network is.

`mini_st2stv2-rgb-TAM-b3-sum-resnet-50-ts-max-f8-cosine-bs72-e75` is data set, stream, network, frames and training. The
files that the study published have shorter ones, such as `K400-TAM-ResNet-50-f32.pth.tar`. Those of TSM (Lin et al.,
ICCV 2019) are called like `TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense.pth`.
"""

import re
from typing import Any

NAME = re.compile(
    r"""(?:^|-)
    (?:(?P<temporal>tam|tsn)(?:-b(?P<frames>\d+)-(?P<method>sum|max))?(?P<full>-allc)?-)?
    (?:(?P<resnet>i3d-resnet|s3d-resnet|resnet)-(?P<depth>\d+)|(?P<inception>inception-v1|i3d_v2|i3d|s3d))
    (?P<depthwise>-dw-t-conv)?
    (?P<stride>-t[sp](?:-(?P<pooling>max|avg))?)?  # ts in names of files, tp in the published tables
    -f(?P<length>\d+)(?:[-.]|$)""",
    re.VERBOSE | re.IGNORECASE,
)
TSM_FILE = re.compile(r"^TSM_\w+?_(?:RGB|Flow)_resnet(\d+)_(shift8_blockres_)?avg_segment(\d+)_e\d+(_dense)?\.pth")
DENSE_SPAN = 64  # frames of a video over which its dense clips are spread
MODELS = {  # theirs -> a key of our table
    "resnet": "resnet2d",
    "inception-v1": "googlenet",
    "i3d_v2": "i3d",
    "i3d-resnet": "i3d_resnet",
    "s3d-resnet": "s3d_resnet",
}


def network_named(name: str) -> dict[str, Any]:
    """Return {"name", "args", "frames"} of the network that a name stands for; {} if it is none of these.

    There is "clips" beside them, options of the clips, where a name says those. The name is of a file or of an
    architecture; in files of others it is another, such as "resnet-50".
    """
    match = NAME.search(name)
    if match is None:
        return tsm_named(name)
    part = match.groupdict()
    kind = str(part["resnet"] or part["inception"]).lower()
    model = MODELS.get(kind, kind)
    args: dict[str, Any] = {"temporal_stride": part["stride"] is not None}
    args |= {"depth": int(part["depth"])} if part["depth"] else {}
    stated = part["pooling"] if model not in ("i3d_resnet", "s3d_resnet") else None  # which have strides in place of it
    args |= {"pooling": stated.lower()} if stated else {}
    args |= {"dw_t_conv": part["depthwise"] is not None} if model in ("s3d", "s3d_resnet") else {}
    args |= {"version": 2 if kind == "i3d_v2" else 1} if model == "i3d" else {}
    if (part["temporal"] or "").lower() == "tam":
        args |= {"temporal": "tam", "blend_full": part["full"] is not None}
        args |= {"blend_frames": int(part["frames"]), "blend_method": part["method"].lower()} if part["frames"] else {}
    return {"name": model, "args": args, "frames": int(part["length"])}


def tsm_named(name: str) -> dict[str, Any]:
    """Return what `network_named` does of a file of TSM's; {} for others."""
    match = TSM_FILE.match(name)
    if match is None:
        return {}
    depth, shift, segments, dense = match.groups()
    frames, args = int(segments), {"depth": int(depth), "temporal": "tsm" if shift else "none"}
    args |= {"mix_every": 2} if shift and args["depth"] == 101 else {}
    clips = {"clip_stride": DENSE_SPAN // frames, "test_sampling": "spaced"} if dense else {}
    return {"name": "resnet2d", "args": args, "frames": frames, "clips": clips}
