"""Parser of the training and test scripts. The options that STS-Net and MARS have keep their names."""

from engine.command.cli import ArgumentParser

from .data import add_clip_options, add_data_options, add_loading_options
from .network import add_model_options
from .run import add_run_options
from .testing import add_test_options
from .training import add_distillation_options, add_training_options


def build_parser() -> ArgumentParser:
    """Build the parser of all scripts."""
    parser = ArgumentParser(description="Options of train.py, STS_train.py and test_*.py; see docs/commands.md.")
    add_data_options(parser)
    add_clip_options(parser)
    add_loading_options(parser)
    add_model_options(parser)
    add_training_options(parser)
    add_distillation_options(parser)
    add_test_options(parser)
    add_run_options(parser)
    return parser
