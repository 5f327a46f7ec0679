/** @file
  Negotiates with QEMU the SMI features that this firmware has: SMIs that reach
  every processor, and no hot-plug of processors.

  OVMF's SmmControl2Dxe asks for hot-plug by SMI without a way to say no, and the
  driver that would answer (CpuHotplugSmm) is not in this platform: the image in
  MSEG and the descriptors for the STM are made for the processors of the boot. A
  processor plugged in nevertheless would receive the next SMI with no SMM of its
  own, and the others would wait for it for ever. QEMU keeps the first answer
  until reset, so this module, which runs earlier, decides; QEMU then refuses
  device_add and device_del of processors with a reason. It runs at a resume from
  standby too, before the boot script repeats SmmControl2Dxe's wish.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiPei.h>
#include <Library/DebugLib.h>
#include <Library/QemuFwCfgLib.h>

#define SMI_FEATURE_BROADCAST  BIT0

/**
  Answer QEMU's offer of SMI features.

  @param[in] FileHandle   Handle of this file.
  @param[in] PeiServices  PEI services table.

  @retval EFI_SUCCESS      The features are agreed on, or QEMU offers none.
  @retval EFI_UNSUPPORTED  QEMU refuses the answer, or its files have other sizes.
**/
EFI_STATUS
EFIAPI
SmiFeaturesPeiEntryPoint (
  IN       EFI_PEI_FILE_HANDLE  FileHandle,
  IN CONST EFI_PEI_SERVICES     **PeiServices
  )
{
  FIRMWARE_CONFIG_ITEM  Offered;
  FIRMWARE_CONFIG_ITEM  Requested;
  FIRMWARE_CONFIG_ITEM  Accepted;
  UINTN                 OfferedSize;
  UINTN                 RequestedSize;
  UINTN                 AcceptedSize;
  UINT64                Features;

  if (RETURN_ERROR (QemuFwCfgFindFile ("etc/smi/supported-features", &Offered, &OfferedSize)) ||
      RETURN_ERROR (QemuFwCfgFindFile ("etc/smi/requested-features", &Requested, &RequestedSize)) ||
      RETURN_ERROR (QemuFwCfgFindFile ("etc/smi/features-ok", &Accepted, &AcceptedSize)))
  {
    return EFI_SUCCESS;
  }

  if ((OfferedSize != sizeof (Features)) || (RequestedSize != sizeof (Features)) || (AcceptedSize != sizeof (UINT8))) {
    DEBUG ((DEBUG_ERROR, "%a: unknown layout of QEMU's SMI features\n", gEfiCallerBaseName));
    return EFI_UNSUPPORTED;
  }

  QemuFwCfgSelectItem (Offered);
  QemuFwCfgReadBytes (sizeof (Features), &Features);
  Features &= SMI_FEATURE_BROADCAST;
  QemuFwCfgSelectItem (Requested);
  QemuFwCfgWriteBytes (sizeof (Features), &Features);

  //
  // Selecting this file is what makes QEMU decide.
  //
  QemuFwCfgSelectItem (Accepted);
  if (QemuFwCfgRead8 () != 1) {
    DEBUG ((DEBUG_ERROR, "%a: QEMU refuses SMI features 0x%lx\n", gEfiCallerBaseName, Features));
    return EFI_UNSUPPORTED;
  }

  DEBUG ((DEBUG_INFO, "%a: SMI features 0x%lx; processors cannot be plugged\n", gEfiCallerBaseName, Features));
  return EFI_SUCCESS;
}
