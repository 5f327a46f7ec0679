/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Running a guest, and writing down each of its exits as one word. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm.h"

enum { EXITS_LIMIT = 5000 };

void trace(struct vm *vm, const char *format, ...)
{
    size_t used = strlen(vm->trace);
    va_list arguments;

    if (used + 1 >= sizeof(vm->trace)) {
        return;
    }
    vm->trace[used++] = ' ';
    va_start(arguments, format);
    vsnprintf(vm->trace + used, sizeof(vm->trace) - used, format, arguments);
    va_end(arguments);
}

static uint64_t number(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, bytes, size);
    return value;
}

static bool on_port(struct vm *vm, struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    const uint32_t pattern = PATTERN;

    if (run->io.port == END_PORT) {
        trace(vm, "end");
        return false;
    }
    for (unsigned i = 0; i < run->io.count; i++, data += run->io.size) {
        if (run->io.direction == KVM_EXIT_IO_IN) {
            trace(vm, "in%u:%x", run->io.size, run->io.port);
            memcpy(data, &pattern, run->io.size);
        } else {
            trace(vm, "out%u:%x=%llx", run->io.size, run->io.port, (unsigned long long)number(data, run->io.size));
        }
    }
    return true;
}

static void on_memory(struct vm *vm, struct kvm_run *run)
{
    const uint64_t pattern = PATTERN;

    if (run->mmio.is_write) {
        trace(vm, "w%u:%llx=%llx", run->mmio.len, run->mmio.phys_addr,
              (unsigned long long)number(run->mmio.data, run->mmio.len));
    } else {
        trace(vm, "r%u:%llx", run->mmio.len, run->mmio.phys_addr);
        memcpy(run->mmio.data, &pattern, sizeof(run->mmio.data));
    }
}

bool run_once(struct vm *vm, struct vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
        if (errno == EAGAIN) {
            return true; /* a second processor that got its startup IPI */
        }
        trace(vm, errno == EINTR ? "interrupted" : "errno:%d", errno);
        return false;
    }
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        return on_port(vm, run);
    case KVM_EXIT_MMIO:
        on_memory(vm, run);
        return true;
    case KVM_EXIT_X86_RDMSR:
        trace(vm, "rdmsr:%x", run->msr.index);
        run->msr.data = PATTERN;
        run->msr.error = 0;
        return true;
    case KVM_EXIT_X86_WRMSR:
        trace(vm, "wrmsr:%x=%llx", run->msr.index, run->msr.data);
        run->msr.error = 0;
        return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        trace(vm, "window");
        return true;
    case KVM_EXIT_SET_TPR:
        trace(vm, "tpr:%llx", run->cr8);
        return true;
    case KVM_EXIT_DEBUG:
        trace(vm, "debug:%llx", run->debug.arch.pc);
        return true;
    case KVM_EXIT_HLT:
        trace(vm, "hlt");
        return false;
    case KVM_EXIT_SHUTDOWN:
        trace(vm, "shutdown");
        return false;
    case KVM_EXIT_FAIL_ENTRY:
        trace(vm, "fail-entry:%llx", run->fail_entry.hardware_entry_failure_reason);
        return false;
    case KVM_EXIT_INTERNAL_ERROR:
        trace(vm, "internal-error:%u:%llx:%llx", run->internal.suberror, run->internal.data[0],
              run->internal.data[1]);
        return false;
    default:
        trace(vm, "exit:%u", run->exit_reason);
        return false;
    }
}

void run(struct vm *vm, struct vcpu *vcpu, exit_hook hook)
{
    for (int i = 0; i < EXITS_LIMIT && run_once(vm, vcpu); i++) {
        if (hook) {
            hook(vm, vcpu);
        }
    }
}

bool was_out(const struct vcpu *vcpu, uint16_t port)
{
    const struct kvm_run *run = vcpu->run;

    return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT && run->io.port == port;
}
