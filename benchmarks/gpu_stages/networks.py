"""Stages of whole networks: training steps, inference, determinism, and what is compiled."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.common.report import Record
from datasets import RGB
from engine.device.precision import autocast, scaler
from models import Classify, StreamNetwork, create_model, fuse
from models.analysis.flops import estimate
from models.inference.grouped import DENSE
from models.inference.speed import compiled, inference_ready

from .convolutions import densify
from .session import Session

CLASSES = 101
WIDTHS = {1: "folded", 16: "folded, groups of 16", 64: "folded, groups of 64", DENSE: "dense"}  # of groups
DEAREST = 28  # kernels that are listed


class Step(NamedTuple):
    """A row of the training stage."""

    amp: str  # as `--amp`
    batch: int  # clips
    dense: bool = False  # whether grouped convolutions are computed as dense ones
    kernels: bool = False  # whether the dearest kernels are listed

    @property
    def name(self) -> str:
        """Return what is particular to it."""
        kind = {"off": "fp32"}.get(self.amp, self.amp)
        return f"{kind}, {self.batch} clips{', grouped as dense' * self.dense}"


STEPS = (
    Step("bf16", 64, kernels=True),
    Step("bf16", 64, dense=True, kernels=True),
    Step("bf16", 20),
    Step("tf32", 64),
    Step("fp16", 64),
    Step("bf16", 128, dense=True),
    Step("off", 32),
)


def network(session: Session, *, small: bool = False) -> StreamNetwork:
    """Build ResNeXt-101 with random weights; a small network to try the code or where the size is of no matter."""
    torch.manual_seed(0)
    if small:
        return StreamNetwork(create_model("resnet", 3, CLASSES, depth=10, width=0.25), RGB)
    if session.dry:
        return StreamNetwork(create_model("resnext", 3, CLASSES, depth=50, width=0.25), RGB)
    return StreamNetwork(create_model("resnext", 3, CLASSES, depth=101), RGB)


def random_clips(session: Session, batch: int) -> Tensor:
    """Return clips of noise, uint8 (N, 3, T, H, W)."""
    shape = (2, 3, 8, 32, 32) if session.dry else (batch, 3, 16, 112, 112)
    return torch.randint(0, 256, shape, dtype=torch.uint8).to(session.device)


def numerics(*, deterministic: bool = False) -> AbstractContextManager[object]:
    """Return settings of cuDNN; how float32 is rounded is that of `autocast` within."""
    return torch.backends.cudnn.flags(True, not deterministic, deterministic=deterministic, allow_tf32=False)


def training_step(session: Session, model: StreamNetwork, clips: Tensor, step: Step) -> Callable[[], Tensor]:
    """Return a whole training step without its data: forward, backward, optimiser, loss scale; it returns the loss."""
    task = Classify(model).to(session.device).train()
    optimizer = torch.optim.SGD(task.parameters(), 0.01, 0.9, fused=session.gpu or None)
    scale, labels = scaler(session.device, step.amp), torch.arange(len(clips), device=session.device) % CLASSES

    def run() -> Tensor:
        with numerics():
            with autocast(session.device, step.amp):
                loss = task({"rgb": clips, "label": labels})["loss"]
            (scale.scale(loss) if scale else loss).backward()
            if scale:
                scale.step(optimizer)
                scale.update()
            else:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return run


def measure_training(session: Session, rows: Record) -> None:
    """Measure whole training steps in several number formats and batch sizes."""
    base = network(session)
    clip = (3, 8, 32, 32) if session.dry else (3, 16, 112, 112)
    flops = estimate(base.network, clip).flops_training
    for step in STEPS if session.gpu else (Step("off", 2), Step("off", 2, dense=True)):
        session.row(rows, step.name, partial(measure_step, session, base, step, flops))


def measure_step(session: Session, base: StreamNetwork, step: Step, flops: float) -> Record:
    """Measure a row of the training stage."""
    session.memory()
    model = copy.deepcopy(base)
    if step.dense:
        densify(model.network)
    clips = random_clips(session, step.batch)
    run = training_step(session, model, clips, step)
    losses = [run().item() for _ in range(2)]
    seconds = session.seconds(run, 0.4, 8)
    row: Record = {
        "clips_per_s": len(clips) / seconds,
        "host_ms": 1000 * session.host_seconds(run),
        "memory_GB": session.memory(),
        "TFLOP_per_s": len(clips) * flops / seconds / 1e12,
        "losses": losses,
    }
    return row | ({"kernels": dearest_kernels(run)} if step.kernels and session.gpu else {})


def dearest_kernels(call: Callable[[], Any]) -> list[tuple[str, float, int]]:
    """Return the kernels that a call spends most time on: name, milliseconds, calls."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    call()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as trace:
        call()
        torch.cuda.synchronize()
    on_gpu = [event for event in trace.key_averages() if event.device_type == DeviceType.CUDA]
    kernels = [(event.key[:150], event.self_device_time_total / 1000, event.count) for event in on_gpu]
    return sorted(kernels, key=lambda kernel: -kernel[1])[:DEAREST]


