//! The options of ipvsadm 1.31, and how a command line is cut into them.
//!
//! An option is `--long`, `--long=value`, `--long value`, `-s`, `-svalue`, `-s=value` or `-s value`; short ones can stand
//! together. What is no option is left over, wherever it stands, and everything after `--` is. An optional value does not
//! begin with `-`.

use super::rules::{Kind, Verb};
use Role::{About, Command, Free};

/// What an option is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the command.
    Command(Verb),
    /// It says something about it; not twice.
    About(Kind),
    /// It goes with every command.
    Free,
}

/// Whether an option has a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    No,
    Must,
    May,
}

macro_rules! options {
    ($($name:ident, $long:literal, $short:expr, $value:ident, $role:expr;)+) => {
        /// Every option by its long name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are ipvsadm's own")]
        pub(super) enum Opt {
            $($name),+
        }

        const ALL: &[(Opt, &str, Option<char>, Value, Role)] =
            &[$((Opt::$name, $long, $short, Value::$value, $role)),+];
    };
}

options! {
    AddService, "add-service", Some('A'), No, Command(Verb::Add);
    EditService, "edit-service", Some('E'), No, Command(Verb::Edit);
    DeleteService, "delete-service", Some('D'), No, Command(Verb::Delete);
    Clear, "clear", Some('C'), No, Command(Verb::Flush);
    Restore, "restore", Some('R'), No, Command(Verb::Restore);
    Save, "save", Some('S'), No, Command(Verb::Save);
    AddServer, "add-server", Some('a'), No, Command(Verb::AddServer);
    EditServer, "edit-server", Some('e'), No, Command(Verb::EditServer);
    DeleteServer, "delete-server", Some('d'), No, Command(Verb::DeleteServer);
    List, "list", Some('L'), No, Command(Verb::List);
    ListToo, "list", Some('l'), No, Command(Verb::List);
    Zero, "zero", Some('Z'), No, Command(Verb::Zero);
    Set, "set", None, No, Command(Verb::Set);
    StartDaemon, "start-daemon", None, Must, Command(Verb::StartDaemon);
    StopDaemon, "stop-daemon", None, Must, Command(Verb::StopDaemon);
    Help, "help", Some('h'), No, Command(Verb::Help);
    Version, "version", Some('v'), No, Command(Verb::Version);
    TcpService, "tcp-service", Some('t'), Must, About(Kind::Service);
    UdpService, "udp-service", Some('u'), Must, About(Kind::Service);
    SctpService, "sctp-service", None, Must, About(Kind::Service);
    FwmarkService, "fwmark-service", Some('f'), Must, About(Kind::Service);
    Ipv6, "ipv6", Some('6'), No, Free;
    Scheduler, "scheduler", Some('s'), Must, About(Kind::Scheduler);
    Persistent, "persistent", Some('p'), May, About(Kind::Persistent);
    Netmask, "netmask", Some('M'), Must, About(Kind::Netmask);
    RealServer, "real-server", Some('r'), Must, About(Kind::Server);
    Gatewaying, "gatewaying", Some('g'), No, About(Kind::Forward);
    Ipip, "ipip", Some('i'), No, About(Kind::Forward);
    Masquerading, "masquerading", Some('m'), No, About(Kind::Forward);
    Fullnat, "fullnat", None, No, About(Kind::Forward);
    Laddr, "laddr", None, Must, About(Kind::Laddr);
    TunType, "tun-type", None, Must, About(Kind::TunType);
    TunPort, "tun-port", None, Must, About(Kind::TunPort);
    TunNocsum, "tun-nocsum", None, No, About(Kind::TunNocsum);
    TunCsum, "tun-csum", None, No, About(Kind::TunCsum);
    TunRemcsum, "tun-remcsum", None, No, About(Kind::TunRemcsum);
    Weight, "weight", Some('w'), Must, About(Kind::Weight);
    UThreshold, "u-threshold", Some('x'), Must, About(Kind::UThreshold);
    LThreshold, "l-threshold", Some('y'), Must, About(Kind::LThreshold);
    Connection, "connection", Some('c'), No, About(Kind::Connection);
    Timeout, "timeout", None, No, About(Kind::Timeout);
    Daemon, "daemon", None, No, About(Kind::Daemon);
    Stats, "stats", None, No, About(Kind::Stats);
    Rate, "rate", None, No, About(Kind::Rate);
    Exact, "exact", None, No, About(Kind::Exact);
    Thresholds, "thresholds", None, No, About(Kind::Thresholds);
    PersistentConn, "persistent-conn", None, No, About(Kind::PersistentConn);
    TunInfo, "tun-info", None, No, About(Kind::TunInfo);
    Nosort, "nosort", None, No, About(Kind::Nosort);
    Sort, "sort", None, No, Free;
    Ops, "ops", Some('o'), No, About(Kind::Ops);
    Numeric, "numeric", Some('n'), No, About(Kind::Numeric);
    Pe, "pe", None, Must, About(Kind::Pe);
    SchedFlags, "sched-flags", Some('b'), Must, About(Kind::SchedFlags);
    Syncid, "syncid", None, Must, About(Kind::Syncid);
    SyncMaxlen, "sync-maxlen", None, Must, About(Kind::SyncMaxlen);
    McastInterface, "mcast-interface", None, Must, About(Kind::McastInterface);
    McastGroup, "mcast-group", None, Must, About(Kind::McastGroup);
    McastPort, "mcast-port", None, Must, About(Kind::McastPort);
    McastTtl, "mcast-ttl", None, Must, About(Kind::McastTtl);
}

