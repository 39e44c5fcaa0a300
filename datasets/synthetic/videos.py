"""A data set of made-up videos."""

from collections.abc import Callable
from pathlib import Path

from sts_common import counted

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
        ValueError: If an argument is out of its range, or `video_dir` holds videos of another data set.
        OSError: If a video cannot be written.
    """
    kind = check_level(level, bias)
    size, frames = kind.size if size is None else size, kind.frames if frames is None else frames
    check_numbers({"train_per_class": train_per_class, "test_per_class": test_per_class}, size, frames, seed)
    numbers = train_per_class // CLIPS_PER_SOURCE, test_per_class // CLIPS_PER_SOURCE
    tags = [kind.tags(label, *numbers) for label in range(len(kind.classes))]
    videos = [
        Video(class_name, source, n, kind.theme(label, source, bias=bias, seed=seed))
        for label, class_name in enumerate(kind.classes)
        for source in tags[label]
        for n in range(CLIPS_PER_SOURCE)
    ]
    check_folder(video_dir, {path_of(video) for video in videos})
    for video in videos:
        film = kind.film(video, size=size, frames=frames, seed=seed, exact=take_flow is not None)
        write_film(video_dir / path_of(video), film)
        if take_flow and film.exact:
            take_flow(path_of(video).with_suffix("").as_posix(), film.exact)
    for class_name, class_tags in zip(kind.classes, tags, strict=True):
        write_tags(label_dir, class_name, class_tags)
    return len(videos)


def path_of(video: Video) -> Path:
    """Return where a video is, below the folder of all."""
    return Path(video.class_name, video_name(video.class_name, video.source, video.clip))


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


def check_level(level: str, bias: float) -> Level:
    """Return the level of this name; raise ValueError if there is none, or it has no such bias."""
    if level not in LEVELS:
        raise ValueError(f"level {level!r} does not exist; choose from {', '.join(LEVELS)}")
    if not 0 <= bias <= 1:
        raise ValueError(f"bias is {bias}; must be in [0, 1]")
    if bias and LEVELS[level].conditions is None:
        others = " or ".join(name for name, other in LEVELS.items() if other.conditions)
        raise ValueError(f"level {level} has no bias, got {bias}; choose {others}, or bias 0")
    return LEVELS[level]


def check_folder(video_dir: Path, planned: set[Path]) -> None:
    """Raise ValueError if a folder holds videos that are none of those planned: they would be extracted as well."""
    others = {path.relative_to(video_dir) for path in video_dir.glob("*/*.avi")} - planned
    if others:
        raise ValueError(
            f"{video_dir}: holds {counted(len(others), 'video')} of another data set, such as {min(others)}; "
            "choose another folder"
        )
