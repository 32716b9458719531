/* What the targets share: a guest whose memory ends where the mapping ends. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "take.h"

#define GUEST_IOVA 0x100000u
#define GUEST_BYTES 0x8000u

/* Rings of 64 descriptors at the start of memory, both receivers' buffers behind, everything enabled. */
static inline void guest_setup(rw_card *card)
{
    rw_set_link(card, true);
    rw_set_mastering(card, true);
    for (uint32_t queue = 0; queue < RW_QUEUES; queue++) {
        rw_write(card, RW_TDBAL0 + queue * RW_QUEUE_STRIDE, GUEST_IOVA + queue * 0x400);
        rw_write(card, RW_TDLEN0 + queue * RW_QUEUE_STRIDE, 64 * RW_DESC_BYTES);
        rw_write(card, RW_RDBAL0 + queue * RW_QUEUE_STRIDE, GUEST_IOVA + 0x800 + queue * 0x400);
        rw_write(card, RW_RDLEN0 + queue * RW_QUEUE_STRIDE, 64 * RW_DESC_BYTES);
        rw_write(card, RW_RDT0 + queue * RW_QUEUE_STRIDE, 63);
    }
    rw_write(card, RW_TCTL, RW_TCTL_EN | RW_TCTL_PSP);
    rw_write(card, RW_RCTL, RW_RCTL_EN | RW_RCTL_UPE | RW_RCTL_MPE | RW_RCTL_BAM | RW_RCTL_LPE);
    rw_write(card, RW_IMS, UINT32_MAX);
}
