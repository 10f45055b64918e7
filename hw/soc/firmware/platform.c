/* SPDX-License-Identifier: MIT */
#include "platform.h"

#include "bus.h"

#define SERIAL_DATA (*(volatile uint32_t *)0x40000000)
#define SERIAL_DIVIDER (*(volatile uint32_t *)0x40000004)
#define SERIAL_RECEIVED (*(volatile uint32_t *)0x40000008)
#define REGISTERS 0x80000000u

enum { INTERRUPT_TIMER = 1 << 0, INTERRUPT_DEVICE = 1 << 3, INTERRUPT_FAULT = 1 << 4 };

extern volatile uint32_t nw_interrupts;
uint32_t nw_sleep(uint32_t clocks);

uint32_t nw_bus_read(uint32_t offset) { return *(volatile uint32_t *)(REGISTERS + offset); }

void nw_bus_write(uint32_t offset, uint32_t value) {
    *(volatile uint32_t *)(REGISTERS + offset) = value;
}

/* Takes out of the interrupts that came those that are asked for; the handler may add some. */
static uint32_t take(uint32_t which) {
    uint32_t mask = ~0u, came;
    __asm__ volatile(".insn r 0x0b, 0, 3, %0, %0, x0" : "+r"(mask));
    came = nw_interrupts & which;
    nw_interrupts &= ~which;
    __asm__ volatile(".insn r 0x0b, 0, 3, x0, %0, x0" : : "r"(mask));
    return came;
}

int nw_bus_fault(void) { return take(INTERRUPT_FAULT) != 0; }

int nw_bus_wait(uint32_t clocks) {
    nw_sleep(clocks);
    return (take(INTERRUPT_DEVICE | INTERRUPT_TIMER) & INTERRUPT_DEVICE) != 0;
}

void serial_divider(uint32_t clocks) { SERIAL_DIVIDER = clocks; }

int get_byte(uint32_t limit) {
    uint32_t begin = clocks();
    do {
        uint32_t received = SERIAL_RECEIVED;
        if (received & 0x200) {
            return SERIAL_LOST;
        }
        if (received & 0x100) {
            return (int)(received & 0xff);
        }
    } while (clocks() - begin < limit);
    return SERIAL_NONE;
}

void put_char(char c) {
    while (!SERIAL_DATA) {
    }
    SERIAL_DATA = (uint8_t)c;
}

void put_text(const char *text) {
    while (*text) {
        put_char(*text++);
    }
}

void put_decimal(uint32_t value) {
    char digits[10];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n) {
        put_char(digits[--n]);
    }
}

void put_hex(uint32_t value) {
    int shift = 28;
    while (shift && !(value >> shift)) {
        shift -= 4;
    }
    for (; shift >= 0; shift -= 4) {
        put_char("0123456789abcdef"[value >> shift & 15]);
    }
}

uint32_t clocks(void) {
    uint32_t now;
    __asm__ volatile("rdcycle %0" : "=r"(now));
    return now;
}
