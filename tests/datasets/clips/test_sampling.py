"""Which frames a clip has."""

import json
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from helpers import REFERENCE
from hypothesis import given
from hypothesis import strategies as st

from datasets.clips import sampling as S
from datasets.clips import sampling_compat as C

frames, lengths, strides, counts = st.integers(1, 90), st.integers(1, 40), st.integers(1, 9), st.integers(1, 12)
ALL = {f"own-{k}": v for k, v in S.SAMPLERS.items()} | {f"compat-{k}": v for k, v in C.COMPAT_SAMPLERS.items()}
ALL_TEST = {f"own-{k}": v for k, v in S.TEST_SAMPLERS.items()} | {
    f"compat-{k}": v for k, v in C.COMPAT_TEST_SAMPLERS.items()
}
SEGMENTS = ("segments", "segment_centers", "stacks")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ALL)
@given(num_frames=frames, length=lengths, stride=strides, seed=st.integers(0, 99))
def test_frames_of_a_clip_exist(name, num_frames, length, stride, seed):
    clip = ALL[name](num_frames, length, rng(seed), stride=stride)
    assert len(clip) == length * (stride if name == "compat-segments" else 1)
    assert all(type(frame) is int and 1 <= frame <= num_frames for frame in clip)
    assert clip == ALL[name](num_frames, length, rng(seed), stride=stride)


@pytest.mark.parametrize("name", ALL_TEST)
@given(num_frames=frames, length=lengths, stride=strides, num_clips=counts)
def test_frames_of_a_test_exist(name, num_frames, length, stride, num_clips):
    clips = ALL_TEST[name](num_frames, length, stride, num_clips)
    assert name.endswith("-all") or len(clips) == num_clips
    assert all(len(clip) == length for clip in clips)
    assert all(type(frame) is int and 1 <= frame <= num_frames for clip in clips for frame in clip)


@pytest.mark.parametrize("name", sorted(S.SAMPLERS.keys() - SEGMENTS))
@given(num_frames=frames, length=lengths, stride=strides, seed=st.integers(0, 99))
def test_clips_step_by_their_stride_and_go_round_only_in_short_videos(name, num_frames, length, stride, seed):
    clip = S.SAMPLERS[name](num_frames, length, rng(seed), stride=stride)
    assert all(b == (a - 1 + stride) % num_frames + 1 for a, b in pairwise(clip))
    if num_frames >= S.span(length, stride):
        assert clip == sorted(clip)


def test_every_start_is_drawn_including_the_last():
    for sample in (S.random_clip, S.dense_clip):
        assert {sample(20, 16, rng(seed))[0] for seed in range(200)} == {1, 2, 3, 4, 5}
        assert {sample(20, 8, rng(seed), stride=2)[0] for seed in range(300)} == {1, 2, 3, 4, 5, 6}


def test_a_video_of_just_the_length_is_read_from_its_start():
    assert S.random_clip(16, 16, rng(5)) == list(range(1, 17))
    assert S.random_clip(15, 8, rng(5), stride=2) == list(range(1, 16, 2))


def test_short_videos_are_looped_over_all_their_frames():
    for seed in range(20):
        assert set(S.random_clip(5, 8, rng(seed))) == {1, 2, 3, 4, 5}
        assert S.dense_clip(5, 8, rng(seed)) == [1, 2, 3, 4, 5, 1, 2, 3]
    assert S.center_clip(5, 8, rng()) == [1, 2, 3, 4, 5, 1, 2, 3]


def test_the_centre_clip_is_in_the_centre():
    assert S.center_clip(20, 16, rng()) == list(range(3, 19))
    assert S.center_clip(20, 8, rng(), stride=2) == list(range(3, 18, 2))


