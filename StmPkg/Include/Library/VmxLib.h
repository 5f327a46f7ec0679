/** @file
  VMX instructions and typed VMCS access.

  Every function needs VMX root operation at CPL 0 in 64-bit mode unless it
  says otherwise. No function keeps state, so the library serves any monitor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef VMX_LIB_H_
#define VMX_LIB_H_

#include <Register/Vmx.h>

///
/// Outcome of a VMX instruction: VMsucceed, VMfailInvalid (CF = 1) and
/// VMfailValid (ZF = 1, number in VMCS_INSTRUCTION_ERROR).
///
typedef enum {
  VmxSucceed     = 0,
  VmxFailInvalid = 1,
  VmxFailValid   = 2
} VMX_RESULT;

/**
  VMXON. CR0, CR4 and IA32_FEATURE_CONTROL must already allow it.

  @param[in] Region  Physical address of the VMXON region, in memory that holds
                     the address itself identity-mapped or not.

  @return Outcome; VmxFailInvalid for a bad address or revision identifier.
**/
VMX_RESULT
EFIAPI
AsmVmxOn (
  IN UINT64  Region
  );

/**
  VMXOFF.

  @return Outcome; VmxFailValid with VMX_ERROR_VMXOFF_DUAL_MONITOR while the
          dual-monitor treatment is active.
**/
VMX_RESULT
EFIAPI
AsmVmxOff (
  VOID
  );

/**
  VMCLEAR: write a VMCS back to its region and make its launch state clear.

  @param[in] Region  Physical address of the VMCS region.

  @return Outcome.
**/
VMX_RESULT
EFIAPI
AsmVmClear (
  IN UINT64  Region
  );

/**
  VMPTRLD: make a VMCS current.

  @param[in] Region  Physical address of the VMCS region.

  @return Outcome.
**/
VMX_RESULT
EFIAPI
AsmVmPtrLoad (
  IN UINT64  Region
  );

/**
  VMPTRST.

  @return Physical address of the current VMCS, VMCS_POINTER_NONE if none.
**/
UINT64
EFIAPI
AsmVmPtrStore (
  VOID
  );

/**
  VMREAD a list of fields that exist.

  @param[in]  Fields  Encodings.
  @param[out] Values  Contents in the same order, zero-extended.
  @param[in]  Count   Number of fields, at least 1.
**/
VOID
EFIAPI
AsmVmReadList (
  IN  CONST UINT16  *Fields,
  OUT UINT64        *Values,
  IN  UINTN         Count
  );

///
/// A field and what to write to it.
///
typedef struct {
  UINT64    Field;
  UINT64    Value;
} VMX_FIELD_VALUE;

/**
  VMWRITE a list of fields that exist.

  @param[in] List   Fields and values.
  @param[in] Count  Number of entries, at least 1.
**/
VOID
EFIAPI
AsmVmWriteList (
  IN CONST VMX_FIELD_VALUE  *List,
  IN UINTN                  Count
  );

/**
  Read CR8, the task-priority register.

  @return Its value.
**/
UINT64
EFIAPI
AsmReadCr8 (
  VOID
  );

/**
  Write CR8.

  @param[in] Cr8  Task priority, 0 to 15.
**/
VOID
EFIAPI
AsmWriteCr8 (
  IN UINT64  Cr8
  );

/**
  INVEPT.

  @param[in] Type        INVEPT_SINGLE_CONTEXT or INVEPT_ALL_CONTEXTS.
  @param[in] EptPointer  EPT pointer, ignored for all contexts.

  @return Outcome.
**/
VMX_RESULT
EFIAPI
AsmInvEpt (
  IN UINT64  Type,
  IN UINT64  EptPointer
  );

/**
  VMCALL with the register convention of the STM API (StmApi.h): the number in
  EAX, EBX, ECX and EDX both ways.

  @param[in,out] Eax  In: API number. Out: status.
  @param[in,out] Ebx  In: low half of the request's address. Out: capabilities.
  @param[in]     Ecx  High half of the request's address.
  @param[in,out] Edx  Scalar argument and result.
  @param[out]    Flags RFLAGS after the VMCALL: CF = 1 if the STM refused, or
                 if the VMCALL itself failed (VMfailInvalid); ZF = 1 for
                 VMfailValid (EAX then still holds the number).
**/
VOID
EFIAPI
AsmStmVmCall (
  IN OUT UINT32  *Eax,
  IN OUT UINT32  *Ebx,
  IN     UINT32  Ecx,
  IN OUT UINT32  *Edx,
  OUT    UINT64  *Flags
  );

/**
  Read a field that exists: a failed VMREAD gives 0.

  @param[in] Field  VMCS field encoding.

  @return Contents, zero-extended.
**/
UINT64
EFIAPI
VmRead (
  IN UINT64  Field
  );

/**
  Write a field.

  @param[in] Field  VMCS field encoding.
  @param[in] Value  New contents.

  @retval TRUE   Written.
  @retval FALSE  No such field, read-only, or no current VMCS.
**/
BOOLEAN
EFIAPI
VmWrite (
  IN UINT64  Field,
  IN UINT64  Value
  );

#endif
