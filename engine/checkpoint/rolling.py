"""Rolling checkpoints of a run: their names, their removal, and the newest that is good."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sts_common.files import MAX_NAME

from .. import checkpoint

log = logging.getLogger(__name__)

Position = tuple[int, int]  # the epoch that is under way or comes next, and how many of its batches are done


class Checkpoints:
    """Checkpoints of one run. Those of whole epochs have the published names, others say the step as well.

    Args:
        pattern: Path with "{}" for the finished epoch.
        best: The checkpoint of the best epoch.
        keep: Newest ones that are kept, >= 0; 0 keeps all of whole epochs. An older one goes when the newer is whole.
    """

    def __init__(self, pattern: str, best: Path, keep: int) -> None:
        self.pattern, self.best, self.keep = pattern, best, keep

    def path(self, epoch: int, step: int) -> Path:
        """Return the file name of the checkpoint of a position."""
        return Path(self.pattern.format(f"{epoch}_step{step}" if step else epoch - 1))

    def name(self) -> re.Pattern[str]:
        """Return the pattern of a checkpoint's name, with the epoch and the step."""
        before, after = map(re.escape, Path(self.pattern).name.split("{}"))
        return re.compile(rf"{before}(\d+)(?:_step(\d+))?{after}")

    def existing(self) -> dict[Position, Path]:
        """List the checkpoints on disk, the newest first."""
        name = self.name()
        folder, existing = Path(self.pattern).parent, {}
        for path in folder.iterdir() if folder.is_dir() else ():
            if match := name.fullmatch(path.name):
                epoch, step = int(match[1]), int(match[2] or 0)
                existing[epoch if step else epoch + 1, step] = path
        return dict(sorted(existing.items(), reverse=True))

    def prune(self) -> None:
        """Remove the oldest checkpoints; called after a new one is safe."""
        existing = self.existing()
        retained = set(list(existing)[: self.keep or 2])
        if not self.keep:
            retained |= {position for position in existing if position[1] == 0}
        for position in existing.keys() - retained:
            existing[position].unlink(missing_ok=True)

    def prune_behind(self, position: Position) -> None:
        """Remove what a process killed before `prune` has left, if the run goes on from the newest checkpoint.

        Where the newest one is damaged, the one before it is what the run goes on from, and stays.
        """
        if next(iter(self.existing()), None) == position:
            self.prune()

    def sweep(self, *outputs: Path) -> None:
        """Remove half-written files of killed processes, also at `outputs`; called by the process that may write."""
        final_names = {path.name[:MAX_NAME] for path in (self.best, *outputs)}
        prefix, pattern = Path(self.pattern).name.split("{}")[0][:MAX_NAME], self.name()
        for folder in (self.best.parent, *outputs):
            for path in folder.glob(".*.part"):
                name = path.name[1:].removesuffix(".part").rpartition(".")[0]  # without what makes it unique
                checkpoint = pattern.fullmatch(name) or (len(name) == MAX_NAME and name.startswith(prefix))
                if folder in outputs or name in final_names or checkpoint:
                    path.unlink(missing_ok=True)

    def newest(self) -> tuple[dict[str, Any], Path] | None:
        """Load the newest checkpoint that is whole, with its path; None if there is none at all.

        Raises ValueError if there are some, and all of them are damaged.
        """
        damaged = []
        for path in self.candidates():
            try:
                return checkpoint.load(path), path
            except (ValueError, OSError) as error:
                log.warning("%s; falling back to the checkpoint before it", error)
                damaged.append(path)
        if damaged:
            raise ValueError(f"{damaged[0]}: damaged, as are all {len(damaged)} checkpoints of this run; remove them")
        return None

    def candidates(self) -> Iterator[Path]:
        """Return the checkpoints that a run may go on from, the newest first."""
        yield from self.existing().values()
        if self.best.exists():
            yield self.best
