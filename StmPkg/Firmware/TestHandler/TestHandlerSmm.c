/** @file
  SMI handler that does on request what SMI handlers must not do, so that tests
  see what the STM makes of it.

  It is in every image, since tests are to run what users run, and does nothing
  unless the owner of the machine arms it with a fw_cfg file.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiSmm.h>
#include <Guid/MsegSmram.h>
#include <Guid/StmTestHandler.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/HobLib.h>
#include <Library/IoLib.h>
#include <Library/SmmMemLib.h>
#include <Library/SmmServicesTableLib.h>

#define VECTOR_GP    13
#define IDT_ENTRIES  256
#define CPUID_LEAF   0

//
// QEMU's fw_cfg by its ports. OVMF's library would use DMA, which reads and
// writes memory as devices see it: SMRAM is not there.
//
#define FW_CFG_SELECTOR        0x510
#define FW_CFG_DATA            0x511
#define FW_CFG_SIGNATURE       0x00
#define FW_CFG_FILE_DIRECTORY  0x19

#pragma pack(1)

typedef struct {
  UINT32    Size;               ///< big-endian, as the next field
  UINT16    Selector;
  UINT16    Reserved;
  CHAR8     Name[56];
} FW_CFG_FILE;

#pragma pack()

//
// Functions of X64/Probe.nasm.
//
typedef
BOOLEAN
(EFIAPI *PROBE) (
  IN     volatile UINT8  *Address,
  IN OUT UINT8           *Value
  );

BOOLEAN
EFIAPI
ProbeRead (
  IN     volatile UINT8  *Address,
  IN OUT UINT8           *Value
  );

BOOLEAN
EFIAPI
ProbeWrite (
  IN     volatile UINT8  *Address,
  IN OUT UINT8           *Value
  );

VOID
EFIAPI
ProbeFault (
  VOID
  );

STATIC UINT64                    mMsegBase;
STATIC UINT64                    mMsegSize;
STATIC IA32_IDT_GATE_DESCRIPTOR  mIdt[IDT_ENTRIES];

/**
  Access one byte of MSEG with an IDT of our own in force.

  @param[in]      Probe    ProbeRead or ProbeWrite.
  @param[in, out] Request  Offset and value.

  @return StmTestDone, StmTestFaulted or StmTestRejected.
**/
STATIC
STM_TEST_RESULT
AccessMseg (
  IN     PROBE             Probe,
  IN OUT STM_TEST_REQUEST  *Request
  )
{
  IA32_DESCRIPTOR  Original;
  IA32_DESCRIPTOR  Own;
  UINT8            Value;
  BOOLEAN          Done;

  AsmReadIdtr (&Original);
  if ((Request->Offset >= mMsegSize) || (Original.Limit >= sizeof (mIdt))) {
    return StmTestRejected;
  }

  CopyMem (mIdt, (VOID *)Original.Base, Original.Limit + 1);
  mIdt[VECTOR_GP].Bits.OffsetLow   = (UINT16)(UINTN)ProbeFault;
  mIdt[VECTOR_GP].Bits.OffsetHigh  = (UINT16)((UINTN)ProbeFault >> 16);
  mIdt[VECTOR_GP].Bits.OffsetUpper = (UINT32)((UINTN)ProbeFault >> 32);
  mIdt[VECTOR_GP].Bits.Selector    = AsmReadCs ();
  mIdt[VECTOR_GP].Bits.GateType    = IA32_IDT_GATE_TYPE_INTERRUPT_32;

  Own.Base  = (UINTN)mIdt;
  Own.Limit = Original.Limit;
  Value     = (UINT8)Request->Value;
  AsmWriteIdtr (&Own);
  Done = Probe ((volatile UINT8 *)(UINTN)(mMsegBase + Request->Offset), &Value);
  AsmWriteIdtr (&Original);

  Request->Value = Value;
  return Done ? StmTestDone : StmTestFaulted;
}

/**
  Raise an exception that cannot be delivered.
**/
STATIC
VOID
CauseTripleFault (
  VOID
  )
{
  IA32_DESCRIPTOR  Empty;

  ZeroMem (&Empty, sizeof (Empty));
  AsmWriteIdtr (&Empty);
  CpuBreakpoint ();
}

