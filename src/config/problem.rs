//! A problem in a configuration file: where, what, and what to do about it.
//!
//! Made by the reader, the checks and the diff; shown by `check-config`, `run` and a reload.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named to us. Empty for a problem of a reload, which concerns two models and no place.
    pub file: String,
    /// The line, from 1. Absent when the file could not be read, and for a reload.
    pub line: Option<u32>,
    /// The column in characters, from 1. Absent where the line is.
    pub column: Option<u32>,
    /// The field, as in `service["web"].real[0].weight`; empty when it is not about a field.
    pub field: String,
    /// The value that stands there, as in the file; absent when the field is.
    pub value: Option<String>,
    /// What is wrong, to be read after the field.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.field.is_empty() {
            f.write_str(&self.field)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}\n    {}", self.what, self.remedy)
    }
}

/// Every problem of a file, in the order of its lines. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
