"""Stages of training runs: several processes on one GPU, and flow that is computed while training.

As a program, `python -m benchmarks.gpu_stages.training_runs`, it is one of these processes.
"""

from argparse import ArgumentParser
from pathlib import Path

import cv2
import torch
import torch.distributed as dist

from benchmarks.common.report import Record
from datasets.synthetic import CLASSES, render, video_name, write_labels

from .session import Session, run_process, run_processes

TINY = "--model resnet --model_depth 10 --width 0.125 --sample_size 32 --sample_duration 8 --learning_rate 0.001"
RUN = "--batch_size 2 --n_workers 0 --n_epochs 2 --only_RGB --iter_size 2 --sync_bn --max_bad 1"
MODULE = "benchmarks.gpu_stages.training_runs"
KINDS = {  # processes and --save_steps
    "nccl, 1 process": (1, 0),
    "gloo for CUDA, 2 processes": (2, 0),
    "gloo for CUDA, 2 processes, save_steps": (2, 1),
}


def train_in_processes(session: Session, rows: Record) -> None:
    """Train a tiny network by one process with NCCL, and by two as torchrun starts them.

    Two processes cannot share a GPU under NCCL: gloo takes its place for tensors of the GPU, and as with NCCL nothing
    takes those of the CPU.
    """
    root = session.work / "tree"
    write_tree(root)
    for number, (name, (world, save_steps)) in enumerate(KINDS.items()):
        if world == 1 and not session.gpu:
            continue
        words = ["-m", MODULE, "--root", root, "--results", session.work / str(number), "--save_steps", save_steps]
        words += ["--gloo"] if world > 1 else []
        shared = {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "LOCAL_RANK": "0"}
        shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29600 + number)}
        shared |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
        jobs = [(words, shared | {"RANK": str(rank)}) for rank in range(world)]
        ends = run_processes(jobs, max(10.0, min(60.0, session.left() - 10)))
        rows[name] = {"exit_codes": [code for code, _ in ends], "ends": [text[-700:] for _, text in ends]}
        session.save()


def write_tree(root: Path) -> None:
    """Write frames and labels of a tiny data set; frames, for video files need libraries that may be missing."""
    for index, name in enumerate(CLASSES[:2]):
        sources = range(4 * index, 4 * index + 4)
        write_labels(root / "labels", name, sources, test_sources=1)
        for source in sources:
            for clip in range(2):
                folder = root / "frames" / name / video_name(name, source, clip).removesuffix(".avi")
                folder.mkdir(parents=True)
                for number, frame in enumerate(render(name, source, clip, frames=10)[0], 1):
                    cv2.imwrite(str(folder / f"{number:05d}.jpg"), frame)


def time_online_flow(session: Session, rows: Record) -> None:
    """Run benchmarks/online_flow.py: a step whose flow is computed here, beside one that reads it."""
    network = "--model resnext --model_depth 101 --width 1 --batch_size 16 --n_workers 12 --steps 3 --rounds 2"
    words = "--width 0.25 --steps 2 --rounds 1 --size 64x48" if session.dry else network
    out = session.folder / "online_flow.json"
    seconds = max(15.0, min(100.0, session.left() - 8))
    rows["exit_code"], text = run_process(["benchmarks/online_flow.py", *words.split(), "--out", out], seconds)
    rows["ends"] = text[-2500:]


def main() -> None:
    """Train as one of the processes that the environment describes."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--results", required=True)
    parser.add_argument("--save_steps", required=True)
    parser.add_argument("--gloo", action="store_true")
    opt = parser.parse_args()
    on_gpu, start = torch.cuda.is_available(), dist.init_process_group
    if opt.gloo:
        dist.init_process_group = lambda backend, **options: start("cuda:gloo" if on_gpu else "gloo", **options)
    import train
    from opts import parse_opts

    words = [*TINY.split(), *RUN.split(), "--frame_dir", f"{opt.root}/frames"]
    words += ["--annotation_path", f"{opt.root}/labels"]
    words += ["--result_path", opt.results, "--save_steps", opt.save_steps, "--device", "cuda" if on_gpu else "cpu"]
    print("accuracy", train.main(parse_opts(words)), "by", dist.get_backend())  # noqa: T201 - what the stage keeps


if __name__ == "__main__":
    main()
