/* What gatun binds of DPDK 22.11. `build.rs` names the functions and types; the rest of the headers stays out. */
#include <rte_config.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_thash.h>
#include <rte_version.h>

/* rte_errno is a thread-local behind a macro. */
static inline int dpdk_errno(void) { return rte_errno; }

/* The macros of these constants cast and shift in ways bindgen does not evaluate, or evaluates to mixed widths.
 * As constants with a type they come out as u64, without bindgen's slow macro fallback. */
#define FLAG(name) static const uint64_t DPDK_##name = RTE_##name

FLAG(MBUF_F_RX_VLAN);
FLAG(MBUF_F_RX_VLAN_STRIPPED);
FLAG(MBUF_F_RX_RSS_HASH);
FLAG(MBUF_F_RX_IP_CKSUM_MASK);
FLAG(MBUF_F_RX_IP_CKSUM_UNKNOWN);
FLAG(MBUF_F_RX_IP_CKSUM_BAD);
FLAG(MBUF_F_RX_IP_CKSUM_GOOD);
FLAG(MBUF_F_RX_IP_CKSUM_NONE);
FLAG(MBUF_F_RX_L4_CKSUM_MASK);
FLAG(MBUF_F_RX_L4_CKSUM_UNKNOWN);
FLAG(MBUF_F_RX_L4_CKSUM_BAD);
FLAG(MBUF_F_RX_L4_CKSUM_GOOD);
FLAG(MBUF_F_RX_L4_CKSUM_NONE);
FLAG(MBUF_F_TX_VLAN);
FLAG(MBUF_F_TX_IP_CKSUM);
FLAG(MBUF_F_TX_IPV4);
FLAG(MBUF_F_TX_IPV6);
FLAG(MBUF_F_TX_L4_MASK);
FLAG(MBUF_F_TX_TCP_CKSUM);
FLAG(MBUF_F_TX_UDP_CKSUM);
FLAG(MBUF_F_TX_OFFLOAD_MASK);
FLAG(MBUF_F_INDIRECT);
FLAG(MBUF_F_EXTERNAL);

FLAG(ETH_RX_OFFLOAD_VLAN_STRIP);
FLAG(ETH_RX_OFFLOAD_IPV4_CKSUM);
FLAG(ETH_RX_OFFLOAD_UDP_CKSUM);
FLAG(ETH_RX_OFFLOAD_TCP_CKSUM);
FLAG(ETH_RX_OFFLOAD_SCATTER);
FLAG(ETH_RX_OFFLOAD_KEEP_CRC);
FLAG(ETH_RX_OFFLOAD_RSS_HASH);
FLAG(ETH_TX_OFFLOAD_VLAN_INSERT);
FLAG(ETH_TX_OFFLOAD_IPV4_CKSUM);
FLAG(ETH_TX_OFFLOAD_UDP_CKSUM);
FLAG(ETH_TX_OFFLOAD_TCP_CKSUM);
FLAG(ETH_TX_OFFLOAD_MULTI_SEGS);
FLAG(ETH_TX_OFFLOAD_MBUF_FAST_FREE);

FLAG(ETH_RSS_IPV4);
FLAG(ETH_RSS_FRAG_IPV4);
FLAG(ETH_RSS_NONFRAG_IPV4_TCP);
FLAG(ETH_RSS_NONFRAG_IPV4_UDP);
FLAG(ETH_RSS_NONFRAG_IPV4_SCTP);
FLAG(ETH_RSS_NONFRAG_IPV4_OTHER);
FLAG(ETH_RSS_IPV6);
FLAG(ETH_RSS_FRAG_IPV6);
FLAG(ETH_RSS_NONFRAG_IPV6_TCP);
FLAG(ETH_RSS_NONFRAG_IPV6_UDP);
FLAG(ETH_RSS_NONFRAG_IPV6_SCTP);
FLAG(ETH_RSS_NONFRAG_IPV6_OTHER);
FLAG(ETH_RSS_L3_SRC_ONLY);
FLAG(ETH_RSS_L3_DST_ONLY);
FLAG(ETH_RSS_L4_SRC_ONLY);
FLAG(ETH_RSS_L4_DST_ONLY);

static const uint32_t DPDK_LCORE_ID_ANY = LCORE_ID_ANY;
static const int32_t DPDK_SOCKET_ID_ANY = SOCKET_ID_ANY;
static const uint32_t DPDK_ETH_SPEED_UNKNOWN = RTE_ETH_SPEED_NUM_UNKNOWN;
static const uint32_t DPDK_ETH_MQ_RX_NONE = RTE_ETH_MQ_RX_NONE;
static const uint32_t DPDK_ETH_MQ_RX_RSS = RTE_ETH_MQ_RX_RSS;
