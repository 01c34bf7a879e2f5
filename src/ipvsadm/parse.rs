//! From arguments to a [`Command`], and the words for what is wrong with them.
//!
//! The first option is the command. What an option's value is is looked at when it is met; which options go together only when all
//! are known.

use super::address::{endpoint, number, old_ipv4};
use super::model::{
    Change, Command, Counts, Dest, Granularity, Key, Listing, Method, Proto, Service, Timeouts, Tunnel, TunnelChecksum,
    View, What,
};
use super::names::Names;
use super::options::{Found, Opt, Role, Scanner};
use super::rules::{self, Kind, Verb};
use super::{Exit, flags};
use std::net::IpAddr;

/// The seconds of `-p` alone.
const PERSISTENT: u32 = 360;
/// The longest timeout: 31 days.
const TIMEOUT_MAX: i64 = 86_400 * 31;

/// Understands the arguments, which are without the name of the program.
pub fn parse(arguments: &[String], names: &dyn Names) -> Result<Command, Exit> {
    let mut scanner = Scanner::new(arguments);
    let Some(Ok(first)) = scanner.option() else { return Err(Exit::try_help()) };
    let verb = rules::verb(&first)?;
    if verb == Verb::Help {
        return Ok(Command::Help);
    }
    if verb == Verb::Version {
        return Ok(Command::Version);
    }
    let mut draft = Draft::new(names);
    while let Some(found) = scanner.option() {
        draft.option(found.map_err(|(argument, what)| Exit::later(255, format!("{argument}: {what}")))?)?;
    }
    let mut left = scanner.left.into_iter();
    let timeouts = if verb == Verb::Set { Some(timeouts(&mut left)?) } else { None };
    if let Some(argument) = left.next() {
        return Err(Exit::usage(format!("unexpected argument {argument}")));
    }
    rules::check(verb, &draft.given)?;
    draft.command(verb, timeouts)
}

fn timeouts(left: &mut dyn Iterator<Item = String>) -> Result<Timeouts, Exit> {
    let (Some(tcp), Some(tcp_fin), Some(udp)) = (left.next(), left.next(), left.next()) else {
        return Err(Exit::usage("--set option requires 3 timeout values"));
    };
    Ok(Timeouts { tcp: timeout(&tcp, 0)?, tcp_fin: timeout(&tcp_fin, 0)?, udp: timeout(&udp, 0)? })
}

fn timeout(text: &str, least: i64) -> Result<u32, Exit> {
    let seconds = number(text, least, TIMEOUT_MAX).and_then(|n| u32::try_from(n).ok());
    seconds.ok_or_else(|| Exit::usage(format!("invalid timeout value `{text}' specified")))
}

/// `-g`, `-i`, `-m`, `--fullnat`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forward {
    Route,
    Tunnel,
    Masq,
    FullNat,
}

/// What is known of a command line so far.
struct Draft<'a> {
    names: &'a dyn Names,
    given: Vec<Kind>,
    key: Key,
    scheduler: Option<String>,
    sched_flags: Option<String>,
    one_packet: bool,
    persistent: Option<u32>,
    granularity: Granularity,
    engine: Option<String>,
    laddr: Option<String>,
    server: Option<(IpAddr, u16)>,
    method: Forward,
    weight: u32,
    upper: u32,
    lower: u32,
    tunnel: Option<String>,
    tun_port: u16,
    checksum: TunnelChecksum,
}

impl<'a> Draft<'a> {
    fn new(names: &'a dyn Names) -> Self {
        Self {
            names,
            given: Vec::new(),
            key: Key::Address(Proto::Tcp, IpAddr::from([0; 4]), 0),
            scheduler: None,
            sched_flags: None,
            one_packet: false,
            persistent: None,
            granularity: Granularity::ONE_V4,
            engine: None,
            laddr: None,
            server: None,
            method: Forward::Route,
            weight: 1,
            upper: 0,
            lower: 0,
            tunnel: None,
            tun_port: 0,
            checksum: TunnelChecksum::None,
        }
    }

