"""Mixed precision: number formats of `--amp` on a device."""

import torch

AMP = ("auto", "off", "bf16", "fp16")
DTYPES = {"off": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve(device: torch.device, amp: str) -> str:
    """Return the format that `--amp` stands for on a device: "off", "bf16" or "fp16".

    "auto" is bf16 on a GPU whose cores multiply it and off elsewhere. A processor with AVX512-BF16 or AMX gains as much
    (2.5 times with ResNeXt-101, nothing with a tiny network), but its scores would no longer be those of other
    processors to the sixth digit whatever the batch; so there it has to be asked for.

    Args:
        device: Where the network runs.
        amp: One of `AMP`.

    Raises:
        ValueError: If the device cannot do what is asked for.
    """
    if amp not in AMP:
        raise ValueError(f"--amp {amp}: choose one of {', '.join(AMP)}")
    gpu = device.type == "cuda"
    bf16 = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if amp == "auto":
        return "bf16" if bf16 else "off"
    if amp == "bf16" and gpu and not bf16:
        raise ValueError(f"--amp bf16: {torch.cuda.get_device_name(device)} has no bf16 arithmetic: use fp16 or off")
    if amp == "fp16" and not gpu:
        raise ValueError(f"--amp fp16 is for GPUs, and the device is {device}: use bf16 or off")
    return amp


def dtype_of(device: torch.device, amp: str) -> torch.dtype:
    """Return the number format of convolutions; arguments and errors as `resolve`."""
    return DTYPES[resolve(device, amp)]


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """Return the mixed-precision context of `--amp`; arguments and errors as `resolve`. Losses see float32."""
    kind = resolve(device, amp)
    return torch.autocast(device.type, DTYPES[kind if kind != "off" else "bf16"], enabled=kind != "off")


def scaler(device: torch.device, amp: str) -> torch.amp.GradScaler | None:
    """Return the gradient scaler of fp16; None for the other formats, whose range needs none."""
    return torch.amp.GradScaler(device.type) if resolve(device, amp) == "fp16" else None
