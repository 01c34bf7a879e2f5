//! `gatunctl config`.

use super::live::raw;
use super::table::table;
use super::{Ctl, Done, Trouble, applied_text};
use crate::api::types::{Applied, ConfigDiff, Generation, Pending, Rollback};
use crate::client::Ask;
use std::io::Read;
use std::path::{Path, PathBuf};

const TOML: &str = "application/toml";

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Print it as a file that `gatun run` takes.
    Export,
    /// Put a file in its place, at once for every packet or not at all.
    #[command(after_help = "Examples:
  gatunctl config apply gatun.toml --dry-run
  gatunctl config apply gatun.toml --confirm 60 && gatunctl config confirm
  gatunctl config export | sed s/wlc/wrr/ | gatunctl config apply -")]
    Apply {
        /// The file; - for standard input.
        file: PathBuf,
        /// Undo it after so many seconds unless `gatunctl config confirm` comes before.
        #[arg(long, value_name = "SECONDS")]
        confirm: Option<u32>,
    },
    /// Keep what waits to be confirmed.
    Confirm,
    /// Undo what waits to be confirmed, now.
    Undo,
    /// Say what waits to be confirmed.
    Pending,
    /// What runs beside a file; without one, beside the last file that was applied.
    Diff {
        /// The file; - for standard input.
        file: Option<PathBuf>,
    },
    /// The last generations: who, when, what.
    History,
    /// Print a generation as a file.
    Show {
        /// Which.
        generation: u64,
    },
    /// Back to a generation.
    Rollback {
        /// Which.
        generation: u64,
    },
}

pub(super) fn run(ctl: &Ctl, command: Command) -> Done {
    let client = &ctl.client;
    match command {
        Command::Export => raw(&client.answer("GET", "/api/v1/config", &Ask::default(), None)?),
        Command::Show { generation } => {
            raw(&client.answer("GET", &format!("/api/v1/config/generations/{generation}"), &Ask::default(), None)?)
        }
        Command::Apply { file, confirm } => {
            let mut query = ctl.dry_run();
            if let Some(seconds) = confirm {
                query.push(("confirm", seconds.to_string()));
            }
            let answer = client.answer("PUT", "/api/v1/config", &ctl.ask(&query), Some((TOML, read(&file)?)))?;
            ctl.show(&parsed::<Applied>(&answer)?, applied_text)
        }
        Command::Confirm => applied(ctl, "POST", "/api/v1/config/confirm", None::<&()>),
        Command::Undo => applied(ctl, "DELETE", "/api/v1/config/confirm", None::<&()>),
        Command::Pending => {
            let pending: Pending = client.get("/api/v1/config/confirm", &[])?;
            ctl.show(&pending, |pending| match &pending.confirm {
                Some(c) => format!("generation {} waits; {} comes back at {}", c.generation, c.back_to, c.until),
                None => "nothing waits".to_owned(),
            })
        }
        Command::Diff { file } => {
            let answer = match file {
                Some(file) => {
                    client.answer("POST", "/api/v1/config/diff", &Ask::default(), Some((TOML, read(&file)?)))?
                }
                None => client.answer("GET", "/api/v1/config/diff", &Ask::default(), None)?,
            };
            ctl.show(&parsed::<ConfigDiff>(&answer)?, diff_text)
        }
        Command::History => {
            let generations: Vec<Generation> = client.list("/api/v1/config/generations", &[], usize::MAX)?;
            ctl.show(&generations, |list| history(list))
        }
        Command::Rollback { generation } => {
            applied(ctl, "POST", "/api/v1/config/rollback", Some(&Rollback { generation }))
        }
    }
}

fn applied(ctl: &Ctl, method: &str, path: &str, body: Option<&impl serde::Serialize>) -> Done {
    let query = if path.ends_with("rollback") { ctl.dry_run() } else { Vec::new() };
    let applied: Applied = ctl.client.send(method, path, &ctl.ask(&query), body)?;
    ctl.show(&applied, applied_text)
}

fn parsed<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(bytes).map_err(|e| Trouble::Unwell(format!("the gateway's answer can not be read: {e}")))
}

fn read(file: &Path) -> Result<Vec<u8>, Trouble> {
    let mut text = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).map_err(Trouble::system("standard input"))?;
    } else {
        text = std::fs::read(file).map_err(Trouble::system(file.display().to_string()))?;
    }
    Ok(text)
}

fn diff_text(diff: &ConfigDiff) -> String {
    let mut text: String = diff.changes.iter().map(|line| format!("{line}\n")).collect();
    if diff.changes.is_empty() {
        text.push_str("no difference\n");
    }
    for c in &diff.conflicts {
        let or_out = |value: &Option<String>| value.clone().unwrap_or_else(|| "taken out".to_owned());
        text.push_str(&format!(
            "both changed {}: the interface had {}, the file has {} and won\n",
            c.field,
            or_out(&c.running),
            or_out(&c.file)
        ));
    }
    text
}

fn history(list: &[Generation]) -> String {
    let mut t = table(&["generation", "at", "who", "how", "changes"], 5);
    for g in list {
        let first = g.changes.first().cloned().unwrap_or_default();
        let changes = match g.changes.len() {
            0 | 1 => first,
            n => format!("{first} and {} more", n - 1),
        };
        t.add_row([g.generation.to_string(), g.at.clone(), g.who.clone(), super::services::word(&g.kind), changes]);
    }
    t.trim_fmt()
}