    fn option(&mut self, found: Found) -> Result<(), Exit> {
        let value = found.value.as_deref().unwrap_or_default();
        if let Role::About(kind) = found.opt.role() {
            if self.given.contains(&kind) {
                return Err(Exit::usage(format!("multiple '{}' options specified", kind.name())));
            }
            self.given.push(kind);
        }
        match found.opt {
            Opt::TcpService => self.service(Proto::Tcp, value)?,
            Opt::UdpService => self.service(Proto::Udp, value)?,
            Opt::SctpService => self.service(Proto::Sctp, value)?,
            Opt::FwmarkService => {
                let mark = number(value, 1, i64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
                let mark = mark.ok_or_else(|| Exit::usage(format!("invalid fwmark value `{value}' specified")))?;
                self.key = Key::Mark(mark, false);
            }
            Opt::Ipv6 => match self.key {
                Key::Mark(mark, _) => {
                    self.key = Key::Mark(mark, true);
                    self.granularity = Granularity::ONE_V6;
                }
                Key::Address(..) => return Err(Exit::usage("-6 used before -f\n")),
            },
            Opt::Scheduler => self.scheduler = Some(value.to_owned()).filter(|name| !name.is_empty()),
            Opt::SchedFlags => self.sched_flags = Some(value.to_owned()),
            Opt::Persistent => {
                self.persistent = Some(if found.value.is_some() { timeout(value, 1)? } else { PERSISTENT });
            }
            Opt::Netmask => self.granularity = self.netmask(value)?,
            Opt::Pe => self.engine = Some(value.to_owned()),
            Opt::Laddr => self.laddr = Some(value.to_owned()),
            Opt::Ops => self.one_packet = true,
            Opt::RealServer => {
                let server = endpoint(value, self.key.proto(), self.names);
                let (ip, port) = server.ok_or_else(|| Exit::usage("illegal real server address[:port] specified"))?;
                let vport = match self.key {
                    Key::Address(_, _, port) => port,
                    Key::Mark(..) => 0,
                };
                self.server = Some((ip, port.unwrap_or(vport)));
            }
            Opt::Gatewaying => self.method = Forward::Route,
            Opt::Ipip => self.method = Forward::Tunnel,
            Opt::Masquerading => self.method = Forward::Masq,
            Opt::Fullnat => self.method = Forward::FullNat,
            Opt::Weight => self.weight = natural(value, "illegal weight specified")?,
            Opt::UThreshold => self.upper = natural(value, "illegal u_threshold specified")?,
            Opt::LThreshold => self.lower = natural(value, "illegal l_threshold specified")?,
            Opt::TunType => match value {
                "ipip" | "gue" | "gre" => self.tunnel = Some(value.to_owned()),
                _ => return Err(Exit::usage("illegal tunnel type specified")),
            },
            Opt::TunPort => {
                let port = number(value, 1, 65_535).and_then(|n| u16::try_from(n).ok());
                self.tun_port = port.ok_or_else(|| Exit::usage("illegal tunnel port specified"))?;
            }
            Opt::TunNocsum => self.checksum = TunnelChecksum::None,
            Opt::TunCsum => self.checksum = TunnelChecksum::Full,
            Opt::TunRemcsum => self.checksum = TunnelChecksum::Remote,
            // gatun does not synchronise connections over multicast: whatever these say, the command is refused.
            Opt::Syncid | Opt::SyncMaxlen | Opt::McastInterface | Opt::McastGroup | Opt::McastPort | Opt::McastTtl => {}
            // They say all by being there.
            Opt::Connection | Opt::Timeout | Opt::Daemon | Opt::Stats | Opt::Rate | Opt::Exact | Opt::Thresholds => {}
            Opt::PersistentConn | Opt::TunInfo | Opt::Nosort | Opt::Sort | Opt::Numeric => {}
            Opt::AddService | Opt::EditService | Opt::DeleteService | Opt::Clear | Opt::Restore | Opt::Save => {
                return Err(second_command(&found));
            }
            Opt::AddServer | Opt::EditServer | Opt::DeleteServer | Opt::List | Opt::ListToo | Opt::Zero => {
                return Err(second_command(&found));
            }
            Opt::Set | Opt::StartDaemon | Opt::StopDaemon | Opt::Help | Opt::Version => {
                return Err(second_command(&found));
            }
        }
        Ok(())
    }

    fn service(&mut self, proto: Proto, value: &str) -> Result<(), Exit> {
        let address = endpoint(value, Some(proto), self.names);
        let (ip, port) = address.ok_or_else(|| Exit::usage("illegal virtual server address[:port] specified"))?;
        if ip.is_ipv6() {
            self.granularity = Granularity::ONE_V6;
        }
        self.key = Key::Address(proto, ip, port.unwrap_or(0));
        Ok(())
    }

    fn netmask(&self, value: &str) -> Result<Granularity, Exit> {
        if self.key.v6() {
            let length = number(value, 1, 128).and_then(|n| u8::try_from(n).ok());
            length.map(Granularity::V6).ok_or_else(|| Exit::usage("illegal ipv6 netmask specified"))
        } else {
            let mask = old_ipv4(value).or_else(|| self.names.host(value));
            mask.map(Granularity::V4).ok_or_else(|| Exit::usage("illegal virtual server persistent mask specified"))
        }
    }

    /// All options are known and allowed with this command.
    fn command(self, verb: Verb, timeouts: Option<Timeouts>) -> Result<Command, Exit> {
        let change = match verb {
            Verb::Add => Change::AddService(self.whole_service()?),
            Verb::Edit => Change::EditService(self.whole_service()?),
            Verb::Delete => Change::DeleteService(self.key),
            Verb::Flush => Change::Clear,
            Verb::AddServer => Change::AddDest(self.key, self.dest()?),
            Verb::EditServer => Change::EditDest(self.key, self.dest()?),
            Verb::DeleteServer => {
                let (ip, port) = self.server.ok_or_else(Exit::try_help)?;
                Change::DeleteDest(self.key, ip, port)
            }
            Verb::Zero => Change::Zero(self.has(Kind::Service).then_some(self.key)),
            Verb::Set => Change::SetTimeouts(timeouts.ok_or_else(Exit::try_help)?),
            Verb::List => return self.listing().map(Command::List),
            Verb::Save => return Ok(Command::Save { numeric: self.has(Kind::Numeric) }),
            Verb::Restore => return Ok(Command::Restore),
            Verb::StartDaemon => return Ok(Command::StartDaemon),
            Verb::StopDaemon => return Ok(Command::StopDaemon),
            Verb::Help => return Ok(Command::Help),
            Verb::Version => return Ok(Command::Version),
        };
        Ok(Command::Change(change))
    }

    fn has(&self, kind: Kind) -> bool {
        self.given.contains(&kind)
    }

    fn whole_service(self) -> Result<Service, Exit> {
        let scheduler = self.scheduler.unwrap_or_else(|| "wlc".to_owned());
        let flags = flags::read(self.sched_flags.as_deref().unwrap_or_default(), &scheduler)?;
        if let Key::Address(proto, _, port) = self.key {
            if self.one_packet && proto != Proto::Udp {
                return Err(Exit::usage("One-Packet Scheduling is only for UDP virtual services"));
            }
            if port == 0 && self.persistent.is_none() {
                return Err(Exit::usage("Zero port specified for non-persistent service"));
            }
        }
        Ok(Service {
            key: self.key,
            scheduler,
            flags,
            one_packet: self.one_packet,
            persistent: self.persistent,
            granularity: self.granularity,
            engine: self.engine,
            laddr: self.laddr,
            counts: Counts::default(),
            dests: Vec::new(),
        })
    }

    fn dest(self) -> Result<Dest, Exit> {
        let (ip, port) = self.server.ok_or_else(Exit::try_help)?;
        let method = self.method()?;
        if ip.is_ipv6() != self.key.v6() && !matches!(method, Method::Tunnel(_)) {
            return Err(Exit::usage("Different address family is allowed only for tunneling servers"));
        }
        // Neither direct routing nor a tunnel can change the port.
        let port = match (method, self.key) {
            (Method::Route | Method::Tunnel(_), Key::Address(_, _, vport)) => vport,
            (Method::Route | Method::Tunnel(_), Key::Mark(..)) | (Method::Masq | Method::FullNat, _) => port,
        };
        Ok(Dest {
            ip,
            port,
            method,
            weight: self.weight,
            upper: self.upper,
            lower: self.lower,
            active: 0,
            inactive: 0,
            persistent: 0,
            counts: Counts::default(),
        })
    }

    fn method(&self) -> Result<Method, Exit> {
        let options = [Kind::TunType, Kind::TunPort, Kind::TunNocsum, Kind::TunCsum, Kind::TunRemcsum];
        if self.method != Forward::Tunnel && options.iter().any(|kind| self.has(*kind)) {
            return Err(Exit::usage("Tunnel options conflict with forward method"));
        }
        match self.method {
            Forward::Tunnel => {}
            Forward::Route => return Ok(Method::Route),
            Forward::Masq => return Ok(Method::Masq),
            Forward::FullNat => return Ok(Method::FullNat),
        }
        let kind = self.tunnel.as_deref().unwrap_or("ipip");
        rules::tunnel(kind, &self.given)?;
        Ok(Method::Tunnel(match kind {
            "gue" => Tunnel::Gue(self.tun_port, self.checksum),
            "gre" => Tunnel::Gre(self.checksum),
            _ => Tunnel::Ipip,
        }))
    }

    fn listing(&self) -> Result<Listing, Exit> {
        let views = [
            (Kind::Stats, View::Stats),
            (Kind::Rate, View::Rate),
            (Kind::Thresholds, View::Thresholds),
            (Kind::PersistentConn, View::Persistent),
            (Kind::TunInfo, View::Tunnels),
        ];
        let view = views.iter().find(|(kind, _)| self.has(*kind)).map_or(View::Plain, |(_, view)| *view);
        let what = if self.has(Kind::Connection) {
            What::Connections { engine: self.has(Kind::PersistentConn) }
        } else if self.has(Kind::Timeout) {
            What::Timeouts
        } else if self.has(Kind::Daemon) {
            What::Daemons
        } else {
            What::Services(self.has(Kind::Service).then_some(self.key), view)
        };
        Ok(Listing {
            what,
            numeric: self.has(Kind::Numeric),
            exact: self.has(Kind::Exact),
            sort: !self.has(Kind::Nosort),
        })
    }
}

fn second_command(found: &Found) -> Exit {
    Exit::usage(format!("invalid option `{}'", found.argument))
}

fn natural(value: &str, otherwise: &'static str) -> Result<u32, Exit> {
    number(value, 0, i64::from(i32::MAX)).and_then(|n| u32::try_from(n).ok()).ok_or_else(|| Exit::usage(otherwise))
}
