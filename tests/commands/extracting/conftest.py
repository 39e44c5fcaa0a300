from pathlib import Path

import pytest
from extraction import make_video


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder of three videos of two classes."""
    for seed, name in enumerate(("run/a", "run/b", "walk/c"), start=1):
        make_video(tmp_path / "videos" / f"{name}.avi", seed=seed)
    return tmp_path / "videos"
