/** @file
  What every monitor does alike, the STM and the executive monitor: read the
  processor's capabilities, set up its host state, find the handler of a VM
  exit, and emulate the instructions that VMX operation takes from a guest.

  Every function that reads or writes VMCS fields works on the current VMCS. The
  library has no state of its own and knows neither monitor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef VMX_MONITOR_LIB_H_
#define VMX_MONITOR_LIB_H_

#include <Register/Vmx.h>
#include <Library/BaseLib.h>
#include <VmxRegisters.h>

//
// Capability.c
//

/**
  The capability MSR to ask about a control word. The TRUE MSRs tell which of the
  default-1 controls, such as CR3-load exiting, may be 0; they exist only where
  IA32_VMX_BASIC[55] is 1, and reading them elsewhere raises #GP ("Basic VMX
  Information", appendix A.1; "VM-Execution Controls", A.3).

  @param[in] Msr  MSR_IA32_VMX_PINBASED_CTLS, _PROCBASED_CTLS, _EXIT_CTLS,
                  _ENTRY_CTLS or _PROCBASED_CTLS2; the last has no TRUE twin.

  @return Number of the MSR that holds.
**/
UINT32
EFIAPI
VmxCapabilityMsr (
  IN UINT32  Msr
  );

/**
  Make wanted control bits legal: add the bits that must be 1, drop those that
  must be 0 ("VMX Capability Reporting Facility", appendix A.2 to A.5).

  @param[in] Wanted  Control bits the caller would like.
  @param[in] Msr     As for VmxCapabilityMsr.

  @return The legal control word.
**/
UINT32
EFIAPI
VmxLegalControls (
  IN UINT32  Wanted,
  IN UINT32  Msr
  );

/**
  Write a control word of the current VMCS.

  @param[in] Field   VMCS field.
  @param[in] Msr     As for VmxCapabilityMsr.
  @param[in] Wanted  Control bits the caller would like.
  @param[in] Needed  Those of them without which it cannot work.

  @retval TRUE   The control word in the VMCS has all needed bits.
  @retval FALSE  The processor lacks one; the VMCS is unchanged.
**/
BOOLEAN
EFIAPI
VmxWriteControls (
  IN UINT32  Field,
  IN UINT32  Msr,
  IN UINT32  Wanted,
  IN UINT32  Needed
  );

/**
  Secondary controls that keep instructions working that CPUID shows: without
  them RDTSCP, INVPCID, XSAVES and XRSTORS raise #UD in the guest.

  @return Control bits, EPT not among them.
**/
UINT32
EFIAPI
VmxPassThroughControls (
  VOID
  );

/**
  IA32_VMX_EPT_VPID_CAP, which exists only where EPT or VPID can be enabled.

  @return Contents; 0 on a processor without EPT.
**/
UINT64
EFIAPI
VmxReadEptCapability (
  VOID
  );

/**
  The identifier of this processor's local APIC ("CPUID - CPU Identification",
  leaf 0BH and leaf 01H).

  @return It: 32 bits if the processor enumerates its topology, else 8.
**/
UINT32
EFIAPI
VmxReadApicId (
  VOID
  );

//
// HostState.c
//

#define VMX_HOST_CS   0x08
#define VMX_HOST_DS   0x10
#define VMX_HOST_TR   0x18
#define VMX_HOST_PAT  0x0007040600070406ULL   ///< the value after reset

#define VMX_EXCEPTION_STUB_SIZE  16           ///< VmxException.inc
#define VMX_EXCEPTION_VECTORS    32

///
/// What an exception stub leaves on the stack.
///
typedef struct {
  UINT64    Vector;
  UINT64    ErrorCode;      ///< 0 for a vector without one
  UINT64    Rip;
  UINT64    Cs;
  UINT64    Rflags;
  UINT64    Rsp;
  UINT64    Ss;
} VMX_EXCEPTION_FRAME;

///
/// GDT and TSS of one processor in VMX root operation.
///
typedef struct {
  IA32_SEGMENT_DESCRIPTOR    Null;
  IA32_SEGMENT_DESCRIPTOR    Code;          ///< VMX_HOST_CS
  IA32_SEGMENT_DESCRIPTOR    Data;          ///< VMX_HOST_DS
  IA32_TSS_DESCRIPTOR        TssDescriptor; ///< VMX_HOST_TR
} VMX_HOST_GDT;

typedef struct {
  VMX_HOST_GDT               Gdt;
  IA32_TASK_STATE_SEGMENT    Tss;
} VMX_HOST_TABLES;

/**
  Fill GDT and TSS. The TSS serves for one thing: exceptions get a stack of their
  own, IST 1.

  @param[out] Tables         GDT and TSS.
  @param[in]  CrashStackTop  End of the stack for exceptions.
**/
VOID
EFIAPI
VmxBuildHostTables (
  OUT VMX_HOST_TABLES  *Tables,
  IN  UINTN            CrashStackTop
  );

