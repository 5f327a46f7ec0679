# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Stack depths of a program whose frames are known."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.stack_depth import Function, Recursion, read_functions, worst

FRAME = 512
PROGRAM = """
#define LONE __attribute__ ((noinline, noclone, noipa))
LONE void leaf (volatile char *at) { volatile char own[512]; own[0] = *at; *at = own[0]; }
LONE int middle (void) { volatile char own[512]; own[0] = 1; leaf (own); return own[0]; }
LONE int behind (void) { volatile char own[512]; own[0] = 2; return own[0]; }
LONE int last (void) { return middle (); }
LONE int by_pointer (int (*to) (void)) { return to () + 1; }
LONE int again (int count) { return (count == 0) ? 0 : again (count - 1) * 2 + behind (); }
int _start (void) { return by_pointer (middle) + last () + again (3); }
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Function]:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "program.c").write_text(PROGRAM)
    flags = ("-g", "-Os", "-fno-asynchronous-unwind-tables", "-fomit-frame-pointer", "-fno-stack-protector")
    command = ["gcc", *flags, "-mno-red-zone", "-static", "-nostdlib", "-o", "program", "program.c"]
    subprocess.run(command, cwd=folder, check=True)
    return read_functions(folder / "program")


def test_frames_add_up(functions: dict[str, Function]) -> None:
    """Two frames of 512 bytes, two return addresses, and what aligns the stack."""
    found = worst(functions, "middle", {})
    assert found.path == ("middle", "leaf")
    assert 2 * (FRAME + 8) <= found.size <= 2 * (FRAME + 8) + 32
    assert worst(functions, "leaf", {}).size < found.size - FRAME


def test_a_jump_at_the_end_costs_nothing(functions: dict[str, Function]) -> None:
    assert worst(functions, "last", {}).size == worst(functions, "middle", {}).size


def test_calls_through_a_register(functions: dict[str, Function]) -> None:
    """Go where they are said to go, and nowhere unsaid."""
    assert worst(functions, "by_pointer", {"by_pointer": ("middle", "behind")}).path == ("by_pointer", "middle", "leaf")
    assert worst(functions, "by_pointer", {"by_pointer": ("behind",)}).path == ("by_pointer", "behind")
    with pytest.raises(KeyError, match="by_pointer"):
        worst(functions, "by_pointer", {})


def test_recursion_has_no_bound(functions: dict[str, Function]) -> None:
    """Unless somebody says how deep it goes."""
    with pytest.raises(Recursion, match="again -> again"):
        worst(functions, "again", {})
    once, thrice = (worst(functions, "again", {}, {"again": depth}) for depth in (1, 3))
    assert once.path == ("again", "behind")
    assert thrice.path == ("again", "again", "again", "behind")
    assert thrice.size > once.size
