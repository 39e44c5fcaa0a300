"""Sampling of frames as in the published code, slips included: for comparison with published numbers.

`sampling` has the corrected rules under the same names.
"""

from functools import partial
from itertools import pairwise

import numpy as np

from .sampling import (
    SAMPLERS,
    STACK,
    TEST_SAMPLERS,
    StridedSampler,
    StridedTestSampler,
    all_clips,
    last_start,
    loop,
    snippets,
    span,
)


def sts_random_clip(num_frames: int, length: int, rng: np.random.Generator, stride: int = 1) -> list[int]:
    """Sample a clip for training as in STS-Net and MARS.

    The last start is never drawn, and a video that is not longer than a clip is looped within what follows its start.
    """
    room = num_frames - span(length, stride)
    if room > 0:
        return loop(int(rng.integers(room)), num_frames, length, stride)
    start = int(rng.integers(num_frames))
    return [start + frame for frame in loop(0, num_frames - start, length, stride)]


def two_stream_center_clip(num_frames: int, length: int, rng: np.random.Generator, stride: int = 1) -> list[int]:
    """Sample the clip for validation of two-stream-pytorch: where there are two middles, the later one."""
    return loop(max(num_frames - span(length, stride) + 1, 0) // 2, num_frames, length, stride)


def ibm_segments(
    num_frames: int, length: int, rng: np.random.Generator, stride: int = 1, segment_length: int = 1
) -> list[int]:
    """Sample segments for training as in IBM's Action Recognition Study: all segments share their draw.

    `length` are the frames of one snippet of each segment, `stride` the snippets per segment, so that there are
    `length * stride` frames. A snippet has `segment_length` of them: 1 for RGB, 5 for flow.
    """
    starts = ibm_positions(last_start(num_frames, segment_length) + 1, length // segment_length, rng, stride)
    return snippets(starts, num_frames, segment_length)


def ibm_positions(num_frames: int, length: int, rng: np.random.Generator, stride: int) -> list[int]:
    """Draw `stride` of the positions (0-based) of each of `length` segments, sorted; see `ibm_segments`."""
    share, count = num_frames // length, length * stride
    if share >= stride:
        offsets = rng.choice(share, stride, replace=False)
        chosen = (np.arange(length)[:, None] * share + offsets).ravel()
    else:
        chosen = rng.choice(num_frames, count, replace=num_frames < count)
    return [int(index) for index in np.sort(chosen)]


def two_stream_thirds(num_frames: int, length: int, rng: np.random.Generator, stride: int = 1) -> list[int]:
    """Sample frames as the two-stream ResNet-101 on UCF101: each segment ends with the first frame of the next.

    In the last segment the frame after the last start of a stack of ten flows is drawn, too.
    """
    positions = last_start(num_frames, STACK) + 1
    edges = [max(g * positions // length, 1) for g in range(length)] + [min(positions + 1, num_frames)]
    return [int(rng.integers(first, max(last, first) + 1)) for first, last in pairwise(edges)]


def ibm_dense_clip(num_frames: int, length: int, rng: np.random.Generator, stride: int = 1) -> list[int]:
    """Sample a dense clip for training as in IBM's Action Recognition Study: the last start is never drawn."""
    room = num_frames - length * stride
    return loop(int(rng.integers(room)) if room > 0 else 0, num_frames, length, stride)


def ibm_segment_clips(
    num_frames: int, length: int, stride: int, num_clips: int, segment_length: int = 1
) -> list[list[int]]:
    """Return IBM's test segments; where positions are not more than segments, they are drawn at random."""
    positions, groups = last_start(num_frames, segment_length) + 1, length // segment_length
    if positions <= groups:
        draws = [np.random.RandomState(clip).choice(positions, groups) for clip in range(num_clips)]
        return [snippets(np.sort(draw).tolist(), num_frames, segment_length) for draw in draws]
    tick = positions / groups
    clips = []
    for offset in range(-num_clips // 2 + 1, num_clips // 2 + 1):
        shift = max(-tick / 2, min(offset, tick / 2 - 1e-4))
        starts = (int(tick / 2 + shift + tick * g) for g in range(groups))
        clips.append(snippets(starts, num_frames, segment_length))
    return clips


def ibm_random_segment_clips(
    num_frames: int, length: int, stride: int, num_clips: int, segment_length: int = 1, seed: int = 1
) -> list[list[int]]:
    """Return test segments of IBM's `--random_sampling`: the segments of a clip share their draw, as in training.

    Where positions are fewer than segments, the draws are those of `ibm_segment_clips`.
    """
    positions, groups = last_start(num_frames, segment_length) + 1, length // segment_length
    if positions < groups:
        return ibm_segment_clips(num_frames, length, stride, num_clips, segment_length)
    rngs = (np.random.default_rng((seed, num_frames, clip)) for clip in range(num_clips))
    return [snippets(ibm_positions(positions, groups, rng, 1), num_frames, segment_length) for rng in rngs]


def ibm_dense_clips(num_frames: int, length: int, stride: int, num_clips: int) -> list[list[int]]:
    """Return dense clips for testing as in IBM's Action Recognition Study: a single one begins with the video."""
    starts = np.linspace(0, max(1, 1 + num_frames - length * stride) - 1, num_clips).astype(int)
    return [loop(int(start), num_frames, length, stride) for start in starts]


COMPAT_SAMPLERS: dict[str, StridedSampler] = {
    **SAMPLERS,
    "random": sts_random_clip,
    "center": two_stream_center_clip,
    "dense": ibm_dense_clip,
    "segments": ibm_segments,
    "stacks": two_stream_thirds,
}
COMPAT_TEST_SAMPLERS: dict[str, StridedTestSampler] = {
    **TEST_SAMPLERS,
    "all": partial(all_clips, tail="drop"),
    "spaced": ibm_dense_clips,
    "segments": ibm_segment_clips,
    "random_segments": ibm_random_segment_clips,
}
