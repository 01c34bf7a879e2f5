//! Captures: frames for tcpdump.

use super::object::objects;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

objects!(CaptureSpec);

/// Frames of a capture, when nobody says how many.
pub const CAPTURE_COUNT: u64 = 10_000;
/// Frames of a capture, at most.
pub const CAPTURE_COUNT_MAX: u64 = 1_000_000;
/// Seconds of a capture, when nobody says how many.
pub const CAPTURE_SECONDS: u64 = 60;
/// Seconds of a capture, at most.
pub const CAPTURE_SECONDS_MAX: u64 = 300;
/// Bytes of a frame: least, and most, which is taken when nobody says how many.
pub const CAPTURE_SNAPLEN: [u64; 2] = [14, 16_384];

/// Which frames, and how many of them. All conditions hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct CaptureSpec {
    /// Only of this port: where frames came in, and where they went out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Received frames, sent ones, or both (as when nothing is said).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<CaptureDirection>,
    /// In place of these, frames that are thrown away: for this reason, or for `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<String>,
    /// Only of this protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<CaptureProtocol>,
    /// Only from and to this address, or address and port, as in `198.18.1.1:40000` or `[2001:db8::1]:80`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Only between `host` and this one, in both directions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Bytes of a frame that are kept, 14 to 16384; all that there may be when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 14, maximum = 16384)]
    pub snaplen: Option<u64>,
    /// Ends after so many frames, 1 to 1000000; 10000 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000000)]
    pub count: Option<u64>,
    /// Ends after so many seconds, 1 to 300; 60 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 300)]
    pub seconds: Option<u64>,
    /// As what; pcap when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<CaptureFormat>,
}

/// Which way frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureDirection {
    /// As they were received.
    Rx,
    /// As the port took them.
    Tx,
    /// Both.
    Both,
}

/// What frames carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6.
    Icmp,
}

/// Capture files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureFormat {
    /// What everything reads, `gatun replay` too.
    #[default]
    Pcap,
    /// With the names of the ports, and with each frame its direction, its lcore, and why it was thrown away.
    Pcapng,
}

/// A capture that runs, or one of the last that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capture {
    /// Its number.
    pub id: u64,
    /// Who began it.
    pub who: String,
    /// When.
    pub since: String,
    /// Whether it goes on.
    pub running: bool,
    /// Frames that were handed on so far.
    pub frames: u64,
    /// Frames that matched and found no room: whoever reads is slower than they come.
    pub lost: u64,
    /// What was asked for.
    pub spec: CaptureSpec,
}
