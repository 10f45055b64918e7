/* SPDX-License-Identifier: MIT */
#include "frame.h"

#include "platform.h"

enum { FOREVER = 0x7fffffff };

static uint32_t crc_of[256];

static void make_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
        crc_of[byte] = crc;
    }
}

static uint32_t crc_add(uint32_t crc, uint32_t byte) {
    return crc >> 8 ^ crc_of[(crc ^ byte) & 0xff];
}

/* Receives bytes into `bytes` and adds them to the CRC; returns 0 if one is missing. */
static int receive(uint8_t *bytes, uint32_t count, uint32_t gap, uint32_t *crc) {
    for (uint32_t i = 0; i < count; i++) {
        int byte = get_byte(gap);
        if (byte < 0) {
            return 0;
        }
        bytes[i] = (uint8_t)byte;
        *crc = crc_add(*crc, bytes[i]);
    }
    return 1;
}

/* Receives what is behind the two bytes; returns 0 if it is no whole frame. */
static int receive_rest(frame *into, uint32_t gap) {
    uint8_t head[FRAME_HEAD], sum[4];
    uint32_t crc = ~0u, ignored = 0, sent;
    if (!receive(head, sizeof head, gap, &crc)) {
        return 0;
    }
    into->kind = head[0];
    into->number = head[1];
    into->length = head[2] | (uint32_t)head[3] << 8;
    if (into->length > FRAME_MOST || !receive((uint8_t *)into->payload, into->length, gap, &crc) ||
        !receive(sum, sizeof sum, gap, &ignored)) {
        return 0;
    }
    sent = sum[0] | (uint32_t)sum[1] << 8 | (uint32_t)sum[2] << 16 | (uint32_t)sum[3] << 24;
    return sent == ~crc;
}

void frame_receive(frame *into, uint32_t gap) {
    if (!crc_of[1]) {
        make_table();
    }
    int last = 0;
    for (;;) {
        int byte = get_byte(FOREVER);
        if (last == FRAME_FIRST && byte == FRAME_SECOND) {
            if (receive_rest(into, gap)) {
                return;
            }
            byte = 0;
        }
        last = byte;
    }
}

static void send(const uint8_t *bytes, uint32_t count, uint32_t *crc) {
    for (uint32_t i = 0; i < count; i++) {
        put_char((char)bytes[i]);
        *crc = crc_add(*crc, bytes[i]);
    }
}

void frame_send(const frame *from) {
    const uint8_t head[FRAME_HEAD] = {from->kind, from->number, (uint8_t)from->length,
                                      (uint8_t)(from->length >> 8)};
    uint32_t crc = ~0u, ignored = 0;
    put_char((char)FRAME_FIRST);
    put_char((char)FRAME_SECOND);
    send(head, sizeof head, &crc);
    send((const uint8_t *)from->payload, from->length, &crc);
    crc = ~crc;
    send((const uint8_t *)&crc, sizeof crc, &ignored);
}
