/** @file
  Wake from standby (S3): memory has kept MSEG, the processors have lost
  IA32_SMM_MONITOR_CTL.

  MSEG is verified before a processor is told of it. An image that is not the one
  that was loaded is refused. It is not replaced: somebody who could write to
  SMRAM has been there, and a good image put over it would hide that. The rest of
  MSEG is made anew, since whatever it held belongs to an STM that standby has
  ended.

  An image without a header of ours may have variables in its static part. Nothing
  can be said about it after it has run, so it is loaded anew, from a copy in SMRAM
  that has to be the one that was measured.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/SynchronizationLib.h>
#include <Protocol/StmWake.h>

//
// SMRAM's copies: nothing outside says what MSEG must hold.
//
STATIC STM_MEMORY_FACTS  mMemory;
STATIC STM_STATUS_TABLE  mStatus;
STATIC UINT32            mNumberOfProcessors;
STATIC BOOLEAN           mRefused;

//
// What is loaded anew at a wake, and with which revision; no file for an image of ours.
//
STATIC STM_IMAGE  mImage;
STATIC UINT32     mRevision;

//
// The wake under way: how many processors have been here.
//
STATIC SPIN_LOCK  mLock;
STATIC UINT32     mWoken;

/**
  Keep, for the wakes, an image that is loaded anew at each: one without a header of ours.

  @param[in,out] Image     The image file, as it was loaded; no longer the caller's.
  @param[in]     Revision  MSEG revision identifier of the processor.
**/
VOID
KeepImage (
  IN OUT STM_IMAGE  *Image,
  IN     UINT32     Revision
  )
{
  CopyMem (&mImage, Image, sizeof (mImage));
  mRevision   = Revision;
  Image->File = NULL;
}

/**
  Load the image that was kept, if it is still the one that was measured.

  @return StmReasonNone or StmReasonImageModified.
**/
STATIC
STM_REASON
LoadAgain (
  VOID
  )
{
  UINT8  Digest[STM_SHA256_DIGEST_SIZE];

  StmSha256 (mImage.File, mImage.Size, Digest);
  if (CompareMem (Digest, mStatus.ImageSha256, sizeof (Digest)) != 0) {
    return StmReasonImageModified;
  }

  LoadStmImage (&mImage, &mMemory, mNumberOfProcessors, mRevision, mStatus.MsegSha256);
  return StmReasonNone;
}

/**
  Verify MSEG's static part and make the rest anew.

  @return StmReasonNone or StmReasonImageModified.
**/
STATIC
STM_REASON
VerifyStatic (
  VOID
  )
{
  UINT8  Digest[STM_SHA256_DIGEST_SIZE];

  StmSha256 ((VOID *)(UINTN)mMemory.MsegBase, (UINTN)mStatus.StaticImageSize, Digest);
  if (CompareMem (Digest, mStatus.MsegSha256, sizeof (Digest)) != 0) {
    return StmReasonImageModified;
  }

  ResetMseg (&mMemory, (UINT32)mStatus.StaticImageSize, mNumberOfProcessors, mStatus.MsegSha256);
  return StmReasonNone;
}

/**
  Make MSEG as it was at the end of the first boot, or find that this cannot be.

  @return StmReasonNone or StmReasonImageModified.
**/
STATIC
STM_REASON
VerifyMseg (
  VOID
  )
{
  STM_REASON  Reason;
  UINTN       Cr3;

  Cr3    = OpenMseg ();
  Reason = (mImage.File != NULL) ? LoadAgain () : VerifyStatic ();
  CloseMseg (Cr3);
  return Reason;
}

/**
  Verify MSEG, once for all, and write IA32_SMM_MONITOR_CTL of the processor that
  executes this code (STM_WAKE_PROCESSOR). The last processor publishes the
  result, so that the status never runs ahead of the MSRs.
**/
STATIC
VOID
EFIAPI
WakeProcessor (
  VOID
  )
{
  if (mRefused) {
    return;
  }

  while (!AcquireSpinLockOrFail (&mLock)) {
    CpuPause ();
  }

  if (mWoken == 0) {
    mStatus.Reason = VerifyMseg ();
    mStatus.State  = StmStateOf (mStatus.Reason);
    mStatus.Wakes++;
  }

  if (mStatus.Reason == StmReasonNone) {
    AnnounceMseg (mMemory.MsegBase);
  }

  mWoken++;
  if (mWoken == mNumberOfProcessors) {
    mWoken = 0;
    UpdateStatus (&mStatus);
  }

  ReleaseSpinLock (&mLock);
}

STATIC STM_WAKE_PROTOCOL  mWake = { WakeProcessor, &mStatus };

/**
  The STM is refused after all: publish that, and write IA32_SMM_MONITOR_CTL at no
  wake.

  @param[in] Reason  Why; not StmReasonNone.
**/
VOID
RefuseAfterLoad (
  IN STM_REASON  Reason
  )
{
  mRefused       = TRUE;
  mStatus.Reason = Reason;
  mStatus.State  = StmStateOf (Reason);
  UpdateStatus (&mStatus);
}

/**
  Be ready for standby. Only for an STM that is enabled: what was refused at the
  first boot stays so.

  @param[in] Memory              MSEG and TSEG; copied.
  @param[in] NumberOfProcessors  Processors that will wake.
  @param[in] Status              What was published; copied.
**/
VOID
PrepareWake (
  IN CONST STM_MEMORY_FACTS  *Memory,
  IN UINT32                  NumberOfProcessors,
  IN CONST STM_STATUS_TABLE  *Status
  )
{
  EFI_STATUS  Installed;
  EFI_HANDLE  Handle;

  CopyMem (&mMemory, Memory, sizeof (mMemory));
  CopyMem (&mStatus, Status, sizeof (mStatus));
  mNumberOfProcessors = NumberOfProcessors;
  InitializeSpinLock (&mLock);

  Handle    = NULL;
  Installed = gSmst->SmmInstallProtocolInterface (&Handle, &gStmWakeProtocolGuid, EFI_NATIVE_INTERFACE, &mWake);
  ASSERT_EFI_ERROR (Installed);
}
