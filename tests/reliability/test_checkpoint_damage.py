"""Checkpoints that time, disks or strangers have changed: never other weights, never their code, always one line."""

import builtins
import collections
import os
import pickle
import random
import re
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine import checkpoint
from engine.checkpoint.tensor_file import write as write_tensors
from models.weights import weights_of

REFUSAL = re.compile(r"\S+file\.\w+: (damaged|refused|its |holds )[^\n]*")


def contents() -> dict:
    generator = torch.Generator().manual_seed(5)
    weights = {f"layer{i}.weight": torch.randn(11, 7, generator=generator) for i in range(6)}
    weights["bn.num_batches_tracked"] = torch.tensor(7)
    weights["half"] = torch.randn(5, generator=generator).bfloat16()
    options = {"batch_size": 20, "distill": ["mse", "dkd"], "learning_rate": 0.1}
    return {"epoch": 3, "arch": "resnet-10", "state_dict": weights, "options": options, "class_names": ["a", "ü"]}


def same(a: dict, b: dict) -> bool:
    plain = {key for key in a if key != "state_dict"}
    weights = a["state_dict"].keys() == b.get("state_dict", {}).keys() and all(
        torch.equal(tensor, b["state_dict"][name]) for name, tensor in a["state_dict"].items()
    )
    return weights and all(a[key] == b.get(key) for key in plain)


