//! Why a change is not made. Each says what to do.

use crate::config::Problem;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing of that name.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What it would be.
        what: &'static str,
        /// What it was called.
        id: String,
    },
    /// It is there already.
    #[error("the {what} {id:?} is there already")]
    Exists {
        /// What it is.
        what: &'static str,
        /// What it is called.
        id: String,
    },
    /// Something else needs it.
    #[error("the {what} {id:?} is in use by {by:?}")]
    InUse {
        /// What it is.
        what: &'static str,
        /// What it is called.
        id: String,
        /// Who needs it.
        by: String,
    },
    /// The configuration would not be right. Never empty.
    #[error("the configuration would not be right: {}", first(.0))]
    Invalid(Vec<Problem>),
    /// A text that is no configuration of this version.
    #[error("{0}")]
    Text(String),
    /// A table is too small.
    #[error("{0}")]
    Room(String),
    /// Somebody else was faster.
    #[error("the configuration is of generation {is}, and the change was made for generation {wanted}")]
    Generation {
        /// What the change was made for.
        wanted: u64,
        /// What there is.
        is: u64,
    },
    /// What was done before waits for a word.
    #[error("generation {generation} waits until {until} to be confirmed")]
    Unconfirmed {
        /// Which.
        generation: u64,
        /// Until when.
        until: String,
    },
    /// Nothing waits for a word.
    #[error("no change waits to be confirmed")]
    NothingToConfirm,
    /// It is not on its way out.
    #[error("the real server {0:?} does not drain")]
    NoDrain(String),
    /// The journal does not take it.
    #[error("the change can not be kept, and was not made: {0}")]
    Journal(String),
    /// The gateway ends.
    #[error("the gateway is stopping")]
    Stopping,
    /// More changes than can be looked at wait.
    #[error("too many changes wait already")]
    Busy,
}

impl Refusal {
    pub(super) fn not_found(what: &'static str, id: &str) -> Refusal {
        Refusal::NotFound { what, id: id.to_owned() }
    }

    pub(super) fn exists(what: &'static str, id: &str) -> Refusal {
        Refusal::Exists { what, id: id.to_owned() }
    }
}

fn first(problems: &[Problem]) -> String {
    problems.first().map(|p| format!("{}: {}", p.field, p.what)).unwrap_or_default()
}
