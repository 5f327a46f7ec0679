/** @file
  Shell application: shows the log of what the firmware measured, and the registers of
  the TPM that it was measured into.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <IndustryStandard/UefiTcgPlatform.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/StmRecordLib.h>
#include <Library/Tpm2CommandLib.h>
#include <Library/UefiApplicationEntryPoint.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Protocol/Tcg2Protocol.h>
#include <StmRecord.h>

#define REGISTERS    8            ///< PCR 0 to 7: the platform's
#define DATA_SHOWN   48           ///< bytes of an event's data
#define DIGEST_TEXT  (2 * SHA256_DIGEST_SIZE + 1)

/**
  Read a register of the TPM's SHA-256 bank, and show it.

  @param[in] Register  Which.

  @retval EFI_SUCCESS  Shown.
  @retval others       The TPM did not tell.
**/
STATIC
EFI_STATUS
ShowRegister (
  IN UINT32  Register
  )
{
  TPML_PCR_SELECTION  Wanted;
  TPML_PCR_SELECTION  Told;
  TPML_DIGEST         Values;
  UINT32              Updates;
  EFI_STATUS          Status;
  CHAR8               Text[DIGEST_TEXT];

  ZeroMem (&Wanted, sizeof (Wanted));
  Wanted.count                                    = 1;
  Wanted.pcrSelections[0].hash                    = TPM_ALG_SHA256;
  Wanted.pcrSelections[0].sizeofSelect            = PCR_SELECT_MIN;
  Wanted.pcrSelections[0].pcrSelect[Register / 8] = (UINT8)(1U << (Register % 8));

  Status = Tpm2PcrRead (&Wanted, &Updates, &Told, &Values);
  if (EFI_ERROR (Status) || (Values.count != 1) || (Values.digests[0].size != SHA256_DIGEST_SIZE)) {
    Print (L"TpmLog: PCR %d cannot be read\n", Register);
    return EFI_ERROR (Status) ? Status : EFI_DEVICE_ERROR;
  }

  StmRecordBytes (Values.digests[0].buffer, SHA256_DIGEST_SIZE, Text);
  Print (L"PCR %d: %a\n", Register, Text);
  StmRecord (STM_RECORD_PORT_FIRMWARE, "APP", "pcr", "pcr=%u sha256=%a", Register, Text);
  return EFI_SUCCESS;
}

/**
  Show an entry of the log.

  @param[in]  Event  The entry, whose only digest is of SHA-256.
  @param[out] Next   The one that follows.

  @retval TRUE   Shown.
  @retval FALSE  It has other digests.
**/
STATIC
BOOLEAN
ShowEvent (
  IN  CONST TCG_PCR_EVENT2  *Event,
  OUT CONST TCG_PCR_EVENT2  **Next
  )
{
  CONST UINT8  *Data;
  UINT32       Size;
  CHAR8        Digest[DIGEST_TEXT];
  CHAR8        Shown[2 * DATA_SHOWN + 1];

  if ((Event->Digest.count != 1) || (Event->Digest.digests[0].hashAlg != TPM_ALG_SHA256)) {
    return FALSE;
  }

  Data  = Event->Digest.digests[0].digest.sha256 + SHA256_DIGEST_SIZE;
  Size  = ReadUnaligned32 ((CONST UINT32 *)Data);
  Data += sizeof (Size);
  *Next = (CONST TCG_PCR_EVENT2 *)(Data + Size);
  StmRecordBytes (Event->Digest.digests[0].digest.sha256, SHA256_DIGEST_SIZE, Digest);
  StmRecordBytes (Data, MIN (Size, DATA_SHOWN), Shown);
  Print (L"into PCR %d: type 0x%x: %a\n", Event->PCRIndex, Event->EventType, Digest);
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "measured",
    "pcr=%u type=0x%x sha256=%a size=%u data=%a",
    Event->PCRIndex,
    Event->EventType,
    Digest,
    Size,
    (Size == 0) ? "-" : Shown
    );
  return TRUE;
}

/**
  Entry point.

  @param[in] ImageHandle  Not used.
  @param[in] SystemTable  Not used.

  @retval EFI_SUCCESS       Shown.
  @retval EFI_NOT_FOUND     There is no TPM, or no log.
  @retval EFI_DEVICE_ERROR  The TPM does not tell its registers, or the log is of another form.
**/
EFI_STATUS
EFIAPI
UefiMain (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  EFI_TCG2_PROTOCOL     *Tcg2;
  CONST TCG_PCR_EVENT   *First;
  CONST TCG_PCR_EVENT2  *Event;
  EFI_PHYSICAL_ADDRESS  Log;
  EFI_PHYSICAL_ADDRESS  Last;
  BOOLEAN               Truncated;
  UINT32                Register;
  EFI_STATUS            Status;

  if (EFI_ERROR (gBS->LocateProtocol (&gEfiTcg2ProtocolGuid, NULL, (VOID **)&Tcg2)) ||
      EFI_ERROR (Tcg2->GetEventLog (Tcg2, EFI_TCG2_EVENT_LOG_FORMAT_TCG_2, &Log, &Last, &Truncated)) ||
      (Log == 0))
  {
    Print (L"TpmLog: there is no TPM, or nothing was measured\n");
    return EFI_NOT_FOUND;
  }

  //
  // The first entry has the old form, and says which algorithms the others have.
  //
  First = (CONST TCG_PCR_EVENT *)(UINTN)Log;
  Event = (CONST TCG_PCR_EVENT2 *)(First->Event + First->EventSize);
  while ((UINTN)Event <= (UINTN)Last) {
    if (!ShowEvent (Event, &Event)) {
      Print (L"TpmLog: an entry has other digests than SHA-256\n");
      return EFI_DEVICE_ERROR;
    }
  }

  for (Register = 0; Register < REGISTERS; Register++) {
    Status = ShowRegister (Register);
    if (EFI_ERROR (Status)) {
      return EFI_DEVICE_ERROR;
    }
  }

  StmRecord (STM_RECORD_PORT_FIRMWARE, "APP", "tpm-log", "truncated=%u", (UINT32)Truncated);
  return EFI_SUCCESS;
}
