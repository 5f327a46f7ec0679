# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Images that say where they are and wait there, so that QEMU's monitor can be asked in every mode."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import qemu_arguments
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.processes import TimeLimit

SECONDS = 60

Cpu = dict[str, Any]


class Monitor:
    """QEMU's monitor over a socket."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        """Connect to the socket of a QEMU that has just been started."""
        self.process = process
        self._socket = self._connect(path)
        self._file = self._socket.makefile("rw", encoding="utf-8")
        self._file.readline()  # greeting
        self.qmp("qmp_capabilities")

    def _connect(self, path: Path) -> socket.socket:
        limit = TimeLimit(self.process.pid, SECONDS)
        while True:
            try:
                made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                made.connect(str(path))
                return made
            except OSError:
                made.close()
                assert limit.left() > 0 and self.process.poll() is None
                time.sleep(0.05)

    def __enter__(self) -> Self:
        """Return the monitor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection, and end QEMU."""
        self._socket.close()
        self.process.kill()
        self.process.wait()

    def qmp(self, command: str, **arguments: Any) -> Any:
        """The answer to a command, or its error."""
        self._file.write(json.dumps({"execute": command, "arguments": arguments}))
        self._file.flush()
        while True:
            answer = json.loads(self._file.readline())
            if "error" in answer:
                return answer["error"]
            if "return" in answer:
                return answer["return"]

    def hmp(self, line: str) -> str:
        """What a command prints in the human monitor."""
        return str(self.qmp("human-monitor-command", **{"command-line": line})).replace("\r\n", "\n")

    def processors(self) -> list[Cpu]:
        """What the monitor says of each."""
        found = self.qmp("x-query-vmx")
        assert isinstance(found, list)
        return found

    def wait_for(self, status: str) -> None:
        """Until the machine has that status, one of QEMU's RunState."""
        limit = TimeLimit(self.process.pid, SECONDS)
        while (found := self.qmp("query-status")["status"]) != status:
            assert limit.left() > 0, found
            time.sleep(0.01)

    def _job(self, number: int, **options: Any) -> None:
        """Make an image file of QEMU's block layer."""
        name = f"job{number}"
        self.qmp("blockdev-create", **{"job-id": name, "options": options})
        limit = TimeLimit(self.process.pid, SECONDS)
        while (job := self.qmp("query-jobs")[0])["status"] != "concluded":
            assert limit.left() > 0, job
            time.sleep(0.01)
        assert "error" not in job, job
        self.qmp("job-dismiss", id=name)

    def add_snapshot_drive(self, path: Path) -> None:
        """A drive that savevm can write to; nothing in the machine sees it."""
        self._job(0, driver="file", filename=str(path), size=0)
        self.qmp("blockdev-add", **{"driver": "file", "node-name": "file", "filename": str(path)})
        self._job(1, driver="qcow2", file="file", size=1 << 20)
        self.qmp("blockdev-add", **{"driver": "qcow2", "node-name": "snapshots", "file": "file"})


class Session(Monitor):
    """An image that waits at each place, and QEMU's monitor."""

    def __init__(self, qemu: Path, work: Path, sources: tuple[str, ...], *extra: str, cpu: str = DUAL_CPU) -> None:
        """Start the image.

        Args:
            qemu: the binary.
            work: a folder for log and sockets.
            sources: of the image.
            extra: more of QEMU's command line.
            cpu: the processor model.
        """
        rom = build_image(sources).rom
        self.log = work / "log"
        self.gdb = work / "gdb"
        qmp = work / "qmp"
        monitor = (
            "-serial",
            "stdio",
            "-qmp",
            f"unix:{qmp},server=on,wait=off",
            "-gdb",
            f"unix:{self.gdb},server=on,wait=off",
        )
        arguments = qemu_arguments(qemu, rom, self.log, cpu, (*monitor, *extra))
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self._seen = 0
        super().__init__(qmp, process)

    def next_place(self) -> str:
        """Wait for the next place; empty if the image ends without one."""
        limit = TimeLimit(self.process.pid, SECONDS)
        while True:
            ended = self.process.poll() is not None
            places = re.findall(r"^READY (\S+)$", self.text(), re.MULTILINE)
            if len(places) > self._seen:
                self._seen += 1
                return str(places[self._seen - 1])
            if ended:
                return ""
            assert limit.left() > 0, f"no place: {self.text()[-300:]}"
            time.sleep(0.02)

    def at(self, place: str) -> Cpu:
        """Wait for the next place, which must be that one, and ask about the first processor."""
        found = self.next_place()
        assert found == place, f"{found}: {self.text()[-300:]}"
        return self.processors()[0]

    def go(self) -> None:
        """Let the image go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(b".")
        self.process.stdin.flush()

    def text(self) -> str:
        """What the image said."""
        return self.log.read_text(encoding="ascii") if self.log.exists() else ""

    def value(self, name: str) -> int:
        """The last value of that name that the image told."""
        return int(re.findall(rf"^VALUE {name} (\w+)$", self.text(), re.MULTILINE)[-1], 16)
