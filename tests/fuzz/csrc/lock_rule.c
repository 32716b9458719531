/* Breaks the rule of debug.h on purpose: guest memory is written while a lock is held that no guard releases. */
#include "guest.h"

int main(int count, char **arguments)
{
    rw_card *card = rw_new(false);
    uint8_t *ram = calloc(1, GUEST_BYTES);
    struct rw_guard guard;
    uint32_t cache = 0, value = 1;

    (void)arguments;
    if (!card || !ram)
        return 2;
    rw_dma_map(card, GUEST_IOVA, GUEST_BYTES, ram, RW_DMA_READ | RW_DMA_WRITE);
    if (RW_GUARD(guard))
        return 3;
    if (count > 1) /* "locked" */
        pthread_mutex_lock(&card->irq_lock);
    rw_dma_store(card, &cache, GUEST_IOVA, &value, sizeof value);
    if (count > 1)
        pthread_mutex_unlock(&card->irq_lock);
    rw_guard_leave(&guard);
    rw_free(card);
    free(ram);
    return 0;
}
