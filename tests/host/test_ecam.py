# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where PCI configuration space is in memory: the chipset, which other processors disturb, and ACPI's tables."""

from __future__ import annotations

import ctypes

import pytest

from tests.host import api_model as model
from tests.host import test_mcfg as acpi
from tests.host.conftest import Build
from tests.host.resource_lists import end, memory, pci, pci_path
from tests.host.resource_model import MALFORMED, PAGE
from tests.host.test_api import BIOS_LIST, BITS, EXECUTIVE, LIST, Stm, build, put

READ, WRITE = 1, 2


@pytest.fixture(scope="module")
def stm(build_library: Build) -> Stm:
    made = build(build_library)
    made.library.TestLeaf.restype = ctypes.c_uint64
    made.library.TestTopEntry.restype = ctypes.c_uint64
    made.library.TestProcessor.restype = ctypes.c_void_p
    return made


def leaf(stm: Stm, address: int) -> int:
    return int(stm.library.TestLeaf(ctypes.c_uint64(address)))


def set_chipset(stm: Stm, bridge: int, register: int) -> None:
    stm.library.TestChipset(ctypes.c_uint32(bridge), ctypes.c_uint64(register))


def disturb(stm: Stm, address: int, times: int, *, until: int = 0, puts_back: bool = False) -> None:
    """Another processor writes to CF8H, so often just before the STM reads port CFCH, `until` reads from now."""
    stm.library.TestDisturb(*(ctypes.c_uint32(number) for number in (address, until, times, puts_back)))


def guarded(stm: Stm) -> tuple[int, int, bool]:
    """Base and megabytes of what is guarded, and whether the chipset is unknown."""
    base, size, by_ports = (ctypes.c_uint64() for _ in range(3))
    stm.library.TestEcam(ctypes.byref(base), ctypes.byref(size), ctypes.byref(by_ports))
    return base.value, size.value >> 20, bool(by_ports.value)


def protect(stm: Stm, *descriptors: bytes, number: int = model.PROTECT) -> int:
    put(LIST, (b"".join(descriptors) + end()).ljust(PAGE, b"\0"))
    return stm.call(0, number, LIST)[0]


Q35_BRIDGE, ANOTHER_BRIDGE = 0x29C0_8086, 0x1237_8086
SIZES = {256: 0, 128: 2, 64: 4}


def pciexbar(base: int, megabytes: int) -> int:
    return base | SIZES[megabytes] | 1


def give_acpi(stm: Stm, *tables: bytes, broken: bool = False) -> None:
    """In the executive monitor's memory, behind its lists."""
    start = EXECUTIVE + 4 * PAGE - acpi.RSDP // PAGE * PAGE
    made = acpi.acpi(*tables, start=start)
    for address, byte in made.content.items():
        put(address, bytes([byte]))
    if broken:
        put(acpi.ROOT + start + 12, b"?")
    stm.library.TestGiveAcpi(ctypes.c_uint64(acpi.RSDP + start))


#: Where the STM cannot guard ECAM: over flash memory, below the end of TSEG, and of the size that is reserved.
UNGUARDED = {
    "flash": 0xF000_0000 | 1,
    "tseg": 0x4000_0000 | 1,
    "zero": 1,
    "reserved-size": 0xE000_0000 | 6 | 1,
    "reserved-size-disabled": 0xE000_0000 | 6,
}
WHOLE, FEW, ELSEWHERE = ((0xE000_0000, 0, 0, 255), (0xE000_0000, 0, 0, 15), (0xD000_0000, 0, 0, 255))
SECOND = (0x8_0000_0000, 1, 0, 255)
LOW, HIGH, OVER_APIC = (EXECUTIVE, 0, 0, 0), (0xE_0000_0000, 0, 0, 255), (0xF000_0000, 0, 0, 255)


