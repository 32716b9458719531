// SPDX-License-Identifier: GPL-2.0 OR MIT
// ux: a driver for the Intel 82574L in 150 lines, with a bug. See docs/driver-in-an-afternoon.md.
// One transmit ring, one receive ring, no interrupts: received frames are fetched every five milliseconds.
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/workqueue.h>

#define SLOTS 16
#define BUFFER 2048

enum { CTRL = 0x0, MDIC = 0x20, IMC = 0xd8, RCTL = 0x100, TCTL = 0x400, TIPG = 0x410, RAL = 0x5400, RAH = 0x5404 };
enum { RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818 };
enum { TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818 };
enum { EOP = 1, IFCS = 2, RS = 8, DD = 1 };

struct tx_desc { __le64 addr; __le16 len; u8 cso, cmd, sta, css; __le16 special; } __packed;
struct rx_desc { __le64 addr; __le16 len, csum; u8 sta, err; __le16 special; } __packed;

struct ux {
	struct net_device *dev;
	struct pci_dev *pci;
	void __iomem *bar;
	struct tx_desc *tx;
	struct rx_desc *rx;
	u8 *tx_data, *rx_data;
	dma_addr_t tx_bus, rx_bus, tx_data_bus, rx_data_bus;
	unsigned int next, clean, next_rx;
	struct delayed_work work;
};

static void put(struct ux *ux, u32 reg, u32 value) { writel(value, ux->bar + reg); }
static u32 get(struct ux *ux, u32 reg) { return readl(ux->bar + reg); }

static noinline void ux_clean(struct ux *ux)
{
	while (ux->clean != ux->next && READ_ONCE(ux->tx[ux->clean].sta) & DD) {
		ux->dev->stats.tx_packets++;
		ux->clean = (ux->clean + 1) % SLOTS;
	}
	if (netif_queue_stopped(ux->dev) && (ux->next + 1) % SLOTS != ux->clean)
		netif_wake_queue(ux->dev);
}

static noinline void ux_ring_doorbell(struct ux *ux)
{
	wmb();
	put(ux, TDT, ux->next);
}

static netdev_tx_t ux_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct ux *ux = netdev_priv(dev);
	struct tx_desc *desc = &ux->tx[ux->next];

	if (skb_put_padto(skb, ETH_ZLEN))
		return NETDEV_TX_OK;
	skb_copy_bits(skb, 0, ux->tx_data + ux->next * BUFFER, skb->len);
	desc->addr = cpu_to_le64(ux->tx_data_bus + ux->next * BUFFER);
	desc->len = cpu_to_le16(skb->len);
	desc->sta = desc->cso = desc->css = desc->special = 0;
	desc->cmd = EOP | IFCS | (ux->next % 4 == 3 ? RS : 0);
	dev_consume_skb_any(skb);
	ux->next = (ux->next + 1) % SLOTS;
	ux_ring_doorbell(ux);
	ux_clean(ux);
	if ((ux->next + 1) % SLOTS == ux->clean)
		netif_stop_queue(dev);
	return NETDEV_TX_OK;
}

static void ux_work(struct work_struct *work)
{
	struct ux *ux = container_of(to_delayed_work(work), struct ux, work);

	while (READ_ONCE(ux->rx[ux->next_rx].sta) & DD) {
		struct rx_desc *desc = &ux->rx[ux->next_rx];
		unsigned int length = min_t(unsigned int, le16_to_cpu(desc->len), BUFFER);
		struct sk_buff *skb = netdev_alloc_skb_ip_align(ux->dev, length);

		if (skb) {
			skb_put_data(skb, ux->rx_data + ux->next_rx * BUFFER, length);
			skb->protocol = eth_type_trans(skb, ux->dev);
			local_bh_disable();
			netif_receive_skb(skb);
			local_bh_enable();
		}
		desc->sta = 0;
		put(ux, RDT, ux->next_rx);
		ux->next_rx = (ux->next_rx + 1) % SLOTS;
	}
	netif_tx_lock_bh(ux->dev);
	ux_clean(ux);
	netif_tx_unlock_bh(ux->dev);
	schedule_delayed_work(&ux->work, msecs_to_jiffies(5));
}

