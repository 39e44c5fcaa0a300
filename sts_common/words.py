"""Numbers in messages."""


def counted(number: int, noun: str) -> str:
    """A number of things, like "1 video", "1,200 training videos" or "2 classes".

    Args:
        number: How many.
        noun: One of them, with what comes before it.
    """
    plural = f"{noun}es" if noun.endswith(("s", "ch")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
