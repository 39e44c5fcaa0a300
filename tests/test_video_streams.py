"""Flow of a video in memory, as the record in a checkpoint says."""

import numpy as np
import pytest
from test_extract import make_video

from utils1 import video_streams

DATA = {"algorithm": "tvl1", "bound": 10.0, "quantisation": "round", "fps": None, "short_side": None}


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"algorithm": "dis", "parameters": {"iterations": 5}},
        {"algorithm": "tvl1", "parameters": {"warps": 2, "epsilon": 0.0, "median_filtering": 1}},
        {"algorithm": "tvl1", "parameters": {"warps": 1, "gamma": 0.1}},
    ],
)
def test_the_flow_is_that_of_the_record_pair_by_pair(tmp_path, monkeypatch, record):
    video, made = make_video(tmp_path / "v.avi", frames=9), []
    for batch in (1, 4, 32):
        monkeypatch.setattr(video_streams, "BATCH", batch)
        made.append(list(video_streams.frames_of(video, DATA | record, with_flow=True)))
        assert [sorted(images) for images in made[-1]] == [["rgb"], *[["flow", "rgb"]] * 8]
    for other in made[1:]:
        assert all((a[name] == b[name]).all() for a, b in zip(made[0], other, strict=True) for name in a)
    motion = np.median([images["flow"] for images in made[0][1:]], (0, 1, 2)) / 255 * 20 - 10
    np.testing.assert_allclose(motion, (2, -1), atol=0.3)


def test_flow_of_raft_cannot_be_made_again_from_a_checkpoint():
    with pytest.raises(ValueError, match="was made with RAFT's flow, which needs weights"):
        video_streams.flow_of({"algorithm": "raft", "parameters": {"size": "small", "weights": "0123"}})
