//! What the routes work with.

use super::capture::Captures;
use super::meter::Meter;
use crate::control::Control;
use crate::master::Master;
use crate::master::handle::{Handle, NoAnswer};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// See the module.
pub(super) struct App {
    pub(super) control: Control,
    pub(super) handle: Handle<Master>,
    /// When the program was started.
    pub(super) started: String,
    pub(super) captures: Captures,
    meter: OnceCell<Arc<Meter>>,
}

impl App {
    pub(super) fn new(control: Control, handle: Handle<Master>, started: String) -> App {
        App { control, handle, started, captures: Captures::default(), meter: OnceCell::new() }
    }

    /// Counters over time, from the moment when the master first answers.
    ///
    /// # Errors
    /// When it does not answer yet.
    pub(super) async fn meter(&self) -> Result<&Arc<Meter>, NoAnswer> {
        let make = || async {
            let meter = Arc::new(Meter::new(self.handle.clone()).await?);
            tokio::spawn(meter.clone().run());
            Ok(meter)
        };
        self.meter.get_or_try_init(make).await
    }
}
