//! What was found wrong, while a file is read: places in the text, and the problems noted at them.
//!
//! Everything that reads or checks a file writes to one [`Report`]; `parse` takes the problems out at the end.

use std::cell::RefCell;
use std::ops::Range;

use super::problem::{Problem, Problems};

/// The most characters of a value that a problem repeats.
pub(super) const SHOWN: usize = 48;

/// Something that was read, and where.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
}

/// A place in the file that a problem can point to.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// Byte offset in the text.
    pub(super) offset: usize,
    /// The path of the field.
    pub(super) field: String,
    /// What stands there, if it is a value.
    pub(super) value: Option<String>,
}

impl Spot {
    /// The field `name` of the table that is here, when it is absent.
    pub(super) fn below(&self, name: &str) -> Self {
        let field = if self.field.is_empty() { name.to_owned() } else { format!("{}.{name}", self.field) };
        Self { offset: self.offset, field, value: None }
    }
}

impl At<String> {
    /// Notes that a reference leads nowhere, and to which of `known` it may have meant to lead.
    pub(super) fn unknown(&self, what: &str, known: &[&str], report: &Report<'_>) {
        let remedy = match nearest(&self.value, known) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => "add one of that name".to_owned(),
            None => format!("known: {}", known.join(", ")),
        };
        report.problem(&self.spot, what, remedy);
    }
}

/// What is wrong with a text, said by the function that tried to read it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// The text, and the problems found in it so far.
pub(super) struct Report<'t> {
    file: &'t str,
    text: &'t str,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
    found: RefCell<Vec<(usize, Problem)>>,
}

impl<'t> Report<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { file, text, lines, found: RefCell::default() }
    }

    /// Notes a problem at `spot`.
    pub(super) fn problem(&self, spot: &Spot, what: impl Into<String>, remedy: impl Into<String>) {
        let (line, column) = self.position(spot.offset);
        let problem = Problem {
            file: self.file.to_owned(),
            line: Some(line),
            column: Some(column),
            field: spot.field.clone(),
            value: spot.value.clone(),
            what: what.into(),
            remedy: remedy.into(),
        };
        self.found.borrow_mut().push((spot.offset, problem));
    }

    /// Notes a problem of the text itself, at a byte offset.
    pub(super) fn syntax(&self, offset: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.problem(&Spot { offset, field: String::new(), value: None }, what, remedy);
    }

    /// The line of `spot`, from 1.
    pub(super) fn line(&self, spot: &Spot) -> u32 {
        self.position(spot.offset).0
    }

    /// How many problems were noted so far.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// Everything noted, in the order of the file; `None` when there was nothing.
    pub(super) fn problems(&self) -> Option<Problems> {
        let mut found = self.found.take();
        found.sort_by_key(|(offset, _)| *offset);
        let problems: Vec<_> = found.into_iter().map(|(_, problem)| problem).collect();
        if problems.is_empty() { None } else { Some(Problems(problems)) }
    }

    fn position(&self, offset: usize) -> (u32, u32) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[..line].last().copied().unwrap_or(0);
        let column = self.text[start..offset].chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The text of a value on one line, shortened.
    pub(super) fn excerpt(&self, span: Range<usize>) -> Option<String> {
        let words: Vec<_> = self.text.get(span)?.split_whitespace().collect();
        let line = words.join(" ");
        if line.chars().count() <= SHOWN {
            return Some(line);
        }
        Some(line.chars().take(SHOWN).chain("...".chars()).collect())
    }
}

/// The known name that a person most likely meant.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let name = name.to_lowercase().replace('-', "_");
    let likeness = |candidate: &str| {
        let contained =
            candidate.len() >= 3 && name.contains(candidate) || name.len() >= 3 && candidate.contains(&name);
        // A slip in a short word counts for too much there: one edit, or two letters swapped, is always near.
        let slip = candidate.len() >= 3 && strsim::osa_distance(&name, candidate) == 1;
        let edits = strsim::jaro_winkler(&name, candidate).max(if slip { 0.95 } else { 0.0 });
        if contained { edits.max(0.85) } else { edits }
    };
    let scored = known.iter().map(|candidate| (likeness(candidate), *candidate));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= 0.8).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant_or_none() {
        let known = ["connections", "ipv6_connections", "reals", "neighbors", "mbufs", "mbuf_size"];
        for (name, meant) in [
            ("conections", Some("connections")),
            ("Connections", Some("connections")),
            ("connection", Some("connections")),
            ("neighbours", Some("neighbors")),
            ("mbuf-size", Some("mbuf_size")),
            ("raels", Some("reals")),
            ("max_reals", Some("reals")),
            ("speed", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
        assert_eq!(nearest("wcl", &["rr", "wrr", "wlc"]), Some("wlc"));
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a = 1\r\né = 2\n";
        let report = Report::new("t.toml", text);
        for (offset, position) in [(0, (1, 1)), (4, (1, 5)), (7, (2, 1)), (8, (2, 1)), (9, (2, 2)), (99, (3, 1))] {
            assert_eq!(report.position(offset), position, "{offset}");
        }
    }
}