@given(num_frames=frames, length=lengths, seed=st.integers(0, 99))
def test_each_segment_gives_a_frame_of_its_own(num_frames, length, seed):
    drawn, centres = S.segments(num_frames, length, rng(seed)), S.segment_centers(num_frames, length, rng(seed))
    for i, (frame, centre) in enumerate(zip(drawn, centres, strict=True)):
        first = i * num_frames // length + 1
        assert first <= frame <= max((i + 1) * num_frames // length, first)
        assert centre - 1 <= (2 * i + 1) * num_frames / (2 * length) < centre
    if num_frames == length:
        assert drawn == centres == list(range(1, num_frames + 1))


def test_segments_draw_every_frame_and_independently():
    draws = [S.segments(10, 3, rng(seed)) for seed in range(300)]
    assert {frame for draw in draws for frame in draw} == set(range(1, 11))
    assert len({tuple(draw) for draw in draws}) == 3 * 3 * 4


@given(num_frames=frames, length=lengths)
def test_whole_videos_lose_no_frame_and_published_clips_come_first(num_frames, length):
    own, published = (S.clip_starts(num_frames, length, tail) for tail in ("overlap", "drop"))
    assert published == [k * length for k in range(max(num_frames, length) // length)]
    assert own[: len(published)] == published
    assert len(own) - len(published) == (num_frames > length and num_frames % length > 0)
    assert {f for start in own for f in S.loop(start, num_frames, length)} == set(range(1, num_frames + 1))


@given(num_frames=frames, length=lengths, stride=strides)
def test_strided_windows_reach_the_end_and_leave_no_gap_wider_than_their_stride(num_frames, length, stride):
    clips = S.all_clips(num_frames, length, stride, 0)
    if num_frames >= S.span(length, stride):
        seen = sorted({frame for clip in clips for frame in clip})
        assert seen[0] == 1
        assert seen[-1] == num_frames
        assert all(b - a <= stride for a, b in pairwise(seen))
    assert (
        C.COMPAT_TEST_SAMPLERS["all"](num_frames, length, stride, 0)
        == clips[: len(S.clip_starts(num_frames, length, "drop", stride))]
    )


@given(num_frames=frames, length=lengths, stride=strides, num_clips=counts)
def test_spaced_clips_run_from_the_start_to_the_end(num_frames, length, stride, num_clips):
    starts = [clip[0] for clip in S.spaced_clips(num_frames, length, stride, num_clips)]
    last = S.last_start(num_frames, length, stride) + 1
    assert starts[0] == (1 if num_clips > 1 else (last - 1) // 2 + 1)
    assert num_clips == 1 or starts[-1] == last
    steps = [b - a for a, b in pairwise(starts)]
    assert not steps or max(steps) - min(steps) <= 1


@pytest.mark.parametrize(("frames_of_video", "length", "step"), [(97, 1, 4), (49, 1, 2), (284, 10, 11), (34, 10, 1)])
def test_two_stream_positions_are_the_published_ones(frames_of_video, length, step):
    clips = S.stepped_clips(frames_of_video, length, 1, 25)
    assert clips == [list(range(1 + i * step, 1 + i * step + length)) for i in range(25)]


@pytest.mark.parametrize("sample", [S.stepped_clips, S.stack_clips])
@pytest.mark.parametrize(("num_frames", "length"), [(24, 1), (33, 10), (12, 10), (5, 10), (1, 1)])
def test_positions_of_short_videos_are_spread_out(sample, num_frames, length):
    starts = [clip[0] for clip in sample(num_frames, length, 1, 30)]
    room = max(num_frames - (10 if sample is S.stack_clips else length), 0)
    assert (starts[0], starts[-1]) == (1, room + 1)
    assert set(starts) == set(range(1, room + 2))


def test_the_nineteen_positions_are_the_published_ones_for_both_streams():
    starts = list(range(1, 1 + 19 * 5, 5))
    assert [clip[0] for clip in S.stack_clips(105, 10, 1, 19)] == starts  # 96 stacks, 5 apart
    assert S.stack_clips(105, 1, 1, 19) == [[start] for start in starts]


ROWS = json.loads((REFERENCE / "ibm_val_indices.json").read_text())


def positions(row):
    return S.last_start(row["num_frames"], 5 if row["modality"] == "flow" else 1) + 1


def flat(sample, row):
    clips = sample(positions(row), row["groups"], row["frames_per_group"], row["num_clips"])
    return [frame for clip in clips for frame in clip]


def test_compat_gives_every_published_index():
    samplers = C.COMPAT_TEST_SAMPLERS
    wrong = [row for row in ROWS if flat(samplers["spaced" if row["dense"] else "segments"], row) != row["indices"]]
    assert len(ROWS) == 270
    assert not wrong


def test_segments_equal_the_published_ones_unless_those_are_random():
    rows = [row for row in ROWS if not row["dense"] and positions(row) > row["groups"]]
    assert len(rows) > 50
    assert all(flat(S.segment_clips, row) == row["indices"] for row in rows)


@pytest.mark.parametrize(("num_frames", "count", "snippet"), [(40, 8, 1), (23, 5, 4), (5, 3, 1), (3, 8, 1), (1, 2, 5)])
def test_random_segments_of_a_test_are_draws_of_training_that_can_be_repeated(num_frames, count, snippet):
    for table in (S.TEST_SAMPLERS, C.COMPAT_TEST_SAMPLERS):
        sample = partial(table["random_segments"], segment_length=snippet, seed=7)
        clips = sample(num_frames, count * snippet, 1, 4)
        assert clips == sample(num_frames, count * snippet, 1, 4)
        assert clips[:2] == sample(num_frames, count * snippet, 1, 2)  # more clips leave those before as they are
    starts = np.array(S.random_segment_clips(num_frames, count * snippet, 1, 4, snippet))[:, ::snippet] - 1
    edges = np.arange(count + 1) * max(num_frames - snippet + 1, 1) // count
    assert (edges[:-1] <= starts).all()
    assert (starts < np.maximum(edges[1:], edges[:-1] + 1)).all()


def test_random_segments_see_every_frame_and_other_ones_with_another_seed():
    draws = [S.random_segment_clips(20, 4, 1, 8, seed=seed) for seed in range(20)]
    assert {frame for clips in draws for clip in clips for frame in clip} == set(range(1, 21))
    assert len({tuple(clip) for clips in draws for clip in clips}) > 100
    shared = C.ibm_random_segment_clips(23, 4, 1, 8)  # as published, all segments share an offset
    assert all({b - a for a, b in pairwise(clip)} == {5} for clip in shared)
    assert len({tuple(clip) for clip in shared}) > 1
    assert C.ibm_random_segment_clips(3, 8, 1, 2) == C.ibm_segment_clips(3, 8, 1, 2)


def test_dense_clips_equal_the_published_ones_unless_alone_or_strided():
    rows = [row for row in ROWS if row["dense"] and row["num_clips"] > 1 and row["frames_per_group"] == 1]
    assert len(rows) > 30
    assert all(flat(S.spaced_clips, row) == row["indices"] for row in rows)


def test_published_indices_leave_numpys_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    C.ibm_segment_clips(5, 8, 1, 3)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_as_published_the_last_start_is_never_drawn():
    assert {C.sts_random_clip(20, 16, rng(seed))[0] for seed in range(200)} == {1, 2, 3, 4}
    assert {C.ibm_dense_clip(20, 16, rng(seed))[0] for seed in range(200)} == {1, 2, 3, 4}


def test_as_published_short_videos_cycle_within_what_follows_their_start():
    clips = [C.sts_random_clip(5, 8, rng(seed)) for seed in range(100)]
    assert [3, 4, 5, 3, 4, 5, 3, 4] in clips
    assert {min(clip) for clip in clips} == {1, 2, 3, 4, 5}
    assert all(set(clip) == set(range(clip[0], 6)) for clip in clips)
    assert {C.sts_random_clip(16, 16, rng(seed))[0] for seed in range(400)} == set(range(1, 17))


def test_as_published_segments_share_one_draw_and_never_see_the_remainder():
    for seed in range(50):
        clip = C.ibm_segments(35, 8, rng(seed), stride=2)
        assert len(clip) == 16
        offsets = {tuple(frame - 1 - 4 * g for frame in clip[2 * g : 2 * g + 2]) for g in range(8)}
        assert len(offsets) == 1
        assert max(clip) <= 32


def test_as_published_few_frames_are_drawn_without_and_very_few_with_repetition():
    assert C.ibm_segments(16, 8, rng(1), stride=2) == list(range(1, 17))
    few = C.ibm_segments(17, 6, rng(1), stride=2)  # 17 // 6 = 2: a draw per segment
    assert len(set(few)) == 12
    distinct = C.ibm_segments(20, 6, rng(1), stride=3)  # 18 of 20
    assert len(set(distinct)) == 18
    repeated = C.ibm_segments(5, 8, rng(1))
    assert repeated == sorted(repeated)
    assert len(repeated) == 8


def test_as_published_the_later_of_two_middles_is_taken():
    assert C.two_stream_center_clip(19, 16, rng())[0] == 3
    assert S.center_clip(19, 16, rng())[0] == 2
    assert C.two_stream_center_clip(9, 16, rng())[0] == 1


@pytest.mark.parametrize(
    "sample", [S.segments, S.segment_centers, C.ibm_segments], ids=["segments", "centers", "compat"]
)
@given(num_frames=frames, count=st.integers(1, 8), snippet=st.integers(1, 6), seed=st.integers(0, 99))
def test_snippets_are_successive_frames_each_of_its_part_of_the_video(sample, num_frames, count, snippet, seed):
    clip = np.reshape(sample(num_frames, count * snippet, rng(seed), segment_length=snippet), (count, snippet))
    assert ((clip - 1) % num_frames == (clip[:, :1] - 1 + np.arange(snippet)) % num_frames).all()
    if num_frames >= snippet:
        starts = num_frames - snippet + 1
        assert (np.diff(clip) == 1).all()
        edges = np.arange(count + 1) * starts / count
        if sample is not C.ibm_segments and starts >= count:
            assert (clip[:, 0] - 1 >= np.floor(edges[:-1])).all()
            assert (clip[:, 0] - 1 < np.ceil(edges[1:])).all()


def test_a_segment_draws_every_start_and_its_snippet_may_step():
    draws = {tuple(S.segments(20, 6, rng(seed), segment_length=3)) for seed in range(600)}
    assert {draw[0] for draw in draws} == set(range(1, 10))
    assert {draw[3] for draw in draws} == set(range(10, 19))
    assert S.segment_centers(20, 6, rng(), stride=2, segment_length=3) == [5, 7, 9, 13, 15, 17]
    assert S.segment_clips(20, 6, 1, 3, segment_length=3)[1] == S.segment_centers(20, 6, rng(), segment_length=3)


def test_compat_stacks_begin_at_the_published_positions_of_flow():
    rows = [row for row in ROWS if not row["dense"] and row["modality"] == "flow"]
    for row in rows:
        clips = C.ibm_segment_clips(row["num_frames"], 5 * row["groups"], 1, row["num_clips"], segment_length=5)
        assert [frame for clip in clips for frame in clip[::5]] == row["indices"]
    assert len(rows) > 50


def test_three_frames_leave_room_for_a_stack_of_flow():
    draws = np.array([S.stack_thirds(39, 3, rng(seed)) for seed in range(400)])
    assert [set(column.tolist()) for column in draws.T] == [set(range(a, a + 10)) for a in (1, 11, 21)]
    # As published both ends count, the middle ones twice, and a frame without room for a stack is drawn.
    draws = np.array([C.two_stream_thirds(39, 3, rng(seed)) for seed in range(600)])
    assert [(min(column), max(column)) for column in draws.T.tolist()] == [(1, 10), (10, 20), (20, 31)]
    assert C.two_stream_thirds(4, 3, rng()) in ([1, 1, 1], [1, 1, 2])
