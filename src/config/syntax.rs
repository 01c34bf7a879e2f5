//! Problems of a file that does not get as far as its fields: unreadable, not UTF-8, not TOML.

use std::io;
use std::string::FromUtf8Error;

use toml::de::Error;

use super::problem::{Problem, Problems};
use super::reader::Report;

/// The most syntax errors that are told; one mistake can make many.
const MOST: usize = 20;

/// The file could not be read at all.
pub(super) fn unreadable(file: &str, error: &io::Error) -> Problems {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "check the path; conf/ has examples to start from",
        io::ErrorKind::PermissionDenied => "let the user that runs gatun read it",
        io::ErrorKind::IsADirectory => "give the path of a file",
        _ => "check the path",
    };
    Problems(vec![Problem {
        file: file.to_owned(),
        line: None,
        column: None,
        field: String::new(),
        value: None,
        what: format!("cannot be read: {error}"),
        remedy: remedy.to_owned(),
    }])
}

/// The file has bytes that are no UTF-8.
pub(super) fn not_utf8(file: &str, error: &FromUtf8Error) -> Problems {
    let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let text = String::from_utf8_lossy(valid);
    let report = Report::new(file, &text);
    report.syntax(valid.len(), "is not UTF-8", "save the file in UTF-8; a binary file is no configuration");
    report.problems().unwrap_or(Problems(Vec::new()))
}

/// Notes what the parser says, with a remedy.
pub(super) fn note(errors: &[Error], report: &Report<'_>) {
    for error in errors.iter().take(MOST) {
        let offset = error.span().map_or(0, |span| span.start);
        report.syntax(offset, format!("not TOML: {}", error.message()), remedy(error.message()));
    }
}

fn remedy(message: &str) -> &'static str {
    const REMEDIES: [(&str, &str); 7] = [
        ("duplicate key", "keep one of them; tables that repeat are written [[name]]"),
        ("string values must be quoted", "put it in quotes"),
        ("unquoted", "put it in quotes"),
        ("quote", "close the quotes on the same line"),
        ("unclosed", "close the bracket"),
        ("escape", "write \\\\ for a backslash, or use '...' for text as it is"),
        ("recursion", "no table of gatun's is nested that deep"),
    ];
    let known = REMEDIES.iter().find(|(part, _)| message.contains(part));
    known.map_or("one key = value a line, text in quotes, tables as [name] or [[name]]", |(_, remedy)| remedy)
}