impl Opt {
    /// What it is for.
    pub(super) fn role(self) -> Role {
        ALL.iter().find(|(opt, ..)| *opt == self).map_or(Free, |(.., role)| *role)
    }
}

/// An option as it was found.
pub(super) struct Found {
    /// Which.
    pub(super) opt: Opt,
    /// Its value.
    pub(super) value: Option<String>,
    /// The argument in which it stood.
    pub(super) argument: String,
}

/// An argument that can not be understood: itself, and what is wrong with it.
pub(super) type Bad = (String, &'static str);

/// Walks over the arguments.
pub(super) struct Scanner<'a> {
    arguments: &'a [String],
    next: usize,
    /// What is left of a group of short options.
    short: Option<&'a str>,
    /// What is no option.
    pub(super) left: Vec<String>,
}

impl<'a> Scanner<'a> {
    /// Without the name of the program.
    pub(super) fn new(arguments: &'a [String]) -> Self {
        Self { arguments, next: 0, short: None, left: Vec::new() }
    }

    /// The next option; none at the end.
    pub(super) fn option(&mut self) -> Option<Result<Found, Bad>> {
        if let Some(group) = self.short.take() {
            return Some(self.short_option(group));
        }
        loop {
            let argument = self.arguments.get(self.next)?;
            self.next += 1;
            if argument == "--" {
                self.left.extend_from_slice(&self.arguments[self.next..]);
                self.next = self.arguments.len();
            } else if let Some(long) = argument.strip_prefix("--") {
                return Some(self.long_option(long));
            } else if let Some(group) = argument.strip_prefix('-').filter(|group| !group.is_empty()) {
                return Some(self.short_option(group));
            } else {
                self.left.push(argument.clone());
            }
        }
    }

    fn long_option(&mut self, long: &'a str) -> Result<Found, Bad> {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let Some((opt, _, _, takes, _)) = ALL.iter().find(|(_, long, ..)| *long == name) else {
            return Err(self.bad("unknown option"));
        };
        match (takes, value) {
            (Value::No, Some(_)) => Err(self.bad("option does not take an argument")),
            (Value::No, None) => Ok(self.found(*opt, None)),
            (Value::Must | Value::May, Some(value)) => Ok(self.found(*opt, Some(value))),
            (Value::Must | Value::May, None) => self.with_next(*opt, *takes),
        }
    }

    fn short_option(&mut self, group: &'a str) -> Result<Found, Bad> {
        let mut letters = group.chars();
        let letter = letters.next();
        let rest = letters.as_str();
        let Some((opt, _, _, takes, _)) = ALL.iter().find(|(_, _, short, ..)| *short == letter) else {
            return Err(self.bad("unknown option"));
        };
        match (takes, rest.is_empty()) {
            (Value::No, _) => {
                self.short = (!rest.is_empty()).then_some(rest);
                Ok(self.found(*opt, None))
            }
            (Value::Must | Value::May, false) => Ok(self.found(*opt, Some(rest.strip_prefix('=').unwrap_or(rest)))),
            (Value::Must | Value::May, true) => self.with_next(*opt, *takes),
        }
    }

    /// An option whose value is the next argument, where that is one.
    fn with_next(&mut self, opt: Opt, takes: Value) -> Result<Found, Bad> {
        let next = self.arguments.get(self.next).filter(|next| takes == Value::Must || !next.starts_with('-'));
        match next {
            None if takes == Value::Must => Err(self.bad("missing argument")),
            None => Ok(self.found(opt, None)),
            Some(next) => {
                let found = self.found(opt, Some(next));
                self.next += 1;
                Ok(found)
            }
        }
    }

    fn found(&self, opt: Opt, value: Option<&str>) -> Found {
        Found { opt, value: value.map(str::to_owned), argument: self.arguments[self.next - 1].clone() }
    }

    fn bad(&self, what: &'static str) -> Bad {
        (self.arguments[self.next - 1].clone(), what)
    }
}
