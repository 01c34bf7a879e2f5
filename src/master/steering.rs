//! How packets come to the worker that owns their connection, port by port: what was asked for, what runs, and why.
//!
//! Correctness never depends on it. A packet that comes to another worker is handed over; steering only makes that rare.
//!
//! - `rss`: the card has our key, and its table sends each class to a queue of its owner. It counts only while a sample of
//!   the received packets says so, see [`crate::worker::rss`].
//! - `flow`: the card has a rule for each local address, which sends replies to the worker that the address belongs to: no
//!   other takes ports of it. All rules are taken or none.
//! - `software`: whatever the device does.

use super::ports::Opened;
use crate::config::{self, LaddrPool, Model, SteeringPolicy};
use crate::worker::rss::{ENOUGH, Rss, Trust};
use dpdk::port::{RssConfig, RssTypes, RxOffloads};
use dpdk::{FlowMatch, FlowRule, Port};
use gatun_engine::addr::{Addr, Family};
use gatun_engine::snapshot::{Pool, Service, Snapshot};
use gatun_engine::steer::{CLASSES, Steer};
use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tracing::{info, warn};

/// What a card is asked to hash of IPv4. Only TCP and UDP are counted on.
const OVER_IPV4: RssTypes = PORTS.union(RssTypes::IPV4).union(RssTypes::FRAG_IPV4).union(RssTypes::IPV4_OTHER);
/// The same of IPv6.
const OVER_IPV6: RssTypes = IPV6_PORTS.union(RssTypes::IPV6).union(RssTypes::FRAG_IPV6).union(RssTypes::IPV6_OTHER);
/// Without these it is not our hash.
const PORTS: RssTypes = RssTypes::IPV4_TCP.union(RssTypes::IPV4_UDP);
/// Without these it is not our hash of IPv6 packets.
const IPV6_PORTS: RssTypes = RssTypes::IPV6_TCP.union(RssTypes::IPV6_UDP);

/// What a card that offers these types is asked to hash. One that would hash IPv6 by addresses alone is not to hash it at
/// all: its packets then carry no hash that could be taken for ours.
pub(super) fn types(offered: RssTypes) -> RssTypes {
    if offered.contains(IPV6_PORTS) { OVER_IPV4 | OVER_IPV6 } else { OVER_IPV4 }
}

/// The run's key in the length that a card wants. What goes beyond ours is never reached by a tuple.
pub(super) fn key(steer: &Steer, len: usize) -> Vec<u8> {
    steer.key().iter().copied().cycle().take(len).collect()
}

/// The worker that each local address belongs to, while a port runs on `flow`; else empty, and every worker uses all.
pub(super) type Owners = HashMap<IpAddr, usize>;

/// What runs on a port.
pub(super) enum Runs {
    /// See the module.
    Rss(Arc<Rss>),
    /// The rules of the port.
    Flow(Vec<FlowRule>),
    /// Why.
    Software(String),
}

/// The steering of one port.
pub(super) struct Steering {
    asked: SteeringPolicy,
    runs: Runs,
    /// The worker that polls each of its receive queues.
    pollers: Vec<usize>,
    /// How often it fell to `software` from what was asked for.
    falls: u64,
}

impl Steering {
    /// Sets a port up, as far as it can be before anything is received. `flow` comes later, with the local addresses.
    fn new(config: &config::Port, opened: &Opened, workers: usize, steer: &Arc<Steer>) -> Steering {
        let (asked, pollers) = (config.steering, opened.pollers());
        let software = |why: &str| Runs::Software(why.to_owned());
        let runs = match asked {
            SteeringPolicy::Software => software("as configured"),
            SteeringPolicy::Auto if workers == 1 => software("there is one worker"),
            SteeringPolicy::Flow => software("not set up yet"),
            SteeringPolicy::Auto | SteeringPolicy::Rss => match (&opened.refused, rss(&opened.port, steer, &pollers)) {
                (Some(error), _) => Runs::Software(format!("the device does not start with RSS: {error}")),
                (None, Ok(rss)) => Runs::Rss(Arc::new(rss)),
                (None, Err(why)) => Runs::Software(why),
            },
        };
        Steering { asked, runs, pollers, falls: 0 }.judged()
    }

