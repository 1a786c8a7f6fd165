//! The commands that pages quote, as far as they are ours: the program itself says whether it knows them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::lines;

/// The verbs that links to the binary are called by.
const LINKS: [&str; 6] = ["dfget", "dfcache", "dfctl", "dfinit", "dfdaemon", "scheduler"];
/// What stands for more.
const MORE: &str = "…";

/// The commands of ours in a page's blocks of `sh`, each as its words.
pub(super) fn quoted(text: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut open = String::new();
    for (_, block, line) in lines(text) {
        if block != Some("sh") {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            open.push_str(begun);
            continue;
        }
        let whole = std::mem::take(&mut open) + line;
        commands.extend(simple_commands(&whole).into_iter().filter(|words| is_ours(words)));
    }
    commands
}

/// What is wrong with a command, if anything is.
pub(super) fn judge(binary: &Path, command: &[String]) -> Result<Option<String>> {
    let words: Vec<&String> = command.iter().take_while(|word| *word != MORE).collect();
    if words.first().is_some_and(|word| *word == "cargo") {
        let parsed = crate::Cli::command().try_get_matches_from(words.into_iter().skip(1));
        let wrong = parsed.err().filter(|error| error.exit_code() != 0);
        return Ok(wrong.map(|error| first_line(&error.to_string())));
    }
    let verb = usize::from(words.first().is_some_and(|word| *word == "dragonfly"));
    // Everything before it is read, nothing is done.
    let mut asked = Command::new(binary);
    asked.args(&words[verb..]).arg("--help");
    let output = asked
        .output()
        .with_context(|| format!("starting {}", binary.display()))?;
    let wrong = (!output.status.success()).then(|| first_line(&String::from_utf8_lossy(&output.stderr)));
    Ok(wrong)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn is_ours(words: &[String]) -> bool {
    let [first, rest @ ..] = words else { return false };
    match first.as_str() {
        "dragonfly" => true,
        "cargo" => rest.first().is_some_and(|verb| verb == "xtask"),
        link => LINKS.contains(&link),
    }
}

/// A line of a shell as its commands' words, without variables before them and what follows a redirection.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let (mut word, mut quote, mut redirected) = (String::new(), None, false);
    let mut letters = line.chars().chain([' ', '\n']).peekable();
    while let Some(letter) = letters.next() {
        let is_placeholder = letter == '<' && letters.peek().is_some_and(|next| next.is_alphabetic());
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some('>'), letter) => word.push(letter),
            (Some(_), letter) => word.push(letter),
            (None, '<') if is_placeholder => quote = Some('>'),
            (None, '\'' | '"') => quote = Some(letter),
            (None, '#') if word.is_empty() => break,
            (None, ' ' | '|' | '&' | ';' | '<' | '>' | '(' | ')' | '\n') => {
                if !word.is_empty() && !redirected {
                    words.push(std::mem::take(&mut word));
                }
                word.clear();
                redirected |= matches!(letter, '<' | '>');
                if matches!(letter, '|' | '&' | ';' | '(' | ')') {
                    commands.push(std::mem::take(&mut words));
                    redirected = false;
                }
            }
            (None, letter) => word.push(letter),
        }
    }
    commands.push(words);
    let is_variable = |word: &String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    commands
        .into_iter()
        .map(|words| words.into_iter().skip_while(is_variable).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_among_what_shells_have_beside_them() {
        let page = "```sh\nA=1 dragonfly dfget \\\n  'a b' -O <file> > x 2>&1 # why\ncargo build; cargo xtask check && dfctl job ls | head\n\
                    ```\n```yaml\ndragonfly: 1\n```\ndragonfly up\n";
        let expected: [&[&str]; 3] = [
            &["dragonfly", "dfget", "a b", "-O", "file"],
            &["cargo", "xtask", "check"],
            &["dfctl", "job", "ls"],
        ];
        assert_eq!(quoted(page), expected);
    }

    #[test]
    fn a_verb_that_does_not_exist_is_named() {
        let judged = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            judge(Path::new("/bin/false"), &words).unwrap()
        };
        assert_eq!(judged(&["cargo", "xtask", "test", "unit"]), None);
        let wrong = judged(&["cargo", "xtask", "tset"]).unwrap();
        assert!(wrong.contains("tset"), "{wrong}");
        assert!(
            judged(&["dragonfly", "dfget"]).is_some(),
            "the program says whether it knows it"
        );
    }
}
