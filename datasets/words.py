"""Numbers of things in messages."""


def counted(number: int, noun: str) -> str:
    """A number of things: "1 video", "1,200 videos"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
