"""Wall-clock rates of batches loaded by several workers: the published loader against ours."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from torch.utils.data import DataLoader, Dataset

from benchmarks.readers.subjects import SUBJECTS, Draw, Subject, draw_clips
from datasets.decoding.jpeg import native
from datasets.loading.loader import ClipLoader
from datasets.loading.workers import worker_context
from datasets.stores.frames import FrameFolders
from datasets.stores.store import Video
from sts_common.timing import alternated

BATCH = 8
CLIPS = 96  # in a round
WORKERS = 2
MODALITIES = ("RGB clip", "RGB_Flow clip")


class Clips(Dataset[Any]):
    """Clips that are loaded from our store, or as by the published code if that is None."""

    def __init__(self, subject: Subject, draws: Sequence[Draw], store: FrameFolders | None) -> None:
        self.subject, self.draws, self.store = subject, draws, store

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, address: Any) -> Any:
        draw = self.draws[address[1] if isinstance(address, tuple) else address]
        if self.store is None:
            return self.subject.original(draw)[0]
        return self.subject.load(self.store, draw)


def worker_rates(videos: Sequence[Video], rounds: int, seed: int) -> dict[str, dict[str, list[float]]]:
    """Measure clips per second of each kind of workers in each round, by subject."""
    rates: dict[str, dict[str, list[float]]] = {}
    for name in MODALITIES:
        subject = SUBJECTS[name]
        draws = [draw for i in range(math.ceil(CLIPS / 8)) for draw in draw_clips(subject, videos, seed, 1000 + i)]
        calls: dict[str, Callable[[], object]] = {
            kind: partial(deque, loader, maxlen=0) for kind, loader in loaders(subject, draws).items()
        }
        for call in calls.values():  # workers start, and have read their first
            call()
        times = alternated(calls, rounds)
        rates[name] = {kind: [len(draws) / seconds[kind].wall for seconds in times] for kind in calls}
    return rates


def loaders(subject: Subject, draws: Sequence[Draw]) -> dict[str, Iterable[Any]]:
    """Return the data loaders that are compared."""
    original: DataLoader[Any] = DataLoader(
        Clips(subject, draws, None),
        batch_size=BATCH,
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context=worker_context(),
    )  # torch keeps each process to one thread
    decoder = "python" if native.missing() else "native"
    store = FrameFolders(draws[0].video.folder.parents[1], "sts", "exact", decoder)
    clips = Clips(subject, draws, store)

    ours = partial(ClipLoader, clips, batch_size=BATCH, train=False)
    return {
        f"original, {WORKERS} processes": original,
        f"{decoder}, {WORKERS} processes": ours(n_workers=WORKERS, loader="processes"),
        f"{decoder}, 1 thread": ours(n_workers=1, loader="threads"),
        f"{decoder}, {WORKERS} threads": ours(n_workers=WORKERS, loader="threads"),
    }
