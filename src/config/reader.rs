//! Reading a TOML tree field by field, noting every problem with its place and going on.
//!
//! A [`Section`] is one table: each field that is asked for becomes known, and what is left at the end is unknown.
//! A [`Node`] is one value; its readers answer `None` after they noted why. What the fields mean is not known here.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{At, Fault, Report, SHOWN, Spot, nearest};
use super::values::Choice;

/// One table of the file, or the absence of one.
pub(super) struct Section<'r, 't> {
    report: &'r Report<'t>,
    table: Option<&'r DeTable<'t>>,
    spot: Spot,
    known: RefCell<Vec<&'static str>>,
    /// Fields that must be there and are not, each with its remedy.
    missing: RefCell<Vec<(&'static str, String)>>,
}

/// An array of tables.
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// It is an array, and each of its elements is a table: nothing stands in the file that is not in `items`.
    pub(super) whole: bool,
}

impl<'r, 't> Section<'r, 't> {
    /// The table that is the whole file.
    pub(super) fn root(report: &'r Report<'t>, table: &'r DeTable<'t>) -> Self {
        Self::at(report, Some(table), Spot { offset: 0, field: String::new(), value: None })
    }

    fn at(report: &'r Report<'t>, table: Option<&'r DeTable<'t>>, spot: Spot) -> Self {
        Self { report, table, spot, known: RefCell::default(), missing: RefCell::default() }
    }

    pub(super) fn report(&self) -> &'r Report<'t> {
        self.report
    }

    /// The place of the table, for a problem of the whole.
    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// The value of `name`, which is a field of this table from now on.
    pub(super) fn field(&self, name: &'static str) -> Option<Node<'r, 't>> {
        self.known.borrow_mut().push(name);
        let value = self.table?.get(name)?;
        Some(Node::new(self.report, value, self.path(name)))
    }

    /// As [`field`](Self::field), and a problem when there is none and none that looks like a slip of it.
    pub(super) fn required(&self, name: &'static str, remedy: &str) -> Option<Node<'r, 't>> {
        let node = self.field(name);
        if node.is_none() {
            self.missing.borrow_mut().push((name, remedy.to_owned()));
        }
        node
    }

    /// Notes a problem about a field that is not there.
    pub(super) fn absent(&self, name: &str, what: impl Into<String>, remedy: &str) {
        let spot = Spot { offset: self.spot.offset, field: self.path(name), value: None };
        self.report.problem(&spot, what, remedy);
    }

    /// A number within `range`.
    pub(super) fn number<T: TryFrom<u64>>(&self, name: &'static str, range: RangeInclusive<u64>) -> Option<T> {
        self.field(name)?.number(range)
    }

    /// True or false.
    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        self.field(name)?.flag()
    }

    /// One of the words of `C`.
    pub(super) fn choice<C: Choice>(&self, name: &'static str) -> Option<C> {
        self.field(name)?.choice()
    }

    /// The table `name`; an empty one when it is absent or is no table.
    pub(super) fn section(&self, name: &'static str) -> Section<'r, 't> {
        let absent = || {
            let spot = Spot { offset: self.spot.offset, field: self.path(name), value: None };
            Section::at(self.report, None, spot)
        };
        self.field(name).and_then(|node| node.section()).unwrap_or_else(absent)
    }

    /// The tables of the array `name`, as in `[[name]]`, each read by `read`; none when it is absent.
    pub(super) fn list<T>(&self, name: &'static str, read: impl Fn(Section<'r, 't>) -> T) -> List<T> {
        let Some(node) = self.field(name) else {
            return List { items: Vec::new(), whole: true };
        };
        let nodes = node.elements();
        let count = nodes.len();
        let items: Vec<_> = nodes.into_iter().filter_map(|node| Some(read(node.named().section()?))).collect();
        let whole = node.is_array() && items.len() == count;
        List { items, whole }
    }

    /// Every field with its name as it stands in the file, for a table whose names are free.
    pub(super) fn entries(&self) -> Vec<(At<String>, Node<'r, 't>)> {
        let entries = self.table.into_iter().flatten();
        let entry = |(key, value): (&'r Spanned<_>, &'r Spanned<DeValue<'t>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let field = self.path(name);
            let spot = Spot { offset: key.span().start, field: field.clone(), value: None };
            (At { value: name.to_string(), spot }, Node::new(self.report, value, field))
        };
        entries.map(entry).collect()
    }

    /// Notes a problem for each field that is missing, and for each that nobody asked for. To be called when every
    /// field was.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        let mut missing = self.missing.take();
        for (key, value) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let field = self.path(name);
            let node = Node::new(self.report, value, field.clone());
            let spot = Spot { offset: key.span().start, field, value: node.spot.value };
            let wanted: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
            let slip = nearest(name, &wanted);
            missing.retain(|(name, _)| Some(*name) != slip);
            let remedy = match slip.or_else(|| nearest(name, &known)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("take it out; known here: {}", known.join(", ")),
            };
            self.report.problem(&spot, "is not a known field", remedy);
        }
        for (name, remedy) in missing {
            self.absent(name, "is missing", &remedy);
        }
    }

    fn path(&self, name: &str) -> String {
        let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let shown = if bare { name.to_owned() } else { format!("{name:?}") };
        if self.spot.field.is_empty() { shown } else { format!("{}.{shown}", self.spot.field) }
    }
}

