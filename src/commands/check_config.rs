//! `gatun check-config`.

use crate::config::{self, Model, Problem, Problems, Workers};
use comfy_table::{ContentArrangement, Table, presets};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments.
#[derive(clap::Args)]
#[command(
    after_help = "Prints every problem of the file at once: where it is, what stands there, what is wrong with it, and what to
do. Exit codes: 0 the file is right; 2 it is not.

Examples:
  gatun check-config conf/gatun.toml
  gatun check-config --json conf/gatun.toml | jq -r '.problems[].field'"
)]
pub struct Args {
    /// The configuration file.
    pub config: PathBuf,
    /// Print JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Prints every problem of a file. 0: none; 2: some.
pub fn main(args: &Args) -> ExitCode {
    match config::load(&args.config) {
        Ok(model) => {
            let summary = summary(&model);
            match args.json {
                true => println!("{}", serde_json::json!({ "ok": true, "problems": [], "summary": counts(&model) })),
                false => println!("{}: right. {summary}", args.config.display()),
            }
            ExitCode::SUCCESS
        }
        Err(problems) => {
            if args.json {
                println!("{}", serde_json::json!({ "ok": false, "problems": problems }));
            } else if std::io::stderr().is_terminal() {
                eprintln!("{}", table(&problems));
            } else {
                eprintln!("{problems}");
            }
            if !args.json {
                let n = problems.0.len();
                eprintln!("{}: {n} {}", args.config.display(), if n == 1 { "problem" } else { "problems" });
            }
            ExitCode::from(2)
        }
    }
}

fn counts(model: &Model) -> serde_json::Value {
    serde_json::json!({
        "ports": model.ports.len(),
        "interfaces": model.interfaces.len(),
        "laddr_pools": model.laddr_pools.len(),
        "local_addresses": local_addresses(model),
        "services": model.services.len(),
        "reals": model.services.iter().map(|s| s.reals.len()).sum::<usize>(),
        "workers": match &model.lcores.workers {
            Workers::Auto => serde_json::json!("auto"),
            Workers::Lcores(lcores) => serde_json::json!(lcores.len()),
        },
    })
}

fn local_addresses(model: &Model) -> usize {
    model.laddr_pools.iter().map(|p| p.addresses.len()).sum()
}

fn summary(model: &Model) -> String {
    let many = |n: usize, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
    let reals = model.services.iter().map(|s| s.reals.len()).sum::<usize>();
    [
        many(model.ports.len(), "port", "ports"),
        many(model.interfaces.len(), "interface", "interfaces"),
        many(local_addresses(model), "local address", "local addresses"),
        many(model.services.len(), "service", "services"),
        many(reals, "real server", "real servers"),
        match &model.lcores.workers {
            Workers::Auto => "a worker on each CPU but the master's".to_owned(),
            Workers::Lcores(lcores) => many(lcores.len(), "worker", "workers"),
        },
    ]
    .join(", ")
}

/// For a terminal.
fn table(problems: &Problems) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["where", "field", "value", "what is wrong", "what to do"]);
    for Problem { line, column, field, value, what, remedy, .. } in &problems.0 {
        let place = line.map_or(String::new(), |l| format!("{l}:{}", column.unwrap_or(1)));
        table.add_row([place, field.clone(), value.clone().unwrap_or_default(), what.clone(), remedy.clone()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_file_is_summed_up_and_a_wrong_one_is_a_table() {
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/demo.toml");
        let model = config::load(demo).unwrap();
        assert_eq!(summary(&model), "2 ports, 2 interfaces, 4 local addresses, 4 services, 8 real servers, 1 worker");
        let wrong = std::fs::read_to_string(demo).unwrap().replace("scheduler", "sheduler");
        let problems = config::parse(&wrong, "demo.toml").unwrap_err();
        let table = table(&problems).to_string();
        assert!(table.contains("sheduler") && table.contains("what to do"), "{table}");
    }
}
