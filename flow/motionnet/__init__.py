"""MotionNet (Zhu et al., ACCV 2018, https://arxiv.org/abs/1704.00389): flow that a network learns without labels."""

from .network import MotionNet
from .objective import MotionObjective
from .solver import motionnet

__all__ = ["MotionNet", "MotionObjective", "motionnet"]
