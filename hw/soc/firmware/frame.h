/* SPDX-License-Identifier: MIT
 *
 * Frames on a serial line: two bytes that begin one, the kind, the number, the length of the
 * payload in bytes (low byte first), the payload, and the CRC-32 of what is behind the two bytes.
 *
 * A frame that is damaged, or stops in the middle, is dropped: who sent it sends it again.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdint.h>

enum {
    FRAME_FIRST = 0x55,
    FRAME_SECOND = 0xaa,
    FRAME_HEAD = 4, /* bytes of kind, number and length */
    FRAME_MOST = 1024 /* bytes of a payload */
};

typedef struct {
    uint32_t length; /* bytes of the payload */
    uint8_t kind;
    uint8_t number;
    uint32_t payload[FRAME_MOST / 4];
} frame;

/* Waits for a whole frame. Bytes of one must come within `gap` clocks of each other. */
void frame_receive(frame *into, uint32_t gap);

void frame_send(const frame *from);

#endif
