//! What runs gave, side by side: knows nothing of how they were made.

use std::fmt::Write;
use std::time::Duration;

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It ran longer than it may.
    TimeLimit,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Code(code) => write!(f, "{code}"),
            End::Signal(number) => write!(f, "signal {number}"),
            End::TimeLimit => f.write_str("hangs"),
        }
    }
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub output: Vec<u8>,
    /// Class and message of the exception that nothing handled. Its trace depends on what was inlined, and is left out.
    pub exception: Option<String>,
    /// Wall time.
    pub time: Duration,
}

/// A line of the table.
pub struct Row {
    /// Of the configuration.
    pub name: String,
    /// What it gave, or why it could not run.
    pub outcome: Result<Outcome, String>,
}

/// The run that all others are compared with: the first one that there is.
fn reference(rows: &[Row]) -> Option<(&Row, &Outcome)> {
    rows.iter().find_map(|row| Some((row, row.outcome.as_ref().ok()?)))
}

/// What distinguishes two runs, in the order in which one wants to know.
fn difference(expected: &Outcome, found: &Outcome) -> Option<&'static str> {
    let parts = [
        (expected.output == found.output, "output differs"),
        (expected.exception == found.exception, "exception differs"),
        (expected.end == found.end, "exit code differs"),
    ];
    parts.into_iter().find(|(is_same, _)| !is_same).map(|(_, text)| text)
}

/// Whether all could run and gave the same.
pub fn all_agree(rows: &[Row]) -> bool {
    reference(rows).is_some_and(|(_, expected)| {
        rows.iter().all(|row| row.outcome.as_ref().is_ok_and(|found| difference(expected, found).is_none()))
    })
}

/// One line for each run: name, exit code, length and hash of the output, time, verdict.
pub fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default().max("configuration".len());
    let expected = reference(rows);
    let mut text = format!("{:width$}  {:>9}  {:>21}  {:>9}  verdict\n", "configuration", "exit code", "output", "time");
    for row in rows {
        let _ = match (&row.outcome, expected) {
            (Ok(found), Some((first, expected))) => {
                let verdict = match difference(expected, found) {
                    Some(what) => what,
                    None if std::ptr::eq(first, row) => "reference",
                    None => "same",
                };
                let hash = runtime::aot::content_hash(&found.output) as u32;
                let (end, bytes, seconds) = (found.end.to_string(), found.output.len(), found.time.as_secs_f64());
                writeln!(text, "{:width$}  {end:>9}  {bytes:>10} B {hash:08x}  {seconds:>7.3} s  {verdict}", row.name)
            }
            (_, _) => writeln!(text, "{:width$}  {:>9}  {:>21}  {:>9}  could not run", row.name, "", "", ""),
        };
    }
    text
}

/// The first run that differs, and how: the line of the output, the exception or the exit code, with both texts.
pub fn first_difference(rows: &[Row]) -> Option<String> {
    let Some((first, expected)) = reference(rows) else { return Some("nothing could run\n".to_owned()) };
    for row in rows {
        let Ok(found) = &row.outcome else { continue };
        let Some(what) = difference(expected, found) else { continue };
        let (place, texts) = if expected.output != found.output {
            let (line, texts) = first_line(&expected.output, &found.output);
            (format!("output, line {line}"), texts)
        } else if expected.exception != found.exception {
            let text = |outcome: &Outcome| outcome.exception.clone().unwrap_or_else(|| "(none)".to_owned());
            ("unhandled exception".to_owned(), [text(expected), text(found)])
        } else {
            (what.to_owned(), [expected.end.to_string(), found.end.to_string()])
        };
        let width = first.name.len().max(row.name.len());
        return Some(format!("{place}\n{:width$}: {}\n{:width$}: {}\n", first.name, texts[0], row.name, texts[1]));
    }
    rows.iter().any(|row| row.outcome.is_err()).then(|| "some could not run; the others agree\n".to_owned())
}

/// Number of the first line that differs, from 1, and what it is in both.
fn first_line(expected: &[u8], found: &[u8]) -> (usize, [String; 2]) {
    let line = |bytes: &[u8], number: usize| match bytes.split_inclusive(|&byte| byte == b'\n').nth(number) {
        // With what is invisible made visible, for lines may differ in that alone.
        Some(line) => line.escape_ascii().to_string(),
        None => "(end of output)".to_owned(),
    };
    let mut number = 0;
    while line(expected, number) == line(found, number) {
        number += 1;
    }
    (number + 1, [line(expected, number), line(found, number)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, code: i32, output: &str, exception: Option<&str>) -> Row {
        let outcome = Outcome {
            end: End::Code(code),
            output: output.as_bytes().to_vec(),
            exception: exception.map(str::to_owned),
            time: Duration::from_millis(1500),
        };
        Row { name: name.to_owned(), outcome: Ok(outcome) }
    }

    #[test]
    fn equal_runs_agree_whatever_their_time() {
        let rows = [row("amd64 jit", 3, "a\nb\n", None), row("arm jit", 3, "a\nb\n", None)];
        assert!(all_agree(&rows) && first_difference(&rows).is_none());
        let lines: Vec<String> = table(&rows).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("amd64 jit ") && lines[1].ends_with("  1.500 s  reference"), "{}", lines[1]);
        assert!(lines[1].contains("  3  ") && lines[1].contains(" 4 B "), "{}", lines[1]);
        assert!(lines[2].ends_with("same"));
    }

    #[test]
    fn the_first_difference_is_shown_with_both_texts() {
        let cases = [
            (row("b", 0, "a\nB\nc", None), "output, line 2\na: b\\n\nb: B\\n\n", "output differs"),
            (row("b", 0, "a\nb\nc\n", None), "output, line 3\na: c\nb: c\\n\n", "output differs"),
            (row("b", 0, "a\n", None), "output, line 2\na: b\\n\nb: (end of output)\n", "output differs"),
            (row("b", 1, "a\nb\nc", Some("E: m")), "unhandled exception\na: (none)\nb: E: m\n", "exception differs"),
            (row("b", 7, "a\nb\nc", None), "exit code differs\na: 0\nb: 7\n", "exit code differs"),
        ];
        for (other, expected, verdict) in cases {
            let rows = [row("a", 0, "a\nb\nc", None), other];
            assert!(!all_agree(&rows));
            assert_eq!(first_difference(&rows).as_deref(), Some(expected));
            assert!(table(&rows).trim_end().ends_with(verdict));
        }
    }

    #[test]
    fn what_cannot_run_does_not_agree() {
        let missing = || Row { name: "arm".to_owned(), outcome: Err("no saki for arm".to_owned()) };
        let rows = [missing(), row("amd64", 0, "", None)];
        assert!(!all_agree(&rows) && !all_agree(&[missing()]) && !all_agree(&[]));
        assert!(table(&rows).contains("could not run"));
        assert!(first_difference(&rows).is_some());
    }
}
