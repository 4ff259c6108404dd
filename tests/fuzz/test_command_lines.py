from __future__ import annotations

from tests.fuzz.calls import call, small_machine
from tests.fuzz.command_lines import every_option, prepare, random_line


def test_random_command_lines_end_well(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with small_machine():
        prepare()
        codes = [call(random_line(seed))[0] for seed in range(400)]
    assert {0, 2} <= set(codes)


def test_every_option_takes_or_refuses_odd_values(tmp_path, monkeypatch):
    """What is refused names the layer; what is taken must have shapes, whatever it would cost to compute."""
    monkeypatch.chdir(tmp_path)
    prepare()
    lines = list(every_option())
    assert len(lines) > 3000
    for words in lines:
        code, said = call(["shape", "6x5x3", "relu", *words])
        assert code in (0, 2)
        assert code == 0 or words[0] in said
