"""Sampling of frame numbers. Integers in, integers out: no files, no tensors. Frames count from 1.

Any number of frames, any length and any stride >= 1 gives frames that exist: a video that is too short is looped.
The rules are those of the publications without their slips; `sampling_compat` has them with.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

Sampler = Callable[[int, int, np.random.Generator], list[int]]


class StridedSampler(Protocol):
    """Sampler of one clip with a stride; fix the stride with `functools.partial` to make it a `Sampler`."""

    def __call__(self, num_frames: int, length: int, rng: np.random.Generator, /, *, stride: int = 1) -> list[int]: ...


TestSampler = Callable[[int, int], list[list[int]]]


class StridedTestSampler(Protocol):
    """Sampler of every clip of a video; fix stride and number of clips to make it a `TestSampler`."""

    def __call__(self, num_frames: int, length: int, stride: int, num_clips: int) -> list[list[int]]: ...


TAILS = ("overlap", "drop")
STACK = 10  # flow images that the two-stream networks see at once


def span(length: int, stride: int = 1) -> int:
    """Count the frames from the first to the last of a clip, both included."""
    return (length - 1) * stride + 1


def last_start(num_frames: int, length: int, stride: int = 1) -> int:
    """Return the last start (0-based) from which a clip lies within the video; 0 if there is none."""
    return max(num_frames - span(length, stride), 0)


def loop(start: int, num_frames: int, length: int, stride: int = 1) -> list[int]:
    """Return `length` frames, every `stride`-th from `start` (0-based), going round at the end of the video."""
    return [(start + i * stride) % num_frames + 1 for i in range(length)]


def random_clip(num_frames: int, length: int, rng: np.random.Generator, stride: int = 1) -> list[int]:
    """Sample every `stride`-th frame from a uniform start; a shorter video is looped from a uniform phase."""
    room = num_frames - span(length, stride) + 1
    return loop(int(rng.integers(room if room >= 1 else num_frames)), num_frames, length, stride)


def dense_clip(num_frames: int, length: int, rng: np.random.Generator, stride: int = 1) -> list[int]:
    """Sample as `random_clip`, but loop a shorter video from its first frame."""
    return loop(int(rng.integers(last_start(num_frames, length, stride) + 1)), num_frames, length, stride)


def center_clip(num_frames: int, length: int, rng: np.random.Generator, stride: int = 1) -> list[int]:
    """Sample the clip in the middle; a shorter video is looped from its first frame."""
    return loop(last_start(num_frames, length, stride) // 2, num_frames, length, stride)


def segments(
    num_frames: int, length: int, rng: np.random.Generator, stride: int = 1, segment_length: int = 1
) -> list[int]:
    """Sample a snippet of each of equal segments that span the video (TSN): its start is uniform in the segment.

    All starts from which a snippet lies within the video are shared out among the segments; in a video with fewer
    starts than segments some snippets are repeated. `length` are the frames of all snippets together, a multiple of
    `segment_length`, those of one: 1 for RGB, 5 flows in the publication, `stride` apart.
    """
    count, starts = length // segment_length, last_start(num_frames, segment_length, stride) + 1
    edges = np.arange(count + 1) * starts // count
    draws = rng.integers(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1))
    return snippets(draws.tolist(), num_frames, segment_length, stride)


def segment_centers(
    num_frames: int, length: int, rng: np.random.Generator, stride: int = 1, segment_length: int = 1
) -> list[int]:
    """Sample the middle snippet of each of equal segments; see `segments`."""
    return segment_clips(num_frames, length, stride, 1, segment_length)[0]


def snippets(starts: Iterable[int], num_frames: int, segment_length: int, stride: int = 1) -> list[int]:
    """Return the frames of snippets that begin at `starts` (0-based), one after the other."""
    return [frame for start in starts for frame in loop(start, num_frames, segment_length, stride)]


def stack_thirds(num_frames: int, length: int, rng: np.random.Generator, stride: int = 1) -> list[int]:
    """Sample one frame of each of `length` equal segments of the starts that leave room for ten flows.

    The two-stream ResNet-101 on UCF101 trains its spatial network so, on three frames; see `stack_clips` for its test.
    No stride applies.
    """
    return segments(last_start(num_frames, STACK) + 1, length, rng)


SAMPLERS: dict[str, StridedSampler] = {
    "random": random_clip,
    "center": center_clip,
    "dense": dense_clip,
    "segments": segments,
    "segment_centers": segment_centers,
    "stacks": stack_thirds,
}


def clip_starts(num_frames: int, length: int, tail: str = "overlap", stride: int = 1) -> list[int]:
    """Return the first frames (0-based) of a sliding window over the whole video, one if the video is shorter.

    All numbers are >= 1. A window goes on where the one before it ended. After the last whole one the `tail` "overlap"
    adds a window that ends with the video, so that no frame is lost; "drop" leaves the rest out, as the published
    numbers do.
    """
    last = last_start(num_frames, length, stride)
    starts = list(range(0, last + 1, length * stride))
    if tail == "overlap" and last > starts[-1]:
        starts.append(last)
    return starts


def all_clips(num_frames: int, length: int, stride: int, num_clips: int, tail: str = "overlap") -> list[list[int]]:
    """Return consecutive windows over the whole video, as many as it takes; `tail` as in `clip_starts`."""
    return [loop(start, num_frames, length, stride) for start in clip_starts(num_frames, length, tail, stride)]


def spaced_clips(num_frames: int, length: int, stride: int, num_clips: int) -> list[list[int]]:
    """Return `num_clips` clips evenly spaced from the start of the video to its end; a single one is central."""
    return stepped(last_start(num_frames, length, stride), 0, num_clips, num_frames, length, stride)


def evenly(last: int, count: int) -> list[int]:
    """Return `count` integers evenly spaced from 0 to `last`; a single one is in the middle."""
    return [last // 2] if count == 1 else [last * k // (count - 1) for k in range(count)]


def segment_clips(
    num_frames: int, length: int, stride: int, num_clips: int, segment_length: int = 1
) -> list[list[int]]:
    """Return clips of one snippet of each of equal segments: the middle one, then its neighbours.

    The clips are shifted by consecutive numbers of frames about 0, at most to the ends of the segments (IBM's Action
    Recognition Study). Arguments and what happens to short videos are those of `segments`.
    """
    count, starts = length // segment_length, last_start(num_frames, segment_length, stride) + 1
    clips = []
    for offset in range(-num_clips // 2 + 1, num_clips // 2 + 1):
        # In units of 1 / (2 count) of a frame, so that all is integers: a segment is 2 starts of them.
        shift = min(max(2 * count * offset, -starts), starts - 1)
        middles = (((2 * g + 1) * starts + shift) // (2 * count) for g in range(count))
        clips.append(snippets(middles, num_frames, segment_length, stride))
    return clips


def random_segment_clips(
    num_frames: int, length: int, stride: int, num_clips: int, segment_length: int = 1, seed: int = 1
) -> list[list[int]]:
    """Return clips of one snippet of each of equal segments, drawn as in training (IBM's `--random_sampling`).

    A draw depends on the seed, the number of frames and the number of the clip alone, so that a test can be repeated.
    Other arguments are those of `segments`.
    """
    rngs = (np.random.default_rng((seed, num_frames, clip)) for clip in range(num_clips))
    return [segments(num_frames, length, rng, stride, segment_length) for rng in rngs]


def stepped_clips(num_frames: int, length: int, stride: int, num_clips: int) -> list[list[int]]:
    """Return the clips of "very deep two-stream" networks, which takes 25: whole steps from the first frame.

    Where a video is too short for whole steps, the clips are evenly spaced instead.
    """
    last = last_start(num_frames, length, stride)
    step = last // max(num_clips - 1, 1) if length == 1 else (last + 1) // num_clips
    return stepped(last, step, num_clips, num_frames, length, stride)


def stack_clips(num_frames: int, length: int, stride: int, num_clips: int) -> list[list[int]]:
    """Return the clips of the two-stream ResNet-101 on UCF101, which takes 19: steps that leave room for ten flows.

    Both streams take them, so a single frame starts no later than its flow. Short videos are as in `stepped_clips`.
    """
    last = last_start(num_frames, max(span(length, stride), STACK))
    return stepped(last, (last + 1) // num_clips, num_clips, num_frames, length, stride)


def stepped(last: int, step: int, num_clips: int, num_frames: int, length: int, stride: int) -> list[list[int]]:
    """Return clips from 0, `step`, 2 `step`, ...; evenly spaced up to `last` where `step` is 0, or one clip."""
    starts = [k * step for k in range(num_clips)] if step and num_clips > 1 else evenly(last, num_clips)
    return [loop(start, num_frames, length, stride) for start in starts]


TEST_SAMPLERS: dict[str, StridedTestSampler] = {
    "all": all_clips,
    "spaced": spaced_clips,
    "segments": segment_clips,
    "random_segments": random_segment_clips,
    "stepped": stepped_clips,
    "stacks": stack_clips,
}
