//! The alert rules: promtool takes them, each fires when it should, and each has a paragraph in the runbook.

use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: String,
    annotations: Annotations,
}

#[derive(Deserialize)]
struct Annotations {
    runbook: String,
}

#[derive(Deserialize)]
struct Cases {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    alert_rule_test: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

const RULES: &str = include_str!("../conf/prometheus/gatun.rules.yml");
const CASES: &str = include_str!("../conf/prometheus/gatun.test.yml");
const RUNBOOK: &str = include_str!("../docs/runbook.md");

fn rules() -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(RULES).expect("the rules parse");
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// `make deps` installs promtool; PROMTOOL says where another one is.
fn promtool(arguments: &[&str]) {
    let program = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/prometheus");
    let done = Command::new(&program).args(arguments).current_dir(at).output();
    let done = done.unwrap_or_else(|e| panic!("{program}: {e}: make deps installs it"));
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_takes_the_rules_and_each_alert_fires_when_it_should() {
    promtool(&["check", "rules", "gatun.rules.yml"]);
    promtool(&["test", "rules", "gatun.test.yml"]);
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_is_silent() {
    let cases: Cases = serde_saphyr::from_str(CASES).expect("the cases parse");
    let checks: Vec<Check> = cases.tests.into_iter().flat_map(|case| case.alert_rule_test).collect();
    let with = |fires: bool| -> HashSet<String> {
        checks.iter().filter(|c| c.exp_alerts.is_empty() != fires).map(|c| c.alertname.clone()).collect()
    };
    let alerts: HashSet<String> = rules().into_iter().map(|rule| rule.alert).collect();
    assert!(alerts.len() > 10);
    assert_eq!(with(true), alerts);
    let silent = with(false);
    let loud: Vec<_> = alerts.difference(&silent).collect();
    assert!(loud.is_empty(), "{loud:?}");
}

#[test]
fn every_alert_has_a_paragraph_in_the_runbook() {
    for rule in rules() {
        let anchor = format!("docs/runbook.md#{}", rule.alert.to_lowercase());
        assert_eq!(rule.annotations.runbook, anchor);
        let paragraph = RUNBOOK.split(&format!("\n## {}\n\n", rule.alert)).nth(1);
        let paragraph = paragraph.unwrap_or_else(|| panic!("no paragraph for {}", rule.alert));
        assert!(paragraph.lines().take_while(|line| !line.is_empty()).count() >= 2, "{}", rule.alert);
    }
}
