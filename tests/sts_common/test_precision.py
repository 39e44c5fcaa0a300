"""Blocks of full precision leave the program's own choice as it was."""

import pytest
import torch

from sts_common.precision import full_float32

CPU = torch.device("cpu")


def set_all(switches: tuple, values: list[bool]) -> None:
    for switch, value in zip(switches, values, strict=True):
        switch.allow_tf32 = value


@pytest.mark.parametrize("chosen", [True, False])
def test_products_have_all_bits_within_and_what_the_program_chose_after(chosen, request):
    switches = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [switch.allow_tf32 for switch in switches]
    request.addfinalizer(lambda: set_all(switches, before))
    set_all(switches, [chosen, chosen])
    a, b = torch.randn(2, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        with full_float32(CPU):
            assert not any(switch.allow_tf32 for switch in switches)
            assert torch.equal(a @ b, torch.mm(a, b))
            assert (a @ b).dtype == torch.float32
        assert (a @ b).dtype == torch.bfloat16
    with pytest.raises(ZeroDivisionError), full_float32(CPU):
        raise ZeroDivisionError
    assert [switch.allow_tf32 for switch in switches] == [chosen, chosen]
