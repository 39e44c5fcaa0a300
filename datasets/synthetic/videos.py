"""A data set of made-up videos."""

from collections.abc import Callable
from pathlib import Path

from .files import CLIPS_PER_SOURCE, video_name, write_avi, write_mpeg4, write_tags
from .layers import ExactFlow
from .levels import LEVELS, Film, Level
from .scenes import Video

TakeFlow = Callable[[str, ExactFlow], None]


def write_videos(  # noqa: PLR0913  an interface of keywords
    video_dir: Path,
    label_dir: Path,
    *,
    level: str = "easy",
    bias: float = 0.0,
    train_per_class: int = 44,
    test_per_class: int = 20,
    size: int | None = None,
    frames: int | None = None,
    seed: int = 0,
    take_flow: TakeFlow | None = None,
) -> int:
    """Write `{video_dir}/{class}/{video}.avi` and `{label_dir}/{class}_test_split{1,2,3}.txt`; return how many videos.

    A video is `{source}_{class}_f_cm_np1_fr_med_{n}.avi`. Clips of one source share the background and the looks of
    what is before it and are on the same side of every split. A video depends on its name, `level`, `bias`, `size`,
    `frames` and `seed` alone; with another `train_per_class` of `standard` and `hard` the test videos stay the same.

    Args:
        video_dir: Made if missing; videos of the same name are replaced.
        label_dir: Made if missing; label files are replaced.
        level: A key of `LEVELS`.
        bias: Share of the training videos whose colours are those of their class, in [0, 1]; in the test, and in all
            others, colours tell nothing. Not of `easy`.
        train_per_class: Training videos per class and split, even, > 0.
        test_per_class: Test videos per class and split, even, > 0.
        size: Height and width of the square frames in pixels, even, >= 16; None is the level's.
        frames: Frames per video at 25 fps, >= 2; None is the level's.
        seed: Non-negative.
        take_flow: Is given each video's path below `video_dir`, without its ending, and its exact flow.

    Raises:
        ValueError: If an argument is out of its range.
        OSError: If a video cannot be written.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r} does not exist; choose from {', '.join(LEVELS)}")
    kind = LEVELS[level]
    size, frames = kind.size if size is None else size, kind.frames if frames is None else frames
    check_numbers({"train_per_class": train_per_class, "test_per_class": test_per_class}, size, frames, seed)
    check_bias(bias, level, kind)
    written = 0
    for label, class_name in enumerate(kind.classes):
        tags = kind.tags(label, train_per_class // CLIPS_PER_SOURCE, test_per_class // CLIPS_PER_SOURCE)
        for source in tags:
            theme = kind.theme(label, source, bias=bias, seed=seed)
            for n in range(CLIPS_PER_SOURCE):
                film = kind.film(Video(class_name, source, n, theme), size=size, frames=frames, seed=seed)
                path = Path(class_name, video_name(class_name, source, n))
                write_film(video_dir / path, film)
                if take_flow:
                    take_flow(path.with_suffix("").as_posix(), film.exact)
                written += 1
        write_tags(label_dir, class_name, tags)
    return written


def write_film(path: Path, film: Film) -> None:
    """Write a film as compressed as it is to be."""
    if film.quantiser is None:
        write_avi(path, film.pixels)
    else:
        write_mpeg4(path, film.pixels, film.quantiser)


def check_numbers(counts: dict[str, int], size: int, frames: int, seed: int) -> None:
    """Raise ValueError for a number out of its range."""
    for name, number in counts.items():
        if number < 1 or number % CLIPS_PER_SOURCE:
            raise ValueError(
                f"{name} is {number}; must be a positive multiple of {CLIPS_PER_SOURCE}, the clips per source"
            )
    if size < 16 or size % 2 or frames < 2:
        raise ValueError(f"size {size} must be even and >= 16, frames {frames} must be >= 2")
    if seed < 0:
        raise ValueError(f"seed is {seed}; must not be negative")


def check_bias(bias: float, level: str, kind: Level) -> None:
    """Raise ValueError for a bias that is none, or of a level without one."""
    if not 0 <= bias <= 1:
        raise ValueError(f"bias is {bias}; must be in [0, 1]")
    if bias and kind.conditions is None:
        others = ", ".join(name for name, other in LEVELS.items() if other.conditions)
        raise ValueError(f"level {level} has no bias; choose from {others}, or bias 0")