/// One value of the file.
pub(super) struct Node<'r, 't> {
    report: &'r Report<'t>,
    value: &'r DeValue<'t>,
    spot: Spot,
}

impl<'r, 't> Node<'r, 't> {
    fn new(report: &'r Report<'t>, value: &'r Spanned<DeValue<'t>>, field: String) -> Self {
        let span = value.span();
        let shown = match value.get_ref() {
            // A table under a header has no text of its own.
            DeValue::Table(_) => None,
            DeValue::Array(array) if array.iter().any(|v| v.get_ref().is_table()) => None,
            _ => report.excerpt(span.clone()),
        };
        Self { report, value: value.get_ref(), spot: Spot { offset: span.start, field, value: shown } }
    }

    /// The same with its own name in its path instead of its number, if it is a table that has one.
    fn named(mut self) -> Self {
        let name = self.value.as_table().and_then(|table| table.get("name")).and_then(|name| name.get_ref().as_str());
        if let (Some(name), Some(bracket)) = (name.filter(|name| name.len() <= SHOWN), self.spot.field.rfind('[')) {
            self.spot.field.truncate(bracket);
            self.spot.field.push_str(&format!("[{name:?}]"));
        }
        self
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.report.problem(&self.spot, fault.what, fault.remedy);
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<T> {
        let DeValue::Integer(digits) = self.value else {
            return self.wrong("a whole number");
        };
        let value = u64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let value = value.filter(|value| range.contains(value)).and_then(|value| T::try_from(value).ok());
        if value.is_none() {
            let remedy = format!("give a whole number from {} to {}", range.start(), range.end());
            self.fault(Fault::new("is out of range", remedy));
        }
        value
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong("true or false"))
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn is_array(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn string(&self) -> Option<&'r str> {
        self.value.as_str().or_else(|| self.wrong("a string in quotes"))
    }

    pub(super) fn choice<C: Choice>(&self) -> Option<C> {
        let words: Vec<_> = C::WORDS.iter().map(|(word, _)| *word).collect();
        let text = self.string()?;
        let choice = C::WORDS.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if choice.is_none() {
            let mut remedy = format!("write one of {}", words.join(", "));
            if let Some(near) = nearest(text, &words) {
                remedy = format!("did you mean \"{near}\"? known: {}", words.join(", "));
            }
            self.fault(Fault::new("is not one of the words known here", remedy));
        }
        choice
    }

    /// A string that `read` understands.
    pub(super) fn parsed<T>(self, read: impl FnOnce(&str) -> Result<T, Fault>) -> Option<At<T>> {
        match read(self.string()?) {
            Ok(value) => Some(At { value, spot: self.spot }),
            Err(fault) => {
                self.fault(fault);
                None
            }
        }
    }

    /// The elements of an array; none when it is no array.
    pub(super) fn elements(&self) -> Vec<Node<'r, 't>> {
        let Some(array) = self.value.as_array() else {
            let expected =
                if self.value.is_table() { "an array: write [[ ]] around the name, not [ ]" } else { "an array" };
            self.wrong::<()>(expected);
            return Vec::new();
        };
        let path = |nth| format!("{}[{nth}]", self.spot.field);
        array.iter().enumerate().map(|(nth, value)| Node::new(self.report, value, path(nth))).collect()
    }

    pub(super) fn section(&self) -> Option<Section<'r, 't>> {
        let Some(table) = self.value.as_table() else {
            let several = matches!(self.value, DeValue::Array(_));
            return self.wrong(if several { "one table: write [ ] around the name, not [[ ]]" } else { "a table" });
        };
        Some(Section::at(self.report, Some(table), self.spot.clone()))
    }

    /// Notes that the value is of another type than `expected`.
    fn wrong<T>(&self, expected: &str) -> Option<T> {
        let article = match self.value.type_str() {
            kind @ ("integer" | "array") => format!("an {kind}"),
            kind => format!("a {kind}"),
        };
        self.fault(Fault::new(format!("is {article}"), format!("give {expected}")));
        None
    }
}
