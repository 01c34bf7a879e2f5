//! The saved document holds: schemathesis, from PyPI, makes requests of it, right and wrong ones, and compares what comes back.
//!
//! It is asked for no server error, and no answer whose status, type, headers or fields the document does not know; for
//! refusals of what the document does not allow; for 405 and `Allow` on other methods, and 401 without a token. It is not asked
//! whether all is accepted that the document allows: that an address is on a connected subnet is more than a schema can say.
//! Nor what is there after what: it takes a drain for a part of a server, and a neighbour goes on when it is no longer static.
//!
//! `SCHEMATHESIS_SECONDS=600` is the long form of it.

use crate::gateway::with_tcp;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,ignored_auth";
/// What it adds to the gateway's configuration, so that what the document's examples name is there.
const THERE: &str = r#"
[[neighbor]]
address = "198.18.2.21"
mac = "02:00:00:00:02:21"
[[route]]
to = "198.18.64.0/18"
via = "198.18.2.21"
"#;

#[test]
fn schemathesis_finds_no_answer_that_the_document_does_not_know() {
    let schemathesis = match installed() {
        Ok(program) => program,
        Err(why) => {
            // Past what keeps the output of tests that pass.
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: schemathesis can not be installed, PyPI is out of reach: {why}");
            return;
        }
    };
    let (gateway, [writer, ..]) =
        with_tcp("rate = 100_000\n", |config| config.replace("198.18.2.11:80", "198.18.2.21:80") + THERE);
    let dir = tempfile::tempdir().unwrap();
    let seconds = std::env::var("SCHEMATHESIS_SECONDS").unwrap_or_else(|_| "60".to_owned());
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis");
    let mut command = Command::new(schemathesis);
    command.arg("run").arg(format!("http://{}/openapi.json", gateway.tcp)).current_dir(&dir);
    command.args(["--header", &format!("Authorization: Bearer {writer}"), "--checks", CHECKS, "--max-time", &seconds]);
    command.args(["--max-examples", "20", "--no-shrink", "--no-color", "--warnings", "off"]);
    command.args(["--generation-deterministic", "--request-timeout", "20"]);
    command.env("PYTHONPATH", hooks).env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONDONTWRITEBYTECODE", "1");
    let found = command.env("GATUN_CONFIG", gateway.file("gatun.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&found.stdout);
    println!("{said}");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let operations = documented();
    assert!(said.contains(&format!("Tested: {operations}")), "all {operations} operations were tested");
    // It has been through a lot, and still does its work.
    assert!([200, 503].contains(&gateway.get("/api/v1/health").status));
    gateway.finish();
}

/// How many operations the document has.
fn documented() -> usize {
    let document = serde_json::to_value(gatun::api::document()).unwrap();
    document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum()
}

/// The program in its own environment below `target`, installed when it is not there yet. An error says why PyPI can not be
/// reached; whatever else goes wrong is a failed test.
fn installed() -> Result<PathBuf, String> {
    let pinned = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis/requirements.txt");
    let wanted = std::fs::read(pinned).unwrap();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let (program, stamp) = (dir.join("bin/schemathesis"), dir.join("installed"));
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir).output();
    let made = made.expect("python3 is there: `make deps`");
    assert!(made.status.success(), "python3 -m venv, which `make deps` installs: {}", all(&made));
    let pip = |arguments: &[&str]| {
        let mut pip = Command::new(dir.join("bin/pip"));
        pip.args(arguments).args(["--quiet", "--disable-pip-version-check", "--retries", "2", "--timeout", "10"]);
        pip.output().unwrap()
    };
    let done = pip(&["install", "--requirement", pinned]);
    if !done.status.success() {
        // An index that does not give pip itself is out of reach. One that does has to have what is pinned.
        let nothing = tempfile::tempdir().unwrap();
        let asked =
            pip(&["download", "--no-deps", "--no-cache-dir", "--dest", nothing.path().to_str().unwrap(), "pip"]);
        assert!(!asked.status.success(), "pip install: {}", all(&done));
        return Err(all(&asked).trim().lines().last().unwrap_or("pip says nothing").to_owned());
    }
    std::fs::write(stamp, wanted).unwrap();
    Ok(program)
}

fn all(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}
