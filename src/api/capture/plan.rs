//! What a capture is to be, from what was asked for.

use crate::api::answer::Fail;
use crate::api::types::{
    CAPTURE_COUNT, CAPTURE_COUNT_MAX, CAPTURE_SECONDS, CAPTURE_SECONDS_MAX, CAPTURE_SNAPLEN, CaptureDirection,
    CaptureFormat, CaptureProtocol, CaptureSpec,
};
use gatun_engine::addr::{Be16, PortId};
use gatun_engine::lcore::capture::{End, Filter, Points, Protocol};
use gatun_engine::verdict::DropReason;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What drops for any reason are called.
const ANY: &str = "any";

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct Plan {
    pub(in crate::api) filter: Filter,
    pub(in crate::api) snaplen: usize,
    pub(in crate::api) count: u64,
    pub(in crate::api) seconds: Duration,
    pub(in crate::api) format: CaptureFormat,
}

impl Plan {
    /// From a request, on a gateway with these ports.
    ///
    /// # Errors
    /// Which field is wrong, and what may stand there.
    pub(in crate::api) fn of(spec: &CaptureSpec, ports: &[String]) -> Result<Plan, Fail> {
        let [least, most] = CAPTURE_SNAPLEN;
        let seconds = bound("seconds", spec.seconds, 1..=CAPTURE_SECONDS_MAX, CAPTURE_SECONDS)?;
        Ok(Plan {
            filter: filter(spec, ports)?,
            snaplen: bound("snaplen", spec.snaplen, least..=most, most)? as usize,
            count: bound("count", spec.count, 1..=CAPTURE_COUNT_MAX, CAPTURE_COUNT)?,
            seconds: Duration::from_secs(seconds),
            format: spec.format.unwrap_or_default(),
        })
    }
}

fn filter(spec: &CaptureSpec, ports: &[String]) -> Result<Filter, Fail> {
    let port = spec.port.as_deref().map(|name| match ports.iter().position(|known| known == name) {
        Some(at) => Ok(PortId(at as u8)),
        None => Err(wrong("port", name, "there is no such port", format!("give one of {}", ports.join(", ")))),
    });
    let points = match (spec.direction, spec.drop.as_deref()) {
        (None | Some(CaptureDirection::Both), None) => Points::Both,
        (Some(CaptureDirection::Rx), None) => Points::Received,
        (Some(CaptureDirection::Tx), None) => Points::Sent,
        (None, Some(ANY)) => Points::Dropped(None),
        (None, Some(label)) => match DropReason::from_label(label) {
            Some(reason) => Points::Dropped(Some(reason)),
            None => {
                let remedy =
                    format!("give {ANY}, or one of the reasons that /api/v1/drops lists (gatunctl drops --all)");
                return Err(wrong("drop", label, "nothing is dropped for this reason", remedy));
            }
        },
        (Some(_), Some(label)) => {
            let detail = "frames that are dropped go neither way";
            return Err(wrong("drop", label, detail, "leave out drop or direction".to_owned()));
        }
    };
    let protocol = spec.protocol.map(|protocol| match protocol {
        CaptureProtocol::Tcp => Protocol::Tcp,
        CaptureProtocol::Udp => Protocol::Udp,
        CaptureProtocol::Icmp => Protocol::Icmp,
    });
    let host = spec.host.as_deref().map(|text| end("host", text)).transpose()?;
    let peer = spec.peer.as_deref().map(|text| end("peer", text)).transpose()?;
    if let (Some(peer), text) = (peer, spec.peer.as_deref().unwrap_or_default()) {
        match host {
            None => return Err(wrong("peer", text, "there is no host that it is the peer of", "give host".to_owned())),
            Some(host) if host.addr.family() != peer.addr.family() => {
                let remedy = "give both of the same family: a frame has addresses of one";
                return Err(wrong("peer", text, "host is of another family", remedy.to_owned()));
            }
            Some(_) => {}
        }
    }
    let ends = [host, peer].into_iter().flatten().collect();
    Ok(Filter { points, port: port.transpose()?, protocol, ends })
}

