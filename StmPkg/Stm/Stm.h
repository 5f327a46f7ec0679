/** @file
  What the parts of the STM share: per-processor and shared state, and the
  functions of one part that others call.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_H_
#define STM_H_

#include <Base.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/StmApi.h>
#include <Register/Vmx.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/StmHashLib.h>
#include <Library/StmSaveStateLib.h>
#include <Library/VmxLib.h>
#include <StmMsegLayout.h>
#include <StmRecord.h>

#include "StmMemory.h"
#include "Protect/PageMap.h"

///
/// What the SMI handler, as a guest of the STM, is running for. Setup and
/// teardown are events of their own, not SMIs.
///
typedef enum {
  StmEventNone,
  StmEventSmi,
  StmEventSetup,
  StmEventTeardown
} STM_EVENT;

///
/// Life of a processor under the dual-monitor treatment.
///
typedef enum {
  StmProcessorOff,           ///< not activated, or stopped
  StmProcessorInitialized,   ///< between INITIALIZE_PROTECTION and START: SMIs stay blocked
  StmProcessorStarted        ///< SMIs come to the STM
} STM_PROCESSOR_STATE;

///
/// Why the STM cannot go on. Names in crash records: Log/Crash.c.
///
typedef enum {
  StmCrashEntryFailure,
  StmCrashUnexpectedExit,
  StmCrashException,
  StmCrashHandlerTripleFault,
  StmCrashImageModified,
  StmCrashBadState
} STM_CRASH_CLASS;

///
/// What is wrong, in the error= of a crash record of class bad-state.
///
typedef enum {
  StmBadLoaderData       = 1,   ///< the loader's data contradict each other or the processor
  StmBadPageTables       = 2,   ///< the STM's page tables do not fit into their pages
  StmBadProtection       = 3,   ///< no EPT as the STM needs it, or it does not fit into its pages
  StmBadProcessorCount   = 4,   ///< more processors than the loader announced
  StmBadActivatingVmcs   = 5,   ///< qual: its address, in TSEG or not readable
  StmBadOwnVmcs          = 6,   ///< qual: address of a VMCS in MSEG that the processor refuses
  StmBadDescriptor       = 7,   ///< qual: SMBASE whose PSD is malformed or outside the handler's SMRAM
  StmBadExecutivePointer = 8,   ///< qual: executive-VMCS pointer; it or the link pointer is in TSEG
  StmBadSmbase           = 9    ///< qual: SMBASE that the handler wrote to the save state
} STM_BAD_STATE;

///
/// The part of the PSD that an SMI needs, copied from SMRAM once per entry.
///
typedef struct {
  UINT16    Cs;
  UINT16    Ds;
  UINT16    Ss;
  UINT16    Other;
  UINT16    Tr;
  UINT8     ExecuteDisable;
  UINT64    Cr3;
  UINT64    Rip;
  UINT64    Rsp;
  UINT64    GdtBase;
  UINT32    GdtSize;
  UINT64    TrBase;
} STM_HANDLER_ENTRY;

#pragma pack(1)

typedef struct {
  UINT32    Reserved1;
  UINT64    Rsp[3];
  UINT64    Reserved2;
  UINT64    Ist[7];
  UINT64    Reserved3;
  UINT16    Reserved4;
  UINT16    IoMapBase;
} STM_TSS;

typedef struct {
  UINT16    OffsetLow;
  UINT16    Selector;
  UINT8     Ist;
  UINT8     Type;
  UINT16    OffsetMiddle;
  UINT32    OffsetHigh;
  UINT32    Reserved;
} STM_IDT_ENTRY;

#pragma pack()

#define STM_HOST_CS         0x08
#define STM_HOST_DS         0x10
#define STM_HOST_TR         0x18
#define STM_GDT_ENTRIES     5
#define STM_IDT_ENTRIES     32

///
/// State of one processor, at the top of its block. The two register sets come
/// first: VM exits push them, so their place fixes HOST_RSP of both VMCSs
/// (Entry/Exit.nasm).
///
typedef struct {
  STM_REGISTERS            Interrupted;
  STM_REGISTERS            Handler;
  struct STM_SHARED_STATE  *Shared;
  UINT64                   Reserved1;
  UINT32                   Slot;
  UINT32                   ApicId;
  STM_PROCESSOR_STATE      State;
  STM_EVENT                Event;
  UINT64                   SmiVmcs;
  UINT64                   HandlerVmcs;
  UINT64                   VmxonPointer;
  BOOLEAN                  SmiLaunched;
  BOOLEAN                  HandlerLaunched;
  BOOLEAN                  Deactivate;
  BOOLEAN                  RestoreXcr0;
  UINT32                   HandlerCr0Fixed0;
  UINT32                   HandlerCr4Fixed0;
  UINT32                   Reserved;
  UINT64                   Xcr0;
  UINT64                   Cr2;
  UINT64                   Dr[4];
  UINT64                   SmiCount;
  UINT64                   ExitCount;
  STM_INTERRUPTED_STATE    Saved;
  UINT64                   Gdt[STM_GDT_ENTRIES];
  STM_TSS                  Tss;
} STM_PROCESSOR;

#define STM_PROCESSOR_SIZE    ((sizeof (STM_PROCESSOR) + 15) & ~(UINTN)15)
#define STM_BLOCK_PROCESSOR   (STM_PER_PROCESSOR_SIZE - 0x500)

///
/// State of all processors, first page of the dynamic area. Lock and Active
/// survive the zeroing that the first processor does.
///
typedef struct STM_SHARED_STATE {
  UINT32                Lock;             ///< bit 0, taken by Entry/Activate.nasm
  UINT32                Active;           ///< processors activated and not stopped
  //
  // Zeroed from here on.
  //
  UINT64                MsegBase;
  UINT64                MsegEnd;
  UINT64                TsegBase;
  UINT64                TsegEnd;
  UINT64                Dynamic;
  UINT64                HostCr3;
  UINT64                EptPointer;
  UINT32                Processors;       ///< blocks handed out
  UINT32                ProcessorLimit;   ///< blocks there is room for
  UINT32                RingSequence;
  UINT32                RingFlushed;
  UINT32                PhysicalBits;
  UINT32                Reserved;
  UINT8                 MsegSha256[STM_SHA256_DIGEST_SIZE];
  STM_PAGE_MAP          PageTables;
  STM_IDT_ENTRY         Idt[STM_IDT_ENTRIES];
} STM_SHARED;

///
/// Exception frame as Entry/Exception.nasm leaves it.
///
typedef struct {
  UINT64    Vector;
  UINT64    ErrorCode;
  UINT64    Rip;
  UINT64    Cs;
  UINT64    Rflags;
  UINT64    Rsp;
  UINT64    Ss;
} STM_EXCEPTION_FRAME;

///
/// What an exit handler returns to the entry code: the register set to load,
/// plus STM_ENTER_RESUME for VMRESUME instead of VMLAUNCH.
///
typedef UINTN STM_ENTER;

#define STM_ENTER_RESUME  BIT0

//
// Entry/: NASM
//

extern UINT8  AsmSmiExit[];
extern UINT8  AsmHandlerExit[];
extern UINT8  AsmExceptionStubs[];

#define STM_EXCEPTION_STUB_SIZE  16

/**
  Load the STM's own GDT, IDT, segments and TR.

  @param[in] Gdtr  Pseudo-descriptor (16-bit limit, 64-bit base).
  @param[in] Idtr  Pseudo-descriptor.
**/
VOID
EFIAPI
AsmLoadTables (
  IN CONST IA32_DESCRIPTOR  *Gdtr,
  IN CONST IA32_DESCRIPTOR  *Idtr
  );

