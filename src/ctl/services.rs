//! `gatunctl service` and `gatunctl real`.

use super::table::{facts, table};
use super::{Ctl, Done, Trouble};
use crate::api::types::{
    Drain, DrainSpec, DrainState, Edit, Item, OnServerRemoved, Protocol, Real, RealPatch, RealSpec, Scheduler, Service,
    ServicePatch, ServiceSpec, TimeoutsSpec,
};
use crate::client::segment;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// How often `--wait` looks.
const LOOK: Duration = Duration::from_secs(1);

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List them.
    #[command(after_help = "Examples:
  gatunctl service list
  gatunctl service list --protocol tcp --scheduler wlc --json | jq -r '.[].id'")]
    List {
        /// Only of this protocol.
        #[arg(long, value_parser = protocol)]
        protocol: Option<Protocol>,
        /// Only at this address, with or without port.
        #[arg(long)]
        address: Option<String>,
        /// Only with this scheduler.
        #[arg(long, value_parser = scheduler)]
        scheduler: Option<Scheduler>,
        /// Only with local addresses of this pool.
        #[arg(long)]
        laddr_pool: Option<String>,
        /// Only with this real server.
        #[arg(long)]
        real: Option<String>,
    },
    /// One, with everything that holds for it.
    Show {
        /// Its id, or as in tcp/198.18.1.100:80.
        service: Id,
    },
    /// Add one.
    #[command(after_help = "Examples:
  gatunctl service add tcp 198.18.1.100:80
  gatunctl service add udp [2001:db8::1]:53 --scheduler rr --laddr-pool lan6 --real [2001:db8:1::11]:53=3")]
    Add {
        /// tcp or udp.
        #[arg(value_parser = protocol)]
        protocol: Protocol,
        /// VIP and port.
        address: SocketAddr,
        #[command(flatten)]
        settings: Settings,
        /// A real server, with its weight where that is not 1; can be given again.
        #[arg(long = "real", value_name = "ADDRESS[=WEIGHT]", value_parser = real_spec)]
        reals: Vec<RealSpec>,
    },
    /// Change settings of one; what is not given stays.
    Set {
        /// Its id, or as in tcp/198.18.1.100:80.
        service: Id,
        #[command(flatten)]
        settings: Settings,
    },
    /// Take one away, with its real servers.
    Delete {
        /// Its id, or as in tcp/198.18.1.100:80.
        service: Id,
    },
}

/// Settings of a service.
#[derive(clap::Args)]
pub(super) struct Settings {
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// How a real server is picked: rr, wrr, wlc. Without it wlc.
    #[arg(long, value_parser = scheduler)]
    scheduler: Option<Scheduler>,
    /// The pool of its local addresses; can be left out when there is one.
    #[arg(long)]
    laddr_pool: Option<String>,
    /// The most that the MSS option of a SYN may say, bytes.
    #[arg(long, value_name = "BYTES")]
    mss_clamp: Option<u16>,
    /// What becomes of TCP connections of a server that is taken out: reset, silent.
    #[arg(long, value_parser = on_server_removed)]
    on_server_removed: Option<OnServerRemoved>,
}

#[derive(clap::Subcommand)]
pub(super) enum RealCommand {
    /// List those of a service.
    List {
        /// The service: its id, or as in tcp/198.18.1.100:80.
        service: Id,
    },
    /// Add one.
    Add {
        /// The service: its id, or as in tcp/198.18.1.100:80.
        service: Id,
        /// Address and port.
        address: SocketAddr,
        /// Its share of new connections, 0 to 65535; 0 takes none.
        #[arg(long, default_value_t = 1)]
        weight: u16,
    },
    /// Give one another weight; 0 takes no new connections.
    Weight {
        /// The service: its id, or as in tcp/198.18.1.100:80.
        service: Id,
        /// Address and port of the server.
        address: SocketAddr,
        /// 0 to 65535.
        weight: u16,
    },
    /// Let its connections end, then take it out.
    #[command(after_help = "Examples:
  gatunctl real drain tcp/198.18.1.100:80 198.18.2.11:80 --deadline 300 --wait
  gatunctl real undrain tcp/198.18.1.100:80 198.18.2.11:80")]
    Drain {
        /// The service: its id, or as in tcp/198.18.1.100:80.
        service: Id,
        /// Address and port of the server.
        address: SocketAddr,
        /// Seconds after which it goes with what connections it still has.
        #[arg(long, value_name = "SECONDS")]
        deadline: Option<u32>,
        /// Keep it with weight 0 when it is drained.
        #[arg(long)]
        keep: bool,
        /// Come back when it is drained.
        #[arg(long)]
        wait: bool,
    },
    /// Call a drain off; it has its weight again.
    Undrain {
        /// The service: its id, or as in tcp/198.18.1.100:80.
        service: Id,
        /// Address and port of the server.
        address: SocketAddr,
    },
    /// Take one out at once.
    Delete {
        /// The service: its id, or as in tcp/198.18.1.100:80.
        service: Id,
        /// Address and port of the server.
        address: SocketAddr,
    },
}