    /// Says at start what runs. What was asked for and could not be had is worth a warning.
    fn log(&self, name: &str) {
        let (asked, runs, why) = self.tell();
        if self.falls > 0 {
            warn!("port {name}: steering falls from {asked} to {runs}: {why}");
        } else {
            info!("port {name}: steering {runs}: {why}");
        }
    }

    /// Counts what could not be had although it was asked for.
    fn judged(mut self) -> Steering {
        self.falls += u64::from(self.asked == SteeringPolicy::Rss && self.rss().is_none());
        self
    }

    /// How often it fell to `software` from what was asked for.
    pub(super) fn falls(&self) -> u64 {
        self.falls
    }

    /// What the workers check.
    pub(super) fn rss(&self) -> Option<&Arc<Rss>> {
        match &self.runs {
            Runs::Rss(rss) => Some(rss),
            Runs::Flow(_) | Runs::Software(_) => None,
        }
    }

    /// What was asked for, what runs, and why, each in a word or a sentence.
    pub(super) fn tell(&self) -> (SteeringPolicy, SteeringPolicy, String) {
        let (runs, why) = match &self.runs {
            Runs::Rss(rss) if rss.trust() == Trust::Trusted => {
                (SteeringPolicy::Rss, format!("{} packets checked, all right{}", rss.right(), alone(rss)))
            }
            Runs::Rss(rss) => {
                let why = format!("being checked: {} of {ENOUGH} packets right{}", rss.right(), alone(rss));
                (SteeringPolicy::Rss, why)
            }
            Runs::Flow(rules) => (SteeringPolicy::Flow, format!("{} rules", rules.len())),
            Runs::Software(why) => (SteeringPolicy::Software, why.clone()),
        };
        (self.asked, runs, why)
    }

    /// The sentence about a port that has just fallen from what it ran on.
    pub(super) fn fallen(&mut self) -> Option<String> {
        let Runs::Rss(rss) = &self.runs else { return None };
        let Trust::Refuted(wrong) = rss.trust() else { return None };
        let why = format!("{} ({} were right before)", wrong.sentence(), rss.right());
        self.runs = Runs::Software(why.clone());
        self.falls += 1;
        Some(why)
    }
}

fn alone(rss: &Rss) -> &'static str {
    if rss.over_ipv6 { "" } else { "; IPv4 alone, the card does not hash the ports of IPv6" }
}

/// Sets up the steering of all ports, and gives who owns which local address.
pub(super) fn set_up(
    model: &Model,
    opened: &[Opened],
    devices: &[Port],
    workers: usize,
    steer: &Arc<Steer>,
) -> (Vec<Steering>, Owners) {
    let ports = model.ports.iter().zip(opened);
    let mut steerings: Vec<_> = ports.map(|(config, port)| Steering::new(config, port, workers, steer)).collect();
    let (owners, _) = flow(&mut steerings, devices, model, workers, &Owners::new());
    for (config, steering) in model.ports.iter().zip(&steerings) {
        steering.log(&config.name);
    }
    (steerings, owners)
}

