"""Options of the network and its initial weights."""

from models import CONSENSUS, DIVIDE, IMAGENET, INFLATE, KINETICS, MODELS, NORMALISATIONS, RANDOM, SHORTCUTS

from .option import DISTILL, FUSED, TRAIN, TRAINING, OptionTable


def add_model_options(table: OptionTable) -> None:
    """Add options of the network and its initial weights."""
    add = table.group("network", "network")
    add(
        "--model",
        default="resnext",
        choices=MODELS,
        help="architecture; timm:NAME, torchvision:NAME or inflated:timm:NAME, of a library",
    )
    add(
        "--model_depth",
        default=101,
        help="resnext: 50, 101, 152; resnet and resnet2p1d: 10, 18, 34, 50, 101, 152, 200; resnet2d: 18, 34, 50, 101, "
        "152, and so i3d_resnet and s3d_resnet; vgg: 11, 13, 16, 19",
    )
    add("--resnet_shortcut", default="B", choices=SHORTCUTS, help="A: zero padding, B: 1x1x1 convolution")
    add("--resnext_cardinality", default=32, help="groups of the 3x3x3 convolutions")
    add("--width", default=1.0, help="factor on all channel counts, for small networks")
    add("--conv1_t_size", default=7, help="frames that the first convolution spans; 3 is cheaper")
    add("--conv1_t_stride", default=1, help="its step from frame to frame; 3D-ResNets has 2 for long clips")
    add("--no_max_pool", action="store_true", help="leave out the pooling after it, as some 3D-ResNets weights do")
    add("--segments", default=1, help="parts of a clip that the network sees one by one (TSN: 3)")
    add(
        "--consensus",
        default="average",
        choices=CONSENSUS,
        help="of their logits before the softmax (TSN), or tle_*: the product of their maps, encoded (TLE)",
    )
    add(
        "--model_args",
        default=[],
        nargs="*",
        metavar="KEY=VALUE",
        help="further arguments of the network",
    )
    add(
        "--normalisation",
        role="run",
        default=["auto"],
        nargs="+",
        metavar="NAME",
        help=f"of inputs, where weights do not state theirs: {', '.join(NORMALISATIONS)}; auto, by whose they are; or "
        "the mean of each channel and then the standard deviations, in grey levels",
    )
    add("--input_channels", role="machine", type=int, help="follows from --modality; accepted if it agrees")
    add(
        "--n_classes",
        role="run",
        type=int,
        help="outputs of the (pre-trained) network; else as the labels or the weights",
    )


def add_weights_options(table: OptionTable) -> None:
    """Add options of the weights that a network begins with."""
    add = table.group("weights", "run", TRAINING)
    add(
        "--n_finetune_classes",
        type=int,
        help="outputs after the classifier is replaced; else as the labels",
    )
    add(
        "--pretrain_path",
        "--SFS_pretrain_path",
        "--MARS_pretrain_path",
        default="",
        help="checkpoint to fine-tune",
    )
    add(
        "--keep_classifier",
        action="store_true",
        help="with --pretrain_path of the same classes: go on with its classifier, as from 8 frames to 16",
    )
    add(
        "--temporal_path",
        scripts=(TRAIN,),
        default="",
        help="hidden_two_stream: checkpoint of a flow network, whose weights classify the estimated flow at first",
    )
    add(
        "--init",
        default=RANDOM,
        metavar="WEIGHTS",
        help=f"what a network begins with: {RANDOM}; {IMAGENET}, of torchvision or timm in torch's cache; {KINETICS}, "
        "of torchvision:NAME; timm:NAME or torchvision:NAME, those of that network; or a file of theirs. A first "
        "convolution for other channels than RGB has the mean over these",
    )
    add(
        "--inflate",
        default=DIVIDE,
        choices=INFLATE,
        help="kernels of images in a 3D network: repeated along time and divided by their length (I3D), repeated alone "
        "(the published behaviour of IBM's study), or in the middle frame",
    )
    add(
        "--download",
        role="machine",
        action="store_true",
        help="fetch the weights that --init names if they are not in torch's cache",
    )


def add_frozen_options(table: OptionTable) -> None:
    """Add options of which weights and statistics learn, and which stay as they are."""
    add = table.group("weights", "run", TRAINING)
    add(
        "--ft_begin_index",
        default=4,
        help="fine-tuning: first stage that learns, counted from 1; 0: all, number of stages + 1: the classifier alone",
    )
    add(
        "--partial_BN",
        action="store_true",
        help="keep the statistics of all batch norms but the first (TSN)",
    )
    add(
        "--freeze_BN",
        action="store_true",
        help="keep the statistics of batch norms below --ft_begin_index",
    )
    add(
        "--freeze_affine",
        action="store_true",
        help="keep the weights and biases of these batch norms, too (TSN)",
    )


def add_resume_options(table: OptionTable) -> None:
    """Add options that name checkpoints to go on with, to learn from, or to test."""
    add = table.group("weights", "machine")
    add(
        "--resume_path1",
        default="",
        help="train: checkpoint to resume; STS_train: flow teacher; tests: stream 1",
    )
    add("--resume_path2", scripts=(FUSED,), default="", help="checkpoint of stream 2")
    add("--resume_path3", scripts=(FUSED,), default="", help="checkpoint of a third stream")
    add(
        "--resume",
        scripts=TRAINING,
        default="",
        help="auto: the newest good checkpoint of this run, if any; or its path",
    )
    add(
        "--SFS_resume_path",
        "--MARS_resume_path",
        scripts=(DISTILL,),
        default="",
        help="checkpoint of the student to resume",
    )
