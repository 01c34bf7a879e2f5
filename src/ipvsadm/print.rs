//! Listings and saved rules, to the byte as ipvsadm 1.31 prints them.

use super::model::{
    Connection, Counts, Dest, Granularity, Key, Listing, Method, Proto, Service, Timeouts, Tunnel, TunnelChecksum, View,
};
use super::names::Names;
use super::{flags, order};
use std::fmt::Write;
use std::net::IpAddr;

/// The longest name of an address and port.
const NAME_MAX: usize = 59;

/// -L: services with their servers. `one`: the service that was asked for, without the line of the version.
pub fn services(list: Vec<Service>, one: bool, view: View, listing: Listing, names: &dyn Names) -> String {
    let mut out = String::new();
    if !one {
        out.push_str("IP Virtual Server version 1.2.1 (size=4096)\n");
    }
    out.push_str(match view {
        View::Plain => concat!(
            "Prot LocalAddress:Port Scheduler Flags\n",
            "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
        ),
        View::Stats => concat!(
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n",
            "  -> RemoteAddress:Port\n"
        ),
        View::Rate => concat!(
            "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n",
            "  -> RemoteAddress:Port\n"
        ),
        View::Thresholds => concat!(
            "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n",
            "  -> RemoteAddress:Port\n"
        ),
        View::Persistent => concat!(
            "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n",
            "  -> RemoteAddress:Port\n"
        ),
        View::Tunnels => concat!(
            "Prot LocalAddress:Port Scheduler Flags\n",
            "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
        ),
    });
    for service in sorted(list, listing.sort) {
        let name = service_name(service.key, listing.numeric, names);
        match view {
            View::Stats | View::Rate => {
                line(&mut out, format_args!("{name:<33}{}", counts(service.counts, listing.exact)))
            }
            View::Plain | View::Thresholds | View::Persistent | View::Tunnels => {
                line(&mut out, format_args!("{name} {}", features(&service)));
            }
        }
        for dest in &service.dests {
            dest_line(&mut out, &service, dest, view, listing, names);
        }
    }
    out
}

fn sorted(list: Vec<Service>, sort: bool) -> Vec<Service> {
    let mut list = if sort { order::services(list) } else { list };
    for service in &mut list {
        // IPVS has the newest first.
        service.dests.reverse();
        if sort {
            service.dests = order::dests(std::mem::take(&mut service.dests));
        }
    }
    list
}

fn service_name(key: Key, numeric: bool, names: &dyn Names) -> String {
    match key {
        Key::Address(proto, ip, port) => {
            format!("{:<4} {}", proto.names().0, endpoint((ip, port), Some(proto), numeric, names))
        }
        Key::Mark(mark, v6) => format!("FWM  {}{}", mark as i32, if v6 { " IPv6" } else { "" }),
    }
}

/// Scheduler and flags.
fn features(service: &Service) -> String {
    let mut out = service.scheduler.clone();
    let flags = flags::write(service.flags, &service.scheduler);
    if !flags.is_empty() {
        part(&mut out, format_args!(" ({flags})"));
    }
    if let Some(seconds) = service.persistent {
        part(&mut out, format_args!(" persistent {seconds}"));
        if let Some(mask) = mask(service.granularity) {
            part(&mut out, format_args!(" mask {mask}"));
        }
        if let Some(engine) = &service.engine {
            part(&mut out, format_args!(" pe {engine}"));
        }
    }
    if service.one_packet {
        out.push_str(" ops");
    }
    out
}

fn mask(granularity: Granularity) -> Option<String> {
    match granularity {
        Granularity::ONE_V4 | Granularity::ONE_V6 => None,
        Granularity::V4(mask) => Some(mask.to_string()),
        Granularity::V6(length) => Some(length.to_string()),
    }
}

fn dest_line(out: &mut String, service: &Service, d: &Dest, view: View, listing: Listing, names: &dyn Names) {
    let mut name = endpoint((d.ip, d.port), service.key.proto(), listing.numeric, names);
    if !name.starts_with('[') {
        name.truncate(28);
    }
    let forward = match d.method {
        Method::Masq => "Masq",
        Method::Route => "Route",
        Method::Tunnel(_) => "Tunnel",
        Method::FullNat => "FullNat",
    };
    let (weight, active, inactive) = (d.weight, d.active, d.inactive);
    match view {
        View::Plain => line(out, format_args!("  -> {name:<28} {forward:<7} {weight:<6} {active:<10} {inactive:<10}")),
        View::Stats | View::Rate => line(out, format_args!("  -> {name:<28}{}", counts(d.counts, listing.exact))),
        View::Thresholds => {
            let (upper, lower) = (d.upper, d.lower);
            line(out, format_args!("  -> {name:<28} {upper:<10} {lower:<10} {active:<10} {inactive:<10}"));
        }
        View::Persistent => {
            let persistent = d.persistent;
            line(out, format_args!("  -> {name:<28} {weight:<9} {persistent:<11} {active:<10} {inactive:<10}"));
        }
        View::Tunnels => {
            let tunnel = tunnel(d.method);
            let start = format!("  -> {name:<28} {forward:<7} {tunnel:<13}");
            line(out, format_args!("{start} {weight:<6} {active:<10} {inactive:<10}"));
        }
    }
}

