/** @file
  What the ACPI tables say about sleep.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <IndustryStandard/Acpi20.h>
#include <Library/StmSleepLib.h>

//
// AML (ACPI, "ACPI Machine Language (AML) Specification").
//
#define AML_ZERO          0x00
#define AML_ONE           0x01
#define AML_NAME          0x08
#define AML_BYTE          0x0A
#define AML_WORD          0x0B
#define AML_DWORD         0x0C
#define AML_PACKAGE       0x12
#define AML_LENGTH_SHIFT  6             ///< PkgLength: bits 7:6 of the first byte count the bytes that follow

#define NAME_SIZE      4
#define SLP_TYP_LIMIT  8

#define FADT_HAS(Fadt, Field) \
  ((Fadt)->Header.Length >= OFFSET_OF (EFI_ACPI_2_0_FIXED_ACPI_DESCRIPTION_TABLE, Field) + sizeof ((Fadt)->Field))

/**
  The SLP_TYP of a state, from AML.

  @param[in] Aml    Definition block.
  @param[in] Size   Its bytes.
  @param[in] State  0 to 5.

  @return SLP_TYP, or STM_SLEEP_NOT_THERE.
**/
STATIC
UINT8
FindType (
  IN CONST UINT8  *Aml,
  IN UINTN        Size,
  IN UINTN        State
  )
{
  UINTN  At;
  UINTN  Next;

  for (At = 1; At + NAME_SIZE < Size; At++) {
    if ((Aml[At] != '_') || (Aml[At + 1] != 'S') || (Aml[At + 2] != '0' + State) || (Aml[At + 3] != '_') ||
        !((Aml[At - 1] == AML_NAME) || ((At >= 2) && (Aml[At - 1] == '\\') && (Aml[At - 2] == AML_NAME))))
    {
      continue;
    }

    Next = At + NAME_SIZE;
    if (Aml[Next] != AML_PACKAGE) {
      continue;
    }

    //
    // Length of the package, number of its elements, the first element. Where
    // that lies behind the table there is no element.
    //
    Next++;
    if (Next >= Size) {
      break;
    }

    Next += (UINTN)(Aml[Next] >> AML_LENGTH_SHIFT) + 2;
    if (Next >= Size) {
      break;
    }

    if ((Aml[Next] == AML_ZERO) || (Aml[Next] == AML_ONE)) {
      return Aml[Next];
    }

    if (((Aml[Next] == AML_BYTE) || (Aml[Next] == AML_WORD) || (Aml[Next] == AML_DWORD)) &&
        (Next + 1 < Size) && (Aml[Next + 1] < SLP_TYP_LIMIT))
    {
      return Aml[Next + 1];
    }
  }

  return STM_SLEEP_NOT_THERE;
}

/**
  Read what the fixed ACPI description table, and the DSDT that it names, say
  about sleep.

  A state's SLP_TYP is the first element of the package that the DSDT calls _S0_
  to _S5_. No AML is executed: what is computed is not found.

  @param[in]  Fadt   The table; it and the DSDT are mapped at their addresses.
  @param[out] Sleep  What they say.

  @retval TRUE   There is a port.
  @retval FALSE  There is none in I/O space (hardware-reduced ACPI), or the table
                 is too short.
**/
BOOLEAN
EFIAPI
StmSleepRead (
  IN  CONST VOID  *Fadt,
  OUT STM_SLEEP   *Sleep
  )
{
  CONST EFI_ACPI_2_0_FIXED_ACPI_DESCRIPTION_TABLE  *Table;
  CONST EFI_ACPI_DESCRIPTION_HEADER                *Dsdt;
  UINTN                                            State;

  Table               = Fadt;
  Sleep->Facs         = 0;
  Sleep->ControlPort  = 0;
  Sleep->ControlPortB = 0;
  for (State = 0; State < STM_SLEEP_STATES; State++) {
    Sleep->Type[State] = STM_SLEEP_NOT_THERE;
  }

  if (!FADT_HAS (Table, Pm1aCntBlk) || (Table->Pm1aCntBlk == 0) || (Table->Pm1aCntBlk > MAX_UINT16)) {
    return FALSE;
  }

  Sleep->ControlPort = (UINT16)Table->Pm1aCntBlk;
  if (FADT_HAS (Table, Pm1bCntBlk) && (Table->Pm1bCntBlk <= MAX_UINT16)) {
    Sleep->ControlPortB = (UINT16)Table->Pm1bCntBlk;
  }

  Sleep->Facs = Table->FirmwareCtrl;
  if ((Sleep->Facs == 0) && FADT_HAS (Table, XFirmwareCtrl)) {
    Sleep->Facs = Table->XFirmwareCtrl;
  }

  Dsdt = (CONST EFI_ACPI_DESCRIPTION_HEADER *)(UINTN)Table->Dsdt;
  if (FADT_HAS (Table, XDsdt) && (Table->XDsdt != 0)) {
    Dsdt = (CONST EFI_ACPI_DESCRIPTION_HEADER *)(UINTN)Table->XDsdt;
  }

  if ((Dsdt != NULL) && (Dsdt->Length > sizeof (*Dsdt))) {
    for (State = 0; State < STM_SLEEP_STATES; State++) {
      Sleep->Type[State] = FindType ((CONST UINT8 *)(Dsdt + 1), Dsdt->Length - sizeof (*Dsdt), State);
    }
  }

  return TRUE;
}

/**
  The sleep state that a write to the control port asks for.

  @param[in] Sleep  From StmSleepRead.
  @param[in] Value  What is written to PM1a_CNT.

  @return 0 to 5; STM_SLEEP_NOT_THERE if the write asks for none, or for one that
          the platform does not have.
**/
UINT8
EFIAPI
StmSleepState (
  IN CONST STM_SLEEP  *Sleep,
  IN UINT16           Value
  )
{
  UINT8  Type;
  UINT8  State;

  if ((Value & STM_PM1_SLP_EN) == 0) {
    return STM_SLEEP_NOT_THERE;
  }

  //
  // The deepest state first: S0 is no sleep, and may share its number.
  //
  Type = (UINT8)((Value & STM_PM1_SLP_TYP_MASK) >> STM_PM1_SLP_TYP_SHIFT);
  for (State = STM_SLEEP_STATES; State-- > 0; ) {
    if (Sleep->Type[State] == Type) {
      return State;
    }
  }

  return STM_SLEEP_NOT_THERE;
}