@pytest.mark.parametrize(
    ("bridge", "register", "allocations", "broken", "ecam"),
    [
        (Q35_BRIDGE, pciexbar(0xE000_0000, 256), [WHOLE], False, (0xE000_0000, 256)),
        (Q35_BRIDGE, pciexbar(0xE000_0000, 256), [FEW], False, (0xE000_0000, 256)),
        (Q35_BRIDGE, pciexbar(0xE000_0000, 256), [], False, (0xE000_0000, 256)),
        (Q35_BRIDGE, pciexbar(0xE000_0000, 256), [WHOLE], True, (0xE000_0000, 256)),
        (Q35_BRIDGE, pciexbar(0xE_0000_0000, 256), [HIGH], False, (0xE_0000_0000, 256)),
        (Q35_BRIDGE, pciexbar(0xE000_0000, 256) | 1 << 44, [WHOLE], False, (0xE000_0000, 256)),
        (Q35_BRIDGE, 0, [], False, (0, 0)),
        (Q35_BRIDGE, 0xF000_0000, [], False, (0, 0)),
        *((Q35_BRIDGE, register, [], False, None) for register in UNGUARDED.values()),
        (Q35_BRIDGE, pciexbar(0xE000_0000, 256), [ELSEWHERE], False, None),
        (Q35_BRIDGE, pciexbar(0xE000_0000, 64), [WHOLE], False, None),
        (Q35_BRIDGE, 0, [WHOLE], False, None),
        (Q35_BRIDGE, pciexbar(0xE000_0000, 256), [WHOLE, SECOND], False, None),
        (ANOTHER_BRIDGE, 0, [WHOLE, SECOND], False, None),
        (ANOTHER_BRIDGE, 0, [SECOND], False, None),
        (ANOTHER_BRIDGE, 0, [WHOLE], False, (0xE000_0000, 256)),
        (ANOTHER_BRIDGE, 0, [FEW], False, (0xE000_0000, 16)),
        (ANOTHER_BRIDGE, 0, [HIGH], False, (0xE_0000_0000, 256)),
        (ANOTHER_BRIDGE, 0, [], False, (0, 0)),
        (ANOTHER_BRIDGE, 0, [WHOLE], True, None),
        (ANOTHER_BRIDGE, 0, [LOW], False, None),
        (ANOTHER_BRIDGE, 0, [OVER_APIC], False, None),
        (ANOTHER_BRIDGE, 0, [(1 << BITS, 0, 0, 255)], False, None),
        (ANOTHER_BRIDGE, 0, [(2**64 - (1 << 20), 0, 0, 255)], False, None),
    ],
)
def test_ecam(
    stm: Stm, bridge: int, register: int, allocations: list[acpi.Allocation], broken: bool, ecam: tuple[int, int] | None
) -> None:
    """The chipset decides where it is known, and ACPI may not contradict it; else ACPI does, if it can be believed.

    What is refused is the whole protection.
    """
    stm.start()
    put(BIOS_LIST, end())
    set_chipset(stm, bridge, register)
    give_acpi(stm, *([acpi.mcfg(*allocations)] if allocations else []), broken=broken)
    status = stm.call(0, model.INITIALIZE)[0]
    assert hex(status) == hex(model.SUCCESS if ecam else model.UNSPECIFIED)
    if ecam is None:
        return
    assert protect(stm, pci()) == model.SUCCESS
    assert guarded(stm) == (*ecam, bridge == ANOTHER_BRIDGE)


def test_without_acpi_the_chipset_alone(stm: Stm) -> None:
    stm.start()
    set_chipset(stm, Q35_BRIDGE, pciexbar(0xE000_0000, 256))
    assert stm.call(0, model.INITIALIZE)[0] == model.SUCCESS


def ready(stm: Stm, register: int) -> None:
    """A session on a Q35."""
    stm.start()
    put(BIOS_LIST, end())
    stm.library.TestGiveAcpi(ctypes.c_uint64(0))
    set_chipset(stm, Q35_BRIDGE, register)
    assert stm.call(0, model.INITIALIZE)[0] == model.SUCCESS


@pytest.mark.parametrize("before", [0, pciexbar(0xE000_0000, 256)], ids=["disabled", "enabled"])
@pytest.mark.parametrize("register", UNGUARDED.values(), ids=UNGUARDED)
def test_handler_moves_ecam_away_before_the_first_protection(stm: Stm, register: int, before: int) -> None:
    """It would reach all functions there: no PROTECT succeeds, until ECAM is where it can be guarded, or is none."""
    ready(stm, before)
    set_chipset(stm, Q35_BRIDGE, register)
    assert hex(protect(stm, pci())) == hex(model.UNSPECIFIED)
    assert stm.profile() == set()
    set_chipset(stm, Q35_BRIDGE, 0xF000_0000)
    assert protect(stm, pci()) == model.SUCCESS
    assert guarded(stm) == (0, 0, False)