/**
  Fill an IDT with gates to exception stubs.

  @param[out] Idt    VMX_EXCEPTION_VECTORS gates.
  @param[in]  Stubs  First stub (EXCEPTION_STUBS of VmxException.inc).
**/
VOID
EFIAPI
VmxBuildIdt (
  OUT IA32_IDT_GATE_DESCRIPTOR  *Idt,
  IN  UINTN                     Stubs
  );

/**
  Write the host-state area of the current VMCS: CR0, CR4 and EFER as they are
  now, the tables given, SYSENTER unused.

  @param[in] Tables  GDT and TSS.
  @param[in] Idt     IDT.
  @param[in] Cr3     Page tables.
  @param[in] Rip     Where VM exits continue.
  @param[in] Rsp     With what stack pointer.
**/
VOID
EFIAPI
VmxWriteHostState (
  IN CONST VMX_HOST_TABLES           *Tables,
  IN CONST IA32_IDT_GATE_DESCRIPTOR  *Idt,
  IN UINT64                          Cr3,
  IN UINT64                          Rip,
  IN UINT64                          Rsp
  );

/**
  Reset the platform: port CF9H, then a triple fault in case nothing listens
  there. Does not return.
**/
VOID
EFIAPI
VmxResetPlatform (
  VOID
  );

//
// Dispatch.c
//

///
/// What a monitor hands to its exit handlers: it defines the structure.
///
typedef struct VMX_CONTEXT VMX_CONTEXT;

///
/// Handler of one basic exit reason; the monitor knows what its result means.
///
typedef
UINTN
(EFIAPI *VMX_EXIT_HANDLER)(
  IN OUT VMX_CONTEXT  *Context
  );

///
/// A dispatch table has a place for each basic exit reason, and one for every
/// instruction that exists only with VMX or SMX and whose own place is empty: a
/// monitor that shows its guest neither treats them alike, and none can be
/// forgotten. VMCALL is not among them, since monitors are called by it.
///
#define VMX_EXIT_VMX_INSTRUCTION  VMX_REASON_COUNT
#define VMX_EXIT_PLACES           (VMX_REASON_COUNT + 1)

/**
  Find the handler of a VM exit.

  @param[in] Table   VMX_EXIT_PLACES handlers; NULL for an exit that the monitor
                     does not expect.
  @param[in] Reason  Exit-reason field.

  @return The handler. NULL if there is none, or if the field reports a VM entry
          that failed while it loaded guest state: such a failure arrives where
          VM exits do ("VM-Entry Failures During or After Loading Guest State",
          26.7 [27.8]).
**/
VMX_EXIT_HANDLER
EFIAPI
VmxFindExitHandler (
  IN CONST VMX_EXIT_HANDLER  *Table,
  IN UINT32                  Reason
  );

//
// Instruction.c
//

/**
  Step over the instruction that caused the current VM exit, as if it had been
  executed: blocking by STI and by MOV SS ends with it, and a guest that
  single-steps takes its debug trap ("Pending debug exceptions", 24.4.2
  [25.4.2]).
**/
VOID
EFIAPI
VmxSkipInstruction (
  VOID
  );

/**
  Step over an instruction whose length the processor does not tell, as if it had been
  executed.

  @param[in] Length  Its length in bytes.
**/
VOID
EFIAPI
VmxSkipBytes (
  IN UINT32  Length
  );

/**
  Make the guest take an exception, at the instruction that caused the current VM
  exit, with error code 0 if the vector has one and the guest is not in real mode,
  where no exception has.

  @param[in] Vector  #UD or #GP: EXCEPT_IA32_INVALID_OPCODE, EXCEPT_IA32_GP_FAULT.
**/
VOID
EFIAPI
VmxInjectException (
  IN UINT8  Vector
  );

/**
  Make the guest take an exception whose error code names a selector.

  @param[in] Vector     #TS, #NP or #SS.
  @param[in] ErrorCode  The selector, without its RPL.
**/
VOID
EFIAPI
VmxInjectSelectorFault (
  IN UINT8   Vector,
  IN UINT16  ErrorCode
  );

/**
  Let VM entry repeat an event whose delivery the current VM exit has interrupted
  ("Information for VM Exits That Occur During Event Delivery", 24.9.3 [25.9.3]).
**/
VOID
EFIAPI
VmxRepeatEvent (
  VOID
  );

/**
  CPUID: what the processor says, except for the bits that mirror CR4 of the
  context that executes it, OSXSAVE and OSPKE: the guest gets its own.

  @param[in,out] Registers  The guest's.
**/
VOID
EFIAPI
VmxEmulateCpuid (
  IN OUT VMX_REGISTERS  *Registers
  );

/**
  INVD: dropping modified lines would drop the monitor's too, so they are written
  back.
**/
VOID
EFIAPI
VmxEmulateInvd (
  VOID
  );

