"""Commands of IBM's study in the options of here: the same settings, or a reason why not."""

import shlex

import pytest

from opts import parse_opts
from utils1 import import_config
from workflows.importing.study_options import build_parser, import_command

I3D = "--datadir D --threed_data --dataset kinetics400 --frames_per_group 1 --groups 8 --logdir snapshots/ --lr 0.01"
I3D += " --backbone_net i3d -b 64 -j 64"
RELEASED = "test.py --datadir D --pretrained F --groups 32 -e --without_t_stride --num_crops 3 --input_size 256"
RELEASED += " --disable_scaleup -b 6 -j 24"
DATA = "--dataset List --frame_dir D --annotation_path D --n_workers {} --modality RGB --only_RGB"
PUBLISHED = {  # theirs -> ours
    f"train.py {I3D}": f"train.py {DATA.format(64)} --result_path snapshots/ --model i3d --model_args "
    "temporal_stride=on dropout=0.5 --sample_duration 8 --sample_size 224 --short_side 256 --crop fixed "
    "--batch_size 64 --optimizer sgd "
    "--learning_rate 0.01 --momentum 0.9 --dampening 0 --weight_decay 0.0005 --n_epochs 50 --lr_schedule cosine "
    "--init imagenet",
    f"test.py {I3D} -e --pretrained F --num_clips 3 --num_crops 3": f"test_single_stream.py {DATA.format(64)} "
    "--result_path snapshots/ --model i3d --model_args temporal_stride=on dropout=0.5 --sample_duration 8 "
    "--sample_size 224 --short_side 256 --resume_path1 F --test_sampling segments --num_clips 3 --num_crops 3",
    f"{RELEASED} --frames_per_group 2 --dataset kinetics400 --num_clips 10 --dense_sampling --backbone_net i3d_resnet "
    f"-d 50": f"test_single_stream.py {DATA.format(24)} --model i3d_resnet --model_depth 50 --model_args "
    "temporal_stride=off dropout=0.5 --sample_duration 32 --sample_size 256 --clip_stride 2 --resume_path1 F "
    "--test_sampling spaced --num_clips 10 --num_crops 3",
    f"{RELEASED} --frames_per_group 1 --dataset st2stv2 --num_clips 2 --backbone_net resnet -d 101 "
    f"--temporal_module_name TAM": f"test_single_stream.py {DATA.format(24)} --model resnet2d --model_depth 101 "
    "--model_args temporal_stride=off dropout=0.5 temporal=tam blend_frames=3 blend_method=sum --sample_duration 32 "
    "--sample_size 256 --resume_path1 F --test_sampling segments --num_clips 2 --num_crops 3",
    "train.py --datadir D --dataset mini_st2stv2 --modality flow --groups 8 --frames_per_group 2 --augmentor_ver v2 "
    "--scale_range 224 448 --backbone_net inception_v1 --mean 0.5 --std 0.226 --lr_scheduler multisteps "
    "--lr_steps 10 20 --cg 20 --sync-bn --pretrained F --disable_scaleup -j 1 -b 8": "train.py --dataset List "
    "--frame_dir D --annotation_path D/mini_train.txt --n_workers 1 --modality Flow --no_flip --model googlenet "
    "--model_args "
    "temporal_stride=on dropout=0.5 flow_stack=5 --normalisation 127.5 127.5 57.63 57.63 --sample_duration 80 "
    "--sample_size 224 --crop short_side --crop_scales 1 2 --batch_size 8 --optimizer sgd --learning_rate 0.01 "
    "--momentum 0.9 --dampening 0 --weight_decay 0.0005 --n_epochs 50 --lr_schedule multistep --lr_milestones 10 20 "
    "--sync_bn --clip_grad 20 --pretrain_path F --ft_begin_index 0",
}


@pytest.mark.parametrize("line", PUBLISHED)
def test_published_commands_are_these_and_parse(line):
    command = import_command(line.split())
    assert " ".join([command.script, *command.words]) == PUBLISHED[line]
    opt = parse_opts(command.words, command.script)
    assert "train" in command.script or opt.resume_path1 == "F"
    unread = {"threed_data": "--threed_data" in line, "batch_size": "test.py" in line and " -b " in line}
    assert set(command.dropped) == {name for name, there in unread.items() if there}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (
            "train.py --datadir D --random_sampling --num_clips 3 --num_crops 3",
            {"random_sampling", "num_clips", "num_crops"},
        ),
        ("train.py --datadir D --backbone_net i3d --temporal_module_name TAM", {"temporal_module_name"}),
        ("train.py --datadir D --backbone_net s3d --depth 50", {"depth"}),
        ("test.py --datadir D -e --pretrained F --lr 0.1 --nesterov", {"lr", "nesterov"}),
    ],
)
def test_options_that_change_nothing_are_named(line, names):
    dropped = import_command(line.split()).dropped
    assert set(dropped) == names
    assert set(dropped.values()) == {f"the study's {line.split()[0]} does nothing with it here"}


OTHER = {"datadir": "E", "backbone_net": "resnet", "resume": "R", "pretrained": "P", "mean": "0.4", "std": "0.3"}
BASES = [
    "train.py --datadir D --backbone_net resnet --temporal_module_name TAM --lr_scheduler step --dense_sampling",
    "train.py --datadir D --lr_scheduler multisteps --augmentor_ver v2 --no_imagenet_pretrained --mean 0.5 --std 0.5",
    "test.py --datadir D -e --pretrained F --groups 8 --backbone_net inception_v1",
]


def other_value(action) -> list[str]:
    if action.nargs == 0:
        return []
    if action.dest in OTHER:
        return [OTHER[action.dest]]
    if action.choices:
        return [str(next(value for value in reversed([*action.choices]) if value != action.default))]
    return ["7"] * (action.nargs if isinstance(action.nargs, int) else 1)


def test_every_option_of_the_study_changes_something_or_is_named():
    silent = []
    actions = [action for action in build_parser("train.py")._actions if action.dest != "help"]
    for action in actions:
        changed = [action.option_strings[0], *other_value(action)]
        changed += {"mean": ["--std", "0.3"], "std": ["--mean", "0.4"], "evaluate": ["--pretrained", "F"]}.get(
            action.dest, []
        )
        pairs = [(import_command(base.split()), import_command([*base.split(), *changed])) for base in BASES]
        if all(before == after for before, after in pairs):
            silent.append(action.dest)
    assert len(actions) > 45
    assert silent == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "expected train.py or test.py"),
        ("main.py --datadir D", "main.py: expected train.py or test.py"),
        ("test.py --datadir D -e", "--pretrained FILE is missing"),
        ("test.py --datadir D --pretrained F", "python predict.py D --weights F --json"),
        ("train.py --datadir D --mean 0.5 0.5 0.5", "--mean and --std go together"),
    ],
)
def test_what_cannot_be_taken_over_is_one_line(line, message):
    with pytest.raises(ValueError, match=message):
        import_command(line.split())


def test_the_command_is_printed_with_what_is_left_out(capsys):
    import_config.main(import_config.parse_args(["--study", f"train.py {I3D} --gpu 0"]))
    *left_out, line = capsys.readouterr().out.splitlines()
    assert left_out == [
        "--threed_data: not taken over (follows from the network)",
        "--gpu: not taken over (train.py and test_single_stream.py have --device)",
    ]
    script, *words = shlex.split(line)[1:]
    assert parse_opts(words, script).model == "i3d"
    with pytest.raises(ValueError, match="give SRC and DST, or --study and a command"):
        import_config.main(import_config.parse_args([]))