ECAM = (0xE000_0000, 256)
#: CF8H for a register that says nothing, for two of the host bridge, and for one that looks like PCIEXBAR.
NOTHING, IDENTIFIER, REGISTER, OTHER_PLACE = 0x8000_F800, 0x8000_0000, 0x8000_0060, 0x8000_F850
#: Reads of the host bridge's identifier, and of each half of PCIEXBAR.
READS = 3


@pytest.mark.parametrize("address", [NOTHING, IDENTIFIER, REGISTER, 0])
@pytest.mark.parametrize(("times", "puts_back"), [(1, False), (2, False), (7, False), (1, True), (2, True)])
def test_address_that_another_processor_changes(stm: Stm, times: int, puts_back: bool, address: int) -> None:
    """An operating system's accesses, on another processor, between two of the STM's: ECAM is found all the same.

    Whoever changes the address and puts it back each time is believed, though.
    """
    stm.start()
    put(BIOS_LIST, end())
    set_chipset(stm, Q35_BRIDGE, pciexbar(*ECAM))
    give_acpi(stm, acpi.mcfg(WHOLE))
    disturb(stm, address, times, puts_back=puts_back)
    assert stm.call(0, model.INITIALIZE)[0] == model.SUCCESS
    disturb(stm, address, times, puts_back=puts_back)
    assert protect(stm, pci()) == model.SUCCESS
    assert guarded(stm) == (*ECAM, False)


def test_value_that_ecam_itself_denies(stm: Stm) -> None:
    """Read alike as often as it takes, but in memory nothing says so: the chipset is asked again."""
    ready(stm, 0)
    set_chipset(stm, Q35_BRIDGE, pciexbar(*ECAM))
    disturb(stm, OTHER_PLACE, READS, until=READS, puts_back=True)
    assert protect(stm, pci()) == model.SUCCESS
    assert guarded(stm) == (*ECAM, False)


def test_address_that_never_stays(stm: Stm) -> None:
    """Refused, and nothing is protected; a later call is served."""
    stm.start()
    put(BIOS_LIST, end())
    stm.library.TestGiveAcpi(ctypes.c_uint64(0))
    set_chipset(stm, Q35_BRIDGE, pciexbar(*ECAM))
    disturb(stm, NOTHING, 1 << 30)
    assert hex(stm.call(0, model.INITIALIZE)[0]) == hex(model.UNSPECIFIED)
    assert not stm.library.TestIsInside(ctypes.c_uint32(0))
    ready(stm, 0)
    disturb(stm, NOTHING, 1 << 30)
    assert hex(protect(stm, pci())) == hex(model.UNSPECIFIED)
    assert stm.profile() == set()
    disturb(stm, NOTHING, 0)
    assert protect(stm, pci()) == model.SUCCESS


def test_known_ecam_needs_no_ports(stm: Stm) -> None:
    """Whatever stands at CF8H."""
    ready(stm, pciexbar(*ECAM))
    set_chipset(stm, Q35_BRIDGE, pciexbar(*ECAM))
    disturb(stm, NOTHING, 1 << 30)
    assert protect(stm, pci()) == model.SUCCESS
    assert guarded(stm) == (*ECAM, False)
    assert stm.library.TestPortAccesses() == 0


def test_ecam_that_shrinks(stm: Stm) -> None:
    """What it has left behind is open again: bus 80 is in 256 MB and not in 64 MB."""
    register = pci_path([(3, 0)], access=READ | WRITE, bus=80)
    function = ECAM[0] + (80 << 20) + (3 << 15)
    ready(stm, pciexbar(*ECAM))
    before = leaf(stm, function)
    assert before & (READ | WRITE)
    assert protect(stm, register) == model.SUCCESS
    assert leaf(stm, function) & 7 == 0
    set_chipset(stm, Q35_BRIDGE, pciexbar(ECAM[0], 64))
    assert protect(stm, pci()) == model.SUCCESS
    assert guarded(stm) == (ECAM[0], 64, False)
    assert leaf(stm, function) & 7 == before & 7
    set_chipset(stm, Q35_BRIDGE, pciexbar(*ECAM))
    assert protect(stm, pci()) == model.SUCCESS
    assert leaf(stm, function) & 7 == 0


