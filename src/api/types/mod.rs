//! What the REST interface and its clients say to each other, field by field.
//!
//! Plain data: used by the routes, by `gatunctl` and `ipvsadm`, and by the journal, which keeps [`Edit`]s. Nothing here is
//! checked; that is done by `config`, which knows what fits together. Times are seconds unless the name says otherwise,
//! moments are RFC 3339 in UTC, addresses are of either family.
//!
//! # The routes, all below `/api/v1`
//!
//! | route | methods | body and answer |
//! |---|---|---|
//! | `/version` | GET | [`Version`] |
//! | `/health` | GET | [`Health`]; 503 while not ready |
//! | `/services` | GET, POST | [`Page`] of [`Service`] (`protocol`, `address`, `name`, `scheduler`, `laddr_pool`, `real`, `limit`, `after`); [`ServiceSpec`] |
//! | `/services/{id}` | GET, PUT, PATCH, DELETE | [`Service`]; [`ServiceSpec`]; [`ServicePatch`] |
//! | `/services/{id}/reals` | GET, POST | [`Page`] of [`Real`]; [`RealSpec`] |
//! | `/services/{id}/reals/{id}` | GET, PUT, PATCH, DELETE | [`Real`]; [`RealSpec`]; [`RealPatch`] |
//! | `/services/{id}/reals/{id}/drain` | GET, POST, DELETE | [`Drain`]; [`DrainSpec`] |
//! | `/laddr-pools`, `/laddr-pools/{name}` | GET, POST; GET, PUT, DELETE | [`LaddrPool`]; [`LaddrPoolSpec`] |
//! | `/routes`, `/routes/{id}` | GET, POST; GET, PUT, DELETE | [`Route`]; [`RouteSpec`] |
//! | `/neighbors`, `/neighbors/{address}` | GET; GET, PUT, DELETE | [`Neighbor`]; [`NeighborSpec`] |
//! | `/ports`, `/ports/{name}` | GET | [`Port`] |
//! | `/lcores`, `/lcores/{id}` | GET | [`Lcore`] |
//! | `/connections` | GET, DELETE | [`Page`] of [`Connection`] (`protocol`, `client`, `vip`, `local`, `real`, `state`, `limit`, `after`); [`Killed`] |
//! | `/connections/count` | GET | [`Count`] |
//! | `/stats` | GET | [`Stats`] |
//! | `/stats/zero` | POST | [`Done`] (`service`) |
//! | `/drops` | GET | [`Page`] of [`Drop`] |
//! | `/captures` | GET, POST | [`Page`] of [`Capture`]; [`CaptureSpec`], and a capture file as the frames come |
//! | `/captures/{id}` | GET, DELETE | [`Capture`] |
//! | `/timeouts` | GET, PUT, PATCH | [`Timeouts`]; [`TimeoutsSpec`] |
//! | `/transaction` | POST | [`Transaction`]; [`Applied`] |
//! | `/config` | GET, PUT | TOML; [`Applied`] (`dry_run`, `confirm`) |
//! | `/config/diff` | GET, POST | [`ConfigDiff`]: file and running state; TOML in the body and running state |
//! | `/config/confirm` | GET, POST, DELETE | [`Pending`]: what waits, keep it, undo it |
//! | `/config/generations`, `/config/generations/{n}` | GET | [`Page`] of [`Generation`]; TOML |
//! | `/config/rollback` | POST | [`Rollback`]; [`Applied`] |
//! | `/trace` | POST | [`TraceSpec`]; [`Trace`] |
//! | `/capacity` | GET | [`Page`] of [`Capacity`] |
//! | `/status` | GET | what `gatun status` shows |
//!
//! An answer with one thing is an [`Item`], with several a [`Page`]; both carry the configuration's generation, as does the
//! `ETag` header. A write with `If-Match: "n"` is refused with 412 when the configuration is no longer of generation n. A
//! write is answered with 202 instead of 200 or 201 when not every worker runs it after [`APPLY_WAIT_MS`]. What goes wrong is
//! a [`Problem`].

mod capture;
mod config;
mod live;
mod network;
mod object;
mod problem;
mod service;
mod stats;

