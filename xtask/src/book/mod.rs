//! `cargo xtask book`: writes the reference of the configuration anew, holds every page against what is there, and makes the book by
//! mdBook where that is installed. With `--check` nothing is written: what is stale is an error.

mod commands;
mod links;
mod reference;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{root, step, succeed};
use crate::tools::product;

/// Pages beside the book's that quote commands.
const MORE: [&str; 4] = [
    "README.md",
    "deploy/docker/README.md",
    "deploy/helm/dragonfly/README.md",
    "deploy/systemd/README.md",
];

/// A page, and where it is.
struct Page {
    path: PathBuf,
    text: String,
}

/// Writes what is generated, checks all, makes the book.
pub(crate) fn run(check_only: bool) -> Result<String> {
    let binary = product()?;
    step("reference", || reference::write(&binary, check_only))?;
    let pages = pages()?;
    let more = MORE.map(|path| read(&root().join(path)));
    let more = more.into_iter().collect::<Result<Vec<_>>>()?;
    let all: Vec<&Page> = pages.iter().chain(&more).collect();
    let mut wrong = links::unlisted(&pages);
    wrong.extend(all.iter().flat_map(|page| links::broken(page)));
    let mut commands = 0;
    for page in &all {
        for command in commands::quoted(&page.text) {
            commands += 1;
            let judged = commands::judge(&binary, &command)?;
            wrong.extend(judged.map(|said| format!("{}: `{}`: {said}", page.name(), command.join(" "))));
        }
    }
    if !wrong.is_empty() {
        bail!("{} mistakes\n  {}", wrong.len(), wrong.join("\n  "));
    }
    let judged = format!("book: {} pages, {commands} commands: all as they are", all.len());
    if check_only {
        return Ok(judged);
    }
    make().map(|made| format!("{judged}; {made}"))
}

/// By mdBook, which is no part of the tests: it takes longer to build than all of them.
fn make() -> Result<String> {
    let mut mdbook = Command::new("mdbook");
    match mdbook.arg("--version").output() {
        Ok(_) => {
            let mut build = Command::new("mdbook");
            succeed(build.arg("build").arg(docs()).stdout(std::io::stderr()))?;
            Ok("target/book/index.html".to_owned())
        }
        Err(_) => Ok("not made into HTML: `cargo install mdbook` first".to_owned()),
    }
}

fn docs() -> PathBuf {
    root().join("docs")
}

/// All pages below `docs`.
fn pages() -> Result<Vec<Page>> {
    let (mut pages, mut dirs) = (Vec::new(), vec![docs()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|kind| kind == "md") {
                pages.push(read(&path)?);
            }
        }
    }
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(pages)
}

fn read(path: &Path) -> Result<Page> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Page {
        path: path.to_owned(),
        text,
    })
}

impl Page {
    /// Its path from the project's root.
    fn name(&self) -> String {
        let path = self.path.strip_prefix(root()).unwrap_or(&self.path);
        path.display().to_string()
    }
}

/// The lines of a page with their numbers, and of each the language of the block of code that it stands in, if it does.
fn lines(text: &str) -> impl Iterator<Item = (usize, Option<&str>, &str)> {
    let mut block = None;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, block) {
            (Some(language), None) => block = Some(language.trim()),
            (Some(_), Some(_)) => block = None,
            (None, _) => return Some((number + 1, block, line)),
        }
        None
    })
}
