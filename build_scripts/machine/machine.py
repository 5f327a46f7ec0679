# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs QEMU: a run directory with logs, QMP over a UNIX socket, an end that is understood.

Only the process that this module started is ever ended, by its handle.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from qemu.qmp import EventListener, QMPClient
from qemu.qmp.error import QMPError

from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.processors import STM_IMAGE_FILE, Guest, arguments
from build_scripts.processes import TimeLimit, ends_with_parent

# The library logs each failed attempt as an error, also those that are tried again.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

DEFAULT_TIMEOUT_SECONDS = 300.0
# In the run directory: the guest's serial port, and QEMU's command line, an argument a line.
CONSOLE_LOG = "console.log"
COMMAND_FILE = "command"
# Likewise: the registers of a guest that halted for good.
REGISTERS_FILE = "registers"
HALTED = "halted"
_CONNECT_SECONDS = 60.0
_QUIT_SECONDS = 10.0
_SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes
# Of `info registers`: HLT, and RFLAGS without IF.
_HALTED = re.compile(r"EFL=(?:[0-9a-f]+)([0-9a-f])[0-9a-f]{2} .* HLT=1")
_IF = 0x2  # of the digit of RFLAGS that holds bit 9


def command_of(run_dir: Path) -> list[str]:
    """QEMU's command line in the run that left this directory."""
    return (run_dir / COMMAND_FILE).read_text(encoding="utf-8").splitlines()


@dataclass(frozen=True)
class Ending:
    """How a boot ended.

    Attributes:
        reason: QMP's reason of the SHUTDOWN event (``guest-shutdown``, ``guest-reset``, ``guest-panic``,
            ``host-qmp-quit`` ...), ``timeout``, ``halted`` if somebody looked for that, or ``exited`` if QEMU ended
            without one.
        status: QEMU's exit status, None if it had to be killed.
        seconds: wall-clock time from start to end.
    """

    reason: str
    status: int | None
    seconds: float

    @property
    def requested(self) -> bool:
        """Whether the guest asked for a power-off."""
        return self.reason == "guest-shutdown"


@dataclass(frozen=True)
class _Questions:
    """What is asked again and again while QEMU runs: the arguments of `Machine.wait`."""

    watch: Callable[[], None] | None
    may_halt: Callable[[], bool] | None
    button: Callable[[], bool] | None


