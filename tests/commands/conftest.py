from pathlib import Path

import pytest
from answering import make_videos, write_all_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_all_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    return make_videos(tmp_path_factory.mktemp("videos"))
