# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run as a trace for Perfetto (ui.perfetto.dev): a process for each boot, in it a track for each processor.

A processor's track has a slice for each stretch in one mode, with the fields of the transition into it. Beside it are
the SMIs, whole, and the records of firmware, STM and executive monitor as points in time. A trace counts nanoseconds;
these are ticks of the time-stamp counter, which are nanoseconds of the guest while instructions are counted. The
machine's counter has one time for all processors and goes on across a sleep, so that slices and records need no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket, TrackDescriptor, TrackEvent
from perfetto.trace_builder.proto_builder import TraceProtoBuilder

from build_scripts.observation.events import Kind
from build_scripts.observation.report import Smi, group_smis
from build_scripts.observation.show import words_of
from build_scripts.pictures.boot import Boot
from build_scripts.pictures.decoded import fields_of
from build_scripts.pictures.spans import spans_of
from build_scripts.pictures.timeline import MODES

# Who writes the trace, among those who could have written to it at the same time.
_SEQUENCE = 1
CATEGORY_MODE = "mode"
CATEGORY_SMI = "smi"
CATEGORY_RECORD = "record"


class _Writer:
    """Puts packets into a trace, each on a track with an identifier of its own."""

    def __init__(self) -> None:
        self.builder = TraceProtoBuilder()
        self._tracks = count(1)

    def track(self, name: str, parent: int | None = None, *, process: int = 0, thread: int = 0) -> int:
        """Describe a track; returns its identifier.

        Args:
            name: of the track.
            parent: the track that it is shown under.
            process: number of the process, if it is one or belongs to one as a thread.
            thread: number of the thread, if it is one.
        """
        described: TrackDescriptor = self.builder.add_packet().track_descriptor
        described.uuid = next(self._tracks)
        if parent is not None:
            described.parent_uuid = parent
        if thread:
            described.thread.pid, described.thread.tid, described.thread.thread_name = process, thread, name
        elif process:
            described.process.pid, described.process.process_name = process, name
        else:
            described.name = name
        return int(described.uuid)

    def event(self, kind: Any, track: int, t: int) -> Any:
        """Add an event; returns it, for a name and so on."""
        packet: TracePacket = self.builder.add_packet()
        packet.timestamp = t
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.track_event.type = kind
        packet.track_event.track_uuid = track
        return packet.track_event

    def slice(self, track: int, begin: int, end: int, category: str, name: str, fields: dict[str, str]) -> None:
        """Add a stretch of time with what is known of it."""
        started = self.event(TrackEvent.TYPE_SLICE_BEGIN, track, begin)
        started.name = name
        started.categories.append(category)
        _annotate(started, fields)
        self.event(TrackEvent.TYPE_SLICE_END, track, end)


def _annotate(event: Any, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        annotation = event.debug_annotations.add()
        annotation.name, annotation.string_value = name, value


def _smi_fields(smi: Smi) -> dict[str, str]:
    found = {
        "treatment": "dual-monitor" if smi.dual_monitor else "default",
        "transitions": str(smi.transitions),
        "complete": "yes" if smi.complete else "no",
    }
    counts = smi.instructions
    if counts is not None:
        found |= {
            "STM instructions": str(counts.stm),
            "handler instructions": str(counts.handler),
            "total instructions": str(counts.total),
        }
    return found


def _add_boot(writer: _Writer, number: int, boot: Boot) -> None:
    transitions = boot.stream.transitions
    process = writer.track(boot.name, process=number)
    processors = sorted({event.cpu for event in transitions})
    modes = {cpu: writer.track(f"CPU {cpu}", process, process=number, thread=cpu + 1) for cpu in processors}
    smis = {cpu: writer.track(f"SMIs of CPU {cpu}", process) for cpu in processors}
    records = writer.track("records", process)
    for span in spans_of(transitions):
        name, fields = MODES[span.mode][0], fields_of(transitions[span.into])
        writer.slice(modes[span.cpu], span.begin, span.end, CATEGORY_MODE, name, fields)
    for smi in group_smis(transitions):
        name = "SMI (dual-monitor)" if smi.events[0].kind is Kind.SMM_EXIT else "SMI (default)"
        begin, end = smi.events[0].t, smi.events[-1].t
        writer.slice(smis[smi.cpu], begin, max(begin, end), CATEGORY_SMI, name, _smi_fields(smi))
    for record in boot.stream.records:
        point = writer.event(TrackEvent.TYPE_INSTANT, records, record.t)
        point.name = f"{record.source} {record.event}"
        point.categories.append(CATEGORY_RECORD)
        words = words_of(record)
        _annotate(point, {key: record.text(key) for key in record.fields} | ({"story": words} if words else {}))


def perfetto(boots: Sequence[Boot]) -> bytes:
    """The trace.

    Args:
        boots: of the run, in order.
    """
    writer = _Writer()
    for number, boot in enumerate(boots, 1):
        _add_boot(writer, number, boot)
    return bytes(writer.builder.serialize())
