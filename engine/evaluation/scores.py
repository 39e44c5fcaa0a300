"""Score files: the score of every video under every stream, from which all results are computed."""

import itertools
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sts_common import counted
from sts_common.files import write_atomically
from sts_common.json_text import as_json

KINDS = {"video": "U", "label": "i", "class_names": "U", "streams": "U", "logits": "f", "clips": "i", "listed": "i"}
PER_STREAM = ("clip_top1", "clip_top5", "activated")  # a row for each stream
OPTIONAL_KINDS = {"clip_top1": "i", "clip_top5": "i", "activated": "f", "fused_hits": "i"}
TEXTS = ("subset", "dataset", "list_sha256", "activation", "fusion", "clip_mean")
MALFORMED = (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass
class Scores:
    """Scores of N videos of K classes under S streams; saved as `scores.npz`.

    Attributes:
        video: N names, as the annotation has them.
        label: Class indices, (N,) int64.
        class_names: K names.
        streams: S names.
        logits: Mean over clips, (S, N, K) float32.
        clips: Clips averaged, (S, N) int64.
        listed: Videos of the list, also those that were left out.
        clip_top1: Clips of each video whose highest logit is the label's, (S, N) int64; None in files of others.
        clip_top5: Those that have the label among their five highest.
        activated: Mean over clips of the activated logits, (S, N, K) float32, where activation comes before it.
        fused_hits: The same two counts of the streams fused clip by clip, (2, N) int64; None where streams were chosen
            or put together afterwards.
        about: What was scored and how, plain values: "subset", "dataset", "split", "list_sha256" of names and labels,
            "options", "provenance" of the images, "activation" of `activated` ("": none), "fusion", "fusion_weights"
            and "clip_mean" of the fused scores, and "checkpoints", for each stream "file", "sha256", "reads", "arch",
            "epoch", "recipe", and "trained_split" if that is not "split"; "unlike" lists what differs between files
            that were put together. Empty in files of others.
    """

    video: list[str]
    label: Tensor
    class_names: list[str]
    streams: list[str]
    logits: Tensor
    clips: Tensor
    listed: int
    clip_top1: Tensor | None = None
    clip_top5: Tensor | None = None
    activated: Tensor | None = None
    fused_hits: Tensor | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path, fused: Tensor) -> None:
        """Write the scores and the fused ones (N, K)."""
        arrays = {
            "video": np.array(self.video, str),
            "label": self.label.numpy(),
            "class_names": np.array(self.class_names, str),
            "streams": np.array(self.streams, str),
            "logits": self.logits.numpy(),
            "clips": self.clips.numpy(),
            "listed": np.array(self.listed),
            "fused": fused.numpy(),
            **{name: values.numpy() for name in OPTIONAL_KINDS if (values := getattr(self, name)) is not None},
            "about": np.array(as_json(self.about)),
        }
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    @property
    def clip_accuracy(self) -> list[float]:
        """Compute top-1 accuracy of single clips per stream, in [0, 1]; [] where it is not known."""
        if self.clip_top1 is None:
            return []
        return (self.clip_top1.sum(1) / self.clips.sum(1)).tolist()

    def only(self, streams: Sequence[str]) -> "Scores":
        """Return the scores of some streams, in that order; raises ValueError if there is no such stream."""
        for name in streams:
            if name not in self.streams:
                raise ValueError(f"no stream {name}; there are {', '.join(self.streams)}")
        return self.rows(streams=[self.streams.index(name) for name in streams])

    def rows(self, *, streams: Sequence[int] | None = None, videos: Sequence[int] | None = None) -> "Scores":
        """Return some streams and some videos by position, in that order; all where None."""
        s = list(range(len(self.streams)) if streams is None else streams)
        v = list(range(len(self.video)) if videos is None else videos)
        parts = {name: values[s][:, v] for name in PER_STREAM if (values := getattr(self, name)) is not None}
        names = [self.streams[i] for i in s]
        fused = self.fused_hits if names == self.streams else None
        about = dict(self.about)
        if "checkpoints" in about:
            about["checkpoints"] = {name: about["checkpoints"].get(name, {}) for name in names}
        return replace(
            self,
            video=[self.video[i] for i in v],
            label=self.label[v],
            streams=names,
            logits=self.logits[s][:, v],
            clips=self.clips[s][:, v],
            fused_hits=None if fused is None else fused[:, v],
            about=about,
            **parts,
        )