static int ux_open(struct net_device *dev)
{
	struct ux *ux = netdev_priv(dev);
	unsigned int slot;

	put(ux, IMC, ~0u);
	put(ux, CTRL, get(ux, CTRL) | 1 << 26);		/* reset */
	msleep(10);
	put(ux, IMC, ~0u);
	put(ux, CTRL, get(ux, CTRL) | 1 << 6);		/* set link up */
	put(ux, MDIC, 1 << 26 | 1 << 21 | 0x1340);	/* the PHY: power up, negotiate */
	memset(ux->tx, 0, SLOTS * sizeof(*ux->tx));
	for (slot = 0; slot < SLOTS; slot++)
		ux->rx[slot] = (struct rx_desc){ .addr = cpu_to_le64(ux->rx_data_bus + slot * BUFFER) };
	ux->next = ux->clean = ux->next_rx = 0;
	put(ux, TDBAL, lower_32_bits(ux->tx_bus));
	put(ux, TDBAH, upper_32_bits(ux->tx_bus));
	put(ux, TDLEN, SLOTS * sizeof(*ux->tx));
	put(ux, TDH, 0);
	put(ux, TDT, 0);
	put(ux, TIPG, 0x00602008);
	put(ux, TCTL, 0x0103f0fa);
	put(ux, RDBAL, lower_32_bits(ux->rx_bus));
	put(ux, RDBAH, upper_32_bits(ux->rx_bus));
	put(ux, RDLEN, SLOTS * sizeof(*ux->rx));
	put(ux, RDH, 0);
	put(ux, RCTL, 1 << 1 | 1 << 15 | 1 << 26);	/* on, broadcasts, strip the FCS */
	put(ux, RDT, SLOTS - 1);
	netif_start_queue(dev);
	schedule_delayed_work(&ux->work, 0);
	return 0;
}

static int ux_stop(struct net_device *dev)
{
	struct ux *ux = netdev_priv(dev);

	netif_stop_queue(dev);
	cancel_delayed_work_sync(&ux->work);
	put(ux, TCTL, 0);
	put(ux, RCTL, 0);
	return 0;
}

static void ux_timeout(struct net_device *dev, unsigned int queue) { netdev_err(dev, "transmit timed out\n"); }

static const struct net_device_ops ux_ops = {
	.ndo_open = ux_open, .ndo_stop = ux_stop, .ndo_start_xmit = ux_xmit, .ndo_tx_timeout = ux_timeout,
	.ndo_set_mac_address = eth_mac_addr, .ndo_validate_addr = eth_validate_addr,
};

static int ux_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	struct net_device *dev = devm_alloc_etherdev(&pci->dev, sizeof(struct ux));
	struct ux *ux;
	u32 mac[2];
	int error;

	if (!dev)
		return -ENOMEM;
	ux = netdev_priv(dev);
	error = pcim_enable_device(pci) ?: pcim_iomap_regions(pci, 1, "ux") ?:
		dma_set_mask_and_coherent(&pci->dev, DMA_BIT_MASK(64));
	if (error)
		return error;
	pci_set_master(pci);
	ux->dev = dev;
	ux->pci = pci;
	ux->bar = pcim_iomap_table(pci)[0];
	ux->tx = dmam_alloc_coherent(&pci->dev, PAGE_SIZE, &ux->tx_bus, GFP_KERNEL);
	ux->rx = dmam_alloc_coherent(&pci->dev, PAGE_SIZE, &ux->rx_bus, GFP_KERNEL);
	ux->tx_data = dmam_alloc_coherent(&pci->dev, SLOTS * BUFFER, &ux->tx_data_bus, GFP_KERNEL);
	ux->rx_data = dmam_alloc_coherent(&pci->dev, SLOTS * BUFFER, &ux->rx_data_bus, GFP_KERNEL);
	if (!ux->tx || !ux->rx || !ux->tx_data || !ux->rx_data)
		return -ENOMEM;
	INIT_DELAYED_WORK(&ux->work, ux_work);
	mac[0] = get(ux, RAL);
	mac[1] = get(ux, RAH);
	eth_hw_addr_set(dev, (u8 *)mac);
	SET_NETDEV_DEV(dev, &pci->dev);
	dev->netdev_ops = &ux_ops;
	dev->watchdog_timeo = 3 * HZ;
	pci_set_drvdata(pci, ux);
	return register_netdev(dev);
}

static void ux_remove(struct pci_dev *pci) { unregister_netdev(((struct ux *)pci_get_drvdata(pci))->dev); }

static const struct pci_device_id ux_ids[] = { { PCI_DEVICE(0x8086, 0x10d3) }, {} };
MODULE_DEVICE_TABLE(pci, ux_ids);
static struct pci_driver ux_driver = { .name = "ux", .id_table = ux_ids, .probe = ux_probe, .remove = ux_remove };
module_pci_driver(ux_driver);
MODULE_DESCRIPTION("A small driver for the Intel 82574L, with a bug");
MODULE_LICENSE("Dual MIT/GPL");
