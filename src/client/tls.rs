//! Whom the client trusts, and with what it is careful: the gateway's certificate, and the token.

use super::Failure;
use rustls::CertificateError;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, parse_pem};

/// The authorities of a file, or those that browsers trust.
pub(super) fn roots(ca: Option<&Path>) -> Result<RootCerts, Failure> {
    let Some(path) = ca else { return Ok(RootCerts::WebPki) };
    let pem = super::read(path, "the certificate authority")?;
    let mut certificates = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            // A key, or what has no name here.
            Ok(_) => {}
            Err(e) => return Err(Failure::Here(format!("--ca {}: {e}: give certificates in PEM", path.display()))),
        }
    }
    if certificates.is_empty() {
        return Err(Failure::Here(format!("--ca {}: no certificate is there: give it in PEM", path.display())));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// The token of a file that nobody else may read.
pub(super) fn token(path: &Path) -> Result<String, Failure> {
    let token = super::read(path, "the token")?.trim().to_owned();
    let mode = std::fs::metadata(path).ok().filter(|m| m.is_file()).map_or(0, |m| m.permissions().mode() & 0o777);
    let path = path.display();
    if mode & 0o077 != 0 {
        return Err(Failure::Here(format!(
            "others may read or write the token in {path} (mode {mode:o}): chmod 600 {path}"
        )));
    }
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::Here(format!(
            "{path} is no token: put there what `gatun token` printed on standard error"
        )));
    }
    Ok(token)
}

/// A URL to which a token can be sent without others reading it.
pub(super) fn check(url: &str) -> Result<(), Failure> {
    let uri: Option<Uri> = url.parse().ok();
    let Some((scheme, host)) = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?))) else {
        return Err(Failure::Here(format!("{url} is no URL: write it as in https://gw1.example.com:9443")));
    };
    let plain = host.trim_matches(['[', ']']);
    let here = plain == "localhost" || plain.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match scheme {
        "https" => Ok(()),
        "http" if here => Ok(()),
        "http" => Err(Failure::Here(format!("{url} would send the token in the clear: use https://"))),
        other => Err(Failure::Here(format!("{other}:// is not spoken here: use https://"))),
    }
}

/// Why the certificate of the other side does not do, with what to do, if that is what went wrong.
pub(super) fn distrust(e: &ureq::Error) -> Option<String> {
    let of_io = |e: &std::io::Error| e.get_ref()?.downcast_ref::<rustls::Error>().cloned();
    let e = match e {
        ureq::Error::Rustls(e) => e.clone(),
        ureq::Error::Io(e) => of_io(e)?,
        _ => return None,
    };
    let rustls::Error::InvalidCertificate(why) = e else { return None };
    let ca = "give the certificate of the authority that signed it with --ca";
    Some(match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("it is not signed by an authority that is trusted here: {ca}")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{why}: call the gateway by a name that its certificate has, or give it one with this name")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{why}: give the gateway a new one (api.tls_cert)")
        }
        why => format!("{why}: give the gateway another one (api.tls_cert), or {ca}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};

    #[test]
    fn a_token_is_sent_over_tls_or_to_this_machine_alone() {
        for url in ["https://gw1.example.com:9443", "http://127.0.0.1:80", "http://[::1]:80", "http://localhost"] {
            assert!(check(url).is_ok(), "{url}");
        }
        for (url, said) in [
            ("http://gw1.example.com", "in the clear"),
            ("http://198.18.1.1:80", "in the clear"),
            ("http://localhost.evil.example", "in the clear"),
            ("gw1.example.com", "is no URL"),
            ("ftp://gw1.example.com", "https://"),
            ("", "is no URL"),
        ] {
            let failure = check(url).unwrap_err().to_string();
            assert!(failure.contains(said), "{url}: {failure}");
        }
    }

    #[test]
    fn a_token_that_others_may_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for (text, mode, said) in [
            ("gatun_1\n", 0o600, None),
            ("gatun_1", 0o400, None),
            ("gatun_1\n", 0o640, Some("chmod 600")),
            ("gatun_1\n", 0o606, Some("mode 606")),
            ("\n", 0o600, Some("is no token")),
            ("one two\n", 0o600, Some("is no token")),
        ] {
            let _ = std::fs::remove_file(&path);
            write(&path, text).unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = token(&path);
            match said {
                None => assert_eq!(read.unwrap(), "gatun_1"),
                Some(said) => assert!(read.unwrap_err().to_string().contains(said), "{text} {mode:o}"),
            }
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            write(&path, text).unwrap();
            let failure = roots(Some(&path)).unwrap_err().to_string();
            assert!(failure.contains("--ca") && failure.contains("in PEM"), "{text}: {failure}");
        }
        assert!(roots(Some(Path::new("/nonexistent"))).unwrap_err().to_string().contains("/nonexistent"));
    }
}