def load(path: str | Path) -> Scores:
    """Read a score file; nothing in it is executed.

    Raises FileNotFoundError if there is no file; ValueError if it is damaged or no score file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such score file")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*KINDS, *OPTIONAL_KINDS, "about") if name in file or name in KINDS}
        about = json.loads(str(arrays.pop("about", "{}")))
    except MALFORMED:
        raise ValueError(
            f"{path}: damaged, or not a score file of test_single_stream.py or test_two_stream.py"
        ) from None
    if problem := problem_of(arrays, about):
        raise ValueError(f"{path}: {problem}: not a score file of this project")
    return Scores(
        video=arrays["video"].tolist(),
        class_names=arrays["class_names"].tolist(),
        streams=arrays["streams"].tolist(),
        listed=int(arrays["listed"]),
        about=about,
        **{name: tensor_of(arrays[name]) for name in ("label", "logits", "clips", *OPTIONAL_KINDS) if name in arrays},
    )


def tensor_of(array: np.ndarray) -> Tensor:
    """Return the tensor of an array; whole numbers are int64, as indices must be."""
    return torch.from_numpy(array.astype(np.int64, copy=False) if array.dtype.kind == "i" else array)


def problem_of(arrays: dict[str, np.ndarray], about: Any) -> str:
    """Return what is wrong with the content of a score file; "" if nothing is."""
    for name, kind in (KINDS | OPTIONAL_KINDS).items():
        if name in arrays and not is_of(arrays[name].dtype, kind):
            return f"{name} is of type {arrays[name].dtype}"
    n, k, s = (arrays[name].size for name in ("video", "class_names", "streams"))
    shapes = {"video": (n,), "label": (n,), "class_names": (k,), "streams": (s,), "logits": (s, n, k), "listed": ()}
    shapes |= dict.fromkeys(("clips", "clip_top1", "clip_top5"), (s, n)) | {"activated": (s, n, k)}
    shapes |= {"fused_hits": (2, n)}
    for name, array in arrays.items():
        if array.shape != shapes[name]:
            return f"{name} has shape {array.shape}, not {shapes[name]}"
    if problem := problem_of_numbers(arrays, k) if n and s else "no scores":
        return problem
    if twice := [
        name for part in ("video", "streams") for name, count in Counter(arrays[part].tolist()).items() if count > 1
    ]:
        return f"{twice[0]!r} is in it twice"
    return problem_of_about(about)


def problem_of_numbers(arrays: dict[str, np.ndarray], classes: int) -> str:
    """Return what is wrong with the numbers of a score file; "" if nothing is."""
    if not all(np.isfinite(arrays[name]).all() for name in ("logits", "activated") if name in arrays):
        return "some scores are not finite"
    if arrays["clips"].min() < 1:
        return "videos of no clips"
    outside = arrays["label"].min() < 0 or arrays["label"].max() >= classes
    return f"labels outside [0, {classes})" if outside else ""


def is_of(dtype: np.dtype, kind: str) -> bool:
    """Return whether arrays of this type hold texts, or numbers of a kind that torch can take: of 8 bytes at most."""
    return dtype.kind == kind and (kind == "U" or (dtype.isnative and dtype.itemsize <= 8))


def problem_of_about(about: Any) -> str:
    """Return what keeps others from reading the metadata of a score file; "" if nothing does."""
    if not isinstance(about, dict):
        return "what it says about itself is no JSON object"
    objects = {name: about.get(name, {}) for name in ("options", "provenance", "checkpoints")}
    if isinstance(objects["checkpoints"], dict):
        objects |= {f"checkpoint of {name}": value for name, value in objects["checkpoints"].items()}
    if malformed := [name for name, value in objects.items() if not isinstance(value, dict)]:
        return f"its {malformed[0]} is no JSON object"
    if malformed := [name for name in TEXTS if not isinstance(about.get(name, ""), str)]:
        return f"its {malformed[0]} is no text"
    unlike = about.get("unlike", [])
    return "" if isinstance(unlike, list) and all(isinstance(x, str) for x in unlike) else "its unlike is no list"


def join(parts: Sequence[tuple[str, Scores]]) -> Scores:
    """Put the streams of several score files side by side, in the order of videos of the first.

    The names of the files are for errors. A stream name that comes again is numbered: "rgb", "rgb-2". What not all have
    is left out, `activated` also if the activations differ. Raises ValueError if they are not of the same videos,
    labels and classes.
    """
    parts = numbered(parts)
    source, first = parts[0]
    aligned = [first, *(align(scores, path, first, source) for path, scores in parts[1:])]
    checkpoints = {name: card for scores in aligned for name, card in scores.about["checkpoints"].items()}
    activation = first.about.get("activation", "")
    unlike = any(scores.about.get("activation", "") != activation for scores in aligned)

    def beside(name: str) -> Any:
        rows = [getattr(scores, name) for scores in aligned]
        return None if (name == "activated" and unlike) or any(part is None for part in rows) else torch.cat(rows)

    return replace(
        first,
        streams=[name for scores in aligned for name in scores.streams],
        about=first.about | {"checkpoints": checkpoints, "activation": "" if unlike else activation},
        fused_hits=first.fused_hits if len(parts) == 1 else None,
        **{name: beside(name) for name in ("logits", "clips", *PER_STREAM)},
    )


def numbered(parts: Sequence[tuple[str, Scores]]) -> list[tuple[str, Scores]]:
    """Return score files, as in `join`, in which no stream has a name that came before: "rgb" is then "rgb-2"."""
    used_names: set[str] = set()
    renamed = []
    for path, scores in parts:
        cards, checkpoints = scores.about.get("checkpoints", {}), {}
        for name in scores.streams:
            names = itertools.chain([name], (f"{name}-{i}" for i in itertools.count(2)))
            free = next(free for free in names if free not in used_names)
            used_names.add(free)
            checkpoints[free] = cards.get(name, {})
        about = scores.about | {"checkpoints": checkpoints}
        renamed.append((path, replace(scores, streams=[*checkpoints], about=about)))
    return renamed


def align(scores: Scores, path: str, first: Scores, source: str) -> Scores:
    """Return the scores in the order of videos of the first file; raises as `join`."""
    if scores.class_names != first.class_names:
        raise ValueError(f"{path}: its classes are not those of {source}; they cannot be fused")
    position = {video: i for i, video in enumerate(scores.video)}
    if position.keys() != set(first.video):
        unmatched = next(iter([v for v in first.video if v not in position] or position.keys() - set(first.video)))
        raise ValueError(
            f"{path}: {counted(len(scores.video), 'video')}, {source} has {len(first.video):,}, and {unmatched} is in "
            "one of them only: score the same list with both"
        )
    ordered = scores.rows(videos=[position[video] for video in first.video])
    if not torch.equal(ordered.label, first.label):
        wrong = first.video[int((ordered.label != first.label).nonzero()[0])]
        raise ValueError(f"{path}: another label for {wrong} than {source}; they cannot be fused")
    return ordered
