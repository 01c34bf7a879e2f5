//! Ports on virtual devices that need no privileges and no network: net_null and net_pcap.

mod support;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use arrayvec::ArrayVec;
use dpdk::port::{RssConfig, RssTypes, RxOffloads, TxOffloads};
use dpdk::{FlowError, FlowMatch, Mbuf, Port, PortConfig, PortError};
use support::{eal, numbered, pool};

#[test]
fn a_null_port_receives_sends_and_gives_every_mbuf_back() {
    let turn = eal();
    let pool = pool(&turn, "null");
    let config = PortConfig { rx_queues: 2, tx_queues: 2, ..PortConfig::new("net_null0,size=100", pool.clone()) };
    let (port, mut queues) = Port::open(&turn.eal, &config).expect("net_null opens");
    assert_eq!((queues.rx.len(), queues.tx.len()), (2, 2));
    let mut burst = ArrayVec::<Mbuf, 32>::new();
    for (queue, (rx, tx)) in queues.rx.iter_mut().zip(&mut queues.tx).enumerate() {
        assert_eq!((usize::from(rx.index()), rx.port().id()), (queue, port.id()));
        assert_eq!(rx.burst(&mut burst), 32);
        assert!(burst.iter().all(|mbuf| mbuf.pkt_len() == 100 && mbuf.port() == port.id() && mbuf.refcnt() == 1));
        assert_eq!(tx.burst(&mut burst), 32);
        assert!(burst.is_empty());
    }
    let stats = port.stats().expect("it counts");
    assert_eq!((stats.ipackets, stats.opackets), (64, 64));
    let xstats = port.xstats().expect("it counts in detail");
    assert!(xstats.contains(&("rx_good_packets".to_owned(), 64)), "{xstats:?}");
    drop((port, queues));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_configuration_is_fitted_to_what_the_device_says() {
    let turn = eal();
    let pool = pool(&turn, "fitted");
    let config = PortConfig { rx_queues: 60_000, ..PortConfig::new("net_null9", pool) };
    let (port, queues) = Port::open_fitted(&turn.eal, config, |info, config| {
        assert_eq!(info.driver, "net_null");
        assert!(info.max_rx_queues >= 3);
        config.rx_queues = 3;
    })
    .expect("net_null opens");
    assert_eq!((port.rx_queues(), queues.rx.len(), queues.tx.len()), (3, 3, 1));
}

#[test]
fn a_port_tells_what_it_is() {
    let turn = eal();
    let pool = pool(&turn, "info");
    let (port, _queues) = Port::open(&turn.eal, &PortConfig::new("net_null1", pool)).expect("net_null opens");
    let info = port.info().expect("it describes itself");
    assert_eq!((info.driver.as_str(), info.device.as_str()), ("net_null", "net_null1"));
    assert_eq!((info.id, info.mac), (port.id(), port.mac().expect("it has a MAC address")));
    assert!(info.max_rx_queues >= 2 && info.max_mtu >= 1500);
    let link = port.link().expect("it has a link");
    assert!(link.up && link.duplex, "{link:?}");
    assert_eq!(link.speed_mbps, Some(10_000));
}

#[test]
fn offloads_that_a_port_lacks_are_not_granted() {
    let turn = eal();
    let pool = pool(&turn, "offloads");
    let config = PortConfig {
        rx_offloads: RxOffloads::VLAN_STRIP | RxOffloads::IPV4_CHECKSUM,
        tx_offloads: TxOffloads::TCP_CHECKSUM | TxOffloads::all(),
        ..PortConfig::new("net_null2", pool)
    };
    let (port, _queues) = Port::open(&turn.eal, &config).expect("net_null opens");
    let (granted, info) = (port.granted(), port.info().expect("it describes itself"));
    assert_eq!(granted.rx_offloads, config.rx_offloads & info.rx_offloads);
    assert!(!granted.tx_offloads.contains(TxOffloads::TCP_CHECKSUM));
    assert_eq!(granted.rss_types, RssTypes::empty());
    assert!(granted.rx_desc > 0 && granted.tx_desc > 0);
}

#[test]
fn what_is_set_of_rss_while_the_port_runs_reads_back() {
    let turn = eal();
    let pool = pool(&turn, "rss");
    let rss = RssConfig { key: (0..40).collect(), types: RssTypes::IPV4_TCP | RssTypes::IPV6_UDP };
    let config = PortConfig { rx_queues: 4, rss: Some(rss.clone()), ..PortConfig::new("net_null3", pool) };
    let (port, _queues) = Port::open(&turn.eal, &config).expect("net_null opens");
    assert_eq!(port.granted().rss_types, rss.types);
    let hash = port.rss_hash().expect("it has a hash");
    assert_eq!(hash.types, rss.types);
    assert_ne!(hash.key, rss.key, "net_null ignores the key that it is configured with: a grant is a claim");

    let size = port.reta().expect("it has a table").len();
    assert_eq!(size, usize::from(port.info().expect("it describes itself").reta_size));
    let table: Vec<u16> = (0..size as u16).map(|index| index % 3).collect();
    port.set_reta(&table).expect("it takes a table");
    assert_eq!(port.reta().expect("it has a table"), table);
    assert!(matches!(port.set_reta(&table[1..]), Err(PortError::Reta { queues: 4, .. })));
    assert!(matches!(port.set_reta(&vec![4; size]), Err(PortError::Reta { queues: 4, .. })));

    let other = RssConfig { key: vec![9; 40], types: RssTypes::IPV4_TCP };
    port.rss_hash_update(&other).expect("it takes a key");
    assert_eq!(port.rss_hash().expect("it has a hash").key, other.key);
    let short = RssConfig { key: vec![9; 39], types: RssTypes::IPV4_TCP };
    assert!(matches!(port.rss_hash_update(&short), Err(PortError::RssKey { given: 39, wanted: 40, .. })));
}

#[test]
fn a_refused_configuration_leaves_the_device_free() {
    let turn = eal();
    let pool = pool(&turn, "refused");
    let good = PortConfig::new("net_null4", pool.clone());
    let open = |config: PortConfig| Port::open(&turn.eal, &config).err();
    let none = open(PortConfig { rx_queues: 0, ..good.clone() });
    assert!(matches!(none, Some(PortError::Queues { kind: "receive", wanted: 0, .. })));
    let many = open(PortConfig { tx_queues: u16::MAX, ..good.clone() });
    assert!(matches!(many, Some(PortError::Queues { kind: "transmit", .. })));
    let mtu = open(PortConfig { mtu: Some(1), ..good.clone() });
    assert!(matches!(mtu, Some(PortError::Mtu { wanted: 1, .. })));
    let pools = open(PortConfig { pools: vec![pool.clone(); 3], ..good.clone() });
    assert!(matches!(pools, Some(PortError::Pools { given: 3, queues: 1 })));
    let rss = RssConfig { key: vec![1; 7], types: RssTypes::all() };
    let key = open(PortConfig { rss: Some(rss), ..good.clone() });
    assert!(matches!(key, Some(PortError::RssKey { given: 7, .. })));
    Port::open(&turn.eal, &good).expect("the device is free");
}

#[test]
fn a_device_is_opened_once_and_again_after_it_was_closed() {
    let turn = eal();
    let pool = pool(&turn, "again");
    let config = PortConfig::new("net_null5,size=70", pool.clone());
    let (port, queues) = Port::open(&turn.eal, &config).expect("net_null opens");
    let twice = Port::open(&turn.eal, &PortConfig::new("net_null5,size=80", pool.clone()));
    assert!(matches!(twice, Err(PortError::InUse(device)) if device == "net_null5"));
    let twice = Port::open(&turn.eal, &PortConfig::new("vdev:net_null5", pool.clone()));
    assert!(matches!(twice, Err(PortError::InUse(_))), "nor under another name");
    drop(port);
    assert!(matches!(Port::open(&turn.eal, &config), Err(PortError::InUse(_))), "its queues are still there");
    drop(queues);
    let config = PortConfig::new("net_null5,size=80", pool);
    let (_port, mut queues) = Port::open(&turn.eal, &config).expect("net_null opens again");
    let mut burst = ArrayVec::<Mbuf, 1>::new();
    queues.rx[0].burst(&mut burst);
    assert_eq!(burst[0].pkt_len(), 80, "with its new arguments");
}

#[test]
fn unknown_devices_and_drivers_have_errors_of_their_own() {
    let turn = eal();
    let pool = pool(&turn, "unknown");
    let open = |device: &str| Port::open(&turn.eal, &PortConfig::new(device, pool.clone())).expect_err(device);
    for device in ["net_nosuch0", "eth0", "net_nosuch0,iface=eth0", ""] {
        assert!(matches!(open(device), PortError::UnknownDriver(_)), "{device}: {}", open(device));
    }
    for device in ["0000:ff:1f.7", "ff:1f.7"] {
        assert!(matches!(open(device), PortError::UnknownDevice(_)), "{device}: {}", open(device));
    }
    assert!(matches!(open("net_null\0"), PortError::BadName(_)));
}

/// Each of these fails for want of its other end or for its arguments, which only a driver that was found can say.
#[test]
fn the_drivers_for_virtual_devices_are_found_without_flags() {
    let turn = eal();
    let pool = pool(&turn, "drivers");
    for device in [
        "net_af_packet0,iface=nosuchinterface",
        "net_pcap0,rx_pcap=/nonexistent/file",
        "net_tap0,iface=a_name_that_is_too_long_for_an_interface",
        "net_virtio_user0,path=/nonexistent/socket",
        "net_af_xdp0,iface=nosuchinterface",
        "net_af_packet0",
        "net_af_packet0,iface=lo,nosuchargument=1",
        "net_null8,nosuchargument=1",
        "net_virtio_user0",
    ] {
        let error = Port::open(&turn.eal, &PortConfig::new(device, pool.clone())).expect_err(device);
        assert!(matches!(&error, PortError::Refused { device: named, .. } if named == device), "{device}: {error}");
    }
}

#[test]
fn a_flow_rule_that_the_driver_refuses_says_why() {
    let turn = eal();
    let pool = pool(&turn, "flow");
    let config = PortConfig { rx_queues: 2, ..PortConfig::new("net_null6", pool) };
    let (port, _queues) = Port::open(&turn.eal, &config).expect("net_null opens");
    let v4 = FlowMatch::ipv4_dst(Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::BROADCAST).tcp_dst(1, 7);
    let v6 = FlowMatch::ipv6_dst(Ipv6Addr::LOCALHOST, Ipv6Addr::from(u128::MAX)).udp_dst(53, u16::MAX).priority(1);
    assert!(matches!(port.validate_flow(&v4, 2), Err(FlowError::Queue { queue: 2, queues: 2, .. })));
    for rule in [v4, v6] {
        assert!(matches!(port.validate_flow(&rule, 1), Err(FlowError::Refused { .. })));
        let error = port.create_flow(&rule, 1).expect_err("net_null has no flow rules");
        assert!(matches!(&error, FlowError::Refused { message, .. } if !message.is_empty()), "{error}");
    }
}

#[test]
fn the_mtu_can_be_set_within_the_device_s_range() {
    let turn = eal();
    let pool = pool(&turn, "mtu");
    let config = PortConfig { mtu: Some(1400), ..PortConfig::new("net_null7", pool) };
    let (port, _queues) = Port::open(&turn.eal, &config).expect("net_null opens");
    assert_eq!(port.mtu().expect("it has an MTU"), 1400);
    let info = port.info().expect("it describes itself");
    assert!(matches!(port.set_mtu(info.min_mtu - 1), Err(PortError::Mtu { .. })));
}

#[test]
fn packets_pass_from_file_to_file_unchanged() {
    let turn = eal();
    let pool = pool(&turn, "pcap");
    let packets: Vec<Vec<u8>> = (0..100).map(|n| (0..60 + n * 14).map(|byte| (byte * 7 + n) as u8).collect()).collect();
    let (input, output) = (scratch("in.pcap"), scratch("out.pcap"));
    write_pcap(&input, &packets);
    let device = format!("net_pcap1,rx_pcap={},tx_pcap={}", input.display(), output.display());
    let opened = Port::open(&turn.eal, &PortConfig::new(device, pool.clone()));
    let (port, mut queues) = opened.expect("net_pcap opens");
    let mut burst = ArrayVec::<Mbuf, 32>::new();
    let mut passed = 0;
    while queues.rx[0].burst(&mut burst) > 0 {
        for mbuf in &burst {
            assert!(mbuf.is_contiguous());
            assert_eq!(mbuf.data(), packets[passed]);
            passed += 1;
        }
        while !burst.is_empty() {
            queues.tx[0].burst(&mut burst);
        }
    }
    assert_eq!(passed, 100);
    drop((port, queues));
    assert_eq!(pool.in_use(), 0);
    assert_eq!(read_pcap(&output), packets);
}

#[test]
fn each_file_is_a_queue_and_a_moved_window_is_what_is_sent() {
    let turn = eal();
    let pool = pool(&turn, "pcap-two");
    let (first, second, output) = (scratch("first.pcap"), scratch("second.pcap"), scratch("both.pcap"));
    write_pcap(&first, &[vec![1; 60]]);
    write_pcap(&second, &[vec![2; 60]]);
    let device =
        format!("net_pcap2,rx_pcap={},rx_pcap={},tx_pcap={}", first.display(), second.display(), output.display());
    let config = PortConfig { rx_queues: 2, ..PortConfig::new(device, pool.clone()) };
    let (port, mut queues) = Port::open(&turn.eal, &config).expect("net_pcap opens");
    let mut burst = numbered::<8>(&pool, 0);
    assert_eq!(queues.rx[1].burst(&mut burst), 1);
    assert_eq!(queues.rx[0].burst(&mut burst), 1);
    for mbuf in &mut burst {
        let (_, head, len) = mbuf.buf_and_head();
        mbuf.set_window(head - 20, len + 20).expect("there is headroom");
        mbuf.data_mut()[..20].fill(9);
    }
    assert_eq!(queues.tx[0].burst(&mut burst), 2);
    drop((port, queues));
    let with_head = |byte: u8| [[9; 20].as_slice(), &[byte; 60]].concat();
    assert_eq!(read_pcap(&output), [with_head(2), with_head(1)]);
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

fn write_pcap(path: &Path, packets: &[Vec<u8>]) {
    let mut file: Vec<u8> =
        [0xa1b2_c3d4u32, 4 << 16 | 2, 0, 0, 65535, 1].iter().flat_map(|word| word.to_ne_bytes()).collect();
    for packet in packets {
        let len = packet.len() as u32;
        file.extend([0, 0, len, len].iter().flat_map(|word| word.to_ne_bytes()));
        file.extend(packet);
    }
    std::fs::write(path, file).expect("the scratch directory is writable");
}

fn read_pcap(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).expect("the file is there");
    let mut rest = &file[24..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let len = u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
        packets.push(rest[16..16 + len].to_vec());
        rest = &rest[16 + len..];
    }
    std::fs::remove_file(path).expect("the file is ours");
    packets
}