def test_guard_moves_with_the_profile(stm: Stm) -> None:
    """A call that fails, or is about something else, moves nothing: not even for a moment, in which handlers look."""
    moves = ctypes.c_uint32.in_dll(stm.library, "TestEcamMoves")
    ready(stm, pciexbar(*ECAM))
    assert protect(stm, pci()) == model.SUCCESS
    stm.library.TestLookAtEcam()
    before = moves.value
    set_chipset(stm, Q35_BRIDGE, pciexbar(0xD000_0000, 128))
    behind = pci_path([(1, 0), (2, 0)])
    assert hex(protect(stm, behind, memory(0, 0))) == hex(MALFORMED)
    assert protect(stm, memory(0x10_0000, PAGE)) == model.SUCCESS
    stm.library.TestLookAtEcam()
    assert moves.value == before
    assert guarded(stm) == (*ECAM, False)
    assert protect(stm, pci()) == model.SUCCESS
    stm.library.TestLookAtEcam()
    assert moves.value == before + 1
    assert guarded(stm) == (0xD000_0000, 128, False)


def test_ecam_above_512_gb_under_the_snapshot_policy(stm: Stm) -> None:
    """The first touch adds to the tables that all share: whoever tries again has it in its own top table, too."""
    place = 1 << 39
    bits = ctypes.c_uint32(BITS + 4)
    stm.library.TestStart(bits, ctypes.c_uint32(2), ctypes.c_ubyte(1))
    put(BIOS_LIST, end())
    set_chipset(stm, ANOTHER_BRIDGE, 0)
    give_acpi(stm, acpi.mcfg((place, 0, 0, 255)))
    for processor in range(2):
        assert stm.call(processor, model.INITIALIZE)[0] == model.SUCCESS
    stm.library.TestSnapshot()
    assert protect(stm, pci_path([(3, 0)])) == model.SUCCESS
    assert guarded(stm) == (place, 256, True)
    for processor in range(2):
        assert not top_entry(stm, processor, place)
        assert touch(stm, processor, place + (4 << 15), READ)
        assert top_entry(stm, processor, place)


GIGABYTE = 1 << 30


def top_entry(stm: Stm, processor: int, address: int) -> int:
    """Of the EPT that a processor has under the snapshot policy."""
    return int(stm.library.TestTopEntry(ctypes.c_uint32(processor), ctypes.c_uint64(address)))


def touch(stm: Stm, processor: int, address: int, access: int) -> bool:
    """An EPT violation of a handler's."""
    which = ctypes.c_void_p(stm.library.TestProcessor(ctypes.c_uint32(processor)))
    return bool(stm.library.StmMapTouched(which, ctypes.c_uint64(address), ctypes.c_uint32(access)) & 0xFF)


def test_two_processors_touch_the_same_memory(stm: Stm) -> None:
    """Without leaves of 1 GB: the second one tries again, unless what it does is denied."""
    stm.library.TestStart(ctypes.c_uint32(BITS), ctypes.c_uint32(2), ctypes.c_ubyte(0))
    put(BIOS_LIST, end())
    stm.library.TestGiveAcpi(ctypes.c_uint64(0))
    place = 5 * GIGABYTE
    for processor in range(2):
        assert stm.call(processor, model.INITIALIZE)[0] == model.SUCCESS
    assert protect(stm, memory(place + PAGE, PAGE), memory(place + 2 * PAGE, PAGE, WRITE)) == model.SUCCESS
    assert leaf(stm, place) == 0
    assert touch(stm, 0, place, READ)
    assert touch(stm, 1, place, READ) and touch(stm, 1, place + 8, READ | WRITE)
    assert leaf(stm, place) & 7 == READ | WRITE
    assert leaf(stm, place + PAGE) & 7 == 0
    assert leaf(stm, place + 2 * PAGE) & 7 == READ
    assert touch(stm, 1, place + 2 * PAGE, READ)
    for address, access in ((place, 4), (place + PAGE, READ), (place + 2 * PAGE, WRITE), (1 << BITS, READ)):
        assert not touch(stm, 1, address, access)
    # The gigabyte of TSEG is mapped from the start, the first and the fourth, and others are not.
    assert touch(stm, 1, 0x8010_0000, READ)
    for address in (0x10_0000, 0x6000_0000, 0xFEE0_0000):
        assert not touch(stm, 1, address, READ)
