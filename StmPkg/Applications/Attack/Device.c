/** @file
  Devices that read and write memory by themselves: QEMU's edu, and its fw_cfg.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"
#include <Library/IoLib.h>
#include <Protocol/PciIo.h>

///
/// QEMU's "docs/specs/edu.rst": vendor and device, registers in BAR 0, and the
/// device's own buffer.
///
#define EDU_ID           0x11E81234
#define EDU_SOURCE       0x80
#define EDU_DESTINATION  0x88
#define EDU_COUNT        0x90
#define EDU_COMMAND      0x98
#define EDU_RUN          BIT0
#define EDU_TO_MEMORY    BIT1
#define EDU_BUFFER       0x40000
#define EDU_POLLS        1000000

///
/// QEMU's "docs/specs/fw_cfg.rst": the DMA interface.
///
#define FW_CFG_DMA_HIGH        0x514
#define FW_CFG_DMA_LOW         0x518
#define FW_CFG_DMA_ERROR       BIT0
#define FW_CFG_DMA_READ        BIT1
#define FW_CFG_DMA_SELECT      BIT3
#define FW_CFG_SIGNATURE       0
#define FW_CFG_SIGNATURE_SIZE  4

///
/// The page through which values go between the device and this program.
///
#define DEVICE_PAGE  2

#pragma pack(1)

typedef struct {
  UINT32    Control;            ///< big endian, as the rest
  UINT32    Length;
  UINT64    Address;
} FW_CFG_DMA;

#pragma pack()

/**
  Find the edu, and let it be a bus master.

  @return Its PCI I/O protocol, or NULL.
**/
STATIC
EFI_PCI_IO_PROTOCOL *
FindEdu (
  VOID
  )
{
  EFI_PCI_IO_PROTOCOL  *PciIo;
  EFI_HANDLE           *Handles;
  UINTN                Count;
  UINTN                Index;
  UINT32               Id;

  if (EFI_ERROR (gBS->LocateHandleBuffer (ByProtocol, &gEfiPciIoProtocolGuid, NULL, &Count, &Handles))) {
    return NULL;
  }

  PciIo = NULL;
  for (Index = 0; Index < Count; Index++) {
    Id = 0;
    if (EFI_ERROR (gBS->HandleProtocol (Handles[Index], &gEfiPciIoProtocolGuid, (VOID **)&PciIo)) ||
        EFI_ERROR (PciIo->Pci.Read (PciIo, EfiPciIoWidthUint32, 0, 1, &Id)) ||
        (Id != EDU_ID))
    {
      PciIo = NULL;
      continue;
    }

    PciIo->Attributes (
             PciIo,
             EfiPciIoAttributeOperationEnable,
             EFI_PCI_IO_ATTRIBUTE_MEMORY | EFI_PCI_IO_ATTRIBUTE_BUS_MASTER,
             NULL
             );
    break;
  }

  gBS->FreePool (Handles);
  return PciIo;
}

/**
  Let the edu begin to copy between memory and its own buffer. It does so a tenth of a second
  later.

  @param[in] PciIo     The edu.
  @param[in] Address   Physical address.
  @param[in] Bytes     How many.
  @param[in] ToMemory  TRUE to write memory.
**/
STATIC
VOID
Begin (
  IN EFI_PCI_IO_PROTOCOL  *PciIo,
  IN UINT64               Address,
  IN UINT64               Bytes,
  IN BOOLEAN              ToMemory
  )
{
  UINT64  Source;
  UINT64  Destination;
  UINT64  Command;

  Source      = ToMemory ? EDU_BUFFER : Address;
  Destination = ToMemory ? Address : EDU_BUFFER;
  Command     = EDU_RUN | (ToMemory ? EDU_TO_MEMORY : 0);
  PciIo->Mem.Write (PciIo, EfiPciIoWidthUint64, 0, EDU_SOURCE, 1, &Source);
  PciIo->Mem.Write (PciIo, EfiPciIoWidthUint64, 0, EDU_DESTINATION, 1, &Destination);
  PciIo->Mem.Write (PciIo, EfiPciIoWidthUint64, 0, EDU_COUNT, 1, &Bytes);
  PciIo->Mem.Write (PciIo, EfiPciIoWidthUint64, 0, EDU_COMMAND, 1, &Command);
}

