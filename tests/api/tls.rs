//! TCP with TLS: who may speak to the gateway, and whom the clients take for it. Certificates are made for each test.

use crate::gateway::{Gateway, config, tokens};
use crate::process::command;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, for the gateway: it has the name localhost and the address 127.0.0.1.
fn certificate(authority: &Authority, until: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(until, 1, 1));
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// A gateway on every address of the machine, as it may with TLS, and what its clients have.
struct Site {
    gateway: Gateway,
    authority: Authority,
    lines: String,
    port: u16,
}

impl Site {
    fn new(until: i32) -> Site {
        let (ours, other) = (authority("ours"), authority("another"));
        let ((cert, key), (lines, [writer, reader, expired])) = (certificate(&ours, until), tokens());
        // A bundle, as authorities are kept in.
        let bundle = format!("{}{}", other.pem(), ours.pem());
        let files = [
            ("cert.pem", cert.as_str()),
            ("key.pem", &key),
            ("ca.pem", &bundle),
            ("other.pem", &other.pem()),
            ("tokens", &lines),
            ("writer", &writer),
            ("reader", &reader),
            ("expired", &expired),
            ("wrong", &writer.to_uppercase()),
        ];
        let api = "[api]\nlisten = [\"TCP\"]\ntokens = \"DIR/tokens\"\ntls_cert = \"DIR/cert.pem\"\ntls_key = \"DIR/key.pem\"\n";
        let gateway = Gateway::start_with(api, &files, |config| config.replace("[\"127.0.0.1:", "[\"0.0.0.0:"));
        Site { port: gateway.tcp.port(), gateway, authority: ours, lines }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.gateway.file(name)
    }

    fn gatunctl(&self, url: &str, ca: Option<&str>, token: &str, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatunctl"));
        command.args(["--url", &url.replace("PORT", &self.port.to_string())]).arg("--token-file").arg(self.file(token));
        if let Some(ca) = ca {
            command.arg("--ca").arg(self.file(ca));
        }
        command.args(words.split(' ')).output().unwrap()
    }

    fn curl(&self, words: &str) -> Output {
        let words =
            words.replace("PORT", &self.port.to_string()).replace("DIR", self.gateway.dir.path().to_str().unwrap());
        let bearer = format!("Authorization: Bearer {}", std::fs::read_to_string(self.file("reader")).unwrap());
        let mut command = Command::new("curl");
        // No proxy of whoever runs the tests.
        command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--header", &bearer]);
        command.args(words.split(' ')).output().unwrap()
    }
}

const OURS: &str = "https://localhost:PORT";

#[track_caller]
fn says(output: &Output, code: i32, said: &str) {
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert!(output.status.code() == Some(code) && text.contains(said), "{said:?}, {code}: {output:?}");
}

#[test]
fn over_tls_our_clients_and_curl_are_served_as_far_as_their_tokens_go() {
    let site = Site::new(2999);
    says(&site.gatunctl(OURS, Some("ca.pem"), "writer", "service list"), 0, "tcp-198.18.1.100-80");
    says(&site.gatunctl("https://127.0.0.1:PORT/", Some("ca.pem"), "reader", "version"), 0, "DPDK");
    let weight = "real weight tcp/198.18.1.100:80 198.18.2.11:80 7";
    says(&site.gatunctl(OURS, Some("ca.pem"), "reader", weight), 3, "grafana (127.0.0.1) may look, and not change");
    says(&site.gatunctl(OURS, Some("ca.pem"), "writer", weight), 0, "generation 2");
    says(&site.curl("--cacert DIR/ca.pem https://localhost:PORT/api/v1/config/generations"), 0, "ops (127.0.0.1)");
    // The environment says the same as the options.
    let mut ipvsadm = Command::new(env!("CARGO_BIN_EXE_gatun-ipvsadm"));
    ipvsadm.env("GATUN_URL", OURS.replace("PORT", &site.port.to_string())).env("GATUN_CA", site.file("ca.pem"));
    says(&ipvsadm.env("GATUN_TOKEN_FILE", site.file("reader")).arg("-Ln").output().unwrap(), 0, "FullNat 7");
    site.gateway.finish();
}