/// An address, or address and port.
fn end(field: &str, text: &str) -> Result<End, Fail> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(End { addr: addr.into(), port: None });
    }
    let remedy = "write an address, or address and port, as in 198.18.1.1:40000 or [2001:db8::1]:80";
    let both: SocketAddr = text.parse().map_err(|_| wrong(field, text, "this is no address", remedy.to_owned()))?;
    Ok(End { addr: both.ip().into(), port: Some(Be16::new(both.port())) })
}

fn bound(field: &str, given: Option<u64>, range: RangeInclusive<u64>, otherwise: u64) -> Result<u64, Fail> {
    let value = given.unwrap_or(otherwise);
    if range.contains(&value) {
        return Ok(value);
    }
    let remedy = format!("give a number from {} to {}", range.start(), range.end());
    Err(wrong(field, &value.to_string(), "a capture is bounded", remedy))
}

fn wrong(field: &str, value: &str, detail: &str, remedy: String) -> Fail {
    Fail::new(422, "invalid", "Not a capture", detail, remedy).field(field, Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn plan(spec: Value) -> Result<Plan, Fail> {
        let ports = ["wan", "lan"].map(str::to_owned);
        Plan::of(&serde_json::from_value(spec).unwrap(), &ports)
    }

    #[test]
    fn what_is_not_said_is_everything_within_bounds() {
        let plan = plan(json!({})).unwrap();
        let filter = Filter { points: Points::Both, port: None, protocol: None, ends: Default::default() };
        let (seconds, format) = (Duration::from_secs(60), CaptureFormat::Pcap);
        assert_eq!(plan, Plan { filter, snaplen: 16_384, count: 10_000, seconds, format });
    }

    #[test]
    fn every_field_is_a_condition() {
        let asked = json!({"port": "lan", "direction": "tx", "protocol": "icmp", "host": "2001:db8::1",
            "peer": "[2001:db8::2]:80", "snaplen": 14, "count": 1_000_000, "seconds": 300, "format": "pcapng"});
        let plan = plan(asked).unwrap();
        assert_eq!((plan.filter.points, plan.filter.port), (Points::Sent, Some(PortId(1))));
        let end = |text: &str, port| End { addr: text.parse::<IpAddr>().unwrap().into(), port };
        let ends = [end("2001:db8::1", None), end("2001:db8::2", Some(Be16::new(80)))];
        assert_eq!((plan.filter.protocol, plan.filter.ends.as_slice()), (Some(Protocol::Icmp), &ends[..]));
        let limits = (plan.snaplen, plan.count, plan.seconds.as_secs(), plan.format);
        assert_eq!(limits, (14, 1_000_000, 300, CaptureFormat::Pcapng));
    }

    #[test]
    fn drops_are_those_of_a_reason_or_of_any() {
        let points = |reason: &str| plan(json!({"drop": reason})).unwrap().filter.points;
        assert_eq!(points("any"), Points::Dropped(None));
        assert_eq!(points("tx_full"), Points::Dropped(Some(DropReason::TxFull)));
    }

    #[test]
    fn what_is_wrong_is_named_with_field_value_and_remedy() {
        for (spec, field, value) in [
            (json!({"port": "dmz"}), "port", "dmz"),
            (json!({"drop": "bad_luck"}), "drop", "bad_luck"),
            (json!({"drop": "any", "direction": "rx"}), "drop", "any"),
            (json!({"host": "somewhere"}), "host", "somewhere"),
            (json!({"host": "198.18.1.1:99999"}), "host", "198.18.1.1:99999"),
            (json!({"host": "2001:db8::1:80:x"}), "host", "2001:db8::1:80:x"),
            (json!({"peer": "198.18.1.1"}), "peer", "198.18.1.1"),
            (json!({"host": "198.18.1.1", "peer": "2001:db8::1"}), "peer", "2001:db8::1"),
            (json!({"snaplen": 13}), "snaplen", "13"),
            (json!({"snaplen": 16_385}), "snaplen", "16385"),
            (json!({"count": 0}), "count", "0"),
            (json!({"count": 1_000_001}), "count", "1000001"),
            (json!({"seconds": 0}), "seconds", "0"),
            (json!({"seconds": u64::MAX}), "seconds", "18446744073709551615"),
        ] {
            let problem = plan(spec.clone()).unwrap_err().0;
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some(field)), "{spec}");
            assert_eq!(problem.value.as_deref(), Some(value), "{spec}");
            assert!(!problem.remedy.is_empty());
        }
    }
}
