//! Tables for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// A table without lines; columns from `numbers_from` on are numbers.
pub(super) fn table(header: &[&str], numbers_from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(numbers_from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Names and values below each other.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let mut t = Table::new();
    t.load_style(NOTHING);
    for (name, value) in facts {
        t.add_row([(*name).to_owned(), value.clone()]);
    }
    t.trim_fmt()
}

/// A number a person can read at a glance: `1.2k`, `34M`.
pub(super) fn short(n: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match UNITS.iter().find(|(unit, _)| n >= *unit) {
        Some((unit, name)) if n / unit < 10.0 => format!("{:.1}{name}", n / unit),
        Some((unit, name)) => format!("{:.0}{name}", n / unit),
        None if n > 0.0 && n < 10.0 => format!("{n:.1}"),
        None => format!("{n:.0}"),
    }
}

/// A share from 0 to 1.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let table = [
            (0.0, "0"),
            (0.25, "0.2"),
            (9.5, "9.5"),
            (999.0, "999"),
            (1_000.0, "1.0k"),
            (45_600.0, "46k"),
            (7.1e9, "7.1G"),
        ];
        for (n, text) in table {
            assert_eq!(short(n), text);
        }
    }
}
