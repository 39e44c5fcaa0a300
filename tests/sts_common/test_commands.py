"""Commands by their names."""

import sys

import pytest

from sts_common import commands


def test_an_interrupt_while_a_command_imports_ends_it_without_a_traceback(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text("raise KeyboardInterrupt")
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setitem(commands.COMMANDS, "slow", commands.Command("slow.py", ""))
    monkeypatch.setattr(sys, "argv", ["sts", "slow"])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # put back afterwards
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 130
