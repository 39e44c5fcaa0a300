"""Options from files: as on the command line, with errors that name file and line; and what resuming makes of them."""

import argparse
from argparse import Namespace
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from source_files import ROOT

import opts
from datasets.stores.provenance import frame_rate
from engine.checkpoint import resuming as differences
from engine.command import cli, config
from engine.command.cli import ArgumentParser
from opts import CHANGEABLE, THIS_CALL
from opts.data import workers
from opts.table import build_parser
from utils1 import extract_frames, layer_similarity
from workflows.exporting.export_options import build_parser as exporting
from workflows.predicting.predict_options import build_parser as predicting

PARSER = build_parser()
RECIPES = ("16f", "64f")  # of whole experiments, see tests/commands/test_reproduce.py
PRESETS = sorted(path for path in (ROOT / "configs").rglob("*.yaml") if path.stem not in RECIPES)


def parsed(tmp_path: Path, text: str, *words: str) -> Namespace:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return config.parse(PARSER, ["--config", str(path), *words])


def settings_of(opt: Namespace) -> dict:
    return {name: value for name, value in vars(opt).items() if name not in config.NOT_OPTIONS}


def other_values(action: argparse.Action) -> list:
    """Values that the option may have besides its default."""
    if action.nargs == 0:
        return [action.const] if isinstance(action.const, str) else [True, False]
    if action.choices:
        items = list(action.choices)
    else:
        items = {int: [3, -4], float: [0.1, 1e-05, -2.5, 1e22, float("inf")]}.get(
            action.type,
            ["none", "off", "1e-3", "null", "~", "007", "a b", "-x", "ü: #", "'", "\n", "{}", "true", "\udc80"],
        )
    if action.type is workers:
        items = [0, 3, "auto"]
    if action.type is frame_rate:
        items = [0.0, 12.5]
    if isinstance(action.nargs, int):
        return [[item] * action.nargs for item in items]
    if action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction):
        return [[item] for item in items] + [items[:2], *([[]] if action.nargs == "*" else [])]
    return items


def every_option() -> dict[str, argparse.Action]:
    return {action.dest: action for action in PARSER.settable().values() if action.dest != "config"}


@cache
def settings_when_nothing_is_given() -> dict:
    return settings_of(config.parse(PARSER, []))


@pytest.mark.parametrize("name", every_option())
def test_an_option_that_is_written_is_read_back_the_same(name, tmp_path):
    defaults = settings_when_nothing_is_given()
    for value in [*other_values(every_option()[name]), defaults[name]]:
        config.write_options(tmp_path / "options.yaml", {name: value, "given": [name], "config": "x.yaml"})
        again = config.parse(PARSER, ["--config", str(tmp_path / "options.yaml")])
        assert settings_of(again) == defaults | {name: value}
        assert repr(settings_of(again)[name]) == repr(value)  # 3 is not 3.0