def measure_inference(session: Session, rows: Record) -> None:
    """Measure inference in every form of the network, and the error of its logits against float32."""
    torch.backends.cudnn.benchmark = True
    base, clips = network(session).to(session.device).eval(), random_clips(session, 64)
    truth: Tensor | None = None
    ways: dict[str, tuple[nn.Module, str]] = {"fp32, as tested": (base, "off")}
    for amp in ("bf16", "fp16") if session.gpu else ("off",):
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(amp, torch.float32)
        for width, name in WIDTHS.items():
            ways[f"{amp}, {name}"] = (inference_ready(base, dtype, group_width=width), amp)
    for name, (model, amp) in ways.items():

        def run(model: nn.Module = model, amp: str = amp) -> Tensor:
            with torch.inference_mode(), numerics(), autocast(session.device, amp):
                return model({"rgb": clips}).logits.float()

        def measure(run: Callable[[], Tensor] = run) -> dict[str, float]:
            nonlocal truth
            logits = run().double().cpu()
            truth = logits if truth is None else truth
            error = ((logits - truth).norm() / truth.norm()).item()
            return {"clips_per_s": len(clips) / session.seconds(run, 0.3, 8), "error": error}

        session.row(rows, name, measure)


def measure_determinism(session: Session, rows: Record) -> None:
    """Count gradients of a step at full size whose bits differ the second time, with and without being asked not to."""
    base, clips = network(session), random_clips(session, 16)
    for amp in ("bf16", "off") if session.gpu else ("off",):
        for asked in (True, False):
            name = f"{amp}, {'deterministic' if asked else 'as it comes'}"
            session.row(rows, name, partial(unlike_bits, session, base, clips, amp, asked=asked))


def unlike_bits(session: Session, base: StreamNetwork, clips: Tensor, amp: str, *, asked: bool) -> dict[str, float]:
    """Compare the gradients of two passes."""
    task = Classify(copy.deepcopy(base)).to(session.device).train()
    labels = torch.arange(len(clips), device=session.device) % CLASSES
    start = copy.deepcopy(task.state_dict())

    def run() -> list[Tensor]:
        task.load_state_dict(start)  # running statistics too
        task.zero_grad(set_to_none=True)
        with numerics(deterministic=asked):
            with autocast(session.device, amp):
                loss = task({"rgb": clips, "label": labels})["loss"]
            loss.backward()
        return [p.grad for p in task.parameters() if p.grad is not None]

    torch.use_deterministic_algorithms(asked)
    try:
        first, second = run(), run()
        unlike = sum(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
        return {"unlike": unlike, "of": len(first), "ms": 1000 * session.seconds(run, 0.1, 4)}
    finally:
        torch.use_deterministic_algorithms(False)


def measure_compiled(session: Session, rows: Record) -> None:
    """Measure a compiled training step, and run two networks by CUDA graphs side by side, as a fused test does."""
    step, clips = Step("bf16" if session.gpu else "off", 64), random_clips(session, 64)
    model = compiled(network(session, small=session.dry), "default")
    run = training_step(session, model, clips, step)
    session.row(rows, "first_two_steps_s", lambda: sum(session.once(run) for _ in range(2)))
    session.row(rows, "clips_per_s", lambda: len(clips) / session.seconds(run, 0.4, 8))
    session.row(rows, "host_ms", lambda: 1000 * session.host_seconds(run))
    rows["memory_GB"] = session.memory()
    if session.gpu:
        session.row(rows, "kernels", lambda: dearest_kernels(run))
    session.row(rows, "two_networks_by_graphs", lambda: by_graphs(session, clips))


def by_graphs(session: Session, clips: Tensor) -> str:
    """Fuse the logits of two networks that are CUDA graphs, several times."""
    networks = [
        inference_ready(network(session, small=True).to(session.device), session.half, compile_mode="reduce-overhead")
        for _ in range(2)
    ]
    with torch.inference_mode():
        for _ in range(4):
            logits = torch.stack([model({"rgb": clips}).logits.double() for model in networks])
            fuse(logits, "activno").sum().item()
    return "works"
