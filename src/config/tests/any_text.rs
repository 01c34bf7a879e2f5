use proptest::prelude::*;

use super::super::*;
use super::{DUAL, TWO_ARM};

/// Every problem has its place, in the text, and says what to do.
fn check(text: &str) {
    if let Err(Problems(problems)) = parse(text, "t.toml") {
        assert!(!problems.is_empty());
        let lines = u32::try_from(text.split('\n').count()).expect("few lines");
        for problem in &problems {
            let line = problem.line.expect("a line");
            assert!((1..=lines).contains(&line), "{problem}");
            assert!(problem.column.is_some_and(|column| column >= 1), "{problem}");
            assert!(!problem.what.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
            assert!(problem.to_string().lines().count() <= 2, "{problem}");
        }
        assert!(problems.is_sorted_by_key(|problem| (problem.line, problem.column)));
    }
}

const EXAMPLE: &str = include_str!("../../../conf/gatun.toml");

/// What mutations put into a valid file: fields, values and marks that mean something to some part of the reader.
const SCRAPS: [&str; 32] = [
    "",
    "=",
    "\"",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    ",",
    ".",
    "\n",
    "#",
    "é",
    "-1",
    "0",
    "99999999999999999999",
    "1.5",
    "true",
    "1979-05-27",
    "\"::1\"",
    "\"::/0\"",
    "\"2001:db8::-ffff::\"",
    "\"[fe80::1%1]:65535\"",
    "\"0.0.0.0/0\"",
    "\"255.255.255.255:65535\"",
    "\"0.0.0.0-255.255.255.255\"",
    "[[service]]\n",
    "interface = \"wan\"",
    "[[interface]]\nport = \"wan\"\naddresses = [\"198.18.1.1/0\"]\n",
    "name = \"wan\"",
    "[[[[[[[[[[[[",
];

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn text_out_of_toml_marks_never_panics(text in "[\\[\\]{}=\",.#a-c0-2\n \\\\']{0,80}") {
        check(&text);
    }

    #[test]
    fn a_valid_file_with_bytes_cut_out_and_put_in_never_panics(
        whole in prop::sample::select(vec![EXAMPLE, TWO_ARM, DUAL]),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, prop::sample::select(SCRAPS.to_vec())), 1..5),
    ) {
        let mut text: Vec<char> = whole.chars().collect();
        for (at, length, scrap) in cuts {
            let start = at.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, scrap.chars());
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_valid_file_with_one_value_exchanged_never_panics(
        nth in any::<prop::sample::Index>(),
        value in prop::sample::select(SCRAPS[14..27].to_vec()),
    ) {
        let mut lines: Vec<String> = DUAL.lines().map(str::to_owned).collect();
        let fields: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].contains(" = ")).collect();
        let line = &mut lines[*nth.get(&fields)];
        let name = line.split(" = ").next().expect("a name").to_owned();
        *line = format!("{name} = {value}");
        check(&lines.join("\n"));
    }

    #[test]
    fn arbitrary_text_as_an_address_never_panics(text in "[0-9a-f:./\\[\\]%-]{0,40}") {
        check(&TWO_ARM.replace("198.18.2.100-198.18.2.101", &text));
        check(&TWO_ARM.replace("198.18.1.100:80", &text));
        check(&TWO_ARM.replace("198.18.1.254/24", &text));
        check(&TWO_ARM.replace("0.0.0.0/0", &text));
        check(&DUAL.replace("fe80::1", &text));
    }
}

#[test]
fn brackets_without_end_never_overflow_the_stack() {
    for open in ["[", "{", "a = [", "a = {a = "] {
        check(&open.repeat(50_000));
        check(&format!("a = {}", open.repeat(50_000)));
    }
    check(&"a.".repeat(50_000));
}
