/** @file
  A processor for VmxMonitorLib on the host: a VMCS that is an array, MSRs and
  CPUID leaves that the test sets. An MSR that the test has not set does not exist;
  reading it is counted, as it would raise #GP.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Library/BaseLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>
#include "shift_stub.h"

#define FIELDS   0x8000
#define ENTRIES  32

typedef struct {
  UINT64    Number;
  UINT64    Value;
} TEST_MSR;

typedef struct {
  UINT32    Leaf;
  UINT32    SubLeaf;
  UINT32    Registers[4];
} TEST_CPUID;

UINT64      TestVmcs[FIELDS];
UINT32      TestWrites;
UINT32      TestMissingMsrs;
UINT32      TestFlushes;
UINT32      TestPortWrites;
UINT32      TestTripleFaults;
UINT8       TestPorts[16];
UINT32      TestMsrCount;
TEST_MSR    TestMsrs[ENTRIES];
UINT32      TestCpuidCount;
TEST_CPUID  TestCpuids[ENTRIES];
UINT64      TestMemoryAddress;
UINT8       TestMemory[SIZE_4KB];
UINT8       TestNoMemory[SIZE_4KB];

VOID
TestStart (
  VOID
  )
{
  __builtin_memset (TestVmcs, 0, sizeof (TestVmcs));
  TestWrites       = 0;
  TestMissingMsrs  = 0;
  TestFlushes      = 0;
  TestPortWrites   = 0;
  TestTripleFaults = 0;
  TestMsrCount     = 0;
  TestCpuidCount   = 0;
  __builtin_memset (TestMemory, 0, sizeof (TestMemory));
  __builtin_memset (TestNoMemory, 0xFF, sizeof (TestNoMemory));
}

CONST VOID *
EFIAPI
TestGuestMemory (
  IN UINT64  Address
  )
{
  return ((Address - TestMemoryAddress < SIZE_4KB) ? TestMemory : TestNoMemory) + Address % SIZE_4KB;
}

VOID
TestSetMsr (
  IN UINT64  Number,
  IN UINT64  Value
  )
{
  TestMsrs[TestMsrCount].Number  = Number;
  TestMsrs[TestMsrCount++].Value = Value;
}

VOID
TestSetCpuid (
  IN UINT32  Leaf,
  IN UINT32  SubLeaf,
  IN UINT32  Eax,
  IN UINT32  Ebx,
  IN UINT32  Ecx,
  IN UINT32  Edx
  )
{
  TestCpuids[TestCpuidCount++] = (TEST_CPUID) {
    Leaf, SubLeaf, {
      Eax, Ebx, Ecx, Edx
    }
  };
}

UINT64
EFIAPI
VmRead (
  IN UINT64  Field
  )
{
  return TestVmcs[Field % FIELDS];
}

BOOLEAN
EFIAPI
VmWrite (
  IN UINT64  Field,
  IN UINT64  Value
  )
{
  TestVmcs[Field % FIELDS] = Value;
  TestWrites++;
  return TRUE;
}

VOID
EFIAPI
AsmVmWriteList (
  IN CONST VMX_FIELD_VALUE  *List,
  IN UINTN                  Count
  )
{
  while (Count-- != 0) {
    VmWrite (List->Field, List->Value);
    List++;
  }
}

UINT64
EFIAPI
AsmReadMsr64 (
  IN UINT32  Index
  )
{
  UINT32  Entry;

  for (Entry = 0; Entry < TestMsrCount; Entry++) {
    if (TestMsrs[Entry].Number == Index) {
      return TestMsrs[Entry].Value;
    }
  }

  TestMissingMsrs++;
  return 0;
}

UINT32
EFIAPI
AsmCpuidEx (
  IN      UINT32  Index,
  IN      UINT32  SubIndex,
  OUT     UINT32  *Eax  OPTIONAL,
  OUT     UINT32  *Ebx  OPTIONAL,
  OUT     UINT32  *Ecx  OPTIONAL,
  OUT     UINT32  *Edx  OPTIONAL
  )
{
  UINT32  *Outputs[4] = { Eax, Ebx, Ecx, Edx };
  UINT32  Entry;
  UINT32  Register;

  for (Register = 0; Register < 4; Register++) {
    if (Outputs[Register] != NULL) {
      *Outputs[Register] = 0;
    }

    for (Entry = 0; Entry < TestCpuidCount; Entry++) {
      if ((TestCpuids[Entry].Leaf == Index) && (TestCpuids[Entry].SubLeaf == SubIndex) && (Outputs[Register] != NULL)) {
        *Outputs[Register] = TestCpuids[Entry].Registers[Register];
      }
    }
  }

  return Index;
}

UINT32
EFIAPI
AsmCpuid (
  IN      UINT32  Index,
  OUT     UINT32  *Eax  OPTIONAL,
  OUT     UINT32  *Ebx  OPTIONAL,
  OUT     UINT32  *Ecx  OPTIONAL,
  OUT     UINT32  *Edx  OPTIONAL
  )
{
  return AsmCpuidEx (Index, 0, Eax, Ebx, Ecx, Edx);
}

VOID
EFIAPI
AsmWbinvd (
  VOID
  )
{
  TestFlushes++;
}

UINTN
EFIAPI
AsmReadCr0 (
  VOID
  )
{
  return 0xC0;
}

UINTN
EFIAPI
AsmReadCr4 (
  VOID
  )
{
  return 0xC4;
}

UINT8
EFIAPI
IoWrite8 (
  IN UINTN  Port,
  IN UINT8  Value
  )
{
  if (Port == 0xCF9) {
    TestPorts[TestPortWrites++ % sizeof (TestPorts)] = Value;
  }

  return Value;
}

VOID
EFIAPI
AsmWriteIdtr (
  IN CONST IA32_DESCRIPTOR  *Idtr
  )
{
  TestTripleFaults += (Idtr->Limit == 0);
}

VOID
EFIAPI
CpuBreakpoint (
  VOID
  )
{
  TestTripleFaults++;
}

VOID *
EFIAPI
ZeroMem (
  OUT VOID   *Buffer,
  IN  UINTN  Length
  )
{
  return __builtin_memset (Buffer, 0, Length);
}