/// A service's id.
#[derive(Clone)]
pub(super) struct Id(String);

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((protocol, address)) = text.split_once('/') else { return Ok(Self(text.to_owned())) };
        let protocol = self::protocol(protocol)?;
        let address: SocketAddr = address.parse().map_err(|_| format!("{address} is no address and port"))?;
        Ok(Self(format!("{}-{}", word(&protocol), real_id(address))))
    }
}

impl Id {
    fn path(&self) -> String {
        format!("/api/v1/services/{}", segment(&self.0))
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

/// A server's id.
fn real_id(address: SocketAddr) -> String {
    format!("{}-{}", address.ip(), address.port())
}

pub(super) fn run(ctl: &Ctl, command: Command) -> Done {
    match command {
        Command::List { protocol, address, scheduler, laddr_pool, real } => {
            let given = [
                ("protocol", protocol.as_ref().map(word)),
                ("address", address),
                ("scheduler", scheduler.as_ref().map(word)),
                ("laddr_pool", laddr_pool),
                ("real", real),
            ];
            let query: Vec<(&str, String)> =
                given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let services: Vec<Service> = ctl.client.list("/api/v1/services", &query, usize::MAX)?;
            ctl.show(&services, |services| list(services))
        }
        Command::Show { service } => {
            let service: Item<Service> = ctl.client.get(&service.path(), &[])?;
            ctl.show(&service.item, show)
        }
        Command::Add { protocol, address, settings, reals } => {
            let service = ServiceSpec {
                name: settings.name,
                protocol,
                address,
                scheduler: settings.scheduler,
                laddr_pool: settings.laddr_pool,
                mss_clamp: settings.mss_clamp,
                timeouts: TimeoutsSpec::default(),
                on_server_removed: settings.on_server_removed,
                reals,
            };
            ctl.edit(vec![Edit::AddService { service }])
        }
        Command::Set { service, settings } => {
            let patch = ServicePatch {
                name: settings.name.map(Some),
                scheduler: settings.scheduler.map(Some),
                laddr_pool: settings.laddr_pool.map(Some),
                mss_clamp: settings.mss_clamp.map(Some),
                on_server_removed: settings.on_server_removed.map(Some),
                ..ServicePatch::default()
            };
            if patch == ServicePatch::default() {
                return Err(Trouble::Usage("nothing is to be set: give a setting, as in --scheduler rr".to_owned()));
            }
            ctl.edit(vec![Edit::PatchService { id: service.0, patch }])
        }
        Command::Delete { service } => ctl.edit(vec![Edit::DeleteService { id: service.0 }]),
    }
}

pub(super) fn run_real(ctl: &Ctl, command: RealCommand) -> Done {
    match command {
        RealCommand::List { service } => {
            let reals: Vec<Real> = ctl.client.list(&format!("{}/reals", service.path()), &[], usize::MAX)?;
            ctl.show(&reals, |all| reals_table(all))
        }
        RealCommand::Add { service, address, weight } => {
            ctl.edit(vec![Edit::AddReal { service: service.0, real: RealSpec { address, weight } }])
        }
        RealCommand::Weight { service, address, weight } => {
            let patch = RealPatch { weight: Some(weight) };
            ctl.edit(vec![Edit::PatchReal { service: service.0, id: real_id(address), patch }])
        }
        RealCommand::Drain { service, address, deadline, keep, wait } => {
            let path = format!("{}/reals/{}/drain", service.path(), segment(&real_id(address)));
            let spec = DrainSpec { deadline, keep };
            let mut drain: Item<Drain> = ctl.client.send("POST", &path, &ctl.ask(&[]), Some(&spec))?;
            while wait && drain.item.state == DrainState::Draining {
                std::thread::sleep(LOOK);
                drain = match ctl.client.get(&path, &[]) {
                    // It is out.
                    Err(e) if e.status() == Some(404) => {
                        drain.item.state = DrainState::Drained;
                        drain.item.connections = 0;
                        drain
                    }
                    answer => answer?,
                };
            }
            ctl.show(&drain.item, drain_text)
        }
        RealCommand::Undrain { service, address } => {
            let path = format!("{}/reals/{}/drain", service.path(), segment(&real_id(address)));
            let done: serde_json::Value = ctl.client.send("DELETE", &path, &ctl.ask(&[]), None::<&()>)?;
            ctl.show(&done, |_| "it takes new connections again".to_owned())
        }
        RealCommand::Delete { service, address } => {
            ctl.edit(vec![Edit::DeleteReal { service: service.0, id: real_id(address) }])
        }
    }
}

fn list(services: &[Service]) -> String {
    let mut t = table(&["service", "name", "scheduler", "pool", "reals", "active", "inactive", "conns"], 4);
    for s in services {
        let mut row = vec![s.id.clone(), s.name.clone(), word(&s.scheduler), s.laddr_pool.clone()];
        row.extend([s.reals.len() as u64, s.totals.active, s.totals.inactive, s.totals.conns].map(|n| n.to_string()));
        t.add_row(row);
    }
    t.trim_fmt()
}

fn show(s: &Service) -> String {
    let t = &s.timeouts;
    let timeouts = format!(
        "established {}, syn {}/{}/{}, fin {}/{}/{}/{}, close {}, udp {} s",
        t.established,
        t.syn_sent,
        t.syn_recv,
        t.synack,
        t.fin_wait,
        t.close_wait,
        t.last_ack,
        t.time_wait,
        t.close,
        t.udp
    );
    let all = [
        ("id", s.id.clone()),
        ("name", s.name.clone()),
        ("address", format!("{} {}", word(&s.protocol), s.address)),
        ("scheduler", word(&s.scheduler)),
        ("local addresses", s.laddr_pool.clone()),
        ("MSS", s.mss_clamp.map_or("as it comes".to_owned(), |mss| format!("at most {mss}"))),
        ("server removed", word(&s.on_server_removed)),
        ("timeouts", timeouts),
    ];
    format!("{}\n\n{}", facts(&all), reals_table(&s.reals))
}

fn reals_table(reals: &[Real]) -> String {
    let header =
        ["real", "weight", "active", "inactive", "conns", "in pkts", "out pkts", "in bytes", "out bytes", "drain"];
    let mut t = table(&header, 1);
    for r in reals {
        let c = r.totals;
        let mut row = vec![r.address.to_string()];
        let numbers = [r.weight.into(), c.active, c.inactive, c.conns, c.in_pkts, c.out_pkts, c.in_bytes, c.out_bytes];
        row.extend(numbers.map(|n: u64| n.to_string()));
        row.push(r.drain.as_ref().map_or(String::new(), |drain| word(&drain.state)));
        t.add_row(row);
    }
    t.trim_fmt()
}

fn drain_text(drain: &Drain) -> String {
    let until = drain.until.as_ref().map_or(String::new(), |until| format!(", at the latest at {until}"));
    match drain.state {
        DrainState::Draining => {
            format!("draining: {} of {} connections are left{until}", drain.connections, drain.connections_before)
        }
        DrainState::Drained => "drained".to_owned(),
    }
}

/// A small enum by its word in JSON.
pub(super) fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(e) => e.to_string(),
    }
}

