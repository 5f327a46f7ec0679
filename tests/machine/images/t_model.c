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
 * tells program and processor, so that nothing has to survive a transition but RSP.
 *
 * With two processors each operation says whose program carries it out.  The
 * other one waits, where IPIs reach it, and whichever of its programs runs then
 * waits in its place.  The next operation begins when both have waited long enough
 * for all that the last one has sent.
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
#define REGIONS_STEP    0x10000u /* from processor to processor */
#define SCRATCH         (REGIONS + 0x20000u)
#define OTHER_SMBASE    0x50000u
#define SMBASE_STEP     0x30000u
#define SMP_AT          0x8000u
#define APIC_ID         0xFEE00020u
#define APIC_SVR        0xFEE000F0u
#define ICR_HIGH        0xFEE00310u
#define ICR_LOW         0xFEE00300u
#define ICR_INIT        0x4500u
#define ICR_SIPI        0x4600u
#define NOBODY          0xFFFFFFFFu
#define FEW_PAUSES      4u /* for an IPI to arrive */
#define SAVED_SMBASE    0xFF00u /* AMD64 save-state map, from SMBASE */
#define ONES            0xFFu
#define MISALIGNED      0x100u
#define TOO_WIDE        0x200u

struct shared { /* machine.py: the same */
    uint32_t ring, answered, count, position;
    uint32_t entry_controls, exit_controls, pin_controls, stopped;
    uint64_t mseg;
    uint32_t processors;
    uint32_t patience; /* pauses for an operation behind which its processor waits for a start-up IPI */
};

/* Whose operation it is that shared->position names, and whether it is done; model.asm: the same. */
struct turn {
    uint32_t done, actor, pauses;
};

struct processor { /* 64 bytes */
    uint32_t key, pauses; /* of what it waits for, and how long it has */
    uint64_t stack;       /* of the program that has written the last observation */
    uint32_t arrived;     /* position for which it has waited long enough */
    uint32_t nmis, padding[10];
};

struct operation {
    uint8_t kind, processor;
    uint8_t waiting; /* processors that wait for a start-up IPI behind it, one bit each */
    uint8_t padding;
    uint32_t a;
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

enum { EXEC, GUEST, GUEST_2, HANDLER, STM, SMM_GUEST, PROGRAMS = 8 };
enum { DONE, RESUMED, START, SMI, EXIT, ACTIVATION, START_UP };
/* Regions outside SMRAM, and from X on those in it. */
enum { V, G, H, A, W, Z, U, X = 8, Y, S, REGION_COUNT };
enum { /* the stubs of model.asm in their order; operations.py has the names */
    KIND_BEGIN,
    KIND_POINTER_FIRST,
    KIND_POINTER_LAST = KIND_POINTER_FIRST + 3, /* VMXON, VMCLEAR, VMPTRLD, VMWRITE of a pointer */
};

extern uint8_t interpret[], exit_entry[], start_entry[], activation_entry[];
extern uint8_t stubs_begin[], stubs_end[], stub_fault[];
extern uint8_t smp_block[], smp_block_end[];
void enter_program(uint64_t rsp, uint32_t how) __attribute__((noreturn));
void smp_main(void);

static volatile struct shared *const shared = (void *)(uintptr_t)SHARED;
static volatile struct turn *const turn = (void *)(uintptr_t)(SHARED + 0x80);
static volatile struct processor *const processors = (void *)(uintptr_t)(SHARED + 0x100);

/* The program, from its stack; PROGRAMS of them a processor. */
static uint32_t running(void)
{
    return (uint32_t)((uintptr_t)__builtin_frame_address(0) - STACKS) >> STACK_SHIFT;
}

static uint32_t own_number(void)
{
    return running() / PROGRAMS;
}

/* The same on any stack. */
static uint32_t apic_id(void)
{
    return read32(APIC_ID) >> 24;
}

static uint64_t stack_of(uint32_t number, uint32_t program)
{
    return STACKS + ((uint64_t)(number * PROGRAMS + program) << STACK_SHIFT);
}

static uint64_t region(uint32_t number, uint32_t code)
{
    return (code < X ? REGIONS : SMM_REGIONS) + number * REGIONS_STEP + code * PAGE_SIZE;
}

static uint64_t template(uint32_t number, uint32_t code)
{
    return TEMPLATES + number * REGIONS_STEP + code * PAGE_SIZE;
}

static uint32_t own_smbase(uint32_t number)
{
    return DEFAULT_SMBASE + number * SMBASE_STEP;
}

/* An operand's pointer from its code, and back. */
static uint64_t pointer(uint32_t code)
{
    if ((code & ONES) == ONES) {
        return NO_VMCS;
    }
    return region(own_number(), code & ONES) + (code & MISALIGNED ? 1 : 0) + (code & TOO_WIDE ? 1ull << 52 : 0);
}

static uint64_t code_of(uint64_t address)
{
    for (uint32_t code = 0; code < REGION_COUNT; code++) {
        if (region(own_number(), code) == address) {
            return code;
        }
    }
    return address == NO_VMCS ? ONES : address;
}

static const struct operation *operation_at(uint32_t position)
{
    return (const struct operation *)(uintptr_t)OPERATIONS + position;
}

static const struct operation *operation(void)
{
    return operation_at(shared->position);
}

static struct observation *observation(void)
{
    uint32_t number = shared->position * shared->processors + own_number();