/**
  Would XSETBV accept a value for XCR0 ("Enabling the XSAVE Feature Set and
  XSAVE-Enabled Features", SDM volume 1, 13.3)?

  @param[in] Supported  Bits that the processor allows, CPUID.(EAX=0DH,ECX=0):EDX:EAX.
  @param[in] Value      The value.

  @retval TRUE   It would.
  @retval FALSE  It would raise #GP(0).
**/
BOOLEAN
EFIAPI
VmxIsXcr0Valid (
  IN UINT64  Supported,
  IN UINT64  Value
  );

/**
  XSETBV: the first half. What follows for an accepted value is the monitor's:
  AsmXSetBv, which needs CR4.OSXSAVE, and VmxSkipInstruction.

  @param[in]  Registers  The guest's.
  @param[out] Value      New value of XCR0.

  @retval TRUE   The processor would accept it.
  @retval FALSE  The guest has got #GP(0).
**/
BOOLEAN
EFIAPI
VmxCheckXsetbv (
  IN  CONST VMX_REGISTERS  *Registers,
  OUT UINT64               *Value
  );

//
// ControlRegister.c
//

/**
  Store a value in a general-purpose register by its number.

  @param[in,out] Registers  Registers of the guest.
  @param[in]     Number     0 to 15.
  @param[in]     Value      The value.
**/
VOID
EFIAPI
VmxWriteRegister (
  IN OUT VMX_REGISTERS  *Registers,
  IN     UINT32         Number,
  IN     UINT64         Value
  );

/**
  How a monitor reaches its guest's memory.

  @param[in] Address  Guest-physical address.

  @return Where it is for the monitor, readable to the end of its 4-KB page; what
          the guest has no access to reads as ones.
**/
typedef
CONST VOID *
(EFIAPI *VMX_GUEST_MEMORY)(
  IN UINT64  Address
  );

/**
  Value of a general-purpose register by its number in an exit qualification.

  @param[in] Registers  Registers of the guest.
  @param[in] Number     0 to 15.

  @return The value.
**/
UINT64
EFIAPI
VmxReadRegister (
  IN CONST VMX_REGISTERS  *Registers,
  IN UINT32               Number
  );

///
/// PDPTEs of PAE paging.
///
#define VMX_PDPTES  4

/**
  Read the PDPTEs of a guest with PAE paging, and check them as a load of CR3 does.

  @param[in]  Cr3      Where they are; bits 31:5 count.
  @param[in]  Memory   How to reach the guest's memory.
  @param[out] Entries  VMX_PDPTES of them.

  @retval TRUE   Done.
  @retval FALSE  One has a reserved bit set: #GP(0).
**/
BOOLEAN
EFIAPI
VmxReadPdptes (
  IN  UINT64            Cr3,
  IN  VMX_GUEST_MEMORY  Memory,
  OUT UINT64            *Entries
  );

/**
  Give a guest with PAE paging the PDPTEs that a load of CR3 loads.

  @param[in] Entries  VMX_PDPTES of them, from VmxReadPdptes.
**/
VOID
EFIAPI
VmxWritePdptes (
  IN CONST UINT64  *Entries
  );

/**
  Load CR3, as MOV to CR3 and task switches do. VM entries of a monitor without VPID
  invalidate the TLB anyhow.

  @param[in] Value   New value.
  @param[in] Memory  How to reach an unrestricted guest's memory.

  @retval TRUE   Done.
  @retval FALSE  #GP(0): a bit beyond the physical width is set, or a reserved one
                 in a PDPTE.
**/
BOOLEAN
EFIAPI
VmxLoadCr3 (
  IN UINT64            Value,
  IN VMX_GUEST_MEMORY  Memory  OPTIONAL
  );

/**
  MOV to CR0, CR3 or CR4, MOV from CR3. Bits that the guest/host masks give to
  the monitor keep their value, and the guest sees what it wrote. Setting
  CR4.VMXE, CR0.NW without CR0.CD, and a bit that VMX operation requires to be 0
  (IA32_VMX_CR0_FIXED1, IA32_VMX_CR4_FIXED1) raise #GP(0). So does leaving long
  mode, unless the guest is unrestricted: then a MOV to CR0 enters and leaves
  protected mode, paging and IA-32e mode as the processor would, and takes the
  PDPTEs of PAE paging from the guest's memory.

  Accesses to CR3 exit only on a processor without the TRUE capability MSRs,
  where CR3-load and CR3-store exiting cannot be 0.

  @param[in,out] Registers  The guest's.
  @param[in]     Memory     How to reach the guest's memory; NULL if the guest is
                            not unrestricted.

  @retval TRUE   Done, or the guest has got #GP(0).
  @retval FALSE  CLTS, LMSW or another register: with masks that hold only bits
                 that VMX operation fixes there is no such exit.
**/
BOOLEAN
EFIAPI
VmxEmulateControlRegister (
  IN OUT VMX_REGISTERS     *Registers,
  IN     VMX_GUEST_MEMORY  Memory  OPTIONAL
  );

#endif
