/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A small VMM: boots /guest/vmlinuz by the 64-bit boot protocol (Documentation/x86/boot.rst). The machine has a
 * processor, memory, the kernel's interrupt controllers and timer, and one serial port.
 */
#include <asm/bootparam.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm.h"
#include "lab.h"
#include "serial.h"

#define KERNEL "/guest/vmlinuz"
#define INITRD "/guest/initrd"

enum {
    MEMORY = 0x10000000, /* 256 MB */
    LOW_END = 0x9fc00,
    PARAMETERS = 0x20000,
    COMMAND_LINE = 0x21000,
    SETUP_HEADER = 0x1f1,
    KERNEL_AT = 0x1000000,
    INITRD_AT = 0xc000000,
    ENTRY_64 = 0x200,
    SECTOR = 512,
    OTHER_LOADER = 0xff,
    MISC_ENABLE = 0x1a0,
    LIMIT_SECONDS = 200,
};

/*
 * No devices to probe: no PCI, no ACPI. reboot=t: a triple fault ends the guest. no_timer_check: a busy host must not
 * make the kernel believe that its timer does not work. Most of its log is left out.
 */
static const char fixed_words[] = "console=ttyS0 pci=off acpi=off reboot=t panic=-1 no_timer_check";

static size_t load(struct vm *vm, const char *path, size_t address, size_t skip)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;

    lseek(file, (off_t)skip, SEEK_SET);
    for (ssize_t part; (part = read(file, vm->memory + address + size, vm->size - address - size)) > 0;) {
        size += (size_t)part;
    }
    close(file);
    return size;
}

static bool prepare(struct vm *vm)
{
    struct boot_params *parameters = (struct boot_params *)(vm->memory + PARAMETERS);
    struct kvm_regs registers;
    uint8_t start[0x1000];
    const char *log_words = setting("lab.guest");
    int file = open(KERNEL, O_RDONLY | O_CLOEXEC);

    if (read(file, start, sizeof(start)) != sizeof(start)) {
        return false;
    }
    close(file);
    memset(parameters, 0, sizeof(*parameters));
    memcpy(&parameters->hdr, start + SETUP_HEADER, sizeof(parameters->hdr));
    load(vm, KERNEL, KERNEL_AT, (size_t)(parameters->hdr.setup_sects + 1) * SECTOR);
    parameters->hdr.type_of_loader = OTHER_LOADER;
    parameters->hdr.code32_start = KERNEL_AT;
    parameters->hdr.ramdisk_image = INITRD_AT;
    parameters->hdr.ramdisk_size = (uint32_t)load(vm, INITRD, INITRD_AT, 0);
    parameters->hdr.cmd_line_ptr = COMMAND_LINE;
    snprintf((char *)vm->memory + COMMAND_LINE, 1024, "%s %s", fixed_words, log_words ? log_words : "quiet");
    parameters->e820_entries = 2;
    parameters->e820_table[0] = (struct boot_e820_entry){.addr = 0, .size = LOW_END, .type = 1};
    parameters->e820_table[1] = (struct boot_e820_entry){.addr = 0x100000, .size = MEMORY - 0x100000, .type = 1};

    enter_mode(vm, &vm->vcpu[0], MODE_LONG, KERNEL_AT + ENTRY_64);
    ioctl(vm->vcpu[0].fd, KVM_GET_REGS, &registers);
    registers.rsi = PARAMETERS;
    return ioctl(vm->vcpu[0].fd, KVM_SET_REGS, &registers) == 0;
}

/* The boot protocol wants the code segment at 10H and the data segment at 18H. */
static bool boot_segments(struct vm *vm)
{
    static const uint64_t gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};
    struct kvm_sregs s;

    memcpy(vm->memory + GUEST_GDT, gdt, sizeof(gdt));
    if (ioctl(vm->vcpu[0].fd, KVM_GET_SREGS, &s)) {
        return false;
    }
    s.gdt.limit = sizeof(gdt) - 1;
    s.cs.selector = 0x10;
    s.ds.selector = s.es.selector = s.fs.selector = s.gs.selector = s.ss.selector = 0x18;
    return ioctl(vm->vcpu[0].fd, KVM_SET_SREGS, &s) == 0;
}

/* What firmware leaves: fast string operations on. A kernel that finds them off and "fast short REP MOV" on fails. */
static bool firmware_msrs(struct vm *vm)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msrs = {.head.nmsrs = 1, .entry = {.index = MISC_ENABLE, .data = 1}};

    return ioctl(vm->vcpu[0].fd, KVM_SET_MSRS, &msrs) == 1;
}

static void on_port(struct vm *vm, struct kvm_run *run, struct serial *serial)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    for (unsigned i = 0; i < run->io.count; i++, data += run->io.size) {
        bool ours = run->io.port >= SERIAL_PORT && run->io.port < SERIAL_PORT + 8;

        if (run->io.direction == KVM_EXIT_IO_IN) {
            memset(data, 0xff, run->io.size);
            if (ours) {
                *data = serial_read(serial, run->io.port - SERIAL_PORT);
            }
        } else if (ours) {
            serial_write(serial, run->io.port - SERIAL_PORT, *data);
        }
    }
    struct kvm_irq_level line = {.irq = SERIAL_LINE, .level = serial_interrupt(serial)};
    ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

static const char *run_guest(struct vm *vm, struct serial *serial)
{
    struct vcpu *vcpu = &vm->vcpu[0];
    static char other[80];

    for (;;) {
        if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
            return "interrupted";
        }
        switch (vcpu->run->exit_reason) {
        case KVM_EXIT_IO:
            on_port(vm, vcpu->run, serial);
            break;
        case KVM_EXIT_MMIO:
            memset(vcpu->run->mmio.data, 0xff, sizeof(vcpu->run->mmio.data));
            break;
        case KVM_EXIT_SHUTDOWN:
            return "shutdown";
        default:
            snprintf(other, sizeof(other), "exit-%u-%u-%llx", vcpu->run->exit_reason, vcpu->run->internal.suberror,
                     vcpu->run->internal.data[0]);
            return other;
        }
    }
}

static void nothing(int signal)
{
    (void)signal;
}

static void boot_guest(void)
{
    struct sigaction action = {.sa_handler = nothing};
    struct vm vm;
    struct serial serial = {0};
    struct kvm_pit_config timer = {.flags = KVM_PIT_SPEAKER_DUMMY};

    if (!vm_open(&vm, "guest", MEMORY, true)) {
        return;
    }
    if (ioctl(vm.fd, KVM_CREATE_PIT2, &timer) || !prepare(&vm) || !boot_segments(&vm) || !firmware_msrs(&vm)) {
        report("guest", "ended=not-prepared");
    } else {
        sigaction(SIGALRM, &action, NULL);
        alarm(LIMIT_SECONDS);
        const char *end = run_guest(&vm, &serial);
        serial_flush(&serial);
        report("guest", "ended=%s", end);
    }
    vm_close(&vm);
}

void linux_guest(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        boot_guest();
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (status != 0) {
        report("guest", "ended=status-%d", status);
    }
}
