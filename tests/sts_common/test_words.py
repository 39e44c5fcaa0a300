"""Numbers in messages."""

import pytest

from sts_common import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "video", "1 video"),
        (0, "video", "0 videos"),
        (1200, "listed video", "1,200 listed videos"),
        (2, "class", "2 classes"),
        (1, "class", "1 class"),
        (3, "batch", "3 batches"),
        (4, "process", "4 processes"),
    ],
)
def test_a_single_thing_is_no_plural(number, noun, text):
    assert counted(number, noun) == text
