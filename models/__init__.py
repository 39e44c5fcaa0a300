"""Networks, distillation losses, fusion and training tasks.

backbones/  MODELS: networks, clips (N, C, T, H, W) -> Output(logits, features)
streams.py  a network with the stream it reads and its normalisation;  starting.py  from options or a checkpoint
weights.py  checkpoints into networks;  dialects.py  their key names;  normalisation.py  NORMALISATIONS;  finetune.py
pretrained.py  weights of ImageNet and Kinetics, for streams of any channels, and for 3D networks
distill/    DISTILLERS: losses between the Outputs of student and teacher
motion/     LearnMotion without labels, and ClassifyByMotion beside classes
tasks.py    Classify, and distillation.py Distill: batch -> {"loss", "logits", "loss_*"};  mixing.py  mixup and CutMix
fusion.py   FUSIONS: logits of several streams -> one score
inference/  networks compiled, folded, with wider groups, and as one module to export; outputs cached on disk
analysis/   MACs, Grad-CAM, similarity of features
"""

from .analysis.flops import estimate
from .analysis.gradcam import evidence, grad_cam
from .analysis.similarity import LinearCKA, linear_cka
from .backbones import MODELS, build_model, create_model
from .backbones.consensus import CONSENSUS
from .backbones.inflation import DIVIDE, INFLATE
from .backbones.output import Output
from .distill import DISTILLERS, LEVELS, NORMS, PROJECT, build_distillers, create_distiller, output_shapes
from .distillation import Distill
from .finetune import LR_MULTIPLES, frozen_norms, parameter_groups
from .fusion import FUSIONS, combine, fuse, stream_weights
from .inference.speed import COMPILE, compiled, inference_ready
from .layers.conv_gradients import install
from .layers.residual import SHORTCUTS
from .mixing import ClipMixing, create_mixing
from .motion import MOTION, ClassifyByMotion, LearnMotion, create_task, start_temporal
from .normalisation import NORMALISATIONS
from .pretrained import IMAGENET, KINETICS, RANDOM
from .starting import load_stream, restore_stream, start_stream
from .streams import StreamNetwork
from .tasks import Classify

install()

__all__ = [
    "COMPILE",
    "CONSENSUS",
    "DISTILLERS",
    "DIVIDE",
    "FUSIONS",
    "IMAGENET",
    "INFLATE",
    "KINETICS",
    "LEVELS",
    "LR_MULTIPLES",
    "MODELS",
    "MOTION",
    "NORMALISATIONS",
    "NORMS",
    "PROJECT",
    "RANDOM",
    "SHORTCUTS",
    "Classify",
    "ClassifyByMotion",
    "ClipMixing",
    "Distill",
    "LearnMotion",
    "LinearCKA",
    "Output",
    "StreamNetwork",
    "build_distillers",
    "build_model",
    "combine",
    "compiled",
    "create_distiller",
    "create_mixing",
    "create_model",
    "create_task",
    "estimate",
    "evidence",
    "frozen_norms",
    "fuse",
    "grad_cam",
    "inference_ready",
    "linear_cka",
    "load_stream",
    "output_shapes",
    "parameter_groups",
    "restore_stream",
    "start_stream",
    "start_temporal",
    "stream_weights",
]
