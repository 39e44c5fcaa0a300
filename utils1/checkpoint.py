"""Show the metadata of a checkpoint, or export its network: `python -m engine.checkpoint` from any folder.

python utils1/checkpoint.py results/HMDB51/SFS_..._best.pth
python utils1/checkpoint.py results/HMDB51/SFS_..._best.pth --export SFS_HMDB51_16f.safetensors
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from engine.checkpoint.__main__ import main, parse_args
from engine.command import cli

if __name__ == "__main__":
    cli.run(main, parse_args)
