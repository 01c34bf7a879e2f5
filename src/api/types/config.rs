//! The configuration as a whole: changes, transactions, generations.

use super::object::objects;
use super::{LaddrPoolSpec, NeighborSpec, RealPatch, RealSpec, RouteSpec, ServicePatch, ServiceSpec, TimeoutsSpec};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

objects!(Edit, Transaction, Rollback);

/// One change of the configuration. What is put is made or replaced; what is added must not be there yet; what is patched or
/// deleted must be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields, remote = "Self")]
#[allow(missing_docs, reason = "the ids and specs of what a variant is about")]
pub enum Edit {
    /// A service that is not there yet.
    AddService { service: ServiceSpec },
    /// A service, with all its real servers.
    PutService { service: ServiceSpec },
    /// Some settings of a service.
    PatchService { id: String, patch: ServicePatch },
    /// A service and its real servers go.
    DeleteService { id: String },
    /// Every service goes.
    ClearServices {},
    /// A real server that the service does not have yet.
    AddReal { service: String, real: RealSpec },
    /// A real server of a service.
    PutReal { service: String, real: RealSpec },
    /// Another weight.
    PatchReal { service: String, id: String, patch: RealPatch },
    /// A real server goes.
    DeleteReal { service: String, id: String },
    /// A pool that is not there yet.
    AddLaddrPool { laddr_pool: LaddrPoolSpec },
    /// A pool.
    PutLaddrPool { laddr_pool: LaddrPoolSpec },
    /// A pool goes; no service may take from it.
    DeleteLaddrPool { name: String },
    /// A route to destinations that have none yet.
    AddRoute { route: RouteSpec },
    /// A route.
    PutRoute { route: RouteSpec },
    /// A route goes.
    DeleteRoute { id: String },
    /// A static neighbour.
    PutNeighbor { neighbor: NeighborSpec },
    /// A static neighbour goes.
    DeleteNeighbor {
        #[schema(value_type = String, format = "ip-address")]
        address: IpAddr,
        /// Of which interface, where several have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
    },
    /// The gateway's timeouts: what is absent is the default.
    PutTimeouts { timeouts: TimeoutsSpec },
    /// The gateway's timeouts: what is absent stays.
    PatchTimeouts { timeouts: TimeoutsSpec },
}

/// Several changes: all are made, at once for every packet, or none is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Transaction {
    /// In this order.
    pub changes: Vec<Edit>,
}

/// What a change of the configuration did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// The generation that has it; the one that was there when nothing changed, or with `dry_run`.
    pub generation: u64,
    /// Every worker runs it.
    pub running: bool,
    /// Nothing was done, as was asked for.
    pub dry_run: bool,
    /// What is different, a line each.
    pub changes: Vec<String>,
    /// It is undone unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirmation>,
}

/// A change that is done and waits for a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Confirmation {
    /// The generation that is to be confirmed.
    pub generation: u64,
    /// The generation that comes back otherwise.
    pub back_to: u64,
    /// When.
    pub until: String,
}

/// What waits to be confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    /// The configuration's generation.
    pub generation: u64,
    /// Absent when nothing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirmation>,
}

/// It is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// The configuration's generation.
    pub generation: u64,
    /// Every worker runs it.
    pub running: bool,
}

/// What an edit was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EditResult {
    /// The id of what was made, replaced or taken out.
    pub id: String,
    /// It was not there before.
    pub created: bool,
}

/// A difference of two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigDiff {
    /// The configuration's generation.
    pub generation: u64,
    /// What would change, a line each: from the file to what runs; or from what runs to the text in the body.
    pub changes: Vec<String>,
    /// Where the last file that was applied and a change by this interface set the same field, and the file won.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
}

/// A field that the file and this interface both changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// The field, as in `service["tcp-198.18.1.100-80"].scheduler`.
    pub field: String,
    /// What this interface had set; absent where it had taken it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// What the file says, and what holds; absent where the file took it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A configuration that was, or is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Generation {
    /// Its number.
    pub generation: u64,
    /// When it came.
    pub at: String,
    /// Who brought it: `uid 0`, the name of a token, `file`, `gatun`.
    pub who: String,
    /// How.
    pub kind: GenerationKind,
    /// What was different from the one before, a line each.
    pub changes: Vec<String>,
}

/// How a generation came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GenerationKind {
    /// The file at the start.
    Start,
    /// The file on SIGHUP.
    Reload,
    /// Changes by this interface.
    Edit,
    /// All of it, by this interface.
    Replace,
    /// An earlier one again.
    Rollback,
    /// Nobody confirmed it.
    NotConfirmed,
    /// A drain came to its end.
    Drained,
}

impl GenerationKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            GenerationKind::Start => "start",
            GenerationKind::Reload => "reload",
            GenerationKind::Edit => "edit",
            GenerationKind::Replace => "replace",
            GenerationKind::Rollback => "rollback",
            GenerationKind::NotConfirmed => "not_confirmed",
            GenerationKind::Drained => "drained",
        }
    }
}

/// Back to an earlier generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Rollback {
    /// Which.
    #[schema(example = 1)]
    pub generation: u64,
}
