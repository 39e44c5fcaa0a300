"""Text that fits into pictures."""

from PIL import ImageDraw, ImageFont


def fitted(draw: ImageDraw.ImageDraw, text: str, width: int, size: int, *, keep: str = "end") -> str:
    """Shorten `text` to one line no wider than so many pixels, of which its "start" or "end" is kept."""
    font, text = ImageFont.load_default(size), " ".join(text.split())
    rest = text
    while text and draw.textlength(text, font) > width:
        rest = rest[:-1] if keep == "start" else rest[1:]
        text = "" if not rest else f"{rest}..." if keep == "start" else f"...{rest}"
    return text
