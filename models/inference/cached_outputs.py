"""Outputs of frozen teachers on disk, for clips that are the same in every epoch."""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sts_common.files import write_atomically
from sts_common.json_text import as_json
from sts_common.tensors import MALFORMED, read_tensors

from ..backbones.contract import POOLED
from ..backbones.output import Output
from ..streams import StreamNetwork

log = logging.getLogger(__name__)

LOGITS = "logits"
DIGESTS = "digests of "  # entry of a batch beside a view: a GPU would be waited for to compute them of what it has
Entry = dict[str, tuple[Tensor, Sequence[int]]]  # of a clip, with the strides of the batch that it was in


class CachedFeatures(dict[str, Tensor]):
    """Features by name; one that is not cached is a ValueError that says what to do."""

    def __missing__(self, name: str) -> Tensor:
        raise ValueError(
            f"--teacher_cache: a loss reads the teacher's {name}, which is not cached: let its `teacher_features` name "
            "it, or leave out the option"
        )


class CachedOutputs:
    """Outputs of a frozen teacher: of each clip those of its first pass, to the last bit.

    An entry is found by all that its bits depend on: weights, normalisation and view of the teacher, the number of
    clips in a batch, number format, device and version of torch, and every pixel of the clip. So another teacher,
    another size, other frames, or a clip that is cut or decoded in another way never meets an entry that is not its
    own. Which other clips are in the batch plays no part: networks in eval mode compute each for itself.

    Args:
        folder: Where entries are; several runs may share it.
        teacher: The network.
        features: Names of the features that are kept beside the logits.

    Attributes:
        found: Clips whose outputs were read.
        computed: Clips whose outputs were computed, and written.
    """

    def __init__(self, folder: Path, teacher: StreamNetwork, features: Iterable[str] = (POOLED,)) -> None:
        self.folder, self.features = folder, sorted(features)
        self.about = {
            "network": dict(teacher.network.origin),
            "weights": weights_sha256(teacher),
            "normalisation": teacher.normalisation,
            "view": teacher.view,
            "features": self.features,
            "torch": str(torch.__version__),
        }
        self.found = self.computed = 0

    def __call__(self, teacher: StreamNetwork, batch: Mapping[str, Any]) -> Output:
        """Return the output of the teacher for a batch that has its view, as `StreamNetwork.forward`."""
        if teacher.view not in batch or not len(batch[teacher.view]):
            return teacher(batch)
        clips = batch[teacher.view]
        folder = self.folder / digest(as_json(self.about | conditions(teacher, clips)).encode())
        names = batch.get(DIGESTS + teacher.view) or clip_digests(clips)
        paths = [folder / name[:2] / f"{name}.pth" for name in names]
        entries = [read_entry(path) for path in paths]
        missing = [position for position, entry in enumerate(entries) if entry is None]
        if not missing:
            self.found += len(entries)
            whole = stack_entries([entry for entry in entries if entry])
            moved = {name: tensor.to(clips.device) for name, tensor in whole.items()}
            return Output(moved.pop(LOGITS), CachedFeatures(moved))
        output = teacher(batch)
        kept = {LOGITS: output.logits, **{name: output.features[name] for name in self.features}}
        self.computed += len(missing)
        for position in missing:
            write_entry(paths[position], kept, position)
        return output


def digest(content: bytes) -> str:
    """Return a name for some bytes that no others have."""
    return hashlib.blake2b(content, digest_size=20).hexdigest()


def clip_digests(clips: Tensor) -> list[str]:
    """Return a name for each of clips (N, C, T, H, W), by its shape and every pixel."""
    shape = str(tuple(clips.shape[1:])).encode()
    return [digest(shape + clip.contiguous().numpy().tobytes()) for clip in clips.cpu()]


def weights_sha256(teacher: StreamNetwork) -> str:
    """Compute the SHA-256 of the weights and buffers of a network, with their names, formats and shapes."""
    digest = hashlib.sha256()
    for name, tensor in teacher.network.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.view(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return digest.hexdigest()


def conditions(teacher: StreamNetwork, clips: Tensor) -> dict[str, Any]:
    """Return what else the bits of a pass depend on: device, number format, and the number of clips in the batch."""
    kind = clips.device.type
    mixed = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    device = torch.cuda.get_device_name(clips.device) if kind == "cuda" else torch.backends.cpu.get_cpu_capability()
    formats = [str(next(teacher.network.parameters()).dtype), str(mixed)]
    return {"clips": max(len(clips), teacher.largest or 0), "device": [kind, device], "formats": formats}


def stack_entries(entries: Sequence[Entry]) -> dict[str, Tensor]:
    """Return the tensors of a batch from those of its clips, in the memory format that they had: sums depend on it."""
    whole = {}
    for name, (tensor, strides) in entries[0].items():
        whole[name] = torch.empty_strided((len(entries), *tensor.shape), strides, dtype=tensor.dtype)
        for place, entry in zip(whole[name], entries, strict=True):
            place.copy_(entry[name][0])
    return whole


def read_entry(path: Path) -> Entry | None:
    """Return the content of a file; None if there is none, or it is damaged."""
    if not path.exists():
        return None
    try:
        return dict(read_tensors(path))
    except (*MALFORMED, OSError) as error:
        log.warning("%s: damaged (%s), so it is computed again", path, type(error).__name__)
        return None


def write_entry(path: Path, tensors: Mapping[str, Tensor], position: int) -> None:
    """Write what is at a position of the tensors of a batch to a file that is whole or not there."""
    entry = {name: (tensor[position].cpu().clone(), tensor.stride()) for name, tensor in tensors.items()}
    write_atomically(path, lambda file: torch.save(entry, file), durable=False)
