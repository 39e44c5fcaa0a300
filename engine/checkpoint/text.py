"""The card of a checkpoint as text for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from sts_common import counted

NOT_STATED = "not stated"
MAX_CLASS_NAMES = 5  # class names in a short card
VIEWS = ("split", "test_sampling", "num_clips", "num_crops", "tail")
RATES = ("acc", "top1", "top5", "mean_class", "clip_top1", "clip_top5")  # fractions, shown as such


def as_text(card: Mapping[str, Any], *, options: bool = False) -> str:
    """Format a card, short or with every class name and option; one line per fact, its name in front."""
    rows = [("file", card["file"]), *about_network(card, every=options), *about_data(card), *about_results(card)]
    rows += about_options(card, every=options)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {text}".rstrip() for name, text in rows)


def about_network(card: Mapping[str, Any], *, every: bool) -> Iterator[tuple[str, str]]:
    """List the facts of the network and its input."""
    channels = f"{card['channels']} channels" if card["channels"] else NOT_STATED
    yield "network", or_not_stated(card["arch"])
    yield "stream", card["stream"] or channels
    yield "classes", classes(card["classes"], every)
    yield "parameters", NOT_STATED if card["parameters"] is None else f"{card['parameters']:,}"
    yield "MACs per clip", NOT_STATED if card["macs"] is None else f"{card['macs'] / 1e9:.4g} billion"
    yield "clip", clip(card["clip"])
    yield "normalisation", pairs(card["normalisation"])


def about_data(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """List the facts of the training data."""
    yield "images", pairs(card["provenance"])
    split = "" if card["split"] is None else f", split {card['split']}"
    yield "data set", f"{or_not_stated(card['dataset'])}{split}"
    for subset, name in (("train", "training videos"), ("val", "validation videos")):
        yield name, videos((card["data"] or {}).get(subset))


def about_results(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """List the results: of one clip of every validation video, and of whole test videos."""
    yield "epoch", epochs(card)
    yield "validation", pairs(card["metrics"])
    tested = card["tested"]
    if not tested:
        yield "test", f"{NOT_STATED}; utils1/verify.py --record writes it down"
        return
    views = {name: value for name, value in (tested.get("options") or {}).items() if name in VIEWS}
    yield "test", pairs({name: tested[name] for name in RATES if name in tested})
    yield "test videos", videos(tested.get("data"))
    yield "test clips", f"{or_not_stated(tested.get('clips'))}, {pairs(views)}"


def about_options(card: Mapping[str, Any], *, every: bool) -> Iterator[tuple[str, str]]:
    """List the options that differ from their defaults, and, if asked for, all."""
    options, changed = card["options"], card["changed"]
    if options is None:
        yield "options", NOT_STATED
        return
    shown = changed or {}
    for name, (value, default) in shown.items():
        yield "option", f"--{name} {format_value(value)} (default {format_value(default)})"
    if every:
        for name in sorted(options.keys() - shown.keys()):
            yield "option", f"--{name} {format_value(options[name])}"
    else:
        rest = "others" if changed is not None else "all, and which differ from their defaults is not stated"
        yield "options", f"{len(options) - len(shown)} {rest}; --options shows them"


def epochs(card: Mapping[str, Any]) -> str:
    """Format the progress of the run, like "5 of 5"."""
    if card["epoch"] is None:
        return NOT_STATED
    total = "" if card["epochs"] is None else f" of {format_value(card['epochs'])}"
    return f"{card['epoch']}{total}{', and the next one begun' if card['batches'] else ''}"


def or_not_stated(value: Any) -> str:
    """Format a value, or say that it is not stated."""
    return NOT_STATED if value is None else format_value(value)


def format_value(value: Any) -> str:
    """Format a value in few characters."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return " ".join(format_value(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return f"({pairs(value)})"
    return "none" if value is None or value == "" else str(value)


def pairs(values: Mapping[str, Any] | None) -> str:
    """Format names and values in one line."""
    return ", ".join(f"{name} {format_value(value)}" for name, value in values.items()) if values else NOT_STATED


def clip(values: Mapping[str, Any] | None) -> str:
    """Format frames and size of a clip, and how it is cut."""
    if not values:
        return NOT_STATED
    size, frames = (or_not_stated(values.get(name)) for name in ("sample_size", "sample_duration"))
    details = {name: value for name, value in values.items() if name not in ("sample_size", "sample_duration")}
    return f"{frames} frames of {size}x{size} pixels, {pairs(details)}"


def classes(values: Mapping[str, Any], every: bool) -> str:
    """Format the number of classes, and names."""
    number, names = values["number"], values["names"]
    if number is None:
        return NOT_STATED
    if not names:
        return f"{number}, names {NOT_STATED}"
    shown = names if every else names[:MAX_CLASS_NAMES]
    return f"{number}: {', '.join(shown)}{', ...' if len(shown) < len(names) else ''}"


def videos(values: Mapping[str, Any] | None) -> str:
    """Format the number of videos, and the hash of their list."""
    if not values:
        return f"videos {NOT_STATED}"
    frames = f" with {counted(values['frames'], 'frame')}" if values.get("frames") else ""
    return f"{values['videos']:,} of {counted(values['listed'], 'listed video')}{frames}, sha256 {values['sha256']}"