/**
  VMREAD a list of fields.

  @param[in]  Fields  Encodings.
  @param[out] Values  Contents in the same order.
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
} STM_FIELD_VALUE;

/**
  VMWRITE a list of fields that exist.

  @param[in] List   Fields and values.
  @param[in] Count  Number of entries, at least 1.
**/
VOID
EFIAPI
AsmVmWriteList (
  IN CONST STM_FIELD_VALUE  *List,
  IN UINTN                  Count
  );

/**
  OUT of one byte.

  @param[in] Port   Port number.
  @param[in] Value  Byte.
**/
VOID
EFIAPI
AsmPortWrite8 (
  IN UINT16  Port,
  IN UINT8   Value
  );

/**
  Reset the platform: port CF9H, then a triple fault in case nothing listens
  there. Does not return.
**/
VOID
EFIAPI
AsmResetPlatform (
  VOID
  );

/**
  Add to a counter that other processors change too.

  @param[in,out] Counter  The counter.
  @param[in]     Addend   What to add.

  @return The value before.
**/
UINT32
EFIAPI
AsmAtomicAdd32 (
  IN OUT UINT32  *Counter,
  IN     UINT32  Addend
  );

/**
  XGETBV of XCR0. CR4.OSXSAVE must be 1.

  @return XCR0.
**/
UINT64
EFIAPI
AsmReadXcr0 (
  VOID
  );

/**
  XSETBV of XCR0. CR4.OSXSAVE must be 1.

  @param[in] Value  A value that the processor accepts.
**/
VOID
EFIAPI
AsmWriteXcr0 (
  IN UINT64  Value
  );

//
// Init/
//

