//! Which options go with which command, and with each other.

use super::Exit;
use super::options::{Found, Role};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Edit,
    Delete,
    Flush,
    Restore,
    Save,
    AddServer,
    EditServer,
    DeleteServer,
    List,
    Zero,
    Set,
    StartDaemon,
    StopDaemon,
    Help,
    Version,
}

/// What an option is about. Two options of one kind exclude each other. In the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forward,
    Weight,
    UThreshold,
    LThreshold,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    Nosort,
    Syncid,
    Exact,
    Ops,
    Pe,
    SchedFlags,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
    SyncMaxlen,
    McastGroup,
    McastPort,
    McastTtl,
    Laddr,
}

use Kind as K;

const KINDS: [(Kind, &str); 35] = [
    (K::Numeric, "numeric"),
    (K::Connection, "connection"),
    (K::Service, "service-address"),
    (K::Scheduler, "scheduler"),
    (K::Persistent, "persistent"),
    (K::Netmask, "netmask"),
    (K::Server, "real-server"),
    (K::Forward, "forwarding-method"),
    (K::Weight, "weight"),
    (K::UThreshold, "u-threshold"),
    (K::LThreshold, "l-threshold"),
    (K::McastInterface, "mcast-interface"),
    (K::Timeout, "timeout"),
    (K::Daemon, "daemon"),
    (K::Stats, "stats"),
    (K::Rate, "rate"),
    (K::Thresholds, "thresholds"),
    (K::PersistentConn, "persistent-conn"),
    (K::Nosort, "nosort"),
    (K::Syncid, "syncid"),
    (K::Exact, "exact"),
    (K::Ops, "ops"),
    (K::Pe, "pe"),
    (K::SchedFlags, "sched-flags"),
    (K::TunInfo, "tun-info"),
    (K::TunType, "tun-type"),
    (K::TunPort, "tun-port"),
    (K::TunNocsum, "tun-nocsum"),
    (K::TunCsum, "tun-csum"),
    (K::TunRemcsum, "tun-remcsum"),
    (K::SyncMaxlen, "sync-maxlen"),
    (K::McastGroup, "mcast-group"),
    (K::McastPort, "mcast-port"),
    (K::McastTtl, "mcast-ttl"),
    (K::Laddr, "laddr"),
];

