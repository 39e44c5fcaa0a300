"""JSON as its standard has it, which knows no NaN and no infinity."""

import json
import math
from collections.abc import Mapping
from typing import Any


def as_json(value: Any, **layout: Any) -> str:
    """Write plain values in JSON, with the layout of `json.dumps`; NaN and infinity become null."""
    return json.dumps(finite_or_none(value), allow_nan=False, **layout)


def finite_or_none(value: Any) -> Any:
    """Return `value` with None for every NaN and infinity in it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return value
