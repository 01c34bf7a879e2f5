//! `gatun run` as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

/// `gatun run` with the files of a directory: `gatun.toml`, `gatun.sock` and `state`.
pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatun"));
    command.arg("run").arg("--config").arg(dir.join("gatun.toml")).arg("--socket").arg(dir.join("gatun.sock"));
    // Whatever the tests run under, the gateway's standard error is a pipe.
    command.arg("--state").arg(dir.join("state")).env_remove("JOURNAL_STREAM").stderr(Stdio::piped());
    command
}

/// Until it is ready. What it logs goes to `log`.
pub(crate) fn run(mut command: Command, log: &Arc<Mutex<Vec<String>>>) -> Child {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let (ready, is_ready) = channel();
    let kept = log.clone();
    thread::spawn(move || {
        for line in lines {
            if line.contains("ready after") {
                let _ = ready.send(());
            }
            kept.lock().unwrap().push(line);
        }
    });
    assert!(is_ready.recv().is_ok(), "gatun did not start:\n{}", log.lock().unwrap().join("\n"));
    child
}