/// The reverse, for the command line.
fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|e| e.to_string())
}

pub(super) fn protocol(text: &str) -> Result<Protocol, String> {
    read(text)
}

fn scheduler(text: &str) -> Result<Scheduler, String> {
    read(text)
}

fn on_server_removed(text: &str) -> Result<OnServerRemoved, String> {
    read(text)
}

fn real_spec(text: &str) -> Result<RealSpec, String> {
    let (address, weight) = text.split_once('=').map_or((text, None), |(a, w)| (a, Some(w)));
    let address = address.parse().map_err(|_| format!("{address} is no address and port"))?;
    let weight = weight.map(|w| w.parse().map_err(|_| format!("{w} is no weight: give 0 to 65535"))).transpose()?;
    Ok(RealSpec { address, weight: weight.unwrap_or(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_id_or_by_protocol_and_address() {
        let table = [
            ("tcp-198.18.1.100-80", "tcp-198.18.1.100-80"),
            ("tcp/198.18.1.100:80", "tcp-198.18.1.100-80"),
            ("udp/[2001:db8::1]:53", "udp-2001:db8::1-53"),
        ];
        for (text, id) in table {
            assert_eq!(text.parse::<Id>().unwrap().0, id);
        }
        assert!("sctp/198.18.1.100:80".parse::<Id>().is_err());
        assert!("tcp/198.18.1.100".parse::<Id>().is_err());
    }

    #[test]
    fn a_real_server_may_have_its_weight_behind_it() {
        assert_eq!(real_spec("198.18.2.11:80").unwrap().weight, 1);
        assert_eq!(real_spec("[2001:db8::2]:80=7").unwrap().weight, 7);
        assert!(real_spec("198.18.2.11:80=x").is_err() && real_spec("198.18.2.11").is_err());
    }
}
