//! Results that stand in a document: each takes the place of the last one.

use anyhow::{Context, Result};
use std::path::Path;

/// Puts `table` where the file has the last result of this bench.
pub(crate) fn record(file: &Path, bench: &str, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let (begin, end) = marks(bench);
    let text = replaced(&text, (&begin, &end), table);
    let text = text.with_context(|| format!("{} has no place between {begin:?} and {end:?}", file.display()))?;
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

fn marks(bench: &str) -> (String, String) {
    let mark = |word| format!("<!-- bench {bench}: {word} -->\n");
    (mark("begin"), mark("end"))
}

fn replaced(text: &str, (begin, end): (&str, &str), table: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_takes_the_place_of_the_last_one_of_its_bench_alone() {
        let (begin, end) = marks("a");
        let (other, others_end) = marks("b");
        let text = format!("x\n{other}old\n{others_end}{begin}old\n{end}y\n");
        let new = replaced(&text, (&begin, &end), "new\n").unwrap();
        assert_eq!(new, format!("x\n{other}old\n{others_end}{begin}new\n{end}y\n"));
        assert_eq!(replaced("nothing", (&begin, &end), "new\n"), None);
    }
}
