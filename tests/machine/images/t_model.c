/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Carries out lists of operations that were made outside, and writes what
 * software saw after each; build_scripts/model predicts the same, and whoever
 * runs the image compares.  Lists and observations are in RAM that the host
 * shares (struct shared), so that one boot serves any number of lists.
 *
 * There is one interpreter (model.asm) and several programs that run it, each
 * on a stack of its own: executive monitor, guests, SMI handler, STM, guests of
 * the STM.  Whichever program the processor runs carries out the next operation,
 * and whichever it runs then writes the observation.  The address of the stack
 * tells the program, so that nothing has to survive a transition but RSP.
 */
#include "stm.h"

#define SHARED          0x2000000u
#define OPERATIONS      (SHARED + 0x1000u)
#define OBSERVATIONS    (SHARED + 0x400000u)
#define STACKS          0x1100000u /* model.asm has the same */
#define STACK_SHIFT     16
#define FIRST_RSP       0xF800u
#define OPERATION_RSP   0xF000u
#define REGIONS         0x1400000u
#define TEMPLATES       0x1500000u
#define SMM_REGIONS     (MSEG_BASE + 0x20000u)
#define OTHER_SMBASE    0x50000u
#define SAVED_SMBASE    0xFF00u /* AMD64 save-state map, from SMBASE */
#define ONES            0xFFu
#define MISALIGNED      0x100u
#define TOO_WIDE        0x200u

struct shared { /* machine.py: the same */
    uint32_t ring, answered, count, position;
    uint32_t entry_controls, exit_controls, pin_controls, stopped;
    uint64_t mseg;
};

struct operation {
    uint32_t kind, a;
    uint64_t b;
};

struct observation {
    uint32_t mark, program, how, result;
    uint64_t value;
    uint32_t reason, length, interruptibility, activity;
    uint32_t entry, entry_interruption, interruption, smbase;
    uint64_t qualification, executive, link, current;
    uint32_t nmis, padding[7];
};

enum { EXEC, GUEST, GUEST_2, HANDLER, STM, SMM_GUEST, PROGRAMS };
enum { DONE, RESUMED, START, SMI, EXIT, ACTIVATION };
/* Regions outside SMRAM, and from X on those in it. */
enum { V, G, H, A, W, Z, U, X = 8, Y, S, REGION_COUNT };
enum { /* the stubs of model.asm in their order; operations.py has the names */
    KIND_BEGIN,
    KIND_POINTER_FIRST,
    KIND_POINTER_LAST = KIND_POINTER_FIRST + 3, /* VMXON, VMCLEAR, VMPTRLD, VMWRITE of a pointer */
};

extern uint8_t interpret[], exit_entry[], start_entry[], activation_entry[];
extern uint8_t stubs_begin[], stubs_end[], stub_fault[];
void enter_program(uint64_t rsp) __attribute__((noreturn));

static volatile struct shared *const shared = (void *)(uintptr_t)SHARED;
static uint32_t nmis;

static uint32_t program_of(uint64_t rsp)
{
    return (uint32_t)(rsp - STACKS) >> STACK_SHIFT;
}

static uint64_t stack_of(uint32_t program)
{
    return STACKS + ((uint64_t)program << STACK_SHIFT);
}

static uint32_t running(void)
{
    return program_of((uintptr_t)__builtin_frame_address(0));
}

static uint64_t region(uint32_t code)
{
    return (code < X ? REGIONS : SMM_REGIONS) + code * PAGE_SIZE;
}

/* An operand's pointer from its code, and back. */
static uint64_t pointer(uint32_t code)
{
    if ((code & ONES) == ONES) {
        return NO_VMCS;
    }
    return region(code & ONES) + (code & MISALIGNED ? 1 : 0) + (code & TOO_WIDE ? 1ull << 52 : 0);
}

static uint64_t code_of(uint64_t address)
{
    for (uint32_t code = 0; code < REGION_COUNT; code++) {
        if (region(code) == address) {
            return code;
        }
    }
    return address == NO_VMCS ? ONES : address;
}

static struct observation *observation(void)
{
    return (struct observation *)(uintptr_t)OBSERVATIONS + shared->position;
}

static const struct operation *operation(void)
{
    return (const struct operation *)(uintptr_t)OPERATIONS + shared->position;
}

