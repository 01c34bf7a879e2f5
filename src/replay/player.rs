//! The order of things: captured frames, answers of the model servers and the ticks of the gateway, by their times.

use super::map::Mapper;
use super::servers::{Servers, THINKS};
use super::{Error, Gateway};
use crate::config::Model;
use gatun_engine::addr::PortId;
use gatun_engine::testkit::lab::{Sent, Step};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A frame that comes in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    /// When, in nanoseconds of the gateway's time.
    pub nanos: u64,
    /// By which port.
    pub port: PortId,
    /// From the Ethernet header on.
    pub frame: Vec<u8>,
    /// A model server's answer, and not captured.
    pub answer: bool,
}

/// Whoever looks on.
pub trait Observer {
    /// A frame came in, and this became of it.
    fn step(&mut self, gateway: &Gateway, input: &Input, step: &Step);
    /// The gateway sent something by itself, or what had waited.
    fn left(&mut self, gateway: &Gateway, sent: &Sent);
    /// The gateway has taken a new configuration.
    fn reloaded(&mut self, _gateway: &Gateway) {}
    /// A recorded packet of the server side that belongs to no connection that was leased.
    fn unmatched(&mut self, _gateway: &Gateway, _input: &Input) {}
}

/// See the module.
pub struct Player<'a, O: Observer + ?Sized> {
    /// What it plays to.
    pub gateway: Gateway,
    /// By port: who answers there.
    servers: Vec<Option<Servers>>,
    map: Option<Mapper>,
    answers: BinaryHeap<Reverse<(u64, u64, Input)>>,
    count: u64,
    observer: &'a mut O,
}

impl<'a, O: Observer + ?Sized> Player<'a, O> {
    /// `answer`: the ports whose servers are models. `map`: the port of a recorded server side.
    pub fn new(gateway: Gateway, answer: &[PortId], map: Option<PortId>, observer: &'a mut O) -> Player<'a, O> {
        let ports = gateway.model().ports.len();
        let servers = (0..ports).map(|p| answer.contains(&PortId(p as u8)).then(Servers::default)).collect();
        let map = map.map(|port| Mapper::new(port, gateway.lab.snapshot()));
        Player { gateway, servers, map, answers: BinaryHeap::new(), count: 0, observer }
    }

    /// Who looks on.
    pub fn observer(&mut self) -> &mut O {
        self.observer
    }

    /// Gratuitous ARP for every address of the gateway, on the links that speak ARP.
    pub fn announce(&mut self) {
        let sent = self.gateway.lab.announce();
        self.tell(&sent);
    }

    /// A captured frame comes in, after everything that is due before it.
    pub fn feed(&mut self, input: Input) {
        self.run(input.nanos);
        let Some(map) = self.map.as_mut().filter(|m| m.port() == input.port) else { return self.input(&input) };
        if let Some(mapped) = map.captured(&input) {
            self.input(&mapped);
        }
    }

    /// Takes a new configuration at this time.
    pub fn reload(&mut self, nanos: u64, model: Model) -> Result<(), Error> {
        self.run(nanos);
        let done = self.gateway.reload(model);
        if let Some(map) = &mut self.map {
            map.configured(self.gateway.lab.snapshot());
        }
        self.observer.reloaded(&self.gateway);
        done
    }

    /// Lets time pass until `nanos`, and everything happen that is due by then.
    pub fn run(&mut self, nanos: u64) {
        loop {
            let due = self.answers.peek().map(|Reverse((at, ..))| *at).filter(|at| *at <= nanos);
            let sent = self.gateway.lab.advance(due.unwrap_or(nanos));
            if !sent.is_empty() {
                self.tell(&sent);
            } else if due.is_some() {
                let Some(Reverse((.., answer))) = self.answers.pop() else { return };
                self.input(&answer);
            } else {
                return;
            }
        }
    }

    /// The end: what the servers still have to say is heard, then the time comes to `nanos`, if that is later. Recorded
    /// packets that belong to no connection are told to the observer.
    pub fn end(&mut self, nanos: u64) {
        while let Some(at) = self.answers.peek().map(|Reverse((at, ..))| *at) {
            self.run(at);
        }
        self.run(nanos);
        for input in self.map.as_mut().map(Mapper::left_over).unwrap_or_default() {
            self.observer.unmatched(&self.gateway, &input);
        }
    }

    fn input(&mut self, input: &Input) {
        let step = self.gateway.lab.input(input.port, &input.frame);
        self.observer.step(&self.gateway, input, &step);
        self.react(&step.sent);
        let Some(map) = &mut self.map else { return };
        // What was recorded for a connection before it was opened here comes right after.
        for waiting in map.opened(input, &step) {
            self.input(&waiting);
        }
    }

    fn tell(&mut self, sent: &[Sent]) {
        for sent in sent {
            self.observer.left(&self.gateway, sent);
        }
        self.react(sent);
    }

    fn react(&mut self, sent: &[Sent]) {
        for sent in sent {
            let Some(Some(servers)) = self.servers.get_mut(sent.port.index()) else { continue };
            let Some(frame) = servers.answer(&sent.frame) else { continue };
            self.count += 1;
            let nanos = sent.nanos + THINKS;
            let input = Input { nanos, port: sent.port, frame, answer: true };
            self.answers.push(Reverse((nanos, self.count, input)));
        }
    }
}
