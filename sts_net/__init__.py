"""STS-Net in Python: `import sts_net`, then `sts_net.load_checkpoint`, `sts_net.predict` and what else `api` lists.

They are imported when they are first used. Installed, the packages lie below this one, `sts_net.models` and so on; in
the sources they lie beside it, under generic names, so that their folder has to be on the path.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent


def interface() -> ModuleType:
    """Import what can be had here."""
    if not (HERE / "models").is_dir() and str(HERE.parent) not in sys.path:
        sys.path.insert(0, str(HERE.parent))
    return import_module(f"{__name__}.api")


def __getattr__(name: str) -> Any:
    if name.startswith("_") or not hasattr(interface(), name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: see sts_net.api")
    return getattr(interface(), name)


def __dir__() -> list[str]:
    return list(interface().__all__)
