//! Right checksums for frames that were changed by chance.

use crate::wire::{FromBytes, checksum, ethernet, ipv4, ipv6};

/// Makes the checksums of an untagged IPv4 frame, or of an IPv6 frame without extension headers, right again, as far as its
/// lengths allow, so that what was changed gets further than the first check. Leaves any other bytes alone.
pub fn repair(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(ethernet::LEN..) else { return };
    match packet.first().map(|first| first >> 4) {
        Some(4) => v4(packet),
        Some(6) => v6(packet),
        _ => {}
    }
}

fn v4(packet: &mut [u8]) {
    let ihl = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if ihl < ipv4::LEN || packet.len() < ihl {
        return;
    }
    checksum::ipv4_header_fill(&mut packet[..ihl]);
    let Ok((ip, _)) = ipv4::Header::read_from_prefix(&packet[..]) else { return };
    let end = usize::from(ip.total_len.host()).clamp(ihl, packet.len());
    match ip.proto {
        ipv4::ICMP => checksum::icmp_fill(&mut packet[ihl..end]),
        proto => checksum::l4_fill(ip.src, ip.dst, proto, &mut packet[ihl..end]),
    }
}

fn v6(packet: &mut [u8]) {
    let Ok((ip, rest)) = ipv6::Header::mut_from_prefix(packet) else { return };
    let end = usize::from(ip.payload_len.host()).min(rest.len());
    if matches!(ip.next, ipv4::TCP | ipv4::UDP | ipv6::ICMPV6) {
        checksum::l4_fill(ip.src, ip.dst, ip.next, &mut rest[..end]);
    }
}
