"""Which frames a clip has."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets import SAMPLERS
from datasets.sampling import center_clip, clip_starts, loop, random_clip

frames, lengths = st.integers(1, 90), st.integers(1, 40)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
@given(num_frames=frames, length=lengths, seed=st.integers(0, 99))
def test_clips_are_consecutive_and_in_range(sampler, num_frames, length, seed):
    clip = sampler(num_frames, length, np.random.default_rng(seed))
    assert len(clip) == length
    assert all(1 <= frame <= num_frames for frame in clip)
    assert all(b == a % num_frames + 1 for a, b in pairwise(clip))


def test_every_start_is_drawn_including_the_last():
    starts = {random_clip(20, 16, np.random.default_rng(seed))[0] for seed in range(200)}
    assert starts == {1, 2, 3, 4, 5}


def test_a_video_of_just_the_length_is_read_from_its_start():
    assert random_clip(16, 16, np.random.default_rng(5)) == list(range(1, 17))


def test_short_videos_are_looped_over_all_their_frames():
    for seed in range(20):
        assert set(random_clip(5, 8, np.random.default_rng(seed))) == {1, 2, 3, 4, 5}
    assert center_clip(5, 8, np.random.default_rng(0)) == [1, 2, 3, 4, 5, 1, 2, 3]


def test_the_centre_clip_is_in_the_centre():
    assert center_clip(20, 16, np.random.default_rng(0)) == list(range(3, 19))


@given(num_frames=frames, length=lengths)
def test_whole_videos_lose_no_frame_and_published_clips_come_first(num_frames, length):
    own, published = (clip_starts(num_frames, length, tail) for tail in ("overlap", "drop"))
    assert published == [k * length for k in range(max(num_frames, length) // length)]
    assert own[: len(published)] == published
    assert len(own) - len(published) == (num_frames > length and num_frames % length > 0)
    assert {f for start in own for f in loop(start, num_frames, length)} == set(range(1, num_frames + 1))
