"""Number formats of `--amp` on a device: float32, TF32, and mixed precision."""

import torch

from sts_common import check_choice

AMP = ("auto", "off", "tf32", "bf16", "fp16")
DTYPES = {"off": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve(device: torch.device, amp: str) -> str:
    """Return the format that `--amp` stands for on a device: one of `DTYPES`.

    "auto" is bf16 on a GPU whose cores multiply it and off elsewhere. A processor with AVX512-BF16 or AMX gains as much
    (2.5 times with ResNeXt-101, nothing with a tiny network), but its scores would no longer be those of other
    processors to the sixth digit whatever the batch; so there it has to be asked for. Raises ValueError if the device
    cannot do what is asked for.
    """
    check_choice("--amp", amp, AMP)
    gpu = device.type == "cuda"
    if amp == "auto":
        return "bf16" if gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "off"
    if amp in ("tf32", "fp16") and not gpu:
        raise ValueError(f"--amp {amp} is for GPUs, and the device is {device}: use bf16 or off")
    if gpu and (
        (amp == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False))
        or (amp == "tf32" and not torch.cuda.is_tf32_supported())
    ):
        raise ValueError(f"--amp {amp}: {torch.cuda.get_device_name(device)} has no {amp} arithmetic: use fp16 or off")
    return amp


def dtype_of(device: torch.device, amp: str) -> torch.dtype:
    """Return the number format of convolutions; arguments and errors as `resolve`."""
    return DTYPES[resolve(device, amp)]


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """Return the mixed-precision context of `--amp`; arguments and errors as `resolve`. Losses see float32.

    How float32 is rounded, see `round_float32`, is set at once and stays: a backward pass follows after the context.
    """
    round_float32(device, amp)
    dtype = dtype_of(device, amp)
    mixed = dtype != torch.float32
    return torch.autocast(device.type, dtype if mixed else torch.bfloat16, enabled=mixed)


def round_float32(device: torch.device, amp: str) -> None:
    """Set what GPUs do with float32 factors of convolutions and products from now on, in the whole process.

    With "tf32" they round them to ten bits, as many as float16 has; with every other format they take all 23. torch by
    itself rounds in convolutions and not in products. These two switches serve all versions from 2.10 on: with the
    newer `fp32_precision`, `torch.compile` raises where it still reads them. Arguments and errors as `resolve`.
    """
    if device.type == "cuda":  # a program's own settings for CPUs are left alone
        tf32 = resolve(device, amp) == "tf32"
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32


def scaler(device: torch.device, amp: str) -> torch.amp.GradScaler | None:
    """Return the gradient scaler of fp16; None for the other formats, whose range needs none."""
    return torch.amp.GradScaler(device.type) if resolve(device, amp) == "fp16" else None
