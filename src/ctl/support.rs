//! `gatunctl support`: one archive with what a person needs who is to help.

use super::{Ctl, Done, Trouble, print};
use crate::client::{Ask, Failure};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between the two looks at the counters.
const BETWEEN: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
#[command(
    after_help = "The archive has: the configuration without the hash key, versions, health, capacity, neighbours, routes, ports, the last
generations, the last dropped frames, and all counters twice, 10 s apart. It has no tokens and no connections.

Example:
  gatunctl support -o support.tar.gz"
)]
pub(super) struct Args {
    /// Where to write it.
    #[arg(short, long, default_value = "gatun-support.tar.gz")]
    output: PathBuf,
}

/// What is asked for, and its name in the archive.
const ONCE: [(&str, &str); 9] = [
    ("version.json", "/api/v1/version"),
    ("health.json", "/api/v1/health"),
    ("capacity.json", "/api/v1/capacity"),
    ("neighbors.json", "/api/v1/neighbors?limit=1000"),
    ("routes.json", "/api/v1/routes?limit=1000"),
    ("generations.json", "/api/v1/config/generations?limit=50"),
    ("drops.json", "/api/v1/drops?limit=1000"),
    ("timeouts.json", "/api/v1/timeouts"),
    ("diff.json", "/api/v1/config/diff"),
];
const TWICE: [(&str, &str); 3] =
    [("stats", "/api/v1/stats"), ("lcores", "/api/v1/lcores?limit=1000"), ("ports", "/api/v1/ports?limit=1000")];

pub(super) fn run(ctl: &Ctl, args: &Args) -> Done {
    let output = args.output.display().to_string();
    let file = std::fs::File::create(&args.output).map_err(Trouble::system(output.clone()))?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        let done = archive.append_data(&mut header, format!("gatun-support/{name}"), bytes);
        done.map_err(Trouble::system(output.clone()))
    };
    let config = fetched(ctl, "/api/v1/config")?;
    add("gatun.toml", without_secrets(&String::from_utf8_lossy(&config)).as_bytes())?;
    for (name, path) in ONCE {
        add(name, &fetched(ctl, path)?)?;
    }
    for look in [1, 2] {
        for (name, path) in TWICE {
            add(&format!("{name}-{look}.json"), &fetched(ctl, path)?)?;
        }
        if look == 1 {
            std::thread::sleep(BETWEEN);
        }
    }
    let done = archive.into_inner().and_then(GzEncoder::finish).and_then(|mut file| file.flush());
    done.map_err(Trouble::system(output))?;
    print(&format!("{} is written", args.output.display()))
}

/// What the gateway answers, also where it refuses: that is worth knowing, too.
fn fetched(ctl: &Ctl, path: &str) -> Result<Vec<u8>, Failure> {
    match ctl.client.answer("GET", path, &Ask::default(), None) {
        Err(Failure::Refused(problem)) => Ok(serde_json::to_vec_pretty(&problem).unwrap_or_default()),
        answer => answer,
    }
}

/// Who knows the hash key can fill a bucket of the table on purpose.
fn without_secrets(config: &str) -> String {
    let line = |line: &str| match line.trim_start().starts_with("hash_key") {
        true => "# hash_key is left out\n".to_owned(),
        false => format!("{line}\n"),
    };
    config.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_key_stays_at_home() {
        let config = "[steering]\nhash_key = \"6d5a\"\npolicy = \"auto\"\n";
        assert_eq!(without_secrets(config), "[steering]\n# hash_key is left out\npolicy = \"auto\"\n");
    }
}