/**
  Let the edu copy between memory and its own buffer.

  @param[in] PciIo     The edu.
  @param[in] Address   Physical address.
  @param[in] Bytes     How many.
  @param[in] ToMemory  TRUE to write memory.

  @retval TRUE   It has.
  @retval FALSE  It does not end.
**/
STATIC
BOOLEAN
Transfer (
  IN EFI_PCI_IO_PROTOCOL  *PciIo,
  IN UINT64               Address,
  IN UINT64               Bytes,
  IN BOOLEAN              ToMemory
  )
{
  UINT64  Command;
  UINTN   Polls;

  Begin (PciIo, Address, Bytes, ToMemory);
  for (Polls = 0; Polls < EDU_POLLS; Polls++) {
    PciIo->Mem.Read (PciIo, EfiPciIoWidthUint64, 0, EDU_COMMAND, 1, &Command);
    if ((Command & EDU_RUN) == 0) {
      return TRUE;
    }

    gBS->Stall (1000);
  }

  return FALSE;
}

/**
  Let the edu copy from one place in memory to another.

  @param[in]     From   Physical address.
  @param[in]     To     Physical address.
  @param[in]     Bytes  How many.
  @param[in,out] Step   Result is set.
**/
STATIC
VOID
Copy (
  IN     UINT64    From,
  IN     UINT64    To,
  IN     UINT64    Bytes,
  IN OUT STM_STEP  *Step
  )
{
  EFI_PCI_IO_PROTOCOL  *PciIo;

  PciIo = FindEdu ();
  if ((PciIo == NULL) || (Bytes == 0) || (Bytes > sizeof (UINT64)) ||
      !Transfer (PciIo, From, Bytes, FALSE) || !Transfer (PciIo, To, Bytes, TRUE))
  {
    Step->Result = StmStepRejected;
    return;
  }

  Step->Result = StmStepDone;
}

/**
  Read memory by DMA. Arguments: width and physical address.

  @param[in,out] Step  The step.
**/
VOID
AttackDeviceRead (
  IN OUT STM_STEP  *Step
  )
{
  volatile UINT64  *Value;

  Value  = (volatile UINT64 *)(UINTN)AttackPage (DEVICE_PAGE);
  *Value = 0;
  Copy (Step->Argument[1], AttackPage (DEVICE_PAGE), Step->Argument[0], Step);
  Step->Value = *Value;
}

/**
  Write memory by DMA. Arguments: width, physical address and contents.

  @param[in,out] Step  The step.
**/
VOID
AttackDeviceWrite (
  IN OUT STM_STEP  *Step
  )
{
  *(volatile UINT64 *)(UINTN)AttackPage (DEVICE_PAGE) = Step->Argument[2];
  Copy (AttackPage (DEVICE_PAGE), Step->Argument[1], Step->Argument[0], Step);
}

/**
  Have a device write memory while something else goes on. Arguments: width, physical
  address and contents.

  @param[in,out] Step  The step.
**/
VOID
AttackDeviceLater (
  IN OUT STM_STEP  *Step
  )
{
  EFI_PCI_IO_PROTOCOL  *PciIo;

  *(volatile UINT64 *)(UINTN)AttackPage (DEVICE_PAGE) = Step->Argument[2];
  PciIo                                               = FindEdu ();
  if ((PciIo == NULL) || (Step->Argument[0] == 0) || (Step->Argument[0] > sizeof (UINT64)) ||
      !Transfer (PciIo, AttackPage (DEVICE_PAGE), Step->Argument[0], FALSE))
  {
    Step->Result = StmStepRejected;
    return;
  }

  Begin (PciIo, Step->Argument[1], Step->Argument[0], TRUE);
  Step->Result = StmStepDone;
}

/**
  Have QEMU's fw_cfg write "QEMU" to memory by DMA. Argument: physical address.

  @param[in,out] Step  The step.
**/
VOID
AttackFwCfgWrite (
  IN OUT STM_STEP  *Step
  )
{
  volatile FW_CFG_DMA  *Dma;

  Dma          = (volatile FW_CFG_DMA *)(UINTN)AttackPage (DEVICE_PAGE);
  Dma->Control = SwapBytes32 ((FW_CFG_SIGNATURE << 16) | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ);
  Dma->Length  = SwapBytes32 (FW_CFG_SIGNATURE_SIZE);
  Dma->Address = SwapBytes64 (Step->Argument[0]);
  IoWrite32 (FW_CFG_DMA_HIGH, SwapBytes32 ((UINT32)RShiftU64 ((UINTN)Dma, 32)));
  IoWrite32 (FW_CFG_DMA_LOW, SwapBytes32 ((UINT32)(UINTN)Dma));
  Step->Value  = SwapBytes32 (Dma->Control);
  Step->Result = ((Step->Value & FW_CFG_DMA_ERROR) != 0) ? StmStepRejected : StmStepDone;
}
