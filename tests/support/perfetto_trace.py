# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A trace for Perfetto, read with Perfetto's own classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackDescriptor, TrackEvent

from build_scripts.observation.events import Stream
from build_scripts.observation.report import group_smis
from build_scripts.pictures import trace
from build_scripts.pictures.timeline import MODES


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


def hold_against(data: bytes, streams: Sequence[Stream]) -> None:
    """A trace tells what a run's logs tell, no more and no less, at the same times.

    Args:
        data: of the trace.
        streams: of the run's boots, in order.
    """
    read = Read(data)
    processes = {track: found.process.pid for track, found in read.tracks.items() if found.process.pid}
    boot_of = {
        track: processes.get(track) or found.thread.pid or processes[found.parent_uuid]
        for track, found in read.tracks.items()
    }
    assert sorted(processes.values()) == list(range(1, len(streams) + 1))
    for boot, stream in enumerate(streams, 1):
        slices = [found for found in read.slices if boot_of[found[0]] == boot]
        for cpu in {event.cpu for event in stream.transitions}:
            mine = [event for event in stream.transitions if event.cpu == cpu]
            stretches = [(before.t, after.t, MODES[before.target][0]) for before, after in pairwise(mine)]
            modes = [found for found in slices if found[3].categories == [trace.CATEGORY_MODE]]
            assert [
                (begin, end, event.name) for track, begin, end, event in modes if read.name(track) == f"CPU {cpu}"
            ] == stretches
        smis = [(begin, end) for _track, begin, end, event in slices if event.categories == [trace.CATEGORY_SMI]]
        assert sorted(smis) == sorted((smi.events[0].t, smi.events[-1].t) for smi in group_smis(stream.transitions))
        points = [(t, event.name) for track, t, event in read.points if boot_of[track] == boot]
        assert points == [(record.t, f"{record.source} {record.event}") for record in stream.records]