class Machine:
    """One QEMU process; a context manager.

    The guest stands still until `resume`, so that no event is lost. One that goes to standby (S3) is woken at once.
    """

    def __init__(self, guest: Guest, run_dir: Path) -> None:
        """Prepare the run directory: copies of variable store and STM image, the script.

        Raises:
            LabError: the script is not ASCII.
        """
        self.guest = guest
        self.run_dir = run_dir
        run_dir.mkdir(parents=True, exist_ok=True)
        # A boot writes its variable store; the build's own copy has to stay pristine.
        shutil.copyfile(guest.variables, run_dir / "OVMF_VARS.fd")
        if guest.stm_image is not None:
            shutil.copyfile(guest.stm_image, run_dir / STM_IMAGE_FILE)
        script = "".join(f"{line}\n" for line in guest.script)
        if not script.isascii():
            raise LabError("a guest script must be ASCII", ExitCode.USAGE)
        (run_dir / "script").write_text(script, encoding="ascii")
        socket = run_dir / "qmp.sock"
        self._short_dir: Path | None = None
        if len(str(socket)) > _SOCKET_PATH_LIMIT:
            self._short_dir = Path(tempfile.mkdtemp(prefix="stmlab-"))
            socket = self._short_dir / "qmp.sock"
        self._socket = socket
        self._process: subprocess.Popen[bytes] | None = None
        # A runner cancels what is under way when Ctrl-C comes, and at its end whatever is left.
        self._runner = asyncio.Runner()
        self._client = QMPClient("stmlab")
        self._shutdown = EventListener("SHUTDOWN")
        self._client.register_listener(self._shutdown)
        self._suspend = EventListener("SUSPEND")
        self._client.register_listener(self._suspend)
        self._started = 0.0

    def command_line(self) -> list[str]:
        """QEMU's arguments, with console and QMP."""
        return [
            *arguments(self.guest, self.run_dir),
            *("-chardev", f"file,id=console,path={self.run_dir / CONSOLE_LOG}", "-serial", "chardev:console"),
            *("-chardev", f"socket,id=qmp,path={self._socket},server=on,wait=off"),
            *("-mon", "chardev=qmp,mode=control", "-S"),
        ]

    def __enter__(self) -> Machine:
        """Start QEMU and connect; the guest does not run yet.

        Raises:
            LabError: QEMU did not start; the message holds what it said.
        """
        command = self.command_line()
        (self.run_dir / COMMAND_FILE).write_text("\n".join(command) + "\n", encoding="utf-8")
        self._started = time.monotonic()
        with (self.run_dir / "qemu.log").open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.run_dir,
                    preexec_fn=ends_with_parent(),
                )
            except OSError as error:
                self._clean()
                raise LabError(f"QEMU could not be started: {error}", ExitCode.USAGE) from error
        try:
            self._connect()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _connect(self) -> None:
        assert self._process is not None
        limit = TimeLimit(self._process.pid, _CONNECT_SECONDS)
        while True:
            if self._process.poll() is not None:
                said = (self.run_dir / "qemu.log").read_text(errors="replace").strip()
                raise LabError(f"QEMU did not start: {said}", ExitCode.GUEST_HUNG, log=self.run_dir / "qemu.log")
            try:
                if not self._socket.exists():
                    raise FileNotFoundError(self._socket)
                self._runner.run(self._client.connect(str(self._socket)))
                return
            except (QMPError, OSError) as error:
                if limit.left() <= 0:
                    raise LabError(f"QEMU does not answer: {error}", ExitCode.GUEST_HUNG, log=self.run_dir) from error
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        """QEMU's process, for as long as the block lasts."""
        assert self._process is not None
        return self._process.pid

    def qmp(self, command: str, parameters: dict[str, Any] | None = None) -> Any:
        """Execute a QMP command and return its result.

        Raises:
            qemu.qmp.error.QMPError: QEMU refused it or is gone.
        """
        return self._runner.run(self._client.execute(command, parameters))

    def monitor(self, command: str) -> str:
        """Execute a human-monitor command and return its text."""
        return str(self.qmp("human-monitor-command", {"command-line": command}))

    def resume(self) -> None:
        """Let the guest run."""
        self.qmp("cont")

    def wait(
        self,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        watch: Callable[[], None] | None = None,
        may_halt: Callable[[], bool] | None = None,
        button: Callable[[], bool] | None = None,
    ) -> Ending:
        """Wait for the end of QEMU; end it after `timeout` seconds in which the host had processors for it.

        Args:
            watch: called again and again meanwhile, to look at the logs as they grow.
            may_halt: likewise; once it says so, a first processor that is halted with interrupts off is the end too.
            button: likewise; each time it says so the machine's power button is pressed.
        """
        assert self._process is not None
        try:
            limit = TimeLimit(self._process.pid, timeout)
            reason = self._runner.run(self._end_within(limit, _Questions(watch, may_halt, button)))
        except TimeoutError:
            reason = "timeout"
        if reason in ("timeout", HALTED):
            self._process.kill()
        try:
            status: int | None = self._process.wait(_QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return Ending(reason, None if reason in ("timeout", HALTED) else status, time.monotonic() - self._started)

    async def _halted(self) -> bool:
        """Whether the first processor is halted with interrupts off; keeps its registers if so."""
        shown = await self._client.execute("human-monitor-command", {"command-line": "info registers"})
        text = str(shown)
        found = _HALTED.search(text)
        if found is None or int(found[1], 16) & _IF:
            return False
        (self.run_dir / REGISTERS_FILE).write_text(text, encoding="utf-8")
        return True

    async def _end_within(self, limit: TimeLimit, ask: _Questions) -> str:
        end = asyncio.ensure_future(self._next_end(ask))
        try:
            while (left := limit.left()) > 0:
                if (await asyncio.wait({end}, timeout=left))[0]:
                    return end.result()
        finally:
            end.cancel()
        raise TimeoutError

    async def _next_end(self, ask: _Questions) -> str:
        assert self._process is not None
        while True:
            if ask.watch is not None:
                ask.watch()
            if ask.may_halt is not None and ask.may_halt() and await self._halted():
                return HALTED
            if ask.button is not None and ask.button():
                await self._client.execute("system_powerdown")
            if not self._suspend.empty():
                await self._suspend.get()
                await self._client.execute("system_wakeup")
            if not self._shutdown.empty():
                event = await self._shutdown.get()
                data = event["data"]
                return str(data["reason"]) if isinstance(data, dict) else "exited"
            if self._process.poll() is not None:
                # Whatever QMP sent before the end may still be on its way.
                await asyncio.sleep(0.1)
                if self._shutdown.empty():
                    return "exited"
                continue
            await asyncio.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End QEMU if it still runs; keep the logs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        # QEMU's end is what closes the connection, so an error here is no news.
        with contextlib.suppress(QMPError, OSError, EOFError):
            self._runner.run(self._client.disconnect())
        self._clean()

    def _clean(self) -> None:
        self._runner.close()
        self._socket.unlink(missing_ok=True)
        if self._short_dir is not None:
            shutil.rmtree(self._short_dir, ignore_errors=True)


def boot(
    guest: Guest,
    run_dir: Path,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    watch: Callable[[], None] | None = None,
    may_halt: Callable[[], bool] | None = None,
    button: Callable[[], bool] | None = None,
) -> Ending:
    """Boot once and wait for the end, as `Machine.wait` does."""
    with Machine(guest, run_dir) as machine:
        machine.resume()
        return machine.wait(timeout, watch, may_halt, button)