    return (struct observation *)(uintptr_t)OBSERVATIONS + number;
}

/* ---- from one list to the next ---- */
static void restore(uint32_t number, uint32_t code)
{
    uint64_t to = region(number, code), from = template(number, code), count = PAGE_SIZE / 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void begin_in_smm(void)
{
    struct mseg_header header = mseg_default_header();

    header.gdtr_offset = (uint32_t)(phys(gdt) - MSEG_BASE);
    header.eip = (uint32_t)(phys(activation_entry) - MSEG_BASE);
    header.esp = 0; /* each processor takes a stack of its own */
    header.cr3 = (uint32_t)(phys(page_tables) - MSEG_BASE);
    memcpy((void *)(uintptr_t)MSEG_BASE, &header, sizeof(header));
    for (uint32_t code = X; code < REGION_COUNT; code++) {
        restore(apic_id(), code);
    }
    wrmsr(MSR_SMM_MONITOR_CTL, operation()->b);
    write32(smi_smbase + SAVED_SMBASE, own_smbase(apic_id()));
}

static void serve_smi(void)
{
    enter_program(stack_of(apic_id(), HANDLER) + FIRST_RSP, SMI);
}

static void use_vmx(void *arg)
{
    (void)arg;
    vmptrst();
}

static void begin(void)
{
    uint32_t number = own_number();

    if (try_rdmsr(MSR_SMBASE, NULL) != FAULT_GP || try_call(use_vmx, NULL) != FAULT_UD) {
        panic("position %d: a list begins in SMM or in VMX operation", shared->position);
    }
    iret_here();
    processors[number].nmis = 0;
    for (uint32_t code = V; code <= U; code++) {
        restore(number, code);
    }
    smi_hook = begin_in_smm;
    smi_port_write(0);
    smi_hook = serve_smi;
    enter_program(stack_of(number, EXEC) + FIRST_RSP, SMI);
}

/* ---- the interpreter's calls ---- */
struct taken {
    const struct operation *operation;
    uint64_t operand;
};

struct taken poll(void);
void record(uint64_t result, uint64_t value, uint64_t rsp);
void on_back(void);
void on_start(void);
void on_enter(uint32_t how);
void on_exit(void);
void on_activation(void);

/* Whether the other processor has waited long enough, or waits for a start-up IPI. */
static bool settled(uint32_t other, uint32_t position)
{
    return shared->processors == 1 || operation_at(position)->waiting >> other & 1 ||
           processors[other].arrived == position;
}

static uint32_t count; /* of the operations that the image knows of */

/* Reports that all lists are done, and waits for more. */
static void next_lists(void)
{
    static uint32_t ring;

    shared->answered = ring;
    while (shared->ring == ring) {
        __asm__ volatile("pause" : : : "memory");
    }
    ring = shared->ring;
    count = shared->count;
}

/*
 * Called when a processor has waited long enough, first for the end of its own
 * operation and then for what the operation has sent.  Nothing can arrive here.
 * The next operation, or NULL if it is not this processor's, or not yet.
 */
struct taken poll(void)
{
    uint32_t me = own_number(), position = shared->position, next = position + 1;
    const struct operation *taken;

    if (turn->done != position) {
        turn->done = position;
        if (shared->processors > 1) {
            return (struct taken){NULL, 0};
        }
    }
    processors[me].arrived = position;
    if (next >= count) {
        if (me || !settled(1, position)) {
            return (struct taken){NULL, 0};
        }
        next_lists();
        next = 0;
    } else if (operation_at(next)->processor != me || !settled(1 - me, position)) {
        return (struct taken){NULL, 0};
    }
    taken = operation_at(next);
    turn->actor = taken->waiting >> me & 1 ? NOBODY : me;
    turn->pauses = turn->actor == NOBODY ? shared->patience : shared->processors == 1 ? 0 : FEW_PAUSES;
    shared->position = next;
    if (taken->kind == KIND_BEGIN) {
        begin();
    }
    return (struct taken){taken, taken->kind >= KIND_POINTER_FIRST && taken->kind <= KIND_POINTER_LAST
                                     ? pointer((uint32_t)taken->b)
                                     : taken->b};
}

static struct observation *seen(uint32_t how)
{
    volatile struct processor *own = &processors[own_number()];
    struct observation *o = observation();

    own->key = NOBODY;
    memset(o, 0, sizeof(*o));
    o->mark = shared->position + 1;
    o->program = running();
    o->how = how;
    o->nmis = own->nmis;
    return o;
}

/* Behind the instruction of an operation: of this one, or of an earlier one of a program that goes on. */
void record(uint64_t result, uint64_t value, uint64_t rsp)
{
    uint64_t taken = (stack_of(0, running()) + OPERATION_RSP - rsp) >> 6;
    bool own = taken == (shared->position & 0xFF) && operation()->processor == own_number();
    struct observation *o = seen(own ? DONE : RESUMED);

    if (own) {
        o->result = (uint32_t)result;
        o->value = operation()->kind == KIND_POINTER_LAST + 1 ? code_of(value) : value;
        if (result == VMX_FAIL_VALID) {
            o->value = rd(VMCS_INSTRUCTION_ERROR);
        }
    }
}

/* A program that has waited goes on, after another one of its processor. */
void on_back(void)
{
    seen(RESUMED);
}

void on_start(void)
{
    seen(START);
}

void on_enter(uint32_t how)
{
    seen(how);
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
        processors[own_number()].nmis++;
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
static void make_template(uint32_t number, uint32_t code, uint32_t guest_program, uint32_t host_program,
                          uint32_t entry)
{
    memset((void *)(uintptr_t)SCRATCH, 0, PAGE_SIZE);
    write32(SCRATCH, vmcs_revision());
    if (vmclear(SCRATCH) || vmptrld(SCRATCH)) {
        panic("template %d", code);
    }
    vmcs_fill_guest((void (*)(void))(uintptr_t)start_entry);
    wr(VMCS_GUEST_RSP, stack_of(number, guest_program) + FIRST_RSP);
    wr(VMCS_HOST_RSP, stack_of(number, host_program) + FIRST_RSP);
    wr(VMCS_HOST_RIP, phys(exit_entry));
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | entry);
    wr(VMCS_GUEST_SMBASE, own_smbase(number));
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, entry & VMX_ENTRY_TO_SMM ? VMX_BLOCKING_BY_SMI : 0);
    wr(VMCS_EXECUTIVE_VMCS_POINTER, region(number, V));
    shared->entry_controls = (uint32_t)rd(VMCS_ENTRY_CONTROLS) & ~entry;
    shared->exit_controls = (uint32_t)rd(VMCS_EXIT_CONTROLS);
    shared->pin_controls = (uint32_t)rd(VMCS_PIN_CONTROLS);
    vmclear(SCRATCH);
    memcpy((void *)template(number, code), (void *)(uintptr_t)SCRATCH, PAGE_SIZE);
}

static void make_templates(uint32_t number)
{
    memset((void *)template(number, 0), 0, REGION_COUNT * PAGE_SIZE);
    write32(template(number, V), vmcs_revision());
    make_template(number, G, GUEST, EXEC, 0);
    make_template(number, H, GUEST_2, EXEC, 0);
    make_template(number, U, GUEST_2, EXEC, 0);
    make_template(number, A, EXEC, STM, 0);
    make_template(number, X, EXEC, STM, 0);
    make_template(number, Y, EXEC, STM, 0);
    make_template(number, S, SMM_GUEST, STM, VMX_ENTRY_TO_SMM);
    make_template(number, W, EXEC, STM, VMX_ENTRY_DEACTIVATE);
}

/* The second processor, at the beginning and after each INIT. */
void smp_main(void)
{
    idt_load();
    write32(APIC_SVR, 0x1FF);
    if (!(rdmsr(MSR_FEATURE_CONTROL) & 1)) {
        wrmsr(MSR_FEATURE_CONTROL, 5);
    }
    write_cr4(read_cr4() | CR4_VMXE);
    enter_program(stack_of(1, EXEC) + FIRST_RSP, START_UP);
}

static void start_other(void)
{
    memcpy((void *)(uintptr_t)SMP_AT, smp_block, (size_t)(smp_block_end - smp_block));
    processors[1].arrived = NOBODY;
    write32(ICR_HIGH, 1u << 24);
    write32(ICR_LOW, ICR_INIT);
    write32(ICR_HIGH, 1u << 24);
    write32(ICR_LOW, ICR_SIPI | SMP_AT >> 12);
    while (processors[1].arrived == NOBODY) {
        __asm__ volatile("pause" : : : "memory");
    }
}

void run_tests(void)
{
    tseg_close();
    vmx_start();
    for (uint32_t number = 0; number < shared->processors; number++) {
        smi_install(own_smbase(number));
        smi_install(own_smbase(number) + OTHER_SMBASE - DEFAULT_SMBASE);
        make_templates(number);
    }
    if (vmxoff()) {
        panic("vmxoff");
    }
    fault_hook = take_fault;
    /* The end of lists that were none, so that the next position differs. */
    shared->position = turn->done = 1;
    if (shared->processors > 1) {
        start_other();
    }
    shared->mseg = MSEG_BASE;
    enter_program(stack_of(0, EXEC) + FIRST_RSP, SMI);
}