/// Gives a port our key and our table. An error says why it can not be `rss`.
fn rss(port: &Port, steer: &Arc<Steer>, pollers: &[usize]) -> Result<Rss, String> {
    let info = port.info().map_err(|e| e.to_string())?;
    let (granted, driver) = (port.granted(), info.driver);
    if !granted.rss_types.contains(PORTS) {
        return Err(format!("{driver} has no RSS over TCP and UDP ports"));
    }
    let queues = queues_of_classes(steer, pollers);
    let size = usize::from(info.reta_size);
    let Some(reta) = table(&queues, size) else {
        return Err(format!(
            "the table of {driver} has {size} entries, and for these workers gatun needs a multiple of {CLASSES}"
        ));
    };
    if !granted.rx_offloads.contains(RxOffloads::RSS_HASH) {
        return Err(format!("{driver} does not hand over the hash of its RSS, so that it can not be checked"));
    }
    let ours = RssConfig { key: key(steer, info.rss_key_size), types: granted.rss_types };
    let has_it = || port.rss_hash().is_ok_and(|has| has.key == ours.key);
    if !has_it() {
        port.rss_hash_update(&ours).map_err(|e| e.to_string())?;
        if !has_it() {
            return Err(format!("{driver} does not keep the hash key"));
        }
    }
    port.set_reta(&reta).map_err(|e| e.to_string())?;
    if port.reta().is_ok_and(|has| has != reta) {
        return Err(format!("{driver} does not keep the table"));
    }
    let mut rss = Rss::new(steer.clone(), queues);
    rss.over_ipv6 = granted.rss_types.contains(IPV6_PORTS);
    Ok(rss)
}

/// A card's table of so many entries that gives each class its queue. A card looks at the low bits of the hash, so one with
/// fewer entries than there are classes does when classes that it can not tell apart have the same queue.
fn table(queues: &[u16; CLASSES], size: usize) -> Option<Vec<u16>> {
    let tells = size.is_power_of_two() && queues.iter().enumerate().all(|(class, q)| queues[class % size] == *q);
    let fits = if size < CLASSES { tells } else { size.is_multiple_of(CLASSES) };
    fits.then(|| queues.iter().copied().cycle().take(size).collect())
}

/// The queue of each class: one of its owner's, taking turns; or any, where the owner has none.
fn queues_of_classes(steer: &Steer, pollers: &[usize]) -> [u16; CLASSES] {
    let all: Vec<u16> = (0..pollers.len() as u16).collect();
    let mut queues = [0; CLASSES];
    for (class, owner) in steer.map().iter().enumerate() {
        let own: Vec<u16> = all.iter().copied().filter(|&q| pollers[usize::from(q)] == owner.index()).collect();
        let from = if own.is_empty() { &all } else { &own };
        queues[class] = from[class / usize::from(steer.lcores()) % from.len()];
    }
    queues
}

/// Brings the rules of all `flow` ports to the local addresses of a model. Gives who owns which address, and a sentence
/// for each port that falls to `software`, by its number.
pub(super) fn flow(
    ports: &mut [Steering],
    devices: &[Port],
    model: &Model,
    workers: usize,
    before: &Owners,
) -> (Owners, Vec<(usize, String)>) {
    let wanted = |s: &Steering| s.asked == SteeringPolicy::Flow;
    if !ports.iter().any(wanted) {
        return (Owners::new(), Vec::new());
    }
    let shared_out = share_out(&model.laddr_pools, workers, before);
    let (mut runs, mut fallen) = (false, Vec::new());
    for (i, (steering, port)) in ports.iter_mut().zip(devices).enumerate().filter(|(_, (s, _))| wanted(s)) {
        if !(matches!(steering.runs, Runs::Flow(_)) && shared_out.as_ref() == Ok(before)) {
            // The old rules go first: cards refuse a second rule for the same packets.
            steering.runs = Runs::Software(String::new());
            let create = |matches: &FlowMatch, queue| port.create_flow(matches, queue);
            let rules = shared_out.clone().and_then(|owners| rules(&owners, &steering.pollers, create));
            steering.runs = rules.map_or_else(Runs::Software, Runs::Flow);
        }
        match &steering.runs {
            Runs::Software(why) => {
                steering.falls += 1;
                fallen.push((i, why.clone()));
            }
            Runs::Flow(_) | Runs::Rss(_) => runs = true,
        }
    }
    (shared_out.ok().filter(|_| runs).unwrap_or_default(), fallen)
}

