"""MotionNet (Zhu et al., ACCV 2018, https://arxiv.org/abs/1704.00389): flow that a network learns without labels.

It is here because `flow` computes with it, and a network of `models` has it inside.
"""

from .network import MotionNet
from .objective import MotionObjective

__all__ = ["MotionNet", "MotionObjective"]
