//! The states of a connection, as Linux IPVS keeps them (`ip_vs_proto_tcp.c`, the tables of NAT), and their timeouts.
//!
//! ```text
//!   client SYN         either ACK            FIN of one side      FIN of the other
//!  ----------> SYN_RECV ----------> ESTABLISHED ----------> CLOSE_WAIT | FIN_WAIT ----------> TIME_WAIT
//!                                        any RST: CLOSE (but a client's RST in SYN_RECV changes nothing)
//! ```

use crate::addr::Dir;
use crate::time::Ticks;

/// The state of a connection. The order is that of the columns of IPVS's tables; `Udp` is the one state of UDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, zerocopy::FromZeros)]
#[repr(u8)]
pub enum State {
    /// The seat is free.
    None = 0,
    /// Data flows.
    Established,
    /// The server's SYN came first.
    SynSent,
    /// The client's SYN was seen.
    SynRecv,
    /// The server sent its FIN first.
    FinWait,
    /// Both sides sent their FIN.
    TimeWait,
    /// A RST was seen.
    Close,
    /// The client sent its FIN first.
    CloseWait,
    /// Waits for the last ACK.
    LastAck,
    /// Listens, as an expected connection of FTP does.
    Listen,
    /// The SYN proxy waits for the client's ACK.
    SynAck,
    /// UDP has but one.
    Udp,
}

/// How many states there are.
pub const STATES: usize = 12;

impl State {
    /// All of them, in order.
    pub const ALL: [State; STATES] = {
        use State::*;
        [None, Established, SynSent, SynRecv, FinWait, TimeWait, Close, CloseWait, LastAck, Listen, SynAck, Udp]
    };

    /// What LVS counts as an active connection.
    #[inline(always)]
    pub const fn is_active(self) -> bool {
        matches!(self, State::Established | State::SynSent | State::SynRecv | State::SynAck)
    }

    /// Half open: the handshake is not done.
    #[inline(always)]
    pub const fn is_half_open(self) -> bool {
        matches!(self, State::SynSent | State::SynRecv | State::SynAck)
    }

    /// Both sides are done: a new connection may press it out of its local port.
    #[inline(always)]
    pub const fn is_over(self) -> bool {
        matches!(self, State::TimeWait | State::Close)
    }

    /// At least one side has sent FIN or RST: a client's SYN opens anew.
    #[inline(always)]
    pub const fn is_closing(self) -> bool {
        matches!(self, State::FinWait | State::TimeWait | State::Close | State::CloseWait | State::LastAck)
    }

    /// As ipvsadm prints it.
    pub const fn name(self) -> &'static str {
        match self {
            State::None => "NONE",
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN_SENT",
            State::SynRecv => "SYN_RECV",
            State::FinWait => "FIN_WAIT",
            State::TimeWait => "TIME_WAIT",
            State::Close => "CLOSE",
            State::CloseWait => "CLOSE_WAIT",
            State::LastAck => "LAST_ACK",
            State::Listen => "LISTEN",
            State::SynAck => "SYNACK",
            State::Udp => "UDP",
        }
    }
}

/// Bits of the TCP flags byte.
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
}

/// The state after a TCP packet with `flags`. RST goes before SYN, SYN before FIN, FIN before ACK; a packet with none of
/// them closes, as in IPVS.
#[inline(always)]
pub const fn tcp_next(state: State, dir: Dir, flags: u8) -> State {
    TCP[dir as usize][flags as usize & 31][state as usize & 15]
}

/// By the low five flags. IPVS's tables, filled up with CLOSE, so that no index is out of bounds.
const TCP: [[[State; 16]; 32]; 2] = {
    use tcp_flags::*;
    let mut table = [[[State::Close; 16]; 32]; 2];
    let mut i = 0;
    while i < 2 * 32 * COLUMNS {
        let (dir, flags, column) = (i / (32 * COLUMNS), i / COLUMNS % 32, i % COLUMNS);
        let f = flags as u8;
        table[dir][flags][column] = if f & RST != 0 {
            IPVS[dir][3][column]
        } else if f & SYN != 0 {
            IPVS[dir][0][column]
        } else if f & FIN != 0 {
            IPVS[dir][1][column]
        } else if f & ACK != 0 {
            IPVS[dir][2][column]
        } else {
            State::Close
        };
        i += 1;
    }
    table
};

const COLUMNS: usize = 11;

#[rustfmt::skip]
const IPVS: [[[State; COLUMNS]; 4]; 2] = {
    use State::{Close as CL, CloseWait as CW, Established as ES, FinWait as FW, LastAck as LA, Listen as LI,
                SynRecv as SR, SynSent as SS, TimeWait as TW};
    [
        [ // from the client
            //NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
            [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR], // SYN
            [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW], // FIN
            [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES], // ACK
            [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR], // RST
        ],
        [ // from the server
            [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR], // SYN
            [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW], // FIN
            [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES], // ACK
            [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL], // RST
        ],
    ]
};

/// How long a connection stays in each state without a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timeouts {
    each: [Ticks; STATES],
    first: [Ticks; STATES],
}

