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
#include <Library/StmCommandLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Protocol/DebugSupport.h>
#include <Protocol/SmmCommunication.h>
#include <StmRecord.h>

#define OPTIONS         L"[-processor N] [-own-tables]"
#define OPTION_WORDS    3
#define EXCEPTION_NONE  "-"

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
  The name of an exception in records.

  @param[in] Request  The answer.

  @return An ASCII string.
**/
STATIC
CONST CHAR8 *
ExceptionName (
  IN CONST STM_TEST_REQUEST  *Request
  )
{
  if (Request->Result != StmTestFaulted) {
    return EXCEPTION_NONE;
  }

  switch (Request->Vector) {
    case EXCEPT_IA32_GP_FAULT:
      return "#GP";
    case EXCEPT_IA32_PAGE_FAULT:
      return "#PF";
    default:
      return "other";
  }
}

/**
  Read the options behind a command, and take them off the arguments.

  @param[in,out] Argc     Number of arguments; gets the number before the options.
  @param[in]     Argv     The arguments.
  @param[in,out] Request  Gets Processor and OwnTables.

  @retval TRUE   They could be read.
  @retval FALSE  An option is unknown, or its number is missing.
**/
STATIC
BOOLEAN
ReadOptions (
  IN OUT UINTN             *Argc,
  IN     CHAR16            **Argv,
  IN OUT STM_TEST_REQUEST  *Request
  )
{
  UINTN  Index;
  UINTN  First;

  for (First = 1; (First < *Argc) && (Argv[First][0] != L'-'); First++) {
  }

  for (Index = First; Index < *Argc; Index++) {
    if (StrCmp (Argv[Index], L"-own-tables") == 0) {
      Request->OwnTables = 1;
    } else if ((StrCmp (Argv[Index], L"-processor") == 0) && (Index + 1 < *Argc)) {
      Index++;
      Request->Processor = (UINT32)StrDecimalToUintn (Argv[Index]);
    } else {
      return FALSE;
    }
  }

  *Argc = First;
  return TRUE;
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
  Send a request with the numbers and options of the arguments, and tell the answer.

  @param[in] Command  STM_TEST_COMMAND.
  @param[in] Name     Its name in records.
  @param[in] Numbers  How many numbers it needs.
  @param[in] Argc     Number of arguments.
  @param[in] Argv     The arguments: offset or address, and value, hexadecimal, then options.

  @retval EFI_INVALID_PARAMETER  An option is unknown, or a number is missing.
  @retval others                 See SendRequest.
**/
STATIC
EFI_STATUS
Ask (
  IN UINT32       Command,
  IN CONST CHAR8  *Name,
  IN UINTN        Numbers,
  IN UINTN        Argc,
  IN CHAR16       **Argv
  )
{
  STM_TEST_REQUEST  Request;
  EFI_STATUS        Status;

  ZeroMem (&Request, sizeof (Request));
  if (!ReadOptions (&Argc, Argv, &Request) || (Argc < 2 + Numbers)) {
    return EFI_INVALID_PARAMETER;
  }

  Request.Command = Command;
  Request.Address = (Argc >= 3) ? StrHexToUint64 (Argv[2]) : 0;
  Request.Offset  = (UINT32)Request.Address;
  Request.Value   = (Argc >= 4) ? (UINT32)StrHexToUintn (Argv[3]) : 0;

  Status = SendRequest (&Request);
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "smm-test",
    "cmd=%a offset=0x%x value=0x%x processor=%u tables=%a result=%a exception=%a",
    Name,
    Request.Offset,
    Request.Value,
    Request.Processor,
    (Request.OwnTables != 0) ? "own" : "smm",
    ResultName (Request.Result),
    ExceptionName (&Request)
    );
  Print (
    L"SmmTest: %a: %a, value 0x%x, exception %a\n",
    Name,
    ResultName (Request.Result),
    Request.Value,
    ExceptionName (&Request)
    );
  return Status;
}

/**
  Command "mseg-read".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @return See Ask.
**/
STATIC
EFI_STATUS
ReadMsegCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return Ask (StmTestReadMseg, "mseg-read", 0, Argc, Argv);
}

/**
  Command "mseg-write".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @return See Ask.
**/
STATIC
EFI_STATUS
WriteMsegCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return Ask (StmTestWriteMseg, "mseg-write", 2, Argc, Argv);
}

/**
  Command "read".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @return See Ask.
**/
STATIC
EFI_STATUS
ReadMemoryCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return Ask (StmTestReadMemory, "read", 1, Argc, Argv);
}

/**
  Command "cpuid".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @return See Ask.
**/
STATIC
EFI_STATUS
CpuidCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return Ask (StmTestCpuid, "cpuid", 0, Argc, Argv);
}

/**
  Command "triple-fault".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @return See Ask.
**/
STATIC
EFI_STATUS
TripleFaultCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return Ask (StmTestTripleFault, "triple-fault", 0, Argc, Argv);
}

/**
  Command "halt".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @return See Ask.
**/
STATIC
EFI_STATUS
HaltCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return Ask (StmTestHalt, "halt", 0, Argc, Argv);
}

/**
  Command "loop".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @return See Ask.
**/
STATIC
EFI_STATUS
LoopCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return Ask (StmTestLoop, "loop", 0, Argc, Argv);
}

STATIC CONST STM_COMMAND  mCommands[] = {
  { L"mseg-read",    L"[OFFSET] " OPTIONS,     0, 1 + OPTION_WORDS, ReadMsegCommand    },
  { L"mseg-write",   L"OFFSET VALUE " OPTIONS, 2, 2 + OPTION_WORDS, WriteMsegCommand   },
  { L"read",         L"ADDRESS " OPTIONS,      1, 1 + OPTION_WORDS, ReadMemoryCommand  },
  { L"cpuid",        OPTIONS,                  0, OPTION_WORDS,     CpuidCommand       },
  { L"triple-fault", OPTIONS,                  0, OPTION_WORDS,     TripleFaultCommand },
  { L"halt",         OPTIONS,                  0, OPTION_WORDS,     HaltCommand        },
  { L"loop",         OPTIONS,                  0, OPTION_WORDS,     LoopCommand        }
};

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
  return StmRunCommand (L"SmmTest", mCommands, ARRAY_SIZE (mCommands), Argc, Argv);
}
