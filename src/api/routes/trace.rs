//! What becomes of packets: the frames that were thrown away, the way that a tuple would take, the limit that binds next.

use super::{Answer, App, BASE, Query, item, page};
use crate::api::answer::{Body, Fail, Reader};
use crate::api::types::{Capacity, Drop, DroppedFrame, Item, Page, Problem, Trace, TraceSpec};
use crate::control::clock;
use gatun_engine::lcore::dropped::Dropped;
use gatun_engine::time::HZ;
use gatun_engine::verdict::DropReason;
use rocket::{State, get, post, routes};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(drops, trace, capacity))]
pub(super) struct Document;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![drops, trace, capacity]
}

/// Every reason for which frames were thrown away, with the last of them. Of each reason one frame in 1/64 s is kept.
#[utoipa::path(context_path = BASE, tag = "stats",
    params(("reason" = Option<String>, Query, description = "one reason"),
        ("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Drop>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/drops")]
async fn drops(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&["reason", "limit", "after"])?;
    let wanted = match query.text("reason") {
        None => None,
        Some(label) => Some(DropReason::from_label(label).ok_or_else(|| Fail::not_found("drop reason", label))?),
    };
    let (counts, logs) = (app.handle.counts().await?, app.handle.dropped().await?);
    let (generation, now, places, ports) =
        app.handle.ask(|m| (m.generation(), m.now(), m.workers(), m.links())).await?;
    let mut items = Vec::new();
    for reason in DropReason::ALL.iter().copied().filter(|r| wanted.is_none_or(|wanted| wanted == *r)) {
        let mut last: Vec<(u32, DroppedFrame)> = Vec::new();
        for (log, place) in logs.iter().zip(&places) {
            for frame in log.iter().flat_map(|log| log.of(reason)) {
                let ago = now.since(frame.at).0;
                let port = ports.get(frame.port.index()).map(|(name, _)| name.clone()).unwrap_or_default();
                last.push((ago, shown(frame, ago, port, place.lcore)));
            }
        }
        last.sort_by_key(|(ago, _)| *ago);
        items.push(Drop {
            reason: reason.label().to_owned(),
            help: reason.help().to_owned(),
            count: counts.iter().map(|c| c.drops[reason as usize].value()).sum(),
            last: last.into_iter().take(16).map(|(_, frame)| frame).collect(),
        });
    }
    page(generation, items, &query, |d| d.reason.clone())
}

fn shown(frame: &Dropped, ago: u32, port: String, lcore: u32) -> DroppedFrame {
    let tuple = tuple(frame.head());
    DroppedFrame {
        at: clock::before(Duration::from_millis(u64::from(ago) * 1_000 / u64::from(HZ))),
        port,
        lcore,
        len: frame.len,
        protocol: tuple.map(|(protocol, ..)| protocol),
        src: tuple.map(|(_, src, _)| src),
        dst: tuple.map(|(.., dst)| dst),
    }
}

/// Protocol, source and destination, as far as the bytes say them; port 0 where there is none.
fn tuple(bytes: &[u8]) -> Option<(u8, SocketAddr, SocketAddr)> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (mut at, mut kind) = (14, word(12)?);
    // One tag, or two.
    for _ in 0..2 {
        if matches!(kind, 0x8100 | 0x88a8) {
            (kind, at) = (word(at + 2)?, at + 4);
        }
    }
    let (protocol, src, dst, l4): (u8, IpAddr, IpAddr, usize) = match kind {
        0x0800 => {
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
            let header = usize::from(bytes.get(at)? & 0xf) * 4;
            (*bytes.get(at + 9)?, address(at + 12)?.into(), address(at + 16)?.into(), at + header)
        }
        0x86dd => {
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
            (*bytes.get(at + 6)?, address(at + 8)?.into(), address(at + 24)?.into(), at + 40)
        }
        _ => return None,
    };
    let port = |at| word(at).filter(|_| matches!(protocol, 6 | 17)).unwrap_or_default();
    Some((protocol, SocketAddr::new(src, port(l4)), SocketAddr::new(dst, port(l4 + 2))))
}

/// What the gateway would do with the first packet of a client, and why. Nothing is opened, and no scheduler moves on.
#[utoipa::path(context_path = BASE, tag = "stats", request_body = TraceSpec,
    responses((status = 200, body = Item<Trace>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/trace", data = "<body>")]
async fn trace(_who: Reader, app: &State<App>, body: Body<TraceSpec>) -> Answer {
    let spec = body.0;
    if spec.client.is_ipv4() != spec.vip.is_ipv4() {
        let remedy = "give client and VIP of the same family";
        let fail = Fail::new(422, "invalid", "Two families", "a packet has addresses of one family", remedy);
        return Err(fail.field("client", Some(&spec.client.to_string())));
    }
    let (generation, trace) = app.handle.ask(move |m| (m.generation(), m.trace(&spec))).await?;
    item(generation, trace)
}

/// How near each limit is, the nearest first: the first is the one that binds next.
#[utoipa::path(context_path = BASE, tag = "stats",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Capacity>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/capacity")]
async fn capacity(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&["limit", "after"])?;
    let (generation, limits) = limits(app).await?;
    page(generation, limits, &query, |c| format!("{}/{}", c.limit, c.of.as_deref().unwrap_or_default()))
}

/// The generation, and the limits, the nearest first.
pub(super) async fn limits(app: &App) -> Result<(u64, Vec<Capacity>), Fail> {
    let look = app.meter().await?.look().await?;
    let (generation, mut limits, places) = app.handle.ask(|m| (m.generation(), m.capacity(), m.workers())).await?;
    for (at, place) in places.iter().enumerate() {
        let (busy, _) = look.load(at);
        limits.push(Capacity {
            limit: "worker".to_owned(),
            of: Some(format!("lcore {}", place.lcore)),
            used: (busy * 100.0).round() as u64,
            room: 100,
            share: busy,
            binds: format!("it finds frames in {:.0} % of its turns now", busy * 100.0),
            remedy: "give gatun more workers (lcores.workers), each with a CPU of its own".to_owned(),
        });
    }
    limits.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok((generation, limits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::testkit::Packet;

    #[test]
    fn a_frame_shows_its_tuple_as_far_as_it_has_one() {
        let udp = Packet::udp("198.18.1.1:4000", "198.18.1.100:53").build();
        let (src, dst) = ("198.18.1.1:4000".parse().unwrap(), "198.18.1.100:53".parse().unwrap());
        assert_eq!(tuple(&udp), Some((17, src, dst)));
        let mut tagged = udp.clone();
        tagged.splice(12..12, [0x81, 0, 0, 100]);
        assert_eq!(tuple(&tagged), Some((17, src, dst)));
        for cut in 0..34 {
            assert_eq!(tuple(&udp[..cut]), None, "{cut} bytes");
        }
        assert_eq!(tuple(&udp[..36]).map(|(_, _, dst)| dst.port()), Some(0));
        assert_eq!(tuple(&Packet::arp_request("02:00:00:00:00:09", "198.18.1.1", "198.18.1.254").build()), None);
    }
}
