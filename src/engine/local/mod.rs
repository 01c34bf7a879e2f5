//! What we say ourselves: ARP, ICMP, RST, as pure responders. The master lcore runs them; the worker only writes RSTs.
pub mod write;
