"""Names in other projects of the options of this project."""

# Options of this project, of which those count that a script has -> the names that other projects give them.
NAMES = {
    ("annotation_path",): "annotations labels",
    ("model",): "arch",
    ("batch_size",): "batch bs b",
    ("weights",): "checkpoint model",
    ("resume_path1", "weights"): "ckpt",
    ("sample_duration",): "clip_len frames num_frames",
    ("sample_size",): "crop_size image_size img_size input_size",
    ("frame_dir",): "data data_dir data_path root",
    ("n_epochs",): "ep max_epochs num_epochs",
    ("run_name",): "exp_name name",
    ("amp",): "fp16 bf16 tf32",
    ("device",): "gpu gpus",
    ("n_workers", "workers"): "j jobs num_workers processes threads",
    ("learning_rate",): "lr",
    ("n_classes",): "num_classes",
    ("optimizer",): "opt",
    ("result_path",): "out",
    ("out", "result_path"): "out_dir output output_dir",
    ("pretrain_path",): "pretrained",
    ("resume_path1",): "resume_path",
    ("result_path", "out"): "save_dir",
    ("lr_schedule",): "sched scheduler",
    ("SFS_resume_path",): "student",
    ("weight_decay",): "wd",
    ("n_workers",): "workers",
}
ALIASES = {name: options for options, names in NAMES.items() for name in names.split()}