impl Kind {
    /// As messages call it.
    pub(super) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// The command that an option is.
pub(super) fn verb(first: &Found) -> Result<Verb, Exit> {
    let Role::Command(verb) = first.opt.role() else { return Err(Exit::try_help()) };
    let known = matches!(first.value.as_deref(), Some("master" | "backup"));
    match verb {
        Verb::StartDaemon if !known => Err(Exit::usage("illegal start-daemon parameter specified")),
        Verb::StopDaemon if !known => Err(Exit::usage("illegal start_daemon specified")),
        _ => Ok(verb),
    }
}

/// A command's name, what it needs, and what it also takes.
fn takes(verb: Verb) -> (&'static str, &'static [Kind], &'static [Kind]) {
    const SERVICE: &[Kind] = &[K::Scheduler, K::Persistent, K::Netmask, K::Ops, K::Pe, K::SchedFlags, K::Laddr];
    const SERVER: &[Kind] = &[
        K::Forward,
        K::Weight,
        K::UThreshold,
        K::LThreshold,
        K::TunType,
        K::TunPort,
        K::TunNocsum,
        K::TunCsum,
        K::TunRemcsum,
    ];
    const LIST: &[Kind] = &[
        K::Numeric,
        K::Connection,
        K::Service,
        K::Timeout,
        K::Daemon,
        K::Stats,
        K::Rate,
        K::Thresholds,
        K::PersistentConn,
        K::Nosort,
        K::Syncid,
        K::Exact,
        K::TunInfo,
    ];
    const START: &[Kind] = &[K::McastInterface, K::Syncid, K::SyncMaxlen, K::McastGroup, K::McastPort, K::McastTtl];
    match verb {
        Verb::Add => ("add-service", &[K::Service], SERVICE),
        Verb::Edit => ("edit-service", &[K::Service], SERVICE),
        Verb::Delete => ("delete-service", &[K::Service], &[]),
        Verb::Flush => ("flush", &[], &[]),
        Verb::Restore => ("restore", &[], &[]),
        Verb::Save => ("save", &[], &[K::Numeric]),
        Verb::AddServer => ("add-server", &[K::Service, K::Server], SERVER),
        Verb::EditServer => ("edit-server", &[K::Service, K::Server], SERVER),
        Verb::DeleteServer => ("delete-server", &[K::Service, K::Server], &[]),
        Verb::List => ("list", &[], LIST),
        Verb::Zero => ("zero", &[], &[K::Service]),
        Verb::Set => ("set", &[], &[]),
        Verb::StartDaemon => ("start-daemon", &[], START),
        Verb::StopDaemon => ("stop-daemon", &[], &[K::Syncid]),
        Verb::Help => ("help", &[], &[]),
        Verb::Version => ("version", &[], &[]),
    }
}

/// Whether these options go with the command, and with each other.
pub(super) fn check(verb: Verb, given: &[Kind]) -> Result<(), Exit> {
    let (command, needs, also) = takes(verb);
    // Of these -L takes one, which it names together with the one before.
    let mut one: Option<&str> = None;
    for (kind, name) in KINDS {
        if !given.contains(&kind) {
            if needs.contains(&kind) {
                return Err(Exit::usage(format!("You need to supply the '{name}' option for the '{command}' command")));
            }
        } else if !needs.contains(&kind) && !also.contains(&kind) {
            return Err(Exit::usage(format!("Illegal '{name}' option with the '{command}' command")));
        } else if verb == Verb::List && ALONE.contains(&kind) {
            if let Some(before) = one {
                let what =
                    format!("The option '{name}' conflicts with the '{before}' option in the '{command}' command");
                return Err(Exit::usage(what));
            }
            one = Some(name);
        }
    }
    let has = |kind| given.contains(&kind);
    let views = has(K::Stats) || has(K::Rate) || has(K::Thresholds);
    let alone = has(K::Timeout) || has(K::Daemon);
    if verb == Verb::List && ((has(K::Connection) && views) || (alone && (views || has(K::PersistentConn)))) {
        return Err(Exit::usage("options conflicts in the list command"));
    }
    Ok(())
}

const ALONE: [Kind; 4] = [K::Connection, K::Service, K::Timeout, K::Daemon];

/// Whether these options go with a kind of tunnel.
pub(super) fn tunnel(tunnel: &str, given: &[Kind]) -> Result<(), Exit> {
    let (needs, also): (&[Kind], &[Kind]) = match tunnel {
        "gue" => (&[K::TunPort], &[K::TunNocsum, K::TunCsum, K::TunRemcsum]),
        "gre" => (&[], &[K::TunNocsum, K::TunCsum]),
        _ => (&[], &[]),
    };
    let mut one: Option<Kind> = None;
    for kind in [K::TunPort, K::TunNocsum, K::TunCsum, K::TunRemcsum] {
        let name = kind.name();
        match (given.contains(&kind), needs.contains(&kind), also.contains(&kind)) {
            (false, true, _) => {
                return Err(Exit::usage(format!(
                    "You need to supply the '{name}' option for the '{tunnel}' tunnel type"
                )));
            }
            (true, false, false) => {
                return Err(Exit::usage(format!("Illegal '{name}' option with the '{tunnel}' tunnel type")));
            }
            (true, false, true) => {
                if let Some(before) = one {
                    return Err(Exit::usage(format!(
                        "The option '{name}' conflicts with the '{}' option in the '{tunnel}' tunnel type",
                        before.name()
                    )));
                }
                one = Some(kind);
            }
            (true, true, _) | (false, false, _) => {}
        }
    }
    Ok(())
}
