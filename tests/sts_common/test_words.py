"""Numbers in messages."""

import pytest

from sts_common import counted, size_in_words
from sts_common.words import with_prefix


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


@pytest.mark.parametrize(
    ("value", "text", "size"),
    [
        (0, "0", "0 bytes"),
        (512, "512", "512 bytes"),
        (1500, "1.5 k", "1.5 kB"),
        (50.8e9, "50.8 G", "50.8 GB"),
        (3e12, "3.0 T", "3.0 TB"),
    ],
)
def test_large_numbers_are_short(value, text, size):
    assert (with_prefix(value), size_in_words(value)) == (text, size)
