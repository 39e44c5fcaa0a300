"""Text that fits into pictures."""

from PIL import ImageDraw, ImageFont


def fitted(draw: ImageDraw.ImageDraw, text: str, width: int, size: int) -> str:
    """Shorten `text` at its front if it is wider than so many pixels."""
    font, whole = ImageFont.load_default(size), text
    while draw.textlength(text, font) > width:
        whole = whole[1:]
        text = f"...{whole}"
    return text