pub use capture::{
    CAPTURE_COUNT, CAPTURE_COUNT_MAX, CAPTURE_SECONDS, CAPTURE_SECONDS_MAX, CAPTURE_SNAPLEN, Capture, CaptureDirection,
    CaptureFormat, CaptureProtocol, CaptureSpec,
};
pub use config::{
    Applied, ConfigDiff, Confirmation, Conflict, Done, Edit, EditResult, Generation, GenerationKind, Pending, Rollback,
    Transaction,
};
pub use live::{
    Capacity, Connection, Count, Drop, DroppedFrame, Health, HealthCheck, Killed, Trace, TraceSpec, TraceStep, Version,
};
pub use network::{
    LaddrPool, LaddrPoolSpec, Lcore, Neighbor, NeighborSpec, NeighborState, Port, PortSteering, Route, RouteSpec,
};
pub use problem::{Fault, Problem};
pub use service::{
    Drain, DrainSpec, DrainState, OnServerRemoved, Protocol, Real, RealPatch, RealSpec, Scheduler, Service,
    ServicePatch, ServiceSpec, Timeouts, TimeoutsSpec,
};
pub use stats::{
    Counted, LaddrStats, LcoreStats, PortStats, Rate, Rates, RealStats, Reason, ServiceStats, Stats, Totals,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a write waits for every worker to run it before it is answered with 202, milliseconds.
pub const APPLY_WAIT_MS: u64 = 2_000;
/// The most items of a page.
pub const PAGE_MAX: usize = 1_000;
/// The items of a page when nobody says how many.
pub const PAGE: usize = 100;

/// One thing, and the generation of the configuration at that moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Item<T> {
    /// Counts the configurations, over restarts too.
    pub generation: u64,
    /// The thing.
    #[serde(flatten)]
    pub item: T,
}

/// Several things, and where to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// Counts the configurations, over restarts too.
    pub generation: u64,
    /// In a stable order.
    pub items: Vec<T>,
    /// How many there are on all pages; absent where it would take a look at each of very many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// To be given as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_tells_null_from_absent() {
        let patch: ServicePatch = serde_json::from_str(r#"{"name": null, "scheduler": "rr"}"#).unwrap();
        assert_eq!(
            (patch.name.clone(), patch.scheduler, patch.mss_clamp),
            (Some(None), Some(Some(Scheduler::Rr)), None)
        );
        assert_eq!(serde_json::to_string(&patch).unwrap(), r#"{"name":null,"scheduler":"rr"}"#);
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused_by_name() {
        let error = serde_json::from_str::<RealSpec>(r#"{"address": "198.18.2.21:80", "wieght": 1}"#).unwrap_err();
        assert!(error.to_string().contains("wieght"), "{error}");
    }

    #[test]
    fn a_list_of_the_fields_in_their_order_is_no_object_at_any_depth() {
        for text in [
            r#"["198.18.2.21:80", 1]"#,
            r#"{"changes": [["clear_services"]]}"#,
            r#"{"changes": [{"op": "put_timeouts", "timeouts": [null, null]}]}"#,
            r#"{"changes": [{"op": "add_real", "service": "x", "real": ["198.18.2.21:80", 1]}]}"#,
            r#"{"protocol": "tcp", "address": "198.18.1.100:80", "timeouts": []}"#,
            r#"{"protocol": "tcp", "address": "198.18.1.100:80", "reals": [["198.18.2.21:80", 1]]}"#,
            r#"{"timeouts": []}"#,
            r#"{"reals": [["198.18.2.21:80"]]}"#,
        ] {
            let errors = [
                serde_json::from_str::<RealSpec>(text).unwrap_err(),
                serde_json::from_str::<Transaction>(text).unwrap_err(),
                serde_json::from_str::<ServiceSpec>(text).unwrap_err(),
                serde_json::from_str::<ServicePatch>(text).unwrap_err(),
            ];
            let said = errors.iter().filter(|e| e.to_string().contains("sequence, expected an object")).count();
            assert!(said > 0, "{text}: {errors:?}");
        }
    }

    #[test]
    fn a_service_reads_with_addresses_of_either_family_and_only_what_must_be_there() {
        for address in ["198.18.1.100:80", "[2001:db8::1]:80"] {
            let text = format!(r#"{{"protocol": "tcp", "address": "{address}"}}"#);
            let spec: ServiceSpec = serde_json::from_str(&text).unwrap();
            assert_eq!(spec.address.to_string(), address);
            assert_eq!(serde_json::from_str::<ServiceSpec>(&serde_json::to_string(&spec).unwrap()).unwrap(), spec);
        }
    }

    #[test]
    fn a_thing_and_its_generation_are_one_object() {
        let item = Item { generation: 7, item: Count { count: 3 } };
        assert_eq!(serde_json::to_string(&item).unwrap(), r#"{"generation":7,"count":3}"#);
    }
}