fn tunnel(method: Method) -> String {
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => "-c",
        TunnelChecksum::Full => "+c",
        TunnelChecksum::Remote => "r+c",
    };
    match method {
        Method::Masq | Method::Route | Method::FullNat => "n/a".to_owned(),
        Method::Tunnel(Tunnel::Ipip) => "ipip".to_owned(),
        Method::Tunnel(Tunnel::Gue(port, c)) => format!("gue:{port}:{}", checksum(c)),
        Method::Tunnel(Tunnel::Gre(c)) => format!("gre:{}", checksum(c)),
    }
}

fn counts(c: Counts, exact: bool) -> String {
    [c.conns, c.in_pkts, c.out_pkts, c.in_bytes, c.out_bytes].map(|n| large(n, exact)).concat()
}

/// A blank and eight places; what is large in thousands, millions and so on.
fn large(n: u64, exact: bool) -> String {
    match n {
        _ if exact => format!(" {n:8}"),
        0..100_000_000 => format!(" {n:8}"),
        100_000_000..1_000_000_000 => format!(" {:7}K", n / 1_000),
        1_000_000_000..100_000_000_000 => format!(" {:7}M", n / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!(" {:7}G", n / 1_000_000_000),
        100_000_000_000_000.. => format!(" {:7}T", n / 1_000_000_000_000),
    }
}

/// -S: commands that make the same table.
pub fn rules(list: Vec<Service>, numeric: bool, names: &dyn Names) -> String {
    let mut out = String::new();
    for service in sorted(list, true) {
        let name = rule_name(service.key, numeric, names);
        part(&mut out, format_args!("-A {name} -s {}", service.scheduler));
        if let Some(seconds) = service.persistent {
            part(&mut out, format_args!(" -p {seconds}"));
            if let Some(mask) = mask(service.granularity) {
                part(&mut out, format_args!(" -M {mask}"));
            }
        }
        if let Some(engine) = &service.engine {
            part(&mut out, format_args!(" --pe {engine}"));
        }
        if service.one_packet {
            out.push_str(" -o");
        }
        let flags = flags::write(service.flags, &service.scheduler);
        if !flags.is_empty() {
            part(&mut out, format_args!(" -b {flags}"));
        }
        if let Some(pool) = &service.laddr {
            part(&mut out, format_args!(" --laddr {pool}"));
        }
        out.push('\n');
        for d in &service.dests {
            let dest = endpoint((d.ip, d.port), service.key.proto(), numeric, names);
            part(&mut out, format_args!("-a {name} -r {dest} {} -w {}", method(d.method), d.weight));
            if let Method::Tunnel(t) = d.method {
                out.push_str(&tunnel_options(t));
            }
            out.push('\n');
        }
    }
    out
}

fn rule_name(key: Key, numeric: bool, names: &dyn Names) -> String {
    match key {
        Key::Address(proto, ip, port) => {
            let option = match proto {
                Proto::Tcp => "-t",
                Proto::Udp => "-u",
                Proto::Sctp => "--sctp-service",
            };
            format!("{option} {}", endpoint((ip, port), Some(proto), numeric, names))
        }
        Key::Mark(mark, v6) => format!("-f {}{}", mark as i32, if v6 { " -6" } else { "" }),
    }
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Masq => "-m",
        Method::Route => "-g",
        Method::Tunnel(_) => "-i",
        Method::FullNat => "--fullnat",
    }
}

fn tunnel_options(tunnel: Tunnel) -> String {
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => "--tun-nocsum",
        TunnelChecksum::Full => "--tun-csum",
        TunnelChecksum::Remote => "--tun-remcsum",
    };
    match tunnel {
        Tunnel::Ipip => " --tun-type ipip".to_owned(),
        Tunnel::Gue(port, c) => format!(" --tun-type gue --tun-port {port} {}", checksum(c)),
        Tunnel::Gre(c) => format!(" --tun-type gre {}", checksum(c)),
    }
}

/// -L -c: the heading.
pub fn connections_heading(engine: bool) -> String {
    let more = if engine { "        pe name          pe_data" } else { "" };
    format!("IPVS connection entries\npro expire state       source             virtual            destination{more}\n")
}

/// -L -c: a line.
pub fn connection(c: &Connection, numeric: bool, names: &dyn Names) -> String {
    let name = |at| endpoint(at, Some(c.proto), numeric, names);
    let expires = format!("{:02}:{:02}", c.expires / 60, c.expires % 60);
    let (client, vip, dest) = (name(c.client), name(c.vip), name(c.dest));
    format!("{:<3} {expires:<6} {:<11} {client:<18} {vip:<18} {dest}\n", c.proto.names().0, c.state)
}

/// -L --timeout
pub fn timeouts(t: Timeouts) -> String {
    format!("Timeout (tcp tcpfin udp): {} {} {}\n", t.tcp, t.tcp_fin, t.udp)
}

/// Address and port, by name unless `numeric`.
fn endpoint((ip, port): (IpAddr, u16), proto: Option<Proto>, numeric: bool, names: &dyn Names) -> String {
    let host = if numeric { None } else { names.of_host(ip) }.unwrap_or_else(|| ip.to_string());
    let named = proto.filter(|_| !numeric).and_then(|proto| names.of_port(port, proto));
    let port = named.unwrap_or_else(|| port.to_string());
    let mut text = if ip.is_ipv6() { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    if !numeric && text.is_char_boundary(NAME_MAX) {
        text.truncate(NAME_MAX);
    }
    text
}

fn part(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(what);
}

fn line(out: &mut String, what: std::fmt::Arguments<'_>) {
    part(out, what);
    out.push('\n');
}
