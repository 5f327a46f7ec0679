/** @file
  The STM's API on the host: who drives it, and where things are.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef API_STUB_H_
#define API_STUB_H_

#include "State/State.h"

#define TEST_PROCESSORS  4

///
/// Physical addresses that are mapped at the same address in the host's process: below
/// the shadow memory of AddressSanitizer, and where no program or heap is.
///
#define TEST_EXECUTIVE_BASE   0x60000000ULL
#define TEST_EXECUTIVE_PAGES  16
#define TEST_TSEG_BASE        0x6F800000ULL
#define TEST_TSEG_END         0x70000000ULL
#define TEST_MSEG_BASE        0x6FE00000ULL
#define TEST_DYNAMIC          (TEST_MSEG_BASE + 0x20000)
#define TEST_EPT              0x100000   ///< from there
#define TEST_EPT_PAGES        32
#define TEST_BIOS_COPY        (TEST_DYNAMIC + TEST_EPT + TEST_EPT_PAGES * SIZE_4KB)
#define TEST_DRAFT            (TEST_BIOS_COPY + STM_BIOS_PAGES * SIZE_4KB)
#define TEST_SMBASE(Index)  (TEST_TSEG_BASE + (UINT64)(Index) * SIZE_64KB)
#define TEST_BIOS_LIST       (TEST_TSEG_BASE + 0x90000)
#define TEST_BIOS_LIST_SIZE  0x8000
#define TEST_HANDLER_TABLES  (TEST_TSEG_BASE + 0x100000)
#define TEST_REQUEST         (TEST_TSEG_BASE + 0x110000)

#define TEST_SETUP     BIT0
#define TEST_TEARDOWN  BIT1

extern UINT32  TestFirmwareCode;
extern UINT32  TestOpenWindows;
extern UINT32  TestWorstWindow;
extern UINT32  TestEcamMoves;

VOID
TestStart (
  IN UINT32   PhysicalBits,
  IN UINT32   Limit,
  IN BOOLEAN  HugePages
  );

VOID
TestGiveList (
  IN UINT64  Address
  );

VOID
TestGiveAcpi (
  IN UINT64  Rsdp
  );

VOID
TestChipset (
  IN UINT32  Identifier,
  IN UINT64  ExBar
  );

BOOLEAN
TestIsBridge (
  IN  UINT64  Page,
  OUT UINT32  Copy[SIZE_4KB / sizeof (UINT32)]
  );

VOID
TestLookAtEcam (
  VOID
  );

VOID
TestCapabilities (
  IN UINT64  VmxMisc
  );

STM_PROCESSOR *
TestProcessor (
  IN UINT32  Index
  );

CONST STM_PROFILE *
TestProfile (
  VOID
  );

CONST STM_SHARED *
TestShared (
  VOID
  );

UINT64
TestCall (
  IN     UINT32  Index,
  IN OUT UINT64  Registers[4]
  );

UINT64
TestHandlerCall (
  IN     UINT32  Index,
  IN     UINT64  Cr3,
  IN OUT UINT64  Registers[4]
  );

UINT32
TestIsInside (
  IN UINT32  Index
  );

VOID
TestChangeLater (
  IN CONST UINT8  *Page,
  IN UINT32       Windows
  );

UINT64
TestMonitorCtl (
  IN UINT32  Index
  );

#endif