/**
  Build the STM's page tables, IDT, EPT and bitmaps: once, by the first
  processor.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @return 0, or why it cannot be done (STM_BAD_STATE).
**/
UINT32
StmBuildShared (
  IN OUT STM_SHARED  *Shared
  );

/**
  Copy a page from outside MSEG into MSEG. The caller holds the lock.

  @param[in,out] Shared       Shared state.
  @param[out]    Destination  4 KB in MSEG.
  @param[in]     Source       Physical address of a 4-KB page.

  @retval TRUE   Copied.
  @retval FALSE  The page is not aligned or beyond the physical width.
**/
BOOLEAN
StmCopyPage (
  IN OUT STM_SHARED  *Shared,
  OUT    VOID        *Destination,
  IN     UINT64      Source
  );

/**
  Fill in a processor's GDT and TSS and move to the STM's own GDT, IDT, TR and
  page tables.

  @param[in]     Shared     Shared state.
  @param[in,out] Processor  This processor.
**/
VOID
StmEnterHostState (
  IN     STM_SHARED     *Shared,
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Move the SMI side to its VMCS in MSEG and set that up. Afterwards it is the
  current VMCS.

  @param[in]     Shared     Shared state.
  @param[in,out] Processor  This processor.
**/
VOID
StmSetUpSmiVmcs (
  IN     STM_SHARED     *Shared,
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Set up the VMCS of the SMI handler. Leaves the SMI side's VMCS current.

  @param[in]     Shared     Shared state.
  @param[in,out] Processor  This processor.

  @retval TRUE   Done.
  @retval FALSE  The processor lacks a control that the STM needs.
**/
BOOLEAN
StmSetUpHandlerVmcs (
  IN     STM_SHARED     *Shared,
  IN OUT STM_PROCESSOR  *Processor
  );

//
// Exit/
//

/**
  Leave for the interrupted side: with the SMI side's VMCS current.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmReturn (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Enter the SMI handler for an event. Makes its VMCS current.

  @param[in,out] Processor  This processor.
  @param[in]     Event      What the handler runs for.

  @return What the entry code shall do.
**/
STM_ENTER
StmEnterHandler (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_EVENT      Event
  );

/**
  Go on with the SMI handler behind an exit other than RSM.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmResumeHandler (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Step over the instruction that caused the current exit of the SMI handler.
**/
VOID
StmSkipInstruction (
  VOID
  );

/**
  Make the SMI handler take an exception with error code 0 or none.

  @param[in] Vector     Exception vector.
  @param[in] ErrorCode  TRUE if the exception pushes an error code.
**/
VOID
StmInjectException (
  IN UINT8    Vector,
  IN BOOLEAN  ErrorCode
  );

STM_ENTER
EFIAPI
StmExitSmi (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmExitRsm (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmExitCpuid (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmExitInvd (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmExitXsetbv (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmExitControlRegister (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmExitViolation (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmExitTripleFault (
  IN OUT STM_PROCESSOR  *Processor
  );

//
// Api/
//

/**
  API calls of the executive monitor: VMCALL in VMX root operation outside SMM.

  @param[in,out] Processor  This processor, the SMI side's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmApiExecutive (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  API calls of the SMI handler: VMCALL in the guest of the STM.

  @param[in,out] Processor  This processor, the handler's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmApiHandler (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Answer the executive monitor: status to EAX, CF for an error, step over the
  VMCALL, return.

  @param[in,out] Processor  This processor, the SMI side's VMCS current.
  @param[in]     Status     STM_SUCCESS or an error of StmStatusCode.h.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiAnswer (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Status
  );

STM_ENTER
StmApiInitializeProtection (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
StmApiStart (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
StmApiStop (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
StmApiNotSupported (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Second half of START, behind the RSM of the firmware's setup code.

  @param[in,out] Processor  This processor, the SMI side's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiStartDone (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Second half of STOP, behind the RSM of the firmware's teardown code.

  @param[in,out] Processor  This processor, the SMI side's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiStopDone (
  IN OUT STM_PROCESSOR  *Processor
  );

//
// Protect/
//

/**
  Build the EPT of the SMI handler and its bitmaps.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @retval TRUE   Done; Shared->EptPointer is set.
  @retval FALSE  The EPT does not fit into its pages, or the processor lacks
                 what it needs.
**/
BOOLEAN
StmBuildProtection (
  IN OUT STM_SHARED  *Shared
  );

/**
  Does a range lie in TSEG and outside MSEG?

  @param[in] Shared  Shared state.
  @param[in] Base    Physical address.
  @param[in] Length  Bytes, not 0.

  @retval TRUE   Every byte does.
  @retval FALSE  Some byte does not.
**/
BOOLEAN
StmInHandlerSmram (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Base,
  IN UINT64            Length
  );

/**
  Does a page that the executive monitor names overlap TSEG (DM-RET-70)?

  @param[in] Shared  Shared state.
  @param[in] Page    Physical address of a 4-KB page.

  @retval TRUE   It overlaps TSEG.
  @retval FALSE  It does not.
**/
BOOLEAN
StmPageInTseg (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Page
  );

//
// State/
//

/**
  Read the interrupted state from the current VMCS, the SMI side's, and refuse
  pointers of the executive monitor into TSEG.

  @param[in,out] Processor  This processor.

  @return The executive-VMCS pointer.
**/
UINT64
StmReadInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Write what the handler changed back to the current VMCS, the SMI side's.

  @param[in,out] Processor  This processor.
**/
VOID
StmWriteInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Restore what neither the VMCS nor the save-state map holds.

  @param[in] Processor  This processor.
**/
VOID
StmRestoreRegisters (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  Copy and check the PSD at SMBASE + TXT_SMM_PSD_OFFSET.

  @param[in]  Shared  Shared state.
  @param[in]  Smbase  SMBASE of the processor.
  @param[in]  Event   Which entry point to take.
  @param[out] Entry   What an entry to the handler needs.

  @retval TRUE   Usable. Entry->Rip is 0 if the firmware has no code for Event.
  @retval FALSE  SMBASE or PSD are outside the handler's SMRAM or malformed.
**/
BOOLEAN
StmReadDescriptor (
  IN  CONST STM_SHARED   *Shared,
  IN  UINT64             Smbase,
  IN  STM_EVENT          Event,
  OUT STM_HANDLER_ENTRY  *Entry
  );

/**
  Write the guest state of the SMI handler to the current VMCS, the handler's.

  @param[in] Processor  This processor.
  @param[in] Entry      From StmReadDescriptor.
**/
VOID
StmWriteHandlerState (
  IN CONST STM_PROCESSOR      *Processor,
  IN CONST STM_HANDLER_ENTRY  *Entry
  );

//
// Log/
//

/**
  Put a record into the ring.

  @param[in] Processor      This processor.
  @param[in] Type           STM_RING_TYPE.
  @param[in] Reason         Exit reason field, or API number.
  @param[in] Qualification  Exit qualification, or status.
  @param[in] Rip            RIP of the interrupted code.
  @param[in] Address        See STM_RING_TYPE.
**/
VOID
StmRing (
  IN CONST STM_PROCESSOR  *Processor,
  IN STM_RING_TYPE        Type,
  IN UINT64               Reason,
  IN UINT64               Qualification,
  IN UINT64               Rip,
  IN UINT64               Address
  );

/**
  Write all records that the ring still holds and that were not written before
  to the record port.

  @param[in,out] Shared  Shared state.
**/
VOID
StmRingFlush (
  IN OUT STM_SHARED  *Shared
  );

/**
  Begin a line record: "STM: ev=NAME t=TIME".

  @param[in] Event  Name.
  @param[in] Time   Time-stamp counter.
**/
VOID
StmLineBegin (
  IN CONST CHAR8  *Event,
  IN UINT64       Time
  );

VOID
StmLineText (
  IN CONST CHAR8  *Key,
  IN CONST CHAR8  *Value
  );

VOID
StmLineDecimal (
  IN CONST CHAR8  *Key,
  IN UINT64       Value
  );

VOID
StmLineHex (
  IN CONST CHAR8  *Key,
  IN UINT64       Value
  );

VOID
StmLineBytes (
  IN CONST CHAR8  *Key,
  IN CONST UINT8  *Bytes,
  IN UINTN        Length
  );

VOID
StmLineEnd (
  VOID
  );

/**
  Write the crash record and reset the platform. Does not return.

  @param[in] Shared         Shared state, NULL while there is none.
  @param[in] Class          Why.
  @param[in] Processor      Slot of the processor.
  @param[in] Reason         Exit reason, exception vector, or 0.
  @param[in] Qualification  Exit qualification, or 0.
  @param[in] Rip            RIP of the failing code.
  @param[in] Error          VM-instruction error, exception error code, or STM_BAD_STATE.
**/
VOID
StmCrash (
  IN STM_SHARED       *Shared,
  IN STM_CRASH_CLASS  Class,
  IN UINT32           Processor,
  IN UINT64           Reason,
  IN UINT64           Qualification,
  IN UINT64           Rip,
  IN UINT64           Error
  );

/**
  Crash on behalf of the exit recorded in the current VMCS.

  @param[in] Processor  This processor.
  @param[in] Class      Why.
**/
VOID
StmCrashFromVmcs (
  IN CONST STM_PROCESSOR  *Processor,
  IN STM_CRASH_CLASS      Class
  );

#endif
