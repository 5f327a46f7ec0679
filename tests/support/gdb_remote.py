# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A small client of the GDB remote serial protocol over a UNIX socket.

Tests use it to look into SMM and to break things there on purpose, so that the
STM under test needs no test code. Memory accesses use the address space of the
processor's present mode: SMRAM is visible only while it is in SMM.
"""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from types import TracebackType

from build_scripts.processes import TimeLimit

# Order of the "g" packet of QEMU's x86-64 target: sixteen GPRs, RIP, EFLAGS, segments.
_REGISTERS = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
)  # fmt: skip
REGISTER_NUMBER = {name: number for number, name in enumerate(_REGISTERS)}


# How often to look whether an answer's time is over.
_AGAIN_SECONDS = 1.0


class GdbError(RuntimeError):
    """The stub refused a request or closed the connection."""


class GdbRemote:
    """A connection to QEMU's gdb stub; the guest is stopped while it answers."""

    def __init__(self, path: Path, timeout: float = 60.0) -> None:
        """Connect to the stub's socket at `path`.

        Args:
            timeout: seconds for the connection, and for each answer; of these, QEMU's waits for a processor of a busy
                host are not counted.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                self._socket.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._socket.settimeout(_AGAIN_SECONDS)
        self._timeout = timeout
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self._pid = struct.unpack("3i", credentials)[0]
        self._buffer = b""

    def __enter__(self) -> GdbRemote:
        """Return the connection itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection; the guest goes on."""
        self._socket.close()

    def _byte(self) -> bytes:
        if not self._buffer:
            self._buffer = self._read()
            if not self._buffer:
                raise GdbError("the gdb stub closed the connection")
        byte, self._buffer = self._buffer[:1], self._buffer[1:]
        return byte

    def _read(self) -> bytes:
        limit = TimeLimit(self._pid, self._timeout)
        while True:
            try:
                return self._socket.recv(65536)
            except TimeoutError:
                if limit.left() <= 0:
                    raise

    def _receive(self) -> str:
        while self._byte() != b"$":
            pass
        body = bytearray()
        while (byte := self._byte()) != b"#":
            body += byte
        self._byte()
        self._byte()
        self._socket.sendall(b"+")
        return body.decode("latin-1")

    def _send(self, body: str) -> None:
        data = body.encode("latin-1")
        self._socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 0xFF))

    def request(self, body: str) -> str:
        """Send one packet and return the answer; raise GdbError for an error answer."""
        self._send(body)
        answer = self._receive()
        if answer.startswith("E") and len(answer) == 3:
            raise GdbError(f"{body.split(',')[0]}: {answer}")
        return answer

    def read_memory(self, address: int, size: int) -> bytes:
        """Read `size` bytes at the linear address `address`."""
        data = bytearray()
        while len(data) < size:
            part = min(1024, size - len(data))
            data += bytes.fromhex(self.request(f"m{address + len(data):x},{part:x}"))
        return bytes(data)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write `data` at the linear address `address`."""
        self.request(f"M{address:x},{len(data):x}:{data.hex()}")

    def read_register(self, name: str) -> int:
        """Return a general register or RIP."""
        answer = self.request("g")
        offset = REGISTER_NUMBER[name] * 16
        value: int = struct.unpack("<Q", bytes.fromhex(answer[offset : offset + 16]))[0]
        return value

    def write_register(self, name: str, value: int) -> None:
        """Set a general register or RIP."""
        self.request(f"P{REGISTER_NUMBER[name]:x}={struct.pack('<Q', value).hex()}")

    def set_breakpoint(self, address: int) -> None:
        """Set a hardware breakpoint: it writes nothing into guest memory."""
        self.request(f"Z1,{address:x},1")

    def clear_breakpoint(self, address: int) -> None:
        """Remove a hardware breakpoint."""
        self.request(f"z1,{address:x},1")

    def select(self, processor: int) -> None:
        """Let registers and memory be those of a processor, numbered from 0."""
        self.request(f"Hg{processor + 1:x}")

    def run_to_stop(self, processor: int | None = None) -> None:
        """Let the guest, or one processor of it alone, run until a breakpoint stops it."""
        self._send("c" if processor is None else f"vCont;c:{processor + 1:x}")
        answer = self._receive()
        if not answer.startswith(("T", "S")):
            raise GdbError(f"the guest did not stop at a breakpoint: {answer}")

    def step_back(self) -> None:
        """Go back an instruction, in a replay."""
        answer = self.request("bs")
        if not answer.startswith(("T", "S")):
            raise GdbError(f"the guest did not go back: {answer or 'no such request'}")

    def run(self) -> None:
        """Let the guest run and do not wait."""
        self._send("c")