/* ---- from one list to the next ---- */
static void restore(uint32_t code)
{
    uint64_t to = region(code), from = TEMPLATES + (uint64_t)code * PAGE_SIZE, count = PAGE_SIZE / 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void begin_in_smm(void)
{
    struct mseg_header header = mseg_default_header();

    header.gdtr_offset = (uint32_t)(phys(gdt) - MSEG_BASE);
    header.eip = (uint32_t)(phys(activation_entry) - MSEG_BASE);
    header.esp = (uint32_t)(stack_of(STM) + FIRST_RSP - MSEG_BASE);
    header.cr3 = (uint32_t)(phys(page_tables) - MSEG_BASE);
    memcpy((void *)(uintptr_t)MSEG_BASE, &header, sizeof(header));
    for (uint32_t code = X; code < REGION_COUNT; code++) {
        restore(code);
    }
    wrmsr(MSR_SMM_MONITOR_CTL, operation()->b);
    write32(smi_smbase + SAVED_SMBASE, DEFAULT_SMBASE);
}

static void serve_smi(void)
{
    enter_program(stack_of(HANDLER) + FIRST_RSP);
}

static void use_vmx(void *arg)
{
    (void)arg;
    vmptrst();
}

static void begin(void)
{
    if (try_rdmsr(MSR_SMBASE, NULL) != FAULT_GP || try_call(use_vmx, NULL) != FAULT_UD) {
        panic("position %d: a list begins in SMM or in VMX operation", shared->position);
    }
    iret_here();
    nmis = 0;
    for (uint32_t code = V; code <= U; code++) {
        restore(code);
    }
    smi_hook = begin_in_smm;
    smi_port_write(0);
    smi_hook = serve_smi;
    enter_program(stack_of(EXEC) + FIRST_RSP);
}

/* ---- the interpreter's calls ---- */
struct taken {
    const struct operation *operation;
    uint64_t operand;
};

struct taken take(void);
void record(uint64_t result, uint64_t value, uint64_t rsp);
void on_start(void);
void on_smi(void);
void on_exit(void);
void on_activation(void);

struct taken take(void)
{
    const struct operation *next;

    for (;;) {
        shared->position++;
        if (shared->position >= shared->count) {
            static uint32_t ring;

            shared->answered = ring;
            while (shared->ring == ring) {
                __asm__ volatile("pause" : : : "memory");
            }
            ring = shared->ring;
            shared->position = 0;
        }
        next = operation();
        if (next->kind != KIND_BEGIN) {
            break;
        }
        begin();
    }
    return (struct taken){next, next->kind >= KIND_POINTER_FIRST && next->kind <= KIND_POINTER_LAST
                                    ? pointer((uint32_t)next->b)
                                    : next->b};
}

static struct observation *seen(uint32_t how)
{
    struct observation *o = observation();

    memset(o, 0, sizeof(*o));
    o->mark = shared->position + 1;
    o->program = running();
    o->how = how;
    o->nmis = nmis;
    return o;
}

/* Behind the instruction of an operation: of this one, or of an earlier one of a program that goes on. */
void record(uint64_t result, uint64_t value, uint64_t rsp)
{
    uint64_t taken = (stack_of(running()) + OPERATION_RSP - rsp) >> 6;
    bool own = taken == (shared->position & 0xFF);
    struct observation *o = seen(own ? DONE : RESUMED);

    if (own) {
        o->result = (uint32_t)result;
        o->value = operation()->kind == KIND_POINTER_LAST + 1 ? code_of(value) : value;
        if (result == VMX_FAIL_VALID) {
            o->value = rd(VMCS_INSTRUCTION_ERROR);
        }
    }
}

void on_start(void)
{
    seen(START);
}

void on_smi(void)
{
    seen(SMI);
}

/* An exit caused by an instruction; the program goes on behind it. */
static bool by_instruction(uint32_t reason)
{
    return (reason >= VMX_REASON_CPUID && reason <= 27) || reason == VMX_REASON_RDMSR ||
           reason == VMX_REASON_WRMSR;
}

static void exit_seen(uint32_t how)
{
    struct observation *o = seen(how);

    o->reason = (uint32_t)rd(VMCS_EXIT_REASON);
    o->length = (uint32_t)rd(VMCS_EXIT_INSTRUCTION_LENGTH);
    o->interruptibility = (uint32_t)rd(VMCS_GUEST_INTERRUPTIBILITY_STATE);
    o->activity = (uint32_t)rd(VMCS_GUEST_ACTIVITY_STATE);
    o->entry = (uint32_t)rd(VMCS_ENTRY_CONTROLS);
    o->entry_interruption = (uint32_t)rd(VMCS_ENTRY_INTERRUPTION_INFO);
    o->interruption = (uint32_t)rd(VMCS_EXIT_INTERRUPTION_INFO);
    o->smbase = (uint32_t)rd(VMCS_GUEST_SMBASE);
    o->qualification = rd(VMCS_EXIT_QUALIFICATION);
    o->executive = code_of(rd(VMCS_EXECUTIVE_VMCS_POINTER));
    o->link = code_of(rd(VMCS_LINK_POINTER));
    o->current = code_of(vmptrst());
    if (by_instruction(o->reason & ~VMX_REASON_FROM_ROOT)) {
        wr(VMCS_GUEST_RIP, rd(VMCS_GUEST_RIP) + rd(VMCS_EXIT_INSTRUCTION_LENGTH));
    }
}

void on_exit(void)
{
    exit_seen(EXIT);
}

void on_activation(void)
{
    idt_load();
    exit_seen(ACTIVATION);
}

/* ---- set-up ---- */
static bool take_fault(struct fault_frame *frame)
{
    if (frame->vector == 2) {
        nmis++;
        return true;
    }
    if (frame->rip >= phys(stubs_begin) && frame->rip < phys(stubs_end)) {
        frame->rax = 0x100 | frame->vector;
        frame->rip = phys(stub_fault);
        return true;
    }
    return false;
}

/* A complete VMCS for every region, so that each can be used as each. */
static void make_template(uint32_t code, uint32_t guest_program, uint32_t host_program, uint32_t entry)
{
    uint64_t address = REGIONS + 0x20000u;

    memset((void *)address, 0, PAGE_SIZE);
    write32(address, vmcs_revision());
    if (vmclear(address) || vmptrld(address)) {
        panic("template %d", code);
    }
    vmcs_fill_guest((void (*)(void))(uintptr_t)start_entry);
    wr(VMCS_GUEST_RSP, stack_of(guest_program) + FIRST_RSP);
    wr(VMCS_HOST_RSP, stack_of(host_program) + FIRST_RSP);
    wr(VMCS_HOST_RIP, phys(exit_entry));
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | entry);
    wr(VMCS_GUEST_SMBASE, DEFAULT_SMBASE);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, entry & VMX_ENTRY_TO_SMM ? VMX_BLOCKING_BY_SMI : 0);
    wr(VMCS_EXECUTIVE_VMCS_POINTER, region(V));
    shared->entry_controls = (uint32_t)rd(VMCS_ENTRY_CONTROLS) & ~entry;
    shared->exit_controls = (uint32_t)rd(VMCS_EXIT_CONTROLS);
    shared->pin_controls = (uint32_t)rd(VMCS_PIN_CONTROLS);
    vmclear(address);
    memcpy((void *)(TEMPLATES + (uint64_t)code * PAGE_SIZE), (void *)address, PAGE_SIZE);
}

static void make_templates(void)
{
    memset((void *)(uintptr_t)TEMPLATES, 0, REGION_COUNT * PAGE_SIZE);
    write32(TEMPLATES + V * PAGE_SIZE, vmcs_revision());
    make_template(G, GUEST, EXEC, 0);
    make_template(H, GUEST_2, EXEC, 0);
    make_template(U, GUEST_2, EXEC, 0);
    make_template(A, EXEC, STM, 0);
    make_template(X, EXEC, STM, 0);
    make_template(Y, EXEC, STM, 0);
    make_template(S, SMM_GUEST, STM, VMX_ENTRY_TO_SMM);
    make_template(W, EXEC, STM, VMX_ENTRY_DEACTIVATE);
}

void run_tests(void)
{
    smi_install(OTHER_SMBASE);
    tseg_close();
    vmx_start();
    make_templates();
    if (vmxoff()) {
        panic("vmxoff");
    }
    fault_hook = take_fault;
    shared->mseg = MSEG_BASE;
    enter_program(stack_of(EXEC) + FIRST_RSP);
}