def damaged_copies(whole: bytes, seed: int, changed: int, cut: int):
    """One changed byte or bit, a few, a zeroed block, a cut end, something appended."""
    rng = random.Random(seed)
    for i in range(changed):
        data = bytearray(whole)
        if i % 8 == 7:
            start = rng.randrange(len(data))
            data[start : start + 512] = bytes(len(data[start : start + 512]))
        else:
            for _ in range(1 + (i % 4 == 3) * 3):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8) if i % 2 else rng.randrange(1, 256)
        yield bytes(data)
    for i in range(cut):
        yield whole[: len(whole) * i // cut]
    for extra in (b"\0", b"x" * 22, b"PK\x05\x06" + bytes(18), whole[-200:], bytes(70_000)):
        yield whole + extra


def outcomes(path: Path, copies, accepts_changed: bool = False) -> collections.Counter:
    """How loading every copy ended: "refused" or "same"; anything else fails the test."""
    seen: collections.Counter = collections.Counter()
    for i, data in enumerate(copies):
        path.write_bytes(data)
        try:
            loaded = checkpoint.load(path)
        except ValueError as error:
            assert REFUSAL.fullmatch(str(error)), (i, str(error))
            seen["refused"] += 1
        else:
            assert accepts_changed or same(contents(), loaded), f"copy {i} loads as something else"
            seen["loaded"] += 1
    return seen


def save_as(form: str, path: Path) -> bytes:
    if form == "zip":
        checkpoint.save(path, contents())
    elif form == "safetensors":
        write_tensors(path, contents(), "x.pth")
    else:
        torch.save(contents(), path, _use_new_zipfile_serialization=False)
    return path.read_bytes()


AMOUNTS = [(40, 20), pytest.param((400, 100), marks=pytest.mark.slow)]


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize(("form", "name"), [("zip", "file.pth"), ("safetensors", "file.safetensors")])
def test_a_damaged_file_never_loads_with_other_weights(form, name, amount, tmp_path):
    path = tmp_path / name
    whole = save_as(form, path)
    assert same(contents(), checkpoint.load(path))
    seen = outcomes(path, damaged_copies(whole, 1, *amount))
    # What loads has a changed byte in padding or in a date, and is the same.
    assert seen["refused"] > seen["loaded"]


@pytest.mark.parametrize("amount", AMOUNTS)
def test_an_old_file_has_no_checksums_which_is_said_and_cut_ones_are_refused(amount, tmp_path, caplog):
    path = tmp_path / "file.pth"
    whole = save_as("legacy", path)
    assert same(contents(), checkpoint.load(path))
    assert "without checksums" in caplog.text
    changed, cut = amount
    outcomes(path, damaged_copies(whole, 2, changed, 0), accepts_changed=True)
    caplog.clear()
    seen = outcomes(path, [whole[: len(whole) * i // cut] for i in range(cut)])
    assert seen == {"refused": cut}
    assert not caplog.text


def header_bytes(whole: bytes) -> list[int]:
    """Where the headers and the directory of an archive are; everything else has a checksum."""
    start = struct.unpack("<I", whole[-6:-2])[0]
    local = [match.start() for match in re.finditer(rb"PK\x03\x04", whole)]
    return sorted({*range(start, len(whole)), *(i for at in local for i in range(at, at + 64))})


@pytest.mark.parametrize("amount", [250, pytest.param(4000, marks=pytest.mark.slow)])
def test_any_bit_of_the_headers_of_an_archive_may_change(amount, tmp_path):
    path = tmp_path / "file.pth"
    whole = save_as("zip", path)
    flips = [(i, 1 << bit) for i in header_bytes(whole) for bit in range(8)]
    flips = random.Random(3).sample(flips, amount)
    seen = outcomes(path, (whole[:i] + bytes([whole[i] ^ bit]) + whole[i + 1 :] for i, bit in flips))
    assert seen["refused"] > 60


def test_a_part_marked_as_a_folder_is_refused_for_torch_reads_nothing_into_its_values(tmp_path):
    path = tmp_path / "file.pth"
    whole = save_as("zip", path)
    at = whole.rindex(b"PK\x01\x02", 0, whole.rindex(b"/data/7")) + 38
    path.write_bytes(whole[:at] + b"\x10" + whole[at + 1 :])
    with pytest.raises(ValueError, match=r"file\.pth: damaged"):
        checkpoint.load(path)


def test_any_byte_of_a_safetensors_header_may_change(tmp_path, caplog):
    path = tmp_path / "file.safetensors"
    whole = save_as("safetensors", path)
    end = 8 + struct.unpack("<Q", whole[:8])[0]
    for i in random.Random(4).sample(range(end), 120):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        caplog.clear()
        try:
            loaded = checkpoint.load(path)
        except ValueError as error:
            assert REFUSAL.fullmatch(str(error))
        else:
            assert same(contents(), loaded), i


def parts_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(path: Path, parts, method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in parts:
            archive.writestr(name, data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "change", ["bomb", "two of one name", "missing part", "larger claim", "smaller part", "no pickle", "overlap"]
)
def test_archives_with_right_checksums_and_wrong_parts_are_refused(change, tmp_path):
    path = tmp_path / "file.pth"
    torch.save({"state_dict": {"x": torch.arange(10.0)}}, path)
    parts = parts_of(path)
    pickled, values = next(n for n in parts if n.endswith("data.pkl")), next(n for n in parts if n.endswith("data/0"))
    if change == "bomb":  # 64 MB of zeros in 64 kB
        write_archive(path, [*parts.items(), ("file/data/1", bytes(1 << 26))], zipfile.ZIP_DEFLATED)
    elif change == "two of one name":
        write_archive(path, [*parts.items(), (values, torch.arange(10.0, 20.0).numpy().tobytes())])
    elif change == "overlap":  # many names for the same bytes
        write_archive(path, [*parts.items(), *((f"file/data/{i}", b"") for i in range(1, 4))])
        whole = path.read_bytes()
        at = whole.rindex(b"PK\x01\x02")
        path.write_bytes(whole[: at + 20] + struct.pack("<II", 1 << 30, 1 << 30) + whole[at + 28 :])
    else:
        if change == "missing part":
            del parts[values]
        if change == "no pickle":
            del parts[pickled]
        if change == "larger claim":
            parts[pickled] = parts[pickled].replace(b"K\n", b"J" + struct.pack("<i", 1 << 20))
        if change == "smaller part":
            parts[values] = parts[values][:8]
        write_archive(path, parts.items())
    with pytest.raises(ValueError, match=r"file\.pth: damaged"):
        checkpoint.load(path)


class Calls:
    """Unpickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(arguments: str = "executed") -> str:
    return f"open({arguments!r}, 'w')"


HOSTILE = {
    "os.system": Calls(os.system, "touch executed"),
    "eval": Calls(builtins.eval, touch()),
    "exec": Calls(builtins.exec, touch()),
    "open": Calls(open, "executed", "w"),
    "subprocess": Calls(subprocess.check_call, ["touch", "executed"]),
    "getattr": Calls(builtins.getattr, "executed", "upper"),
    "import": Calls(builtins.__import__, "os"),
    "torch.hub.load": Calls(torch.hub.load, "executed", "executed", "local"),
    "torch.load in a checkpoint": Calls(torch.load, "executed"),
    "torch.storage from bytes": Calls(torch.storage._load_from_bytes, pickle.dumps(Calls(os.system, "touch executed"))),
    "unpickled again": Calls(pickle.loads, pickle.dumps(Calls(os.system, "touch executed"))),
    "array of objects": np.array([Calls(os.system, "touch executed")], dtype=object),
    "saved module": nn.Linear(1, 1),
    "path": Path("executed"),
}


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_executes_nothing_and_is_one_line(name, form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pth"
    state = {"epoch": 1, "state_dict": {"x": torch.ones(2), "y": HOSTILE[name]}}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ValueError, match=r"file\.pth: (refused|damaged)") as raised:
        checkpoint.load(path)
    assert "\n" not in str(raised.value)
    assert not Path("executed").exists()


def test_the_refusal_names_what_it_refuses(tmp_path):
    torch.save({"x": Calls(os.system, "touch executed")}, tmp_path / "file.pth")
    with pytest.raises(ValueError, match=r"refused: it holds (posix|nt)\.system, and only tensors"):
        checkpoint.load(tmp_path / "file.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("form", ["module.", "plain", "bare", "bare module."])
def test_published_forms_load(form, zipped, tmp_path):
    prefix = "module." if "module." in form else ""
    weights = {f"{prefix}{name}": tensor for name, tensor in nn.Linear(3, 2).state_dict().items()}
    bare = collections.OrderedDict(weights)
    state = bare if "bare" in form else {"epoch": 4, "arch": "resnext-101", "state_dict": bare, "optimizer": {"a": [1]}}
    path = tmp_path / "RGB_HMDB51_16f.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    found = weights_of(checkpoint.load(path), str(path))
    assert found.keys() == {"weight", "bias"}
    assert torch.equal(found["weight"], weights[f"{prefix}weight"])


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"metrics": {"acc": np.float64(0.5)}}, r"state\['metrics'\]\['acc'\] is a float64"),
        ({"options": {"paths": [Path("x")]}}, r"state\['options'\]\['paths'\]\[0\] is a PosixPath"),
        ({"version": torch.__version__}, r"state\['version'\] is a TorchVersion"),
    ],
)  # fmt: skip
def test_what_could_not_be_loaded_is_not_saved(value, name, tmp_path):
    with pytest.raises(TypeError, match=name):
        checkpoint.save(tmp_path / "file.pth", value)
    assert not list(tmp_path.iterdir())


def test_the_state_of_torch_s_own_schedules_and_optimisers_is_plain(tmp_path):
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    plans = (
        torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 3]),
        torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10),
        torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10),
    )
    state = {"optimizer": optimizer.state_dict(), "schedules": [plan.state_dict() for plan in plans]}
    checkpoint.save(tmp_path / "file.pth", state)
    assert checkpoint.load(tmp_path / "file.pth")["schedules"] == state["schedules"]