@settings(max_examples=20)
@given(st.data())
def test_any_options_together_are_read_back_the_same(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "together.yaml"
    options = settings_of(config.parse(PARSER, []))
    for name, action in every_option().items():
        options[name] = data.draw(st.sampled_from([*other_values(action), options[name]]))
    config.write_options(path, options)
    assert settings_of(config.parse(PARSER, ["--config", str(path)])) == options


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_preset_is_accepted_and_sets_what_it_says(preset):
    opt = opts.parse_opts(["--config", str(preset)])
    for name, value in yaml.safe_load(preset.read_text()).items():
        words = isinstance(value, list) and all(isinstance(part, str) for part in getattr(opt, name))
        assert getattr(opt, name) == ([str(part) for part in value] if words else value), name
        assert name in opt.given


COMMANDS = [preset for preset in PRESETS if preset.stem != "demo"]  # which demo.py gives to its own


@pytest.mark.parametrize("preset", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_command_in_a_preset_is_one_that_parses(preset):
    text = preset.read_text().replace("\\\n#", "")
    lines = [line for line in text.splitlines() if "python " in line]
    assert lines
    for line in lines:
        words = line.split("python ")[1].split()
        assert (ROOT / words[0]).is_file()
        opt = opts.parse_opts(words[1:])
        if words[0].startswith("test"):
            continue
        assert ROOT / opt.config == preset
        assert opt.learning_rate == yaml.safe_load(preset.read_text())["learning_rate"]


def test_values_are_words_of_the_command_line(tmp_path):
    opt = parsed(tmp_path, "amp: off\nweight_decay: 1e-5\nnum_crops: 10\nnesterov: True\nn_classes:\nn_workers: auto\n")
    assert (opt.amp, opt.weight_decay, opt.num_crops, opt.nesterov, opt.n_classes) == ("off", 1e-5, "10", True, None)
    assert "n_classes" not in opt.given
    assert opt.n_workers == "auto"


def test_other_names_of_an_option_and_constants_work(tmp_path):
    opt = parsed(tmp_path, "MARS_alpha: 2\nno_flip: true\nMARS_pretrain_path: x.pth\n")
    assert (opt.SFS_alpha, opt.flip, opt.pretrain_path) == (2.0, "never", "x.pth")
    assert parsed(tmp_path, "no_flip: false").flip == "auto"


def test_the_command_line_wins_also_over_lists_and_with_a_default(tmp_path):
    text = "output_layers: [layer3, layer4]\nbatch_size: 7\naugment: [erasing]\nonly_RGB: true\n"
    opt = parsed(tmp_path, text, "--output_layers", "avgpool", "--batch_size", "20", "--augment")
    assert (opt.output_layers, opt.batch_size, opt.augment, opt.only_RGB) == (["avgpool"], 20, [], True)
    assert {"output_layers", "batch_size", "augment", "only_RGB", "config"} == set(opt.given)


def test_an_empty_file_sets_nothing(tmp_path):
    assert settings_of(parsed(tmp_path, "# nothing\n")) == settings_of(config.parse(PARSER, []))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nbatchsize: 3", r"c\.yaml:1: unknown option 'a'$"),
        ("\nbatchsize: 3", r"c\.yaml:2: unknown option 'batchsize'; did you mean batch_size\?"),
        ("batch-size: 3", r"did you mean batch_size\?"),
        ("lr: 0.1", r"c\.yaml:1: unknown option 'lr'; did you mean learning_rate\?"),
        ("help: true", "unknown option 'help'"),
        ("config: x", "unknown option 'config'"),
        ("given: x", "unknown option 'given'"),
        ("batch_size: many", r"c\.yaml:1: batch_size: expected a whole number, got 'many'"),
        ("batch_size: 1.5", "batch_size: expected a whole number, got '1.5'"),
        ("batch_size:", "batch_size: expected a whole number, got ''"),
        ("batch_size: true", "batch_size: expected a whole number"),
        ("batch_size: [1, 2]", "batch_size: expected one value, got a list"),
        ("batch_size: {a: 1}", "batch_size: expected one value, got a mapping"),
        ("momentum: x", "momentum: expected a number, got 'x'"),
        ("nesterov: 1", "nesterov: expected true or false, got '1'"),
        ("nesterov: [true]", "nesterov: expected true or false, got a list"),
        ("n_workers: few", "n_workers: 'few' is neither a number >= 0 nor auto"),
        ("lr_schedule: cosin", "lr_schedule: 'cosin' is none of plateau, .*did you mean cosine"),
        ("split: 4", "split: '4' is none of 1, 2, 3"),
        ("distill: [mse, [dkd]]", "distill: expected one value, got a list"),
        ("distill: [mse, kdd]", "distill: 'kdd' is none of"),
        ("distill: []", "distill: expected at least one value"),
        ("color_jitter: [1, 2]", "color_jitter: expected 4 values, got 2"),
        ("batch_size: 1\nbatch_size: 2", r"c\.yaml:2: batch_size is set twice"),
        ("SFS_alpha: 1\nMARS_alpha: 2", r"c\.yaml:2: MARS_alpha is set twice"),
        ("- a\n- b", r"c\.yaml: expected lines 'option: value'"),
        ("text", r"c\.yaml: expected lines"),
        ("a: [1", r"c\.yaml: not YAML"),
        ("--- a\n--- b", r"c\.yaml: not YAML"),
        ("a: " + "[" * 2000, r"c\.yaml: (nested too deeply|not YAML)"),
        ("frame_dir: !!python/object/apply:os.system [touch executed]", "expected one value, got a list"),
        ("x" * (2 << 20), r"c\.yaml: too large"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as raised:
        parsed(tmp_path, text)
    assert "\n" not in str(raised.value)
    assert not Path("executed").exists()


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_named(tmp_path):
    (tmp_path / "b.yaml").write_bytes(b"frame_dir: \xff\xfe")
    with pytest.raises(ValueError, match=r"b\.yaml: not UTF-8"):
        config.parse(PARSER, ["--config", str(tmp_path / "b.yaml")])
    with pytest.raises(FileNotFoundError, match=r"none\.yaml: no such file"):
        config.parse(PARSER, ["--config", str(tmp_path / "none.yaml")])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batchsize", "3"], "unrecognized arguments: --batchsize; did you mean --batch_size?"),
        (["--Only-RGB"], "did you mean --only_RGB?"),
        (["--epochs=3"], "did you mean --n_epochs?"),
        (["--lr", "0.1"], "did you mean --learning_rate?"),
        (["-lr", "0.1"], "did you mean --learning_rate?"),
        (["--bs", "8"], "did you mean --batch_size?"),
        (["--batch", "8"], "did you mean --batch_size?"),
        (["--workers", "8"], "did you mean --n_workers?"),
        (["--fps", "25"], "did you mean --video_fps?"),
        (["--milestones", "3"], "did you mean --lr_milestones?"),
        (["--lr", "0.1", "--wd", "0"], "did you mean --learning_rate, --weight_decay?"),
        (["--zzz"], "unrecognized arguments: --zzz (see"),
        (["stray"], "unrecognized arguments: stray (see"),
    ],
)
def test_a_mistyped_option_is_answered_with_the_one_that_was_meant(words, said, capsys):
    with pytest.raises(SystemExit) as raised:
        opts.parse_opts(words)
    assert raised.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert said in line
    assert line.count("\n") == 1


def test_an_argument_that_an_option_before_it_took_is_asked_for_before_that_option(capsys):
    for parser, words, said in (
        (predicting(), "--weights a.pth film.mp4", "required: INPUT; name it before --weights, which takes every word"),
        (predicting(), "--weights a.pth --top_k 3", "required: INPUT (see"),
        (exporting(""), "a.pth --fusion_weights 1 2", "required: --format (see"),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(words.split())
        assert said in capsys.readouterr().err


def test_other_scripts_answer_in_the_same_way_also_where_an_argument_is_missing(capsys):
    for parse, words, meant in (
        (predicting().parse_args, ["film.mp4", "--checkpoint", "a.pth"], "--weights"),
        (extract_frames.parse_args, ["videos", "frames", "--num_workers", "2"], "--workers"),
        (layer_similarity.parse_args, ["--student", "a", "--teacher", "b", "--bs", "2"], "--batch_size"),
    ):
        with pytest.raises(SystemExit) as raised:
            parse(words)
        assert raised.value.code == 2
        assert f"did you mean {meant}?" in capsys.readouterr().err


def test_every_name_of_another_project_leads_to_an_option():
    options = (
        *ROOT.glob("opts/*.py"),
        *ROOT.glob("utils1/*.py"),
        ROOT / "workflows" / "predicting" / "predict_options.py",
    )
    text = "".join(path.read_text("utf-8") for path in options)
    for alias, names in cli.ALIASES.items():
        for name in names:
            assert f'"--{name}"' in text, alias


def test_refused_options_are_refused_in_files_as_well_and_never_suggested(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parsed(tmp_path, "MARS: true")
    assert "--MARS has no effect" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"unknown option 'MAR'$"):
        parsed(tmp_path, "MAR: 1")


def test_on_and_off_flags_can_be_set_both_ways(tmp_path):
    parser = ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--fused", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--slow", dest="fast", action="store_false")
    for text, fused, fast in (
        ("fused: false", False, True),
        ("no-fused: true\nslow: true", False, False),
        ("slow: false", True, True),
    ):
        (tmp_path / "c.yaml").write_text(text)
        opt = config.parse(parser, ["--config", str(tmp_path / "c.yaml")])
        assert (opt.fused, opt.fast) == (fused, fast)


# What resuming makes of options.


def options_of(*words: str) -> Namespace:
    opt = config.parse(PARSER, words)
    return Namespace(**{"resume_anyway": False} | vars(opt))


def resumed(state: dict, opt: Namespace, source: str) -> Namespace:
    options = differences.resumed_options(
        *(state, vars(opt), source), given=opt.given, here=THIS_CALL, free=CHANGEABLE, anyway=opt.resume_anyway
    )
    return Namespace(**options)


def given(opt: Namespace) -> dict:
    return {name: getattr(opt, name) for name in opt.given}


def state_of(*words: str) -> dict:
    return {"options": vars(options_of(*words))}


def test_what_was_not_given_is_as_in_the_checkpoint_but_this_machine_is_not():
    made = (
        "--batch_size 32 --n_epochs 100 --distill mse --n_workers 9 --device cuda --frame_dir old --nesterov --cutmix 1"
    )
    opt = resumed(state_of(*made.split()), options_of("--frame_dir", "new"), "a.pth")
    assert (opt.batch_size, opt.n_epochs, opt.distill, opt.nesterov, opt.cutmix) == (32, 100, ["mse"], True, 1.0)
    assert (opt.n_workers, opt.device, opt.frame_dir) == ("auto", "auto", "new")


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("--batch_size 32", "--batch_size 16", "batch_size 32 in the checkpoint, 16 now"),
        ("", "--manual_seed 7", "manual_seed 1 in the checkpoint, 7 now"),
        ("", "--model_depth 50", "model_depth 101 in the checkpoint, 50 now"),
        ("", "--optimizer adamw", "optimizer sgd in the checkpoint, adamw now"),
        ("", "--learning_rate 0.5", "learning_rate not set in the checkpoint, 0.5 now"),
        ("", "--split 2", "split 1 in the checkpoint, 2 now"),
        ("", "--distill mse dkd", "distill mse review dkd in the checkpoint, mse dkd now"),
        ("--augment erasing", "--augment", "augment erasing in the checkpoint, not set now"),
        ("", "--nesterov", "nesterov False in the checkpoint, True now"),
        ("", "--pretrain_path x.pth", "pretrain_path '' in the checkpoint, x.pth now"),
        ("--lr_schedule cosine", "--n_epochs 50", "n_epochs 400 in the checkpoint, 50 now"),
        ("--lr_schedule onecycle", "--n_epochs 50", "n_epochs 400 in the checkpoint, 50 now"),
    ],
)
def test_what_would_be_another_run_is_refused_unless_one_insists(before, now, said, caplog):
    state, opt = state_of(*before.split()), options_of(*now.split())
    assert differences.changed_options(state["options"], given(opt), CHANGEABLE | THIS_CALL) == [said]
    with pytest.raises(ValueError, match=r"a\.pth: made with other options: .*--resume_anyway") as raised:
        resumed(state, opt, "a.pth")
    assert said in str(raised.value)
    insisting = Namespace(**vars(opt) | {"resume_anyway": True})
    opt_now = resumed(state, insisting, "a.pth")
    (name,) = set(opt.given)
    assert getattr(opt_now, name) == getattr(opt, name)
    assert said in caplog.text


