//! The Unix socket that `gatun status` asks: one line with the question, one JSON document as the answer.

use super::jobs::Request;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// The listening socket; its file goes with it.
pub struct Server {
    path: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens on `path` and passes questions on. Must be called before the EAL pins the calling thread.
///
/// # Errors
/// When another instance listens there, or the file can not be made.
pub fn listen(path: &Path) -> io::Result<(Server, Receiver<Request>)> {
    if UnixStream::connect(path).is_ok() {
        let text = format!("another gatun answers on {}: stop it, or give this one its own --socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // Left behind by an instance that was killed: nobody answers on it.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    let (to_master, requests) = channel();
    std::thread::Builder::new().name("status".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // One at a time: a slow reader is cut off after a second.
            let _ = serve(stream, &to_master);
        }
    })?;
    Ok((Server { path: path.to_owned() }, requests))
}

fn serve(mut stream: UnixStream, master: &Sender<Request>) -> io::Result<()> {
    let limit = Some(Duration::from_secs(1));
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    let mut line = String::new();
    BufReader::new(io::Read::take(&stream, 64)).read_line(&mut line)?;
    let (reply, answer) = channel();
    let request = Request { connections: line.trim() == "connections", reply };
    master.send(request).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    let status = answer.recv_timeout(Duration::from_secs(10)).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    serde_json::to_writer(&mut stream, &status)?;
    stream.flush()
}
