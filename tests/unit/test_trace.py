# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The trace for Perfetto, read back with Perfetto's own classes and held against the records it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackDescriptor, TrackEvent

from build_scripts.observation.events import read_stream
from build_scripts.pictures import trace
from build_scripts.pictures.boot import read_boots
from build_scripts.pictures.spans import spans_of
from build_scripts.pictures.timeline import MODES

from .streams import Logs, good_run


class Read:
    """A trace as a reader of Perfetto's format finds it: tracks, slices and points."""

    def __init__(self, data: bytes) -> None:
        self.trace = Trace()
        self.trace.ParseFromString(data)
        self.tracks: dict[int, TrackDescriptor] = {}
        self.slices: list[tuple[int, int, int, Any]] = []
        self.points: list[tuple[int, int, Any]] = []
        opened: dict[int, list[tuple[int, Any]]] = {}
        for packet in self.trace.packet:
            if packet.HasField("track_descriptor"):
                described = packet.track_descriptor
                assert described.uuid not in self.tracks
                assert not described.HasField("parent_uuid") or described.parent_uuid in self.tracks
                self.tracks[described.uuid] = described
                continue
            event = packet.track_event
            assert event.track_uuid in self.tracks and packet.trusted_packet_sequence_id
            if event.type == TrackEvent.TYPE_SLICE_BEGIN:
                opened.setdefault(event.track_uuid, []).append((packet.timestamp, event))
            elif event.type == TrackEvent.TYPE_SLICE_END:
                begin, began = opened[event.track_uuid].pop()
                assert begin <= packet.timestamp
                self.slices.append((event.track_uuid, begin, packet.timestamp, began))
            else:
                self.points.append((event.track_uuid, packet.timestamp, event))
        assert not any(opened.values())

    def name(self, track: int) -> str:
        found = self.tracks[track]
        return str(found.name or found.thread.thread_name or found.process.process_name)

    def of(self, category: str) -> list[tuple[int, int, int, Any]]:
        return [found for found in self.slices if found[3].categories == [category]]


def noted(event: Any) -> dict[str, str]:
    return {found.name: found.string_value for found in event.debug_annotations}


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


def test_time_goes_on_across_a_wake(tmp_path: Path) -> None:
    """A processor's time-stamp counter begins anew; no slice ends before it began, none overlaps the one before."""
    logs = Logs(tmp_path / "run")
    logs.default_smi()
    logs.t = 0
    logs.default_smi()
    found = made(logs.write()).of(trace.CATEGORY_MODE)
    edges = [edge for _track, begin, end, _event in found for edge in (begin, end)]
    assert edges == sorted(edges) and len(found) == 3
