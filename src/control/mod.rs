//! The configuration and who changes it: the file, and the requests of the REST interface.
//!
//! One ordinary thread, the keeper, owns what is written. A change is checked, given to the master, which compiles and
//! publishes it, then kept in the journal, and only then acknowledged; changes that come together go together. Whoever only
//! wants to see what there is reads [`State`], which the keeper puts out after each change. Nothing here touches a packet, and
//! nothing here is done by the master.

pub mod clock;
pub mod document;
mod drain;
mod edit;
mod keeper;
mod merge;
mod publish;
mod record;
mod refusal;
pub mod services;
#[cfg(test)]
mod tests;
mod working;

pub use drain::{Drain, Drains};
pub use keeper::{Keeper, OpenError, Publish};
pub use record::{Entry, KEPT};
pub use refusal::Refusal;
pub use working::Working;

use crate::api::types::{Confirmation, DrainSpec, Edit, EditResult};
use crate::config::Model;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::oneshot;

/// Requests that may wait.
const WAITING: usize = 1_024;

/// What somebody wants of the configuration.
#[derive(Clone, Debug)]
pub enum Ask {
    /// These changes, all or none.
    Edit(Vec<Edit>),
    /// This text in the place of everything; undone after so many seconds without a word.
    Replace {
        /// TOML.
        text: String,
        /// Seconds.
        confirm: Option<u32>,
    },
    /// An earlier generation again.
    Rollback(u64),
    /// The change that waits for a word is to stay.
    Confirm,
    /// The change that waits for a word is to go.
    Undo,
    /// A real server is to go when its connections have ended.
    Drain {
        /// Its service's id.
        service: String,
        /// Its id.
        real: String,
        /// How.
        spec: DrainSpec,
    },
    /// It is to stay after all.
    Undrain {
        /// Its service's id.
        service: String,
        /// Its id.
        real: String,
    },
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks, for the history.
    pub who: String,
    /// Only when the configuration is of this generation.
    pub if_generation: Option<u64>,
    /// Only say what would be.
    pub dry_run: bool,
    /// What.
    pub ask: Ask,
}

/// What came of it. It is in the journal, and on its way to the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The generation that has it.
    pub generation: u64,
    /// What each edit was about.
    pub results: Vec<EditResult>,
    /// What is different, a line each.
    pub changes: Vec<String>,
    /// It waits for a word.
    pub confirm: Option<Confirmation>,
}

/// What there is.
#[derive(Clone, Debug)]
pub struct State {
    /// The configuration's generation; after a change that could not be kept it is ahead of the last of the history.
    pub generation: u64,
    /// What it means.
    pub model: Arc<Model>,
    /// The last generations, the newest last. Never empty.
    pub history: Arc<VecDeque<Arc<Entry>>>,
    /// Why the journal takes nothing, if it does not.
    pub journal: Option<String>,
    /// What was lost of a damaged journal, a line each.
    pub lost: Arc<Vec<String>>,
}

impl State {
    /// The newest generation.
    pub fn last(&self) -> Option<&Entry> {
        self.history.back().map(|e| &**e)
    }
}

type Waiting = (Request, oneshot::Sender<Result<Outcome, Refusal>>);

/// The way to the keeper, and a view of what it keeps.
#[derive(Clone)]
pub struct Control {
    to: SyncSender<Waiting>,
    state: Arc<RwLock<Arc<State>>>,
}

impl Control {
    /// What there is.
    pub fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a change. When this returns well, the change survives whatever happens.
    ///
    /// # Errors
    /// When it is refused; then nothing was changed.
    pub async fn change(&self, request: Request) -> Result<Outcome, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.to.try_send((request, reply)).map_err(|e| match e {
            TrySendError::Full(_) => Refusal::Busy,
            TrySendError::Disconnected(_) => Refusal::Stopping,
        })?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }
}

/// The keeper's end.
pub struct Desk {
    from: Receiver<Waiting>,
    state: Arc<RwLock<Arc<State>>>,
}

impl Desk {
    fn put_out(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }
}

/// Both ends.
fn channel(state: State) -> (Control, Desk) {
    let (to, from) = sync_channel(WAITING);
    let state = Arc::new(RwLock::new(Arc::new(state)));
    (Control { to, state: state.clone() }, Desk { from, state })
}