/// A rule for each address, made by `create`. Those that were made go again with the first that is refused.
fn rules<R, E: Display>(
    owners: &Owners,
    pollers: &[usize],
    create: impl Fn(&FlowMatch, u16) -> Result<R, E>,
) -> Result<Vec<R>, String> {
    let rule = |(lip, owner): (&IpAddr, &usize)| {
        let queue = pollers.iter().position(|poller| poller == owner);
        let queue = queue.ok_or_else(|| format!("worker {owner} has none of its {} queues", pollers.len()))?;
        let matches = whole(*lip);
        create(&matches, queue as u16).map_err(|e| format!("the rule for {lip} was refused: {e}"))
    };
    owners.iter().map(rule).collect()
}

/// Packets to an address.
fn whole(lip: IpAddr) -> FlowMatch {
    match lip {
        IpAddr::V4(lip) => FlowMatch::ipv4_dst(lip, Ipv4Addr::BROADCAST),
        IpAddr::V6(lip) => FlowMatch::ipv6_dst(lip, Ipv6Addr::from_bits(u128::MAX)),
    }
}

/// Gives each local address to a worker. Each pool is shared out evenly; an address keeps its owner where it can.
fn share_out(pools: &[LaddrPool], workers: usize, before: &Owners) -> Result<Owners, String> {
    let mut owners = Owners::new();
    let families = [Family::V4, Family::V6];
    for (pool, family) in pools.iter().flat_map(|pool| families.map(|family| (pool, family))) {
        let lips = || pool.addresses.iter().copied().filter(|a| Addr::from(*a).family() == family);
        let (mut of, mut free, n) = (vec![0; workers], Vec::new(), lips().count());
        let (share, mut more) = (n / workers, n % workers);
        for lip in lips() {
            match before.get(&lip) {
                Some(&owner) if owner < workers && of[owner] < share + usize::from(more > 0) => {
                    more -= usize::from(of[owner] == share);
                    of[owner] += 1;
                    owners.insert(lip, owner);
                }
                Some(_) | None => free.push(lip),
            }
        }
        for lip in free {
            let owner = (0..workers).min_by_key(|w| of[*w]).unwrap_or_default();
            of[owner] += 1;
            owners.insert(lip, owner);
        }
        if n > 0 && of.contains(&0) {
            let (name, family) = (&pool.name, if family == Family::V4 { "IPv4" } else { "IPv6" });
            return Err(format!(
                "each of {workers} workers needs a local address of its own, and laddr_pool {name} has {n} of {family}"
            ));
        }
    }
    Ok(owners)
}

