"""Names of IBM's Action Recognition Study (Chen et al., CVPR 2021), which say what a network is.

`mini_st2stv2-rgb-TAM-b3-sum-resnet-50-ts-max-f8-cosine-bs72-e75` is data set, stream, network, frames and training. The
files that it published have shorter ones, such as `K400-TAM-ResNet-50-f32.pth.tar`.
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
MODELS = {  # theirs -> a key of our table
    "resnet": "resnet2d",
    "inception-v1": "googlenet",
    "i3d_v2": "i3d",
    "i3d-resnet": "i3d_resnet",
    "s3d-resnet": "s3d_resnet",
}


def network_named(name: str) -> dict[str, Any]:
    """Return {"name", "args", "frames"} of the network that a name of the study stands for; {} if it is none.

    Args:
        name: Of a file or of an architecture; in files of others it is another, such as "resnet-50".
    """
    match = NAME.search(name)
    if match is None:
        return {}
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
