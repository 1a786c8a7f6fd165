//! Links lead to files and headings that are there, and the book's table of contents has every page.

use std::path::{Path, PathBuf};

use super::{Page, docs, lines};

const CONTENTS: &str = "SUMMARY.md";
/// Read in the repository, beside the code: they are no part of the book.
const DECISIONS: &str = "decisions";

/// What is wrong with a page's links.
pub(super) fn broken(page: &Page) -> Vec<String> {
    let dir = page.path.parent().unwrap_or(Path::new("."));
    let links = targets(&page.text);
    let wrong = links.into_iter().filter_map(|(line, target)| {
        let problem = problem(page, dir, &target)?;
        Some(format!("{}:{line}: {target}: {problem}", page.name()))
    });
    wrong.collect()
}

/// The pages that the table of contents does not name.
pub(super) fn unlisted(pages: &[Page]) -> Vec<String> {
    let contents = pages.iter().find(|page| page.path == docs().join(CONTENTS));
    let Some(contents) = contents else {
        return vec![format!("docs/{CONTENTS} is missing")];
    };
    let listed: Vec<PathBuf> = targets(&contents.text)
        .into_iter()
        .map(|(_, target)| docs().join(target))
        .collect();
    let missing = pages
        .iter()
        .filter(|page| page.path != contents.path && !listed.contains(&page.path))
        .filter(|page| !page.path.starts_with(docs().join(DECISIONS)));
    missing
        .map(|page| format!("{} is not in docs/{CONTENTS}", page.name()))
        .collect()
}

/// What is wrong with a link, if it is one of ours.
fn problem(page: &Page, dir: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let text = if file.is_empty() {
        page.text.clone()
    } else {
        let path = dir.join(file);
        if !path.exists() {
            return Some("no such file".to_owned());
        }
        if anchor.is_empty() {
            return None;
        }
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let known = anchors(&text);
    let is_known = anchor.is_empty() || known.iter().any(|known| known == anchor);
    (!is_known).then(|| format!("no such heading; there are {}", known.join(", ")))
}

/// What a page's links lead to, with their lines.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    for (number, _, line) in lines(text).filter(|(_, block, _)| block.is_none()) {
        // What stands between backquotes is no link.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for rest in prose.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                targets.push((number, target.to_owned()));
            }
        }
    }
    targets
}

/// What the headings of a page can be linked by.
fn anchors(text: &str) -> Vec<String> {
    let outside = lines(text).filter(|(_, block, _)| block.is_none());
    let headings = outside.filter_map(|(_, _, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.strip_prefix(' ')).flatten()
    });
    headings.map(slug).collect()
}

fn slug(title: &str) -> String {
    let lower = title.trim().to_lowercase();
    let kept = lower.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter => letter.is_alphanumeric().then_some(letter),
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page {
            path: docs().join("page.md"),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_its_line() {
        let text = "# One `two`, three\n[a](#one-two-three) [b](#four)\n[c](ARCHITECTURE.md#map) [d](nowhere.md)\n\
                    [e](ARCHITECTURE.md#nowhere) [f](https://example.com/x) `[g](h)`\n```\n[i](j)\n```\n";
        let wrong = broken(&page(text));
        let named: Vec<&str> = wrong
            .iter()
            .map(|said| said.split(':').nth(1).unwrap_or_default())
            .collect();
        assert_eq!(named, ["2", "3", "4"], "{wrong:?}");
        assert!(wrong[0].contains("there are one-two-three"), "{wrong:?}");
        assert!(wrong[1].contains("nowhere.md: no such file"), "{wrong:?}");
    }

    #[test]
    fn a_page_that_no_contents_names_is_named() {
        let contents = Page {
            path: docs().join(CONTENTS),
            text: "- [One](one.md)\n".to_owned(),
        };
        assert_eq!(
            unlisted(&[contents, page("")]),
            ["docs/page.md is not in docs/SUMMARY.md"]
        );
    }
}
