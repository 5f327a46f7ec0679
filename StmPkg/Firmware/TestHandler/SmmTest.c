/** @file
  Shell application: sends one request to the test SMI handler and records the
  answer.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Guid/StmTestHandler.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/ShellCEntryLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Protocol/SmmCommunication.h>
#include <StmRecord.h>

#define USAGE  L"usage: SmmTest mseg-read [OFFSET] | mseg-write OFFSET VALUE | cpuid | triple-fault\n"

typedef struct {
  CONST CHAR16    *Name;
  CONST CHAR8     *RecordName;
  UINT32          Command;
  UINTN           Arguments;    ///< numbers it needs
} TEST_COMMAND;

STATIC CONST TEST_COMMAND  mCommands[] = {
  { L"mseg-read",    "mseg-read",    StmTestReadMseg,    0 },
  { L"mseg-write",   "mseg-write",   StmTestWriteMseg,   2 },
  { L"cpuid",        "cpuid",        StmTestCpuid,       0 },
  { L"triple-fault", "triple-fault", StmTestTripleFault, 0 }
};

/**
  The name of a result in records.

  @param[in] Result  STM_TEST_RESULT.

  @return An ASCII string.
**/
STATIC
CONST CHAR8 *
ResultName (
  IN UINT32  Result
  )
{
  switch (Result) {
    case StmTestDone:
      return "done";
    case StmTestFaulted:
      return "faulted";
    case StmTestRejected:
      return "rejected";
    default:
      return "no-handler";
  }
}

/**
  Send a request through the firmware's SMM communication.

  @param[in,out] Request  The request; gets the answer.

  @retval EFI_SUCCESS    The request was sent; Result tells whether a handler saw it.
  @retval EFI_NOT_FOUND  There is no SMM communication, or no such handler.
  @retval others         The request could not be sent.
**/
STATIC
EFI_STATUS
SendRequest (
  IN OUT STM_TEST_REQUEST  *Request
  )
{
  EFI_SMM_COMMUNICATION_PROTOCOL  *Communication;
  EFI_SMM_COMMUNICATE_HEADER      *Header;
  EFI_STATUS                      Status;
  UINTN                           Size;

  Status = gBS->LocateProtocol (&gEfiSmmCommunicationProtocolGuid, NULL, (VOID **)&Communication);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  //
  // SMM maps runtime data, but no boot-services memory, once SMRAM is locked.
  //
  Size   = OFFSET_OF (EFI_SMM_COMMUNICATE_HEADER, Data) + sizeof (*Request);
  Status = gBS->AllocatePool (EfiRuntimeServicesData, Size, (VOID **)&Header);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  CopyGuid (&Header->HeaderGuid, &gStmTestHandlerGuid);
  Header->MessageLength = sizeof (*Request);
  CopyMem (Header->Data, Request, sizeof (*Request));
  Status = Communication->Communicate (Communication, Header, &Size);
  CopyMem (Request, Header->Data, sizeof (*Request));
  gBS->FreePool (Header);
  return Status;
}

/**
  Entry point.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval 0      The handler answered.
  @return An EFI_STATUS without its high bit otherwise.
**/
INTN
EFIAPI
ShellAppMain (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  CONST TEST_COMMAND  *Command;
  STM_TEST_REQUEST    Request;
  EFI_STATUS          Status;
  UINTN               Index;

  Command = NULL;
  for (Index = 0; (Index < ARRAY_SIZE (mCommands)) && (Argc >= 2); Index++) {
    if (StrCmp (Argv[1], mCommands[Index].Name) == 0) {
      Command = &mCommands[Index];
    }
  }

  if ((Command == NULL) || (Argc < 2 + Command->Arguments)) {
    Print (USAGE);
    return (INTN)(EFI_INVALID_PARAMETER & ~MAX_BIT);
  }

  ZeroMem (&Request, sizeof (Request));
  Request.Command = Command->Command;
  Request.Offset  = (Argc >= 3) ? (UINT32)StrHexToUintn (Argv[2]) : 0;
  Request.Value   = (Argc >= 4) ? (UINT32)StrHexToUintn (Argv[3]) : 0;

  Status = SendRequest (&Request);
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "smm-test",
    "cmd=%a offset=0x%x value=0x%x result=%a",
    Command->RecordName,
    Request.Offset,
    Request.Value,
    ResultName (Request.Result)
    );
  Print (L"SmmTest: %s: %a, value 0x%x\n", Command->Name, ResultName (Request.Result), Request.Value);
  return (INTN)(Status & ~MAX_BIT);
}
