/* An inline function of DPDK that the bindings do not have, and the layout that lib.rs writes down. */
#include <rte_mempool.h>
#include <stddef.h>

_Static_assert(sizeof(((struct rte_mempool *)0)->name) == 26, "name");
_Static_assert(offsetof(struct rte_mempool, pool_data) == 32, "pool_data");
_Static_assert(offsetof(struct rte_mempool, flags) == 56, "flags");
_Static_assert(offsetof(struct rte_mempool, socket_id) == 60, "socket_id");
_Static_assert(offsetof(struct rte_mempool, size) == 64, "size");
_Static_assert(offsetof(struct rte_mempool, cache_size) == 68, "cache_size");

void capsule_mempool_put_bulk(struct rte_mempool *pool, void *const *objects, unsigned int count) {
    rte_mempool_put_bulk(pool, objects, count);
}