/// A snapshot as a worker is to see it: with its own local addresses alone, where these belong to somebody.
pub(super) fn view(snapshot: &Arc<Snapshot>, owners: &Owners, worker: usize) -> Arc<Snapshot> {
    if owners.is_empty() {
        return snapshot.clone();
    }
    let owned = |addr: Addr| owners.get(&IpAddr::from(addr)) == Some(&worker);
    let mut view = Snapshot::clone(snapshot);
    for service in view.services.values_mut() {
        let of = |pool: &Arc<Pool>| Pool::new(pool.lips().iter().copied().filter(|lip| owned(lip.addr)).collect());
        let pools = service.pools.each_ref().map(|pool| Arc::new(of(pool)));
        *service = Arc::new(Service { pools, ..Service::clone(service) });
    }
    Arc::new(view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn pool(first: u8, last: u8) -> LaddrPool {
        let addresses = (first..=last).map(|n| IpAddr::from([198, 18, 2, n])).collect();
        LaddrPool { name: "lan".to_owned(), addresses }
    }

    fn count(owners: &Owners, worker: usize) -> usize {
        owners.values().filter(|w| **w == worker).count()
    }

    #[test]
    fn a_card_is_asked_for_ipv6_when_it_hashes_the_ports_of_both_protocols() {
        let all = RssTypes::all();
        assert!(types(all).contains(PORTS | IPV6_PORTS));
        for less in [RssTypes::IPV6_TCP, RssTypes::IPV6_UDP] {
            assert_eq!(types(all - less) & OVER_IPV6, RssTypes::empty());
            assert!(types(all - less).contains(PORTS));
        }
    }

    #[test]
    fn a_table_with_fewer_entries_than_classes_does_when_it_can_tell_what_it_has_to() {
        let of = |queues: usize| core::array::from_fn(|class| (class % queues) as u16);
        for (queues, size) in [(4, 4), (4, 64), (8, 8), (1, 1), (3, 128), (3, 256), (5, 512)] {
            let reta = table(&of(queues), size).unwrap_or_else(|| panic!("{queues} queues, {size} entries"));
            assert_eq!(reta.len(), size);
            assert!((0..CLASSES).all(|class| usize::from(reta[class % size]) == class % queues));
        }
        for (queues, size) in [(4, 0), (4, 2), (3, 64), (3, 3), (4, 100), (3, 192)] {
            assert_eq!(table(&of(queues), size), None, "{queues} queues, {size} entries");
        }
    }

    #[test]
    fn each_class_goes_to_a_queue_of_its_owner() {
        let key = Steer::key_from_seed(7);
        for (lcores, pollers) in [(1u8, vec![0]), (2, vec![0, 1]), (2, vec![0, 1, 0, 1]), (3, vec![2, 0, 1])] {
            let steer = Steer::new(key, lcores).unwrap();
            let queues = queues_of_classes(&steer, &pollers);
            for (class, queue) in queues.iter().enumerate() {
                assert_eq!(pollers[usize::from(*queue)], steer.map()[class].index());
            }
            for queue in 0..pollers.len() as u16 {
                let share = queues.iter().filter(|q| **q == queue).count();
                assert!(share.abs_diff(CLASSES / pollers.len()) <= 1, "{lcores} {pollers:?}: {share}");
            }
        }
    }

    #[test]
    fn classes_of_a_worker_without_a_queue_are_spread_over_the_others() {
        let steer = Steer::new(Steer::key_from_seed(7), 3).unwrap();
        let queues = queues_of_classes(&steer, &[0, 1]);
        for (owner, queue) in steer.map().iter().zip(queues) {
            assert!(owner.index() == 2 || usize::from(queue) == owner.index());
        }
        let of_the_third = |queue| (0..CLASSES).filter(|c| c % 3 == 2 && queues[*c] == queue).count();
        assert!(of_the_third(0).abs_diff(of_the_third(1)) <= 1);
    }

    #[test]
    fn a_longer_key_is_ours_and_more_of_it() {
        let steer = Steer::new(Steer::key_from_seed(7), 3).unwrap();
        assert_eq!(key(&steer, 40), steer.key());
        assert_eq!(key(&steer, 52)[..40], *steer.key());
        assert_eq!(key(&steer, 52).len(), 52);
    }

    #[test]
    fn local_addresses_are_shared_out_evenly_and_keep_their_owner() {
        let owners = share_out(&[pool(1, 6)], 3, &Owners::new()).unwrap();
        assert_eq!([0, 1, 2].map(|w| count(&owners, w)), [2, 2, 2]);
        let more = share_out(&[pool(1, 12)], 3, &owners).unwrap();
        assert_eq!([0, 1, 2].map(|w| count(&more, w)), [4, 4, 4]);
        assert!(owners.iter().all(|(lip, owner)| more[lip] == *owner));
        // When one worker's addresses go, another's moves.
        let left: Vec<IpAddr> = owners.iter().filter(|(_, w)| **w != 2).map(|(lip, _)| *lip).collect();
        let less = share_out(&[LaddrPool { name: "lan".to_owned(), addresses: left }], 3, &owners).unwrap();
        assert!([0, 1, 2].iter().all(|w| count(&less, *w) > 0), "{less:?}");
    }

    #[test]
    fn a_pool_with_fewer_addresses_than_workers_is_not_shared_out() {
        let error = share_out(&[pool(1, 9), pool(11, 12)], 3, &Owners::new()).unwrap_err();
        assert_eq!(error, "each of 3 workers needs a local address of its own, and laddr_pool lan has 2 of IPv4");
        let mut both = pool(1, 9);
        both.addresses.extend([1, 2].map(|n| IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, n])));
        let error = share_out(&[both], 3, &Owners::new()).unwrap_err();
        assert!(error.ends_with("laddr_pool lan has 2 of IPv6"), "{error}");
    }

    #[test]
    fn the_addresses_of_each_family_of_a_pool_are_shared_out_by_themselves() {
        let mut both = pool(1, 3);
        both.addresses.extend((1..=6).map(|n| IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, n])));
        let owners = share_out(&[both], 3, &Owners::new()).unwrap();
        for worker in 0..3 {
            let of = |ipv6| owners.iter().filter(|(lip, w)| **w == worker && lip.is_ipv6() == ipv6).count();
            assert_eq!((of(false), of(true)), (1, 2), "worker {worker}");
        }
        let made = rules(&owners, &[0, 1, 2], |matches, queue| Ok::<_, String>((*matches, queue))).unwrap();
        assert!(owners.iter().all(|(lip, owner)| made.contains(&(whole(*lip), *owner as u16))));
    }

    #[test]
    fn each_local_address_has_a_rule_to_a_queue_of_its_owner() {
        let owners = share_out(&[pool(1, 7)], 3, &Owners::new()).unwrap();
        let made = rules(&owners, &[2, 0, 1], |matches, queue| Ok::<_, String>((*matches, queue))).unwrap();
        assert_eq!(made.len(), 7);
        for (lip, owner) in &owners {
            let queue = [2, 0, 1].iter().position(|w| w == owner).unwrap() as u16;
            assert!(made.contains(&(whole(*lip), queue)), "{lip} of {owner}");
        }
    }

    #[test]
    fn the_first_rule_that_is_refused_takes_the_others_with_it() {
        let owners = share_out(&[pool(1, 7)], 2, &Owners::new()).unwrap();
        // Of each rule in the card one clone lives.
        let (card, asked) = (Arc::new(()), Cell::new(0));
        let create = |_: &FlowMatch, _| {
            asked.set(asked.get() + 1);
            if asked.get() < 5 { Ok(card.clone()) } else { Err("the card is full") }
        };
        let error = rules(&owners, &[0, 1], create).unwrap_err();
        assert!(error.ends_with("was refused: the card is full"), "{error}");
        assert_eq!((asked.get(), Arc::strong_count(&card)), (5, 1));
        let error = rules(&owners, &[0], |_, _| Ok::<_, String>(())).unwrap_err();
        assert_eq!(error, "worker 1 has none of its 1 queues");
    }

    #[test]
    fn a_worker_sees_its_own_local_addresses_alone() {
        let model = Arc::new(config::parse(include_str!("../../conf/demo.toml"), "demo.toml").unwrap());
        let neighbors = Arc::new(gatun_engine::neighbor::Neighbors::new(16));
        let mut compiler = config::compile::Compiler::new(neighbors, Vec::new(), 16);
        let snapshot = Arc::new(compiler.compile(&model, &config::compile::Shards::NONE).unwrap());
        let seen = |owners: &Owners, worker| -> Vec<Vec<String>> {
            let view = view(&snapshot, owners, worker);
            let lips = |s: &Arc<Service>| s.pools.iter().flat_map(|p| p.lips()).map(|l| l.addr.to_string()).collect();
            view.services.values().map(lips).collect()
        };
        let [a, b, c, d] = ["198.18.2.100", "198.18.2.101", "2001:db8:2::100", "2001:db8:2::101"];
        let owners = Owners::from([(a, 1), (b, 0), (c, 0), (d, 1)].map(|(lip, owner)| (lip.parse().unwrap(), owner)));
        assert_eq!(seen(&owners, 0), [[b, c]; 4]);
        assert_eq!(seen(&owners, 1), [[a, d]; 4]);
        assert_eq!(seen(&Owners::new(), 1), [[a, b, c, d]; 4]);
    }
}
