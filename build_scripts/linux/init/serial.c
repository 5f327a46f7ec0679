/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A serial port (16450) without a receiver; the transmitter is always empty again at once. */
#include <stdio.h>

#include "lab.h"
#include "serial.h"

enum { DATA, INTERRUPTS, CAUSE, LINE, MODEM, STATUS, MODEM_STATUS, SCRATCH };
enum { DIVISOR_ACCESS = 0x80, EMPTY_INTERRUPT = 2, NO_CAUSE = 1, EMPTY_CAUSE = 2, EMPTY = 0x60, LOOPBACK = 0x10,
       CONNECTED = 0xb0 };

static void add(struct serial *serial, char c)
{
    if (c == '\n') {
        serial_flush(serial);
    } else if (c != '\r' && serial->used < sizeof(serial->text) - 1) {
        serial->text[serial->used++] = c;
    }
}

void serial_flush(struct serial *serial)
{
    if (serial->used) {
        serial->text[serial->used] = '\0';
        report("guest-line", "text=%s", serial->text);
        serial->used = 0;
    }
}

bool serial_interrupt(const struct serial *serial)
{
    return serial->sent && serial->interrupts & EMPTY_INTERRUPT;
}

uint8_t serial_read(struct serial *serial, unsigned index)
{
    bool divisor = serial->line & DIVISOR_ACCESS;
    uint8_t cause;

    switch (index) {
    case DATA:
        return divisor ? serial->divisor[0] : 0;
    case INTERRUPTS:
        return divisor ? serial->divisor[1] : serial->interrupts;
    case CAUSE:
        cause = serial_interrupt(serial) ? EMPTY_CAUSE : NO_CAUSE;
        serial->sent = false; /* reading the cause takes it back */
        return cause;
    case LINE:
        return serial->line;
    case MODEM:
        return serial->modem;
    case STATUS:
        return EMPTY;
    case MODEM_STATUS:
        /* In the loop the outputs are the inputs: RTS, DTR, OUT1, OUT2 as CTS, DSR, RI, DCD. */
        if (serial->modem & LOOPBACK) {
            return (uint8_t)((serial->modem & 2) << 3 | (serial->modem & 1) << 5 | (serial->modem & 0xc) << 4);
        }
        return CONNECTED;
    default:
        return serial->scratch;
    }
}

void serial_write(struct serial *serial, unsigned index, uint8_t value)
{
    bool divisor = serial->line & DIVISOR_ACCESS;

    switch (index) {
    case DATA:
        if (divisor) {
            serial->divisor[0] = value;
        } else {
            if (!(serial->modem & LOOPBACK)) {
                add(serial, (char)value);
            }
            serial->sent = true;
        }
        break;
    case INTERRUPTS:
        if (divisor) {
            serial->divisor[1] = value;
        } else {
            /* Enabling the interrupt while the transmitter is empty raises it. */
            serial->sent |= (value & ~serial->interrupts & EMPTY_INTERRUPT) != 0;
            serial->interrupts = value & 0xf;
        }
        break;
    case LINE:
        serial->line = value;
        break;
    case MODEM:
        serial->modem = value;
        break;
    case SCRATCH:
        serial->scratch = value;
        break;
    default:
        break;
    }
}