#[test]
fn who_is_not_the_gateway_and_who_has_no_token_is_refused_with_a_sentence() {
    let site = Site::new(2999);
    let open = site.file("open");
    std::fs::copy(site.file("reader"), &open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    for (url, ca, token, code, said) in [
        (OURS, Some("other.pem"), "reader", 1, "with --ca"),
        (OURS, None, "reader", 1, "with --ca"),
        ("https://127.0.0.2:PORT", Some("ca.pem"), "reader", 1, "by a name that its certificate has"),
        ("http://localhost:PORT", None, "reader", 1, "no gatun answers on http://localhost"),
        ("http://gw1.example.net:PORT", None, "reader", 1, "in the clear"),
        (OURS, Some("ca.pem"), "open", 1, "chmod 600"),
        (OURS, Some("key.pem"), "reader", 1, "no certificate is there"),
        (OURS, Some("ca.pem"), "expired", 3, "no token that is known and has not expired"),
        (OURS, Some("ca.pem"), "wrong", 3, "no token that is known and has not expired"),
    ] {
        says(&site.gatunctl(url, ca, token, "version"), code, said);
    }
    says(&site.curl("--cacert DIR/other.pem https://localhost:PORT/api/v1/version"), 60, "certificate");
    // DNS rebinding: somebody's name that points here.
    let rebound = "-k --resolve evil.example:PORT:127.0.0.1 https://evil.example:PORT/api/v1/version";
    says(&site.curl(rebound), 0, "is not a name of this gateway");
    let foreign = "--cacert DIR/ca.pem --header Origin:https://evil.example https://localhost:PORT/api/v1/version";
    says(&site.curl(foreign), 0, "a page of another site");
    // What does not speak TLS is sent away, and others are served meanwhile.
    assert!(!site.curl("http://localhost:PORT/api/v1/version").status.success());
    says(&site.gatunctl(OURS, Some("ca.pem"), "reader", "version"), 0, "DPDK");
    site.gateway.finish();
}

#[test]
fn a_certificate_that_has_expired_is_refused_by_its_clients_until_it_is_renewed_without_a_restart() {
    let site = Site::new(2020);
    let version = || site.gatunctl(OURS, Some("ca.pem"), "reader", "version");
    says(&version(), 1, "api.tls_cert");
    let (cert, key) = certificate(&site.authority, 2999);
    std::fs::write(site.file("cert.pem"), cert).unwrap();
    // With the old key the new certificate is of no use.
    thread::sleep(Duration::from_millis(1_100));
    says(&version(), 1, "api.tls_cert");
    std::fs::write(site.file("key.pem"), key).unwrap();
    let begun = Instant::now();
    while !version().status.success() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the certificate is renewed");
        thread::sleep(Duration::from_millis(100));
    }
    site.gateway.finish();
}

#[test]
fn a_certificate_without_its_key_is_refused_at_start_with_a_sentence() {
    let authority = authority("ours");
    let ((cert, _), (_, key)) = (certificate(&authority, 2999), certificate(&authority, 2999));
    for (cert, key, said) in
        [(cert.as_str(), key.as_str(), "api.tls_cert"), (&cert, "hello", "api.tls_key"), ("", &key, "api.tls_cert")]
    {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cert.pem"), cert).unwrap();
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        let files = dir.path().display();
        let api = format!("[api]\ntls_cert = \"{files}/cert.pem\"\ntls_key = \"{files}/key.pem\"\n");
        std::fs::write(dir.path().join("gatun.toml"), config(&api, 1)).unwrap();
        let refused = command(dir.path()).output().unwrap();
        says(&refused, 1, said);
        says(&refused, 1, "give a file in PEM");
    }
}

#[test]
fn a_token_that_is_taken_out_of_the_file_is_refused_and_a_new_one_known_without_a_restart() {
    let site = Site::new(2999);
    let tokens = site.file("tokens");
    let becomes = |token: &str, code: i32| {
        let begun = Instant::now();
        while site.gatunctl(OURS, Some("ca.pem"), token, "version").status.code() != Some(code) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{token}: never {code}");
            thread::sleep(Duration::from_millis(100));
        }
    };
    becomes("reader", 0);
    let reader = site.lines.lines().find(|line| line.contains(" grafana ")).unwrap();
    std::fs::write(&tokens, site.lines.replace(reader, "")).unwrap();
    becomes("reader", 3);
    becomes("writer", 0);
    // Nobody is let in by a file that is wrong, nor by one that others could have written.
    std::fs::write(&tokens, format!("{}nonsense\n", site.lines)).unwrap();
    becomes("writer", 3);
    std::fs::write(&tokens, &site.lines).unwrap();
    becomes("reader", 0);
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o666)).unwrap();
    becomes("writer", 3);
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600)).unwrap();
    becomes("writer", 0);
    site.gateway.finish();
}
