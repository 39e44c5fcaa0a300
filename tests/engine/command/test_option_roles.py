"""Options say whom they concern: each script accepts its own and names the script of another's."""

import argparse
import re

import pytest

from opts import THIS_CALL, parse_opts
from opts.option import DISTILL, FUSED, ROLES, SCRIPTS, SINGLE, TRAIN
from opts.table import OPTIONS, build_parser

EVERY = vars(parse_opts([])).keys() - {"given"}


def words(option) -> list[str]:
    settings = option.settings
    if settings.get("action") in ("store_true", "store_const") or settings.get("nargs") == "?":
        return [option.flags[0]]
    default = settings.get("default")
    values = default if isinstance(default, list) and default else [default]
    text = [str(v) for v in values] if values[0] not in (None, "", []) else [next(iter(settings.get("choices") or "1"))]
    return [option.flags[0], *text]


def foreign() -> list:
    return [(o, script) for o in OPTIONS for script in SCRIPTS if script not in o.scripts]


@pytest.mark.parametrize(("option", "script"), foreign(), ids=lambda value: getattr(value, "name", value))
def test_an_option_of_another_script_is_refused_by_the_name_of_that_script(option, script, capsys):
    for flag in option.flags:
        with pytest.raises(SystemExit) as ended:
            parse_opts([flag, *words(option)[1:]], script)
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {flag} has no effect here, it is an option of {option.scripts[0]}")
        assert error.count("\n") == 1


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_options_of_other_scripts_keep_their_defaults(script):
    assert vars(build_parser(script).parse_args([])) == vars(build_parser().parse_args([]))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_lists_the_options_of_its_script_alone(script):
    text = build_parser(script, "What it does.").format_help()
    assert text.index("What it does.") < text.index("  --dataset")
    for option in OPTIONS:
        listed = script in option.scripts and option.settings.get("help") != argparse.SUPPRESS  # not the refused ones
        assert bool(re.search(rf"^  {option.flags[0]}\b", text, re.MULTILINE)) == listed, option.name


def test_a_file_of_options_may_serve_a_training_and_its_test(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("dkd_alpha: 3\nsample_size: 64\nnum_clips: 4\n")
    asked = ["--config", str(config)]
    assert parse_opts(asked, DISTILL).dkd_alpha == 3
    tested = parse_opts(asked, SINGLE)
    assert (tested.sample_size, tested.num_clips, tested.dkd_alpha) == (64, 4, 1.0)
    assert set(tested.given) == {"config", "sample_size", "num_clips"}


def test_every_option_has_a_role_and_a_script():
    assert {option.name for option in OPTIONS} >= EVERY
    assert {option.role for option in OPTIONS} == ROLES.keys()
    assert all(set(option.scripts) <= set(SCRIPTS) and option.scripts for option in OPTIONS)


def test_options_of_the_machine_are_never_of_the_run():
    assert {"n_workers", "device", "frame_dir", "fusion", "num_clips", "given"} <= THIS_CALL
    assert not THIS_CALL & {"batch_size", "sample_size", "model", "distill", "split"}


def test_what_each_script_takes():
    taken = {script: {o.name for o in OPTIONS if script in o.scripts} for script in SCRIPTS}
    assert taken[DISTILL] - taken[TRAIN] >= {"distill", "dkd_alpha", "SFS_resume_path", "flow_source"}
    assert taken[TRAIN] - taken[DISTILL] == {"mixup", "cutmix", "motion", "motion_schedule", "temporal_path"}
    fused = {"stream", "scores", "use", "fit", "fusion_weights", "resume_path2", "resume_path3"}
    assert taken[FUSED] - taken[SINGLE] == fused
    assert not taken[FUSED] & {"n_epochs", "learning_rate", "crop", "pretrain_path"}