/**
  Carry out one request.

  @param[in]      DispatchHandle  Not used.
  @param[in]      Context         Not used.
  @param[in, out] CommBuffer      STM_TEST_REQUEST.
  @param[in, out] CommBufferSize  Its bytes.

  @retval EFI_SUCCESS  The SMI is done with; the request holds the result.
**/
STATIC
EFI_STATUS
EFIAPI
TestHandler (
  IN     EFI_HANDLE  DispatchHandle,
  IN     CONST VOID  *Context         OPTIONAL,
  IN OUT VOID        *CommBuffer      OPTIONAL,
  IN OUT UINTN       *CommBufferSize  OPTIONAL
  )
{
  STM_TEST_REQUEST  Request;

  if ((CommBuffer == NULL) || (CommBufferSize == NULL) || (*CommBufferSize != sizeof (Request)) ||
      !SmmIsBufferOutsideSmmValid ((UINTN)CommBuffer, sizeof (Request)))
  {
    return EFI_SUCCESS;
  }

  CopyMem (&Request, CommBuffer, sizeof (Request));
  Request.Result = StmTestDone;
  switch (Request.Command) {
    case StmTestReadMseg:
      Request.Result = AccessMseg (ProbeRead, &Request);
      break;
    case StmTestWriteMseg:
      Request.Result = AccessMseg (ProbeWrite, &Request);
      break;
    case StmTestCpuid:
      AsmCpuid (CPUID_LEAF, &Request.Value, NULL, NULL, NULL);
      break;
    case StmTestTripleFault:
      CauseTripleFault ();
      break;
    default:
      Request.Result = StmTestRejected;
      break;
  }

  CopyMem (CommBuffer, &Request, sizeof (Request));
  return EFI_SUCCESS;
}

/**
  Whether QEMU has the file that arms the handler.

  @retval TRUE   It has.
  @retval FALSE  It has not.
**/
STATIC
BOOLEAN
IsArmed (
  VOID
  )
{
  FW_CFG_FILE  File;
  UINT32       Count;

  IoWrite16 (FW_CFG_SELECTOR, FW_CFG_SIGNATURE);
  IoReadFifo8 (FW_CFG_DATA, sizeof (Count), &Count);
  if (Count != SIGNATURE_32 ('Q', 'E', 'M', 'U')) {
    return FALSE;
  }

  IoWrite16 (FW_CFG_SELECTOR, FW_CFG_FILE_DIRECTORY);
  IoReadFifo8 (FW_CFG_DATA, sizeof (Count), &Count);
  for (Count = SwapBytes32 (Count); Count > 0; Count--) {
    IoReadFifo8 (FW_CFG_DATA, sizeof (File), &File);
    if (AsciiStrnCmp (File.Name, STM_TEST_HANDLER_FILE, sizeof (File.Name)) == 0) {
      return TRUE;
    }
  }

  return FALSE;
}

/**
  Register the handler if the owner of the machine asks for it.

  @param[in] ImageHandle  Handle of this image.
  @param[in] SystemTable  EFI system table.

  @retval EFI_SUCCESS  The handler is registered, or not asked for.
  @retval others       It could not be registered.
**/
EFI_STATUS
EFIAPI
TestHandlerEntryPoint (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  EFI_HOB_GUID_TYPE     *Hob;
  EFI_SMRAM_DESCRIPTOR  *Mseg;
  EFI_HANDLE            DispatchHandle;

  if (!IsArmed ()) {
    return EFI_SUCCESS;
  }

  Hob = GetFirstGuidHob (&gMsegSmramGuid);
  if (Hob != NULL) {
    Mseg      = GET_GUID_HOB_DATA (Hob);
    mMsegBase = Mseg->PhysicalStart;
    mMsegSize = Mseg->PhysicalSize;
  }

  DEBUG ((DEBUG_WARN, "%a: armed by %a\n", gEfiCallerBaseName, STM_TEST_HANDLER_FILE));
  return gSmst->SmiHandlerRegister (TestHandler, &gStmTestHandlerGuid, &DispatchHandle);
}
