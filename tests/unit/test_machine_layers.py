# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine's own files are layers: nothing calls or includes in a circle, and the README says the order."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.unit import c_calls

ROW = re.compile(r"^\| ([\w -]+) \| (`.+`) \| .+ \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def overlay(checkout: Path) -> Path:
    return checkout / "Platform" / "QemuVmx"


@pytest.fixture
def planted(overlay: Path, tmp_path: Path) -> Path:
    """A copy of the sources, for faults."""
    return Path(shutil.copytree(overlay / "vmx", tmp_path / "vmx"))


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def _table(overlay: Path) -> list[tuple[str, str]]:
    """Layer and file, in the order of the README's table."""
    rows = ROW.findall((overlay / "README.md").read_text(encoding="utf-8"))
    return [(layer, name) for layer, names in rows for name in re.findall(r"`([^`]+)`", names)]


def _unlisted(folder: Path, order: list[str]) -> set[str]:
    """Files that only the folder or only the table has."""
    return {path.name for path in folder.iterdir() if path.name != "meson.build"} ^ set(order)


def _upward_calls(graph: c_calls.Graph, order: list[str]) -> list[str]:
    """Calls of a file that stands at the same place as, or below, the caller in `order`."""
    place = {name: number for number, name in enumerate(order)}
    return [
        f"{caller} calls {callee}"
        for caller, callees in graph.items()
        for callee in sorted(callees)
        if place[callee] >= place[caller]
    ]


def test_files_are_read_at_a_sitting(overlay: Path) -> None:
    long = {path.name for path in (overlay / "vmx").iterdir() if len(path.read_text("utf-8").splitlines()) > 500}
    assert long == set()


def test_no_circle_of_calls(overlay: Path) -> None:
    sources = c_calls.scan_folder(overlay / "vmx")
    graph = c_calls.calls(sources)
    # A scan that reads nothing would find no circle either.
    assert "vmx_do_vmexit" in sources["vmx-exit.c"].defined
    assert "vmx_exit_load_host" not in sources["vmx-entry.c"].defined
    assert graph["vmx-entry.c"] >= {"vmx-checks.c", "vmx-exit.c", "vmx-smm-return.c"}
    assert graph["translate-vmx.c.inc"] >= {"vmx-insn.c"}
    assert c_calls.circle(graph) == []


def test_no_circle_of_includes(overlay: Path) -> None:
    graph = c_calls.includes(c_calls.scan_folder(overlay / "vmx"))
    assert graph["vmx-entry.c"]
    assert c_calls.circle(graph) == []


def test_table_is_the_order_of_calls(overlay: Path) -> None:
    table = _table(overlay)
    layers = [layer for layer, _ in table]
    order = [name for _, name in table]
    assert len(order) == len(set(order))
    assert _unlisted(overlay / "vmx", order) == set()
    # A layer is one run of rows.
    assert len([layer for layer, before in zip(layers, [None, *layers], strict=False) if layer != before]) == len(
        set(layers)
    )
    assert _upward_calls(c_calls.calls(c_calls.scan_folder(overlay / "vmx")), order) == []


def _mentioned_by_qemu(overlay: Path) -> set[str]:
    """Names in the lines that the patch series adds to QEMU's C files."""
    mentioned: set[str] = set()
    for patch in sorted((overlay / "patches").glob("*.patch")):
        for part in patch.read_text(encoding="utf-8").split("\n+++ b/")[1:]:
            name, _, hunks = part.partition("\n")
            if Path(name).suffix in c_calls.SUFFIXES:
                added = [line[1:] for line in hunks.splitlines() if line.startswith("+")]
                mentioned |= c_calls.words("\n".join(added))
    return mentioned


def test_qemu_calls_what_vmx_h_declares(overlay: Path) -> None:
    """One header is for QEMU's files: it declares all that they call and nothing else; the others are ours."""
    sources = c_calls.scan_folder(overlay / "vmx")
    mentioned = _mentioned_by_qemu(overlay)
    assert {"vmx_check_intercept", "vmx_do_vmexit", "vmx.h", "vmx-state.h"} <= mentioned
    headers = {name for name in sources if name.endswith(".h")}
    assert mentioned & headers == {"vmx.h", "vmx-state.h"}
    assert sources["vmx.h"].declared - mentioned == set()
    ours = {name for header in headers - {"vmx.h"} for name in sources[header].declared}
    assert {"vmx_vmexit", "vmcs_launched", "vmx_vm_entry"} <= ours
    assert ours & mentioned == set()


def test_functions_are_declared_once(overlay: Path) -> None:
    sources = c_calls.scan_folder(overlay / "vmx")
    declared = [name for file, source in sources.items() if file.endswith(".h") for name in source.declared]
    assert len(declared) == len(set(declared))
    defined = {name for source in sources.values() for name in source.defined}
    assert set(declared) - defined == set()


@pytest.mark.parametrize(
    "mention",
    [
        "static void planted(CPUX86State *env)\n{\n    vmx_vm_entry(env, true);\n}\n",
        "static bool (*const planted[])(CPUX86State *, bool) = { vmx_vm_entry };\n",
        "#define PLANTED(env) \\\n    vmx_vm_entry(env, true)\n",
    ],
    ids=["call", "pointer", "macro"],
)
def test_planted_call_is_found(planted: Path, overlay: Path, mention: str) -> None:
    """An exit that starts an entry: the entry loads host state when it fails, which is the exit's."""
    _append(planted / "vmx-exit.c", mention)
    graph = c_calls.calls(c_calls.scan_folder(planted))
    found = c_calls.circle(graph)
    assert found[0] == found[-1]
    assert {"vmx-exit.c", "vmx-entry.c"} <= set(found)
    assert "vmx-exit.c calls vmx-entry.c" in _upward_calls(graph, [name for _, name in _table(overlay)])


@pytest.mark.parametrize(
    "text",
    [
        "/* vmx_vm_entry() comes later. */\n",
        'static const char planted[] = "vmx_vm_entry()";\n',
        "bool vmx_vm_entry(CPUX86State *env, bool launch);\n",
    ],
    ids=["comment", "string", "declaration"],
)
def test_what_is_no_call_is_none(planted: Path, text: str) -> None:
    before = c_calls.calls(c_calls.scan_folder(planted))
    _append(planted / "vmx-exit.c", text)
    assert c_calls.calls(c_calls.scan_folder(planted)) == before


def test_planted_include_is_found(planted: Path) -> None:
    _append(planted / "vmx-mode.h", '#include "vmx.h"\n')
    assert {"vmx-mode.h", "vmx.h"} <= set(c_calls.circle(c_calls.includes(c_calls.scan_folder(planted))))


def test_planted_file_is_missed_in_the_table(planted: Path, overlay: Path) -> None:
    (planted / "vmx-planted.c").write_text("void vmx_planted(void)\n{\n}\n", encoding="utf-8")
    assert _unlisted(planted, [name for _, name in _table(overlay)]) == {"vmx-planted.c"}
