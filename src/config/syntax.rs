//! Problems of a file that does not get as far as its fields: unreadable, not UTF-8, not TOML.

use std::collections::HashSet;
use std::io;
use std::string::FromUtf8Error;

use toml::de::Error;

use super::problem::{Problem, Problems};
use super::report::Report;

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

/// Notes what the parser says, with a remedy: one problem a line, without those that only follow from another.
pub(super) fn note(errors: &[Error], text: &str, report: &Report<'_>) {
    let unclosed =
        errors.iter().filter(|error| error.message().starts_with("unclosed array,")).filter_map(offset).max();
    let mut told = HashSet::new();
    for error in errors {
        let at = offset(error).unwrap_or(0);
        let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
        if told.len() == MOST {
            break;
        }
        if !told.insert(line) {
            continue;
        }
        let message = error.message();
        if unclosed.is_some_and(|end| at <= end)
            && ["array elements", "in array", "unclosed array,"].iter().any(|part| message.contains(part))
        {
            report.syntax(at, "not TOML: the array before this is not closed", "put a `]` behind its last element");
            // What comes after was read as elements of it.
            break;
        }
        if ["string values must be quoted", "invalid boolean"].iter().any(|start| message.starts_with(start)) {
            let word = word_at(text, at);
            if word.is_empty() {
                report.syntax(at, "not TOML: a field has no value", "write one behind the `=`, or take the field out");
            } else {
                let what = format!("not TOML: {word} is neither a number nor a text in quotes");
                report.syntax(at, what, "put texts in quotes, and a comma between the elements of an array");
            }
            continue;
        }
        let message = message.strip_suffix(", expected nothing").unwrap_or(message);
        report.syntax(at, format!("not TOML: {message}"), remedy(message));
    }
}

fn offset(error: &Error) -> Option<usize> {
    error.span().map(|span| span.start)
}

/// What stands from `start` to the end of its line, element, array or table.
fn word_at(text: &str, start: usize) -> String {
    let rest = text.get(start..).unwrap_or("");
    let word = rest.split(['\n', ',', ']', '}', '#']).next().unwrap_or(rest).trim();
    word.chars().take(32).collect()
}

fn remedy(message: &str) -> &'static str {
    const REMEDIES: [(&str, &str); 7] = [
        ("duplicate key", "keep one of them; tables that repeat are written [[name]]"),
        ("invalid basic string", "close the quotes on the same line; write \\\\ for a backslash"),
        ("missing comma", "put a comma between the elements"),
        ("unclosed", "close the bracket"),
        ("leading zero", "write the number without zeros before it"),
        ("key with no value", "write name = value; a name has no blanks"),
        ("recurse", "nothing of gatun's is nested that deep"),
    ];
    let known = REMEDIES.iter().find(|(part, _)| message.contains(part));
    known.map_or("one name = value a line, texts in quotes, tables as [name] or [[name]]", |(_, remedy)| remedy)
}
