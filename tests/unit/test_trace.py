# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The trace for Perfetto, read back with Perfetto's own classes and held against the records it is made of."""

from __future__ import annotations

from pathlib import Path

from build_scripts.observation.events import read_stream
from build_scripts.pictures import trace
from build_scripts.pictures.boot import read_boots
from build_scripts.pictures.spans import spans_of
from build_scripts.pictures.timeline import MODES
from tests.support.perfetto_trace import Read, noted

from .streams import Logs, good_run


def made(*folders: Path) -> Read:
    return Read(trace.perfetto(read_boots(folders)))


def test_every_stretch_is_a_slice(tmp_path: Path) -> None:
    folder = good_run(tmp_path / "run").write()
    transitions = read_stream(folder).transitions
    found = made(folder).of(trace.CATEGORY_MODE)
    assert [(begin, end, event.name) for _track, begin, end, event in found] == [
        (span.begin, span.end, MODES[span.mode][0]) for span in spans_of(transitions)
    ]
    first = noted(found[0][3])
    assert first["transition"] == transitions[0].kind.value and first["VMCS"] == "0x1000"


def test_smis_with_their_instructions(tmp_path: Path) -> None:
    read = made(good_run(tmp_path / "run").write())
    smis = read.of(trace.CATEGORY_SMI)
    assert len(smis) == 22 and {read.name(track) for track, *_ in smis} == {"SMIs of CPU 0"}
    dual = [noted(event) for *_, event in smis if event.name == "SMI (dual-monitor)"]
    assert len(dual) == 10
    assert all((row["STM instructions"], row["handler instructions"]) == ("70", "5000") for row in dual)


def test_records_are_points_in_time(tmp_path: Path) -> None:
    folder = good_run(tmp_path / "run").write()
    records = read_stream(folder).records
    points = made(folder).points
    assert [(t, event.name) for _track, t, event in points] == [
        (record.t, f"{record.source} {record.event}") for record in records
    ]
    starts = [noted(event) for _track, _t, event in points if event.name == "STM start"]
    assert starts[0]["story"] == "STM: started, SMIs now cause SMM VM exits to it"


def test_a_process_for_each_boot_and_a_track_for_each_processor(tmp_path: Path) -> None:
    one, two = Logs(tmp_path / "one"), Logs(tmp_path / "two")
    for cpu in (0, 1):
        one.default_smi(cpu)
    two.default_smi()
    read = made(one.write(), two.write())
    processes = {track.process.pid: track.process.process_name for track in read.tracks.values() if track.process.pid}
    assert processes == {1: "one", 2: "two"}
    threads = [(track.thread.pid, track.thread.thread_name) for track in read.tracks.values() if track.thread.tid]
    assert threads == [(1, "CPU 0"), (1, "CPU 1"), (2, "CPU 0")]


def test_records_and_slices_share_a_clock(tmp_path: Path) -> None:
    """What was recorded in a stretch lies in its slice, also where a counter begins anew; no slice ends too early."""
    logs = Logs(tmp_path / "run")
    for _ in range(2):
        logs.transition("smi", "guest", "smm")
        logs.record("records.log", "FW", "in-smm")
        logs.transition("rsm", "smm", "guest")
        logs.t = 0
    read = made(logs.write())
    inside = [
        (begin, end) for _track, begin, end, event in read.of(trace.CATEGORY_MODE) if event.name.startswith("SMM")
    ]
    assert len(inside) == 2
    points = [t for _track, t, event in read.points]
    assert len(points) == 2 and all(any(begin < t < end for begin, end in inside) for t in points)