def test_all_differences_are_listed():
    opt = options_of("--batch_size", "3", "--manual_seed", "5", "--sample_size", "64", "--momentum", "0.9")
    changed = differences.changed_options(state_of()["options"], given(opt), CHANGEABLE | THIS_CALL)
    assert [line.split()[0] for line in changed] == ["batch_size", "manual_seed", "sample_size"]


@pytest.mark.parametrize(
    "now",
    (
        "--n_epochs 500",
        "--checkpoint 1",
        "--n_workers 0",
        "--device cpu",
        "--result_path x",
        "--frame_dir y",
        "--log 0",
    ),
)
def test_what_does_not_make_another_run_may_change(now):
    opt = options_of(*now.split())
    opt_now = resumed(state_of("--pretrain_path", "a.pth"), opt, "a.pth")
    (name,) = opt.given
    assert getattr(opt_now, name) == getattr(opt, name)


def test_a_network_to_start_from_may_have_moved():
    opt = options_of("--pretrain_path", "elsewhere.pth")
    assert resumed(state_of("--pretrain_path", "a.pth"), opt, "b.pth").pretrain_path == "elsewhere.pth"


def test_equal_numbers_keep_the_names_of_files():
    opt = resumed(state_of(), options_of("--SFS_alpha", "50.0"), "a.pth")
    assert str(opt.SFS_alpha) == "50"


def test_published_checkpoints_and_options_of_other_versions_change_nothing():
    opt = options_of("--batch_size", "3")
    assert resumed({"epoch": 3}, opt, "a.pth") == opt
    assert resumed({"options": {"batch_size": 3, "gone": 1}}, opt, "a.pth") == opt


@pytest.mark.parametrize("options", [{"batch_size": "x"}, {"distill": "mse"}, {"nesterov": 1}, [1]])
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=r"a\.pth: its option"):
        resumed({"options": options}, options_of(), "a.pth")


def test_the_tables_name_options_that_exist():
    names = {*vars(options_of()), "given"}
    assert names >= THIS_CALL | CHANGEABLE | differences.COMPARED_AS_BOOL
    assert not THIS_CALL & CHANGEABLE
