"""Names of the students of Distil-2D-3D, https://github.com/deepmd/Distil-2D-3D: C3D, and ResNets of ten layers."""

from collections.abc import Mapping

DISTIL = "distil-2d-3d"  # the dialect


def of_students(conv: Mapping[str, str], norm: str, shortcut: Mapping[str, str]) -> dict[str, str | None]:
    """Return how the students of Distil-2D-3D, of a block in each stage, call what a ResNet has.

    Args:
        conv: What follows the name of their convolution -> the ending of the name and its number here, as "conv{}_s".
        norm: Likewise of the batch norm after a convolution.
        shortcut: What follows "downsample" there -> what follows it here.
    """
    names: dict[str, str | None] = {"linear.": "fc.", "adjust_features.": None}
    places = {"": "", **{f"conv{i}.block1.": f"layer{i - 1}.0." for i in (2, 3, 4, 5)}}
    for theirs, ours in places.items():
        for number in ("1", "2") if theirs else ("1",):
            names |= {f"{theirs}conv{number}.{end}.": f"{ours}{form.format(number)}." for end, form in conv.items()}
            names[f"{theirs}bn{number}."] = f"{ours}{norm.format(number)}."
        names |= {
            f"{theirs}downsample{end}.": f"{ours}downsample.{place}." for end, place in shortcut.items() if theirs
        }
    return names | {"conv1.": None}  # which has more of a name in theirs: C3D's, whose classifier is called like theirs
