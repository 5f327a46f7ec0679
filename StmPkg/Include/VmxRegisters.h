/** @file
  General-purpose registers of a guest as a monitor's VM exits store them.
  VmxRegisters.inc is the same for NASM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef VMX_REGISTERS_H_
#define VMX_REGISTERS_H_

///
/// In the order of their numbers, RAX at the lowest address, without RSP, which
/// is a VMCS field. HOST_RSP points to Reserved, so that the pushes of
/// PUSH_REGISTERS fill the rest.
///
typedef struct {
  UINT64    Rax;
  UINT64    Rcx;
  UINT64    Rdx;
  UINT64    Rbx;
  UINT64    Rbp;
  UINT64    Rsi;
  UINT64    Rdi;
  UINT64    R8;
  UINT64    R9;
  UINT64    R10;
  UINT64    R11;
  UINT64    R12;
  UINT64    R13;
  UINT64    R14;
  UINT64    R15;
  UINT64    Reserved;                    ///< keeps the size a multiple of 16
} VMX_REGISTERS;

#endif
