# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The parser of records: the grammar, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_scripts.observation import events
from build_scripts.observation.events import Kind, Mode, RecordError, Transition

from .streams import Logs, good_run

KEY_LETTERS = "abcdefghijklmnopqrstuvwxyz_0123456789"
KEYS = st.text(KEY_LETTERS, min_size=1, max_size=8).filter(lambda key: key not in ("ev", "t"))
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)
FIELDS = st.dictionaries(KEYS, VALUES, max_size=6)


@given(st.sampled_from(["FW", "STM", "EXEC", "APP"]), st.integers(0, 2**64 - 1), FIELDS)
def test_what_is_written_is_read(source: str, t: int, fields: dict[str, str]) -> None:
    line = f"{source}: ev=some-event t={t}" + "".join(f" {key}={value}" for key, value in fields.items())
    record = events.parse_record(line)
    assert (record.source, record.event, record.t, record.fields) == (source, "some-event", t, fields)
    assert str(record) == line


def test_unknown_keys_are_kept_and_values_typed() -> None:
    record = events.parse_record("APP: ev=script t=5 line=3 cmd=a%20b new=0x10", "records.log", 7)
    assert record.number("new") == 16 and record.number("line") == 3
    assert record.text("cmd") == "a b"
    with pytest.raises(RecordError, match=r"records\.log:7"):
        record.number("cmd")
    with pytest.raises(RecordError):
        record.number("absent")


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "FW ev=status t=1",
        "FW: t=1 ev=status",
        "FW: ev=status t=0x10",
        "FW: ev=status t=1 lonely",
        "FW: ev=status t=1  two=spaces",
        "FW: ev=status t=1 a=1 a=2",
        "XX: ev=status t=1",
    ],
)
def test_malformed_line_is_an_error_with_its_number(line: str) -> None:
    with pytest.raises(RecordError, match=r"log:2:"):
        events.parse_records(f"FW: ev=ok t=1\n{line}\n", "log")


def test_cut_line_is_an_error() -> None:
    with pytest.raises(RecordError, match="is incomplete"):
        events.parse_records("FW: ev=ok t=1\nFW: ev=ok t=", "log")


def test_transition() -> None:
    line = (
        "vmx_transition cpu=1 t=77 icount=-1 kind=smm-exit from=guest to=stm vmcs=0x1fe10000 "
        "exec_vmcs=0xffffffffffffffff reason=0x80000005 qual=0xb20000 rip=0x1e5"
    )
    event = events.parse_trace_line(line)
    assert isinstance(event, Transition)
    assert (event.kind, event.source, event.target) == (Kind.SMM_EXIT, Mode.GUEST, Mode.STM)
    assert event.cpu == 1 and event.icount == events.NO_ICOUNT and event.basic_reason == 5
    assert event.exec_vmcs == 2**64 - 1


def test_other_machine_event_is_kept() -> None:
    event = events.parse_trace_line("vmx_vmfail cpu=0 t=5 insn=vmlaunch error=7")
    assert isinstance(event, events.MachineEvent)
    assert event.fields["error"] == "7"


REFUSAL = (
    "vmx_refusal cpu=1 t=9 insn=VMLAUNCH result=exit-reason-33 rule=VMX-GST-02 field=GUEST_CR0 encoding=0x6800 "
    "value=0x80000020 demand=PG = 1 with PE = 1 only section=Checks on Guest RIP, RFLAGS, and SSP (26.3.1.4)"
)


def test_refusal() -> None:
    event = events.parse_trace_line(REFUSAL)
    assert event == events.Refusal(
        1, 9, "VMLAUNCH", "exit-reason-33", "VMX-GST-02", "GUEST_CR0", 0x80000020, "PG = 1 with PE = 1 only",
        "Checks on Guest RIP, RFLAGS, and SSP (26.3.1.4)",
    )  # fmt: skip


def test_bad_refusal() -> None:
    with pytest.raises(RecordError, match="bad refusal"):
        events.parse_trace_line(REFUSAL.replace("rule=", "role="))


@pytest.mark.parametrize(
    "change", [("kind=smi", "kind=odd"), ("to=smm", "to=moon"), ("rip=0x1234", "rip="), ("cpu=0 ", "")]
)
def test_bad_transition(change: tuple[str, str], tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.transition("smi", "guest", "smm")
    line = logs.lines["machine.log"][0].replace(*change)
    with pytest.raises(RecordError, match="bad transition"):
        events.parse_trace_line(line)


def test_stream_merges_by_time_and_collects_errors(tmp_path: Path) -> None:
    folder = good_run(tmp_path).write()
    with (folder / "stm.log").open("a") as log:
        log.write("nonsense\nSTM: ev=stop t=9")
    stream = events.read_stream(folder)
    assert [record.t for record in stream.records] == sorted(record.t for record in stream.records)
    assert {record.source for record in stream.records} == {"FW", "STM", "EXEC", "APP"}
    assert [error.log for error in stream.errors] == ["stm.log", "stm.log"]
    assert len(stream.of("STM", "init")) == 2


@pytest.mark.parametrize("log", ["executive.log", "records.log"])
def test_record_by_another_port_is_forged(log: str, tmp_path: Path) -> None:
    folder = good_run(tmp_path).write()
    before = events.read_stream(folder)
    with (folder / log).open("a") as port:
        port.write("STM: ev=crash t=9 class=forged cpu=0\n")
    stream = events.read_stream(folder)
    assert stream.records == before.records
    assert [str(error) for error in stream.errors if "forged: STM does not write to this port" in str(error)] != []
    assert stream.first("STM", "crash") is None


def test_each_kind_is_documented(checkout: Path) -> None:
    page = (checkout / "docs/reference/records.rst").read_text()
    assert [kind.value for kind in Kind if f"``{kind.value}``" not in page] == []