impl Timeouts {
    /// The same for every state.
    pub const fn all(ticks: Ticks) -> Timeouts {
        Timeouts { each: [ticks; STATES], first: [ticks; STATES] }
    }
    /// Of one state.
    #[inline(always)]
    pub const fn of(&self, state: State) -> Ticks {
        self.each[state as usize]
    }
    /// When the timer of a connection that begins in a state fires first: so soon that the connection can end in order
    /// without an earlier entry, which would leave that one behind for the rest of its time. A RST may still do so: CLOSE is
    /// short, and every connection would pay for it.
    #[inline(always)]
    pub const fn first(&self, state: State) -> Ticks {
        self.first[state as usize]
    }
    /// Sets one state's, in seconds.
    pub fn set(&mut self, state: State, secs: u32) {
        self.set_ticks(state, Ticks::from_secs(secs));
    }
    /// Sets one state's.
    pub fn set_ticks(&mut self, state: State, ticks: Ticks) {
        use State::*;
        self.each[state as usize] = ticks;
        let met = [SynSent, SynRecv, Established, FinWait, CloseWait, LastAck, TimeWait];
        let shortest = met.into_iter().fold(self.of(SynRecv), |least, state| least.min(self.of(state)));
        self.first = self.each.map(|ticks| ticks.min(shortest));
        // Of this one there is no other state.
        self.first[Udp as usize] = self.of(Udp);
    }
}

impl Default for Timeouts {
    /// gatun's: SYN 60, ESTABLISHED 900, FIN 60, CLOSE 10, UDP 300 s.
    ///
    /// IPVS has 120 s for SYN_SENT, SYNACK, FIN_WAIT, TIME_WAIT and LISTEN, and 30 s for LAST_ACK.
    fn default() -> Self {
        let mut t = Timeouts::all(Ticks::from_secs(60));
        for (state, secs) in [(State::None, 2), (State::Established, 900), (State::Close, 10), (State::Udp, 300)] {
            t.set(state, secs);
        }
        t
    }
}

#[cfg(test)]
mod tests {
    use super::tcp_flags::*;
    use super::*;
    use State::*;

    /// Walks that were observed on a real IPVS, packet by packet.
    #[test]
    fn observed_walks_of_ipvs_are_walked_again() {
        let walk = |packets: &[(Dir, u8)]| {
            packets
                .iter()
                .scan(State::None, |s, (d, f)| {
                    *s = tcp_next(*s, *d, *f);
                    Some(*s)
                })
                .collect::<alloc::vec::Vec<_>>()
        };
        use Dir::{In, Out};
        let open = [(In, SYN), (Out, SYN | ACK), (In, ACK)];
        assert_eq!(walk(&open), [SynRecv, SynRecv, Established]);
        let then = |more: &[(Dir, u8)]| *walk(&[&open[..], more].concat()).last().unwrap();
        assert_eq!(then(&[(In, FIN | ACK)]), CloseWait);
        assert_eq!(then(&[(In, FIN | ACK), (Out, FIN | ACK)]), TimeWait);
        assert_eq!(then(&[(Out, FIN | ACK)]), FinWait);
        assert_eq!(then(&[(Out, FIN | ACK), (In, FIN | ACK)]), TimeWait);
        assert_eq!(then(&[(In, RST)]), Close);
        assert_eq!(then(&[(Out, RST | ACK)]), Close);
        assert_eq!(then(&[(In, 0)]), Close);
        assert_eq!(walk(&[(In, SYN), (Out, RST | ACK)]), [SynRecv, Close]);
        assert_eq!(walk(&[(In, SYN), (In, RST)]), [SynRecv, SynRecv]);
        assert_eq!(walk(&[(In, SYN), (In, ACK)]), [SynRecv, Established]);
        assert_eq!(then(&[(In, SYN)]), Established);
        assert_eq!(then(&[(In, FIN | ACK), (Out, FIN | ACK), (In, SYN)]), SynRecv);
    }

    #[test]
    fn rst_goes_before_syn_before_fin_before_ack() {
        for dir in [Dir::In, Dir::Out] {
            for s in State::ALL {
                assert_eq!(tcp_next(s, dir, RST | SYN | FIN | ACK), tcp_next(s, dir, RST));
                assert_eq!(tcp_next(s, dir, SYN | FIN | ACK), tcp_next(s, dir, SYN));
                assert_eq!(tcp_next(s, dir, FIN | ACK | PSH), tcp_next(s, dir, FIN));
            }
        }
    }

    #[test]
    fn a_first_timer_fires_no_later_than_what_an_end_in_order_files() {
        let mut t = Timeouts::default();
        let firsts = |t: &Timeouts| [SynRecv, Established, Close, Udp].map(|s| t.first(s).as_secs());
        assert_eq!(firsts(&t), [60, 60, 10, 300]);
        t.set(TimeWait, 1);
        assert_eq!(firsts(&t), [1, 1, 1, 300]);
        t.set(TimeWait, 120);
        t.set(Close, 5);
        t.set(Udp, 30);
        assert_eq!(firsts(&t), [60, 60, 5, 30]);
    }
}
