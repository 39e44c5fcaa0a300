"""A run from beginning to end: its names, what is refused before data are read, and the command that goes on."""

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import QUICK, TINY, write_hmdb51
from source_files import ROOT

import STS_train
import test_single_stream
import test_two_stream
import train
from datasets import FLOW, RGB_DIFF
from engine import checkpoint
from engine.checkpoint.lock import Lock, check_results
from engine.checkpoint.rolling import Checkpoints
from engine.command import config, naming
from engine.training.best import Best
from opts import ARCHITECTURE, DISTILL, FUSED, SINGLE, TRAIN, build_parser, parse_opts
from workflows.shared.command_lines import command, words_of
from workflows.training import next_step, teachers


def commands(text: str) -> list[list[str]]:
    """Words of every command that a log proposes."""
    lines = [line.partition(": ")[2] for line in text.splitlines() if ": python " in line]
    return [shlex.split(line) for line in lines]


def named(root: Path, modality: str, *words: object):
    data = root / "own data"
    paths = ["--frame_dir", data / "frames", "--annotation_path", data / "labels", "--result_path", root / "results"]
    return parse_opts([*map(str, paths), *TINY, *QUICK, "--modality", modality, *map(str, words)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """RGB, flow and the student of both, with names, and what each said at its end; in a folder with a space."""
    root = tmp_path_factory.mktemp("runs")
    write_hmdb51(root / "own data", classes=("brush_hair", "cartwheel"), train=3, test=1)
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for name, modality in (("rgb", "RGB"), ("flow", "Flow"), ("flow_sfs", "RGB_Flow")):
            lines: list[str] = []
            patch.setattr("workflows.training.session.log.info", lines.append)
            teacher = ["--resume_path1", root / "results" / "HMDB51" / "flow_best.pth"] if name == "flow_sfs" else []
            script = STS_train if teacher else train
            script.main(named(root, modality, "--run_name", name, *teacher))
            said[name] = "\n".join(lines)
    return root, said


def test_a_run_with_a_name_has_short_file_names(runs):
    root, _ = runs
    folder = root / "results" / "HMDB51"
    for name in ("rgb", "flow", "flow_sfs"):
        files = {path.name for path in folder.iterdir() if path.is_file() and path.name.startswith(f"{name}_")}
        files -= {file for file in files if name == "flow" and file.startswith("flow_sfs")}
        assert files == {f"{name}_{end}" for end in ("1.pth", "best.pth", "train.log", "val.log")}
        records = {path.name for path in (folder / name).iterdir()}
        assert {"metrics.jsonl", "options.yaml", "speed.jsonl", "tensorboard"} <= records
        assert checkpoint.load(folder / f"{name}_best.pth")["options"]["run_name"] == name


def test_every_training_ends_with_its_best_checkpoint_and_commands_that_the_parser_reads(runs):
    root, said = runs
    best = {name: root / "results" / "HMDB51" / f"{name}_best.pth" for name in said}
    scripts = {}
    for name, text in said.items():
        assert text.startswith(f"best checkpoint: {best[name]} (validation accuracy ")
        for words in commands(text):
            assert words[0] == "python"
            opt = parse_opts(words[2:], words[1])
            folders = [str(root / "own data" / part) for part in ("frames", "labels")]
            assert [opt.frame_dir, opt.annotation_path] == folders
            scripts.setdefault(name, []).append((words[1], opt.modality, opt.resume_path1, opt.resume_path2))
    assert scripts["rgb"] == [("test_single_stream.py", "RGB", str(best["rgb"]), "")]
    assert scripts["flow"] == [("STS_train.py", "RGB_Flow", str(best["flow"]), "")]
    assert scripts["flow_sfs"] == [("test_two_stream.py", "RGB", str(best["rgb"]), str(best["flow_sfs"]))]


def test_the_distillation_that_is_proposed_trains_as_its_teacher_did(runs):
    _, said = runs
    (words,) = commands(said["flow"])
    opt = parse_opts(words[2:], words[1])
    taught = checkpoint.load(opt.resume_path1)["options"]
    read = {action.dest for action in build_parser(DISTILL).settable().values()}
    same = (taught.keys() & read) - next_step.TEACHER_ONLY
    assert {name: getattr(opt, name) for name in same} == {name: taught[name] for name in same}
    assert opt.run_name == "flow_sfs"


RECIPE = """\
model: resnet
model_depth: 10
width: 0.5
sample_size: 64
batch_size: 8
learning_rate: 0.002
flip: never
n_epochs: 48
distill: [mse, review, dkd]
distill_norm: variance
distill_warmup: 1
SFS_alpha: 1
review_layers: [layer1, layer2]
dkd_alpha: 2
"""


STUDENT = ["--modality", "RGB_Flow", "--resume_path1", "f.pth"]


def student_of(*words: object):
    """Options of the student that a run of train.py with these words proposes, and the words for it."""
    words_of_student = next_step.student_words(vars(parse_opts([*map(str, words)], TRAIN)))
    return parse_opts([*STUDENT, *words_of_student], DISTILL), words_of_student


def settings(opt) -> dict[str, object]:
    return {name: value for name, value in vars(opt).items() if name not in ("given", "config", "run_name")}


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "my train.yaml"
    path.write_text(RECIPE)
    return path


def test_the_distillation_that_is_proposed_is_that_of_the_file_of_its_teacher(file, tmp_path):
    data = ["--config", file, "--dataset", "List", "--frame_dir", tmp_path, "--run_name", "flow"]
    student, words = student_of(*data, "--modality", "Flow", "--n_epochs", 1)
    assert settings(student) == settings(parse_opts([*map(str, data), *STUDENT], DISTILL))
    assert (student.distill_norm, student.SFS_alpha, student.n_epochs) == ("variance", 1, 48)
    assert (student.run_name, words[:2]) == ("flow_sfs", ["--config", str(file)])
    assert not [word for word in words if word.startswith(("--dist", "--dkd", "--width", "--batch", "--flip"))]


def test_what_was_typed_beside_a_file_holds_for_the_student_even_if_it_is_the_default(file):
    default = parse_opts([]).batch_size
    student, words = student_of("--config", file, "--modality", "Flow", "--batch_size", default, "--flip", "auto")
    assert (student.batch_size, student.flip, student.distill_norm) == (default, "auto", "variance")
    assert {"--batch_size", "--flip"} <= set(words)


@pytest.mark.parametrize("line", ["modality: Flow", "n_classes: 21", "pretrain_path: flow.pth\nn_classes: 400"])
def test_a_file_of_the_teacher_alone_is_written_out(line, file):
    file.write_text(f"{RECIPE}{line}\n")
    student, words = student_of("--config", file, "--modality", "Flow", "--n_epochs", 1)
    assert "--config" not in words
    assert (student.modality, student.pretrain_path, student.n_classes) == ("RGB_Flow", "", None)
    assert (student.distill, student.distill_norm, student.SFS_alpha) == (["mse", "review", "dkd"], "variance", 1)
    assert (student.review_layers, student.width, student.n_epochs) == (["layer1", "layer2"], 0.5, 48)


def test_epochs_that_no_file_sets_are_those_of_the_teacher(file):
    file.write_text("distill_norm: variance\n")
    for words in ([], ["--config", file]):
        assert student_of(*words, "--modality", "Flow", "--n_epochs", 7)[0].n_epochs == 7


def test_a_file_that_cannot_be_read_is_named_so_that_the_distillation_says_so(file, capsys):
    options = vars(parse_opts(["--modality", "Flow", "--n_epochs", "7"], TRAIN))
    for break_file in (lambda: file.write_text("distill_norm: loud\n"), file.unlink):
        break_file()
        words = next_step.student_words(options | {"config": str(file)})
        with pytest.raises(SystemExit):
            parse_opts([*STUDENT, *words], DISTILL)
        assert f"error: {file}" in capsys.readouterr().err


def test_a_student_of_an_earlier_flow_network_reads_the_flow_of_that_run(tmp_path):
    folder = tmp_path / "results" / "HMDB51"
    (folder / "flow").mkdir(parents=True)
    (tmp_path / "frames").mkdir()
    torch.save({}, folder / "flow_best.pth")
    torch.save({}, folder / "rgb_best.pth")
    flow = ["--modality", "Flow", "--frame_dir", str(tmp_path / "frames")]
    config.write_options(folder / "flow" / "options.yaml", vars(parse_opts(flow)))
    rgb = "--modality RGB --only_RGB --layout video --video_fps source --run_name rgb".split()
    opt = parse_opts([*rgb, "--frame_dir", "films", "--result_path", str(tmp_path / "results")], TRAIN)
    _, tested, distilled = next_step.next_lines(naming.single_stream_files(opt), Best(0.5, -1.0, 0.5), vars(opt))
    ((script, *words),) = [line[1:] for line in commands(distilled)]
    student = parse_opts(words, script)
    assert distilled.startswith("or distil flow_best.pth: ")
    assert (student.frame_dir, student.layout, student.video_fps) == (str(tmp_path / "frames"), "auto", 25)
    assert not student.only_RGB
    assert ("--frame_dir films" in tested, "--layout video" in tested) == (True, True)
    (tmp_path / "frames").rmdir()
    first, _ = next_step.next_lines(naming.single_stream_files(opt), Best(0.6, -1.0, 0.5), vars(opt))
    assert first.endswith("(validation accuracy 0.500; the highest, 0.600, is not above it beyond chance)")


@pytest.mark.parametrize("distilled", [False, True])
def test_students_and_networks_of_other_streams_have_next_steps_of_their_own(distilled):
    words = {"data": {SINGLE: [], FUSED: []}, "student": [], "distilled": distilled}
    others = {"RGB": Path("rgb.pth"), "Flow": None}
    ((aim, line),) = next_step.next_steps(FLOW, Path("best.pth"), others, **words)
    assert aim == "next, distil it into an RGB network"
    assert parse_opts(shlex.split(line)[2:], DISTILL).resume_path1 == "best.pth"
    (aim, alone), (_, together) = next_step.next_steps(RGB_DIFF, Path("best.pth"), others, **words)
    assert aim == "next, test it"
    assert parse_opts(shlex.split(alone)[2:], SINGLE).modality == "RGBDiff"
    assert parse_opts(shlex.split(together)[2:], FUSED).stream == ["rgb=rgb.pth", "rgbdiff=best.pth"]


def test_proposed_tests_run_as_they_are_and_their_files_have_the_name_of_the_run(runs):
    root, said = runs
    for name, module in (("rgb", test_single_stream), ("flow_sfs", test_two_stream)):
        (words,) = commands(said[name])
        module.main(parse_opts(words[2:], words[1]))
    made = {path.name for path in (root / "results" / "HMDB51").glob("test_*")}
    assert {"test_rgb.txt", "test_rgb.npz"} <= made
    fused = parse_opts(["--run_name", "ours"])
    assert naming.fused_test_file(fused, "RGB_SFS").name == "test_ours_RGB_SFS.txt"


@pytest.mark.slow
def test_what_is_printed_runs_in_a_shell(runs):
    _, said = runs
    (line,) = [line.partition(": ")[2] for line in said["flow"].splitlines() if ": python " in line]
    line = line.replace("python", shlex.quote(sys.executable), 1)
    line = line.replace("--run_name flow_sfs", "--run_name shell_sfs")  # flow_sfs is there by now
    done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_resuming_goes_on_with_the_files_of_the_name(runs):
    root, _ = runs
    folder = root / "results" / "HMDB51"
    train.main(named(root, "RGB", "--run_name", "again"))
    train.main(named(root, "RGB", "--run_name", "again", "--resume", "auto", "--n_epochs", 2))
    assert (folder / "again_2.pth").exists()
    train.main(named(root, "RGB", "--resume", folder / "again_2.pth", "--n_epochs", 3))
    assert (folder / "again_3.pth").exists()
    assert len((folder / "again" / "metrics.jsonl").read_text().splitlines()) == 3
    assert len((folder / "again_train.log").read_text().splitlines()) == 1 + 3
    with pytest.raises(ValueError, match=r"again_3\.pth: is newer than .*again_2\.pth"):
        train.main(named(root, "RGB", "--resume", folder / "again_2.pth"))


def test_a_name_that_is_in_use_is_refused_before_the_data_are_read(runs):
    root, _ = runs
    for run in (("--frame_dir", root / "nowhere"), ()):
        with pytest.raises(ValueError, match=r"holds checkpoints of this run already: .*--run_name"):
            train.main(named(root, "RGB", "--run_name", "rgb", *run))


@pytest.mark.parametrize("name", ["", "a/b", "../a", "-a", ".a", "a b", "{}", "x" * 101, "a\n"])
def test_names_that_are_no_file_names_are_refused(name, capsys):
    with pytest.raises(SystemExit) as raised:
        parse_opts([f"--run_name={name}"])
    assert raised.value.code == 2
    assert capsys.readouterr().err.startswith("error: --run_name ")


def test_other_names_are_fine_and_one_from_a_checkpoint_is_checked_as_well():
    for name in ("rgb", "r18+flow_2.0", "Fluß", "7"):
        assert parse_opts([f"--run_name={name}"]).run_name == name
    opt = parse_opts([])
    opt.run_name = "../../outside"
    for files_of in (naming.single_stream_files, naming.distillation_files, naming.single_test_file):
        with pytest.raises(ValueError, match="--run_name"):
            files_of(opt)


def test_what_another_run_is_writing_is_not_swept_away(tmp_path):
    (tmp_path / "rgb").mkdir()
    mine = [tmp_path / f".rgb_{end}.123.part" for end in ("1.pth", "2_step7.pth", "best.pth", "train.log")]
    others = {tmp_path / f".rgb_{end}.123.part" for end in ("sfs_1.pth", "2_1.pth", "sfs_best.pth", "sfs_train.log")}
    for path in (*mine, *others):
        path.touch()
    files = Checkpoints(str(tmp_path / "rgb_{}.pth"), tmp_path / "rgb_best.pth", 0)
    files.sweep(tmp_path / "rgb", tmp_path / "rgb_train.log")
    assert {*tmp_path.glob(".*")} == others


def files_in(folder: Path) -> naming.RunFiles:
    return naming.single_stream_files(parse_opts(["--result_path", str(folder), "--run_name", "a"]))


def test_a_result_folder_that_cannot_be_had_is_refused_and_nothing_is_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file: is a file, .*--result_path"):
        check_results(files_in(tmp_path / "file"), resuming=False)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(PermissionError, match="cannot be written to; use another --result_path"):
        check_results(files_in(tmp_path / "new"), resuming=False)
    monkeypatch.undo()
    check_results(files_in(tmp_path / "new"), resuming=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_which_another_run_writes_is_refused_early(tmp_path):
    files = files_in(tmp_path)
    with Lock(files.folder), pytest.raises(ValueError, match=r"another run .* writes here"):
        check_results(files, resuming=True)
    check_results(files, resuming=True)


def test_the_clips_of_an_incomplete_batch_are_counted(runs, caplog):
    root, _ = runs
    caplog.set_level(logging.INFO)
    train.main(named(root, "RGB", "--run_name", "odd", "--val_fraction", 0))
    (line,) = [line for line in caplog.messages if "do not fill a batch" in line]
    assert line.startswith("2 of 6 training clips are left out of each epoch, other ones each time")


def test_a_student_of_another_architecture_needs_no_word_about_its_teacher(runs, caplog):
    root, _ = runs
    caplog.set_level(logging.INFO)
    teacher = ["--resume_path1", root / "results" / "HMDB51" / "flow_best.pth", "--distill", "review", "dkd"]
    narrow = [*teacher, "--width", "0.03125", "--model_depth", 18, "--run_name", "narrow"]
    STS_train.main(named(root, "RGB_Flow", *narrow))
    assert "the student has model_depth 18, its teacher 10; width 0.03125, its teacher 0.0625" in caplog.text
    assert "not given" not in caplog.text
    problem = "--distill mse: avgpool of the student has 16 channels, avgpool of the teacher 32"
    with pytest.raises(ValueError, match=problem):
        STS_train.main(named(root, "RGB_Flow", *teacher[:2], *narrow[5:-1], "narrower", "--distill", "mse"))


def test_a_student_that_is_told_nothing_says_what_it_is(caplog):
    caplog.set_level(logging.INFO)
    opt = parse_opts(["--model", "resnet"])
    student = {option: getattr(opt, option) for option in ARCHITECTURE}
    stated = {"model": "resnet", "model_depth": 18, "width": 0.5}
    assert teachers.architecture_in({"options": stated}, opt.width) == stated
    teachers.tell_student(student, student | stated, "", given=opt.given)
    assert "not given, so the student's is the default: model_depth, width" in caplog.text
    assert "--model_depth 18 --width 0.5" in caplog.text


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_published_teacher_has_the_network_it_names_and_the_width_of_its_weights(prefix):
    weights = {f"{prefix}conv1.weight": torch.zeros(64, 2, 7, 7, 7)}
    taught = teachers.architecture_in({"arch": "resnext-101", "state_dict": weights}, 0.5)
    assert (taught["model"], taught["model_depth"], taught["width"]) == ("resnext", 101, 1.0)
    assert "resnet_shortcut" not in taught  # nothing shows it, so that it is what the options say
    bare = teachers.architecture_in({f"{prefix}conv1.weight": torch.zeros(32, 2, 7, 7, 7)}, 0.5)
    assert not {"model_depth", "width"} & bare.keys()


def test_options_become_the_words_that_set_them():
    words = (
        "--dataset UCF101 --only_RGB --augment erasing color_jitter --crop_scales 1.0 0.5 --output_layers layer4 "
        "--output_layers avgpool --learning_rate 1e-05 --flip never --video_fps 0.0 --compile max-autotune"
    ).split()
    opt = parse_opts(words)
    again = parse_opts(words_of({name: value for name, value in vars(opt).items() if name != "given"}))
    assert vars(again) | {"given": opt.given} == vars(opt)
    assert words_of({"frame_dir": "-a b"}) == ["--frame_dir=-a b"]


def test_commands_name_scripts_as_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, script, word = shlex.split(command("train.py", ["it's"]))
    assert (tmp_path / script).samefile(ROOT / "train.py")
    assert word == "it's"


def test_a_run_of_another_split_or_with_damaged_options_is_not_proposed(tmp_path):
    for name, text in (("a", "modality: Flow\nsplit: 2\n"), ("b", "{"), ("c", "modality: Flow\nsplit: 1\n")):
        (tmp_path / "HMDB51" / name).mkdir(parents=True)
        (tmp_path / "HMDB51" / name / "options.yaml").write_text(text)
        torch.save({}, tmp_path / "HMDB51" / f"{name}_best.pth")
    folder = tmp_path / "HMDB51"
    assert next_step.newest_best(folder, "Flow", 1) == folder / "c_best.pth"
    assert next_step.newest_best(folder, "RGB", 1) is None
