"""Curves of runs."""

import importlib.util
import json
import sys

import pytest
import yaml

from engine.checkpoint.rolling import Checkpoints
from engine.command import cli, naming
from engine.monitor.logs import JsonLog, TsvLog, read_rows
from opts import parse_opts
from utils1 import plot_run
from utils1.plot_run import parse_args
from workflows.plotting.curves import COLOURS, choose_metrics, draw, palette, running_mean
from workflows.shared.run_records import curves_of, find_runs, labels, read_run, run_folders

needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
PNG = b"\x89PNG"


def write_run(folder, epochs=4, options=None, **metrics):
    folder.mkdir(parents=True)
    values = {"lr": 0.1, "train_loss": 2.0, "val_loss": 3.0, "train_acc": 0.5, "val_acc": 0.25} | metrics
    rows = [{"epoch": e} | {k: v / e for k, v in values.items()} for e in range(1, epochs + 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    speed = [{"epoch": e, "data_wait": 0.1, "clips_per_second": 100.0, "device": "cpu"} for e in range(1, epochs + 1)]
    (folder / "speed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in speed))
    (folder / "options.yaml").write_text(yaml.safe_dump({"dataset": "HMDB51"} | (options or {})))
    return folder


def change_metrics(folder, change):
    """Change the rows of a run, by their position from 0."""
    rows = [json.loads(line) | change(i) for i, line in enumerate((folder / "metrics.jsonl").read_text().splitlines())]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_record_is_read_by_metric_and_subset(tmp_path):
    run = read_run(write_run(tmp_path / "a", train_loss_mse=1.0))
    assert run.metrics["loss"] == {
        "train": ([1, 2, 3, 4], [2.0, 1.0, 2 / 3, 0.5]),
        "val": ([1, 2, 3, 4], [3.0, 1.5, 1.0, 0.75]),
    }
    assert set(run.metrics) == {"lr", "loss", "acc", "loss_mse", "data_wait", "clips_per_second"}
    assert choose_metrics([run], None) == ["loss", "acc", "loss_mse", "lr", "data_wait", "clips_per_second"]
    assert run.options == {"dataset": "HMDB51"}


def test_the_glob_of_a_run_is_the_run(tmp_path):
    for name in ("flow", "flow_sfs"):
        write_run(tmp_path / name)
        for end in ("train.log", "val.log", "best.pth", "12.pth", "3_step40.pth"):
            (tmp_path / f"{name}_{end}").touch()
    assert find_runs(sorted(tmp_path.glob("flow*"))) == [tmp_path / "flow", tmp_path / "flow_sfs"]
    assert find_runs([tmp_path / "flow_val.log"]) == [tmp_path / "flow"]
    with pytest.raises(FileNotFoundError, match=r"other\.txt: neither"):
        (tmp_path / "other.txt").touch()
        find_runs([tmp_path / "other.txt"])


@pytest.mark.parametrize(
    ("files_of", "words"),
    [
        (naming.single_stream_files, ["--modality", "Flow", "--pretrain_path", "k.pth"]),
        (naming.distillation_files, ["--modality", "RGB_Flow", "--pretrain_path", "k.pth", "--learning_rate", "0.01"]),
        (naming.distillation_files, ["--modality", "RGB_Flow", "--run_name", "x_val.1"]),
    ],
)
def test_every_file_of_a_run_stands_for_it(files_of, words, tmp_path):
    files = files_of(parse_opts([*words, "--result_path", str(tmp_path)]))
    write_run(files.folder)
    checkpoints = Checkpoints(files.checkpoint, files.best, 0)
    for path in (files.train_log, files.val_log, files.best, checkpoints.path(13, 0), checkpoints.path(3, 40)):
        path.touch()
        assert find_runs([path]) == [files.folder], path.name


def published_logs(folder, name="SFS_HMDB51_1_{}_batch20_alpha50.0", third="loss_SFS"):
    train = folder / f"{name.format('train')}.log"
    train.write_bytes(
        f"epoch\tloss\tloss_MSE\t{third}\tacc\tlr\r\n1\t9.0\t7.0\t2.0\t0.5\t0.1\r\n2\t5.0\t4.0\t1.0\t0.6\t0.1\r\n".encode()
    )
    (folder / f"{name.format('val')}.log").write_bytes(b"epoch\tloss\tacc\r\n1\t3.0\t0.25\r\n2\t2.5\t0.5\r\n")
    return train


@pytest.mark.parametrize("third", ["loss_SFS", "loss_MERS"])
def test_logs_of_the_published_code_are_runs_with_the_total_and_the_cross_entropy_apart(third, tmp_path):
    train = published_logs(tmp_path, third=third)
    assert find_runs(sorted(tmp_path.iterdir())) == [train]
    run = read_run(train)
    assert curves_of(run, "loss") == {"train": ([1, 2], [9.0, 5.0])}
    assert curves_of(run, "loss_ce") == {"train": ([1, 2], [2.0, 1.0]), "val": ([1, 2], [3.0, 2.5])}
    assert curves_of(run, "acc") == {"train": ([1, 2], [0.5, 0.6]), "val": ([1, 2], [0.25, 0.5])}
    assert set(run.metrics) == {"loss", "loss_ce", "loss_mse", "acc", "lr"}
    assert labels([run]) == [train.name]


def test_a_damaged_line_of_a_log_is_named(tmp_path):
    train = published_logs(tmp_path)
    with train.open("a") as file:
        file.write("3\tx\t1\t1\t1\t1\r\n")
    with pytest.raises(ValueError, match=r"\.log, line 4: 'x' is no number; delete that line"):
        read_run(train)


def test_distillations_and_other_trainings_share_the_plot_of_the_cross_entropy(tmp_path):
    plain = read_run(write_run(tmp_path / "plain"))
    distilled = read_run(write_run(tmp_path / "sfs", train_loss=30.0, train_loss_ce=2.0, val_loss_ce=3.0))
    assert {name: set(curves_of(run, "loss")) for name, run in (("plain", plain), ("sfs", distilled))} == {
        "plain": {"train", "val"},
        "sfs": {"train"},
    }
    assert curves_of(distilled, "loss_ce") == distilled.metrics["loss_ce"]
    assert curves_of(plain, "loss_ce") == plain.metrics["loss"]


@needs_matplotlib
def test_an_axis_leaves_out_what_is_far_above_all_else_says_so_and_the_curve_keeps_it(tmp_path):
    folder = write_run(tmp_path / "a", epochs=20)
    change_metrics(folder, lambda i: {"train_loss": 1.0 + (4e3 if i == 0 else 0)})
    (loss,) = draw([read_run(folder)], ["loss"], 1).axes
    assert loss.get_ylim() == (0, pytest.approx(1.05 * 1.5))  # of validation: 3, 1.5, 1, ...
    assert [text.get_text() for text in loss.texts] == ["2 above the axis, up to 4e+03"]
    assert max(loss.lines[0].get_ydata()) == 4001
    (whole,) = draw([read_run(folder)], ["loss"], 1, cut=False).axes
    assert whole.get_ylim()[1] > 4001
    assert len(whole.texts) == 0


@needs_matplotlib
def test_a_curve_that_falls_as_losses_do_and_a_short_one_are_whole(tmp_path):
    slow = write_run(tmp_path / "slow", epochs=30)
    change_metrics(slow, lambda i: {"train_loss": 4 * 0.9**i, "val_loss": 4.0})
    for folder in (slow, write_run(tmp_path / "short", epochs=3, train_loss=100.0)):
        (loss,) = draw([read_run(folder)], ["loss"], 1).axes
        assert len(loss.texts) == 0


def test_folders_above_runs_stand_for_all_of_them_and_each_is_taken_once(tmp_path):
    for name in ("b", "a"):
        write_run(tmp_path / "results" / name)
    assert [folder.name for folder in run_folders(tmp_path)] == ["a", "b"]
    assert run_folders(tmp_path / "results" / "a") == [(tmp_path / "results" / "a").resolve()]
    with pytest.raises(FileNotFoundError, match=r"nothing: no metrics.jsonl in or below it"):
        run_folders(tmp_path / "nothing")


def test_the_legend_says_what_differs_and_where_nothing_does_the_folders(tmp_path):
    runs = [
        read_run(write_run(tmp_path / str(i), options={"distill": d, "manual_seed": 1, "result_path": str(i)}))
        for i, d in enumerate((["mse"], ["mse", "dkd"]))
    ]
    assert labels(runs) == ["distill=mse", "distill=mse dkd"]
    same = read_run(write_run(tmp_path / "deep" / "2", options=runs[0].options))
    assert labels([runs[0], same]) == ["0", "deep/2"]
    assert labels([*runs, same]) == ["0  distill=mse", "1  distill=mse dkd", "deep/2  distill=mse"]
    assert labels([same]) == ["2"]
    tuned = read_run(write_run(tmp_path / "a", options={"pretrain_path": "x/y/kinetics.pth"}))
    assert labels([tuned, read_run(write_run(tmp_path / "b"))]) == ["pretrain_path=kinetics.pth", "pretrain_path=-"]


@pytest.mark.parametrize(
    ("width", "expected"), [(1, [1, 2, 6, 3]), (2, [1.5, 4, 4.5, 3]), (3, [1.5, 3, 11 / 3, 4.5]), (99, [3, 3, 3, 3])]
)
def test_smoothing_is_a_mean_around_each_epoch_of_which_nan_spoils_only_its_neighbours(width, expected):
    assert running_mean([1, 2, 6, 3], width) == pytest.approx(expected)
    assert running_mean([1, float("nan"), 3, 4, 5], 2)[2:] == [3.5, 4.5, 5]


@needs_matplotlib
def test_a_picture_is_written_whole_and_the_last_of_its_lines_may_be_under_way(tmp_path, capsys, caplog):
    folder = write_run(tmp_path / "a", train_loss_mse=1.0)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 5, "lr"')
    out = plot_run.main(
        parse_args([str(folder), str(write_run(tmp_path / "b")), "--out", str(tmp_path / "c" / "o.png")])
    )
    assert out.read_bytes()[:4] == PNG
    assert [path.name for path in out.parent.iterdir()] == ["o.png"]
    assert "6 metrics of 2 runs" in capsys.readouterr().out
    assert "metrics.jsonl: its last line was cut off" in caplog.text


@needs_matplotlib
def test_every_run_has_a_colour_every_subset_a_style_and_lr_is_never_smoothed(tmp_path):
    runs = [read_run(write_run(tmp_path / name, options={"manual_seed": name})) for name in "abc"]
    figure = draw(runs, ["loss", "lr"], 2)
    loss, lr = figure.axes
    assert {line.get_color() for line in loss.lines} == set(COLOURS[:3])
    assert len(loss.lines) == 3 * 2 * 2  # train and validation, smooth and as they are
    assert {line.get_linestyle() for line in loss.lines} == {":", "-"}
    assert [line.get_alpha() for line in lr.lines] == [None] * 3
    assert [*lr.lines[0].get_ydata()] == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025])
    assert lr.get_yscale() == "log"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["manual_seed=a", "manual_seed=b", "manual_seed=c", "training", "validation"]
    assert len({str(colour) for colour in palette(20)}) == 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "acuracy"], r"--metric acuracy: these runs have acc, clips_per_second, data_wait, loss, lr"),
        (["--smooth", "0"], "--smooth 0: a number of epochs"),
        pytest.param(["--out", "o.xyz"], "xyz", marks=needs_matplotlib),
    ],
)
def test_what_cannot_be_drawn_is_said_and_leaves_nothing(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        plot_run.main(parse_args([str(write_run(tmp_path / "a")), *words]))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_without_matplotlib_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    words = [str(write_run(tmp_path / "a"))]
    with pytest.raises(SystemExit) as stopped:
        cli.run(plot_run.main, lambda: parse_args(words))
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: pictures need matplotlib: pip install matplotlib\n"


def test_a_run_without_an_epoch_is_said(tmp_path):
    run = read_run(write_run(tmp_path / "a", epochs=0))
    with pytest.raises(ValueError, match=r"metrics.jsonl: no epoch is finished yet"):
        choose_metrics([run], None)


@pytest.mark.parametrize("line", ["{", "[1]", '{"lr": 1}', '{"epoch": "x"}', "\0\0"])
def test_a_damaged_line_is_named(line, tmp_path):
    folder = write_run(tmp_path / "a", epochs=1)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 2: .*; delete that line"):
        read_run(folder)


def test_damaged_options_are_named(tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / "options.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=r"options.yaml: not YAML"):
        read_run(folder)


def test_logs_go_on_after_a_crash_in_the_middle_of_a_line(tmp_path, caplog):
    record, table = tmp_path / "metrics.jsonl", tmp_path / "train.log"
    columns = {"epoch": "epoch", "loss": "loss"}
    whole = [{"epoch": e, "loss": e / 7} for e in (1, 2)]
    for made in (JsonLog(record, 1), TsvLog(table, columns, 1)):
        for row in whole:
            made.write(row)
    before = record.read_bytes(), table.read_bytes()
    for path, torn in ((record, '{"epoch": 3, "lo'), (table, "3\t0.4")):
        with path.open("a") as file:
            file.write(torn)
    JsonLog(record, 3), TsvLog(table, columns, 3)
    assert (record.read_bytes(), table.read_bytes()) == before
    assert read_rows(record) == whole
    assert caplog.text.count("its last line was cut off") == 2
