/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Debug console, checks and the end of a run. */
#include "runtime.h"

#define DEBUG_PORT 0x402
#define EXIT_PORT  0xF4
#define EXIT_PASS  0x10 /* QEMU ends with (value << 1) | 1 */
#define EXIT_FAIL  0x11
#define EXIT_PANIC 0x12

static uint32_t checks, failures;

static void put(char c)
{
    outb(DEBUG_PORT, (uint8_t)c);
}

static void put_string(const char *s)
{
    while (*s) {
        put(*s++);
    }
}

static void put_number(uint64_t value, unsigned base)
{
    char buffer[24];
    unsigned used = 0;

    do {
        unsigned digit = (unsigned)(value % base);
        buffer[used++] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        value /= base;
    } while (value);
    while (used) {
        put(buffer[--used]);
    }
}

/* %s, %d (unsigned), %x (32 bits), %q (64 bits, hexadecimal). */
static void print_list(const char *format, va_list args)
{
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            put_string(va_arg(args, const char *));
            break;
        case 'd':
            put_number(va_arg(args, uint32_t), 10);
            break;
        case 'x':
            put_string("0x");
            put_number(va_arg(args, uint32_t), 16);
            break;
        case 'q':
            put_string("0x");
            put_number(va_arg(args, uint64_t), 16);
            break;
        default:
            put(*format);
            break;
        }
    }
}

void print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_list(format, args);
    va_end(args);
}

void check(const char *id, const char *name, bool ok, const char *format, ...)
{
    va_list args;

    checks++;
    failures += !ok;
    print("CHECK id=%s name=%s result=%s detail=", id, name,
          ok ? "pass" : "fail");
    va_start(args, format);
    print_list(format, args);
    va_end(args);
    put('\n');
}

void check_eq(const char *id, const char *name, uint64_t got, uint64_t want)
{
    check(id, name, got == want, "got:%q,want:%q", got, want);
}

void not_offered(const char *id, const char *name)
{
    print("SKIP id=%s name=%s reason=not-offered\n", id, name);
}

void expect_shutdown(const char *id, const char *name)
{
    print("EXPECT-SHUTDOWN id=%s name=%s checks=%d failures=%d\n", id, name,
          checks, failures);
}

void announce_reset(void)
{
    print("RESET checks=%d failures=%d\n", checks, failures);
}

void finish(void)
{
    print("END checks=%d failures=%d\n", checks, failures);
    outb(EXIT_PORT, failures ? EXIT_FAIL : EXIT_PASS);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

void panic(const char *format, ...)
{
    va_list args;

    print("PANIC ");
    va_start(args, format);
    print_list(format, args);
    va_end(args);
    put('\n');
    outb(EXIT_PORT, EXIT_PANIC);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

void *memcpy(void *to, const void *from, size_t size)
{
    void *start = to;

    __asm__ volatile("rep movsb"
                     : "+D"(to), "+S"(from), "+c"(size)
                     :
                     : "memory");
    return start;
}

void *memset(void *to, int byte, size_t size)
{
    void *start = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;

    for (; size; size--, x++, y++) {
        if (*x != *y) {
            return *x - *y;
        }
    }
    return 0;
}
