//! The table of what origins have said. Pure: the time is given, names are HMACs already.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A name under the host's key: nobody without that key can tell or guess what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(pub(super) [u8; 16]);

/// Seconds since the epoch.
pub(super) type Seconds = u64;

/// More facts or challenges than these are not remembered; those that end soonest go first.
pub(super) const MAX_FACTS: usize = 65_536;
pub(super) const MAX_CHALLENGES: usize = 4_096;

/// What is remembered. A name stands for "this principal may read this repository" or "this repository holds this
/// content"; which, is hidden in the name.
#[derive(Debug, Default)]
pub(super) struct Book {
    facts: HashMap<Name, Seconds>,
    challenges: HashMap<Name, Challenge>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Challenge {
    values: Vec<String>,
    until: Seconds,
}

impl Book {
    /// Whether the fact is known at `now`.
    pub(super) fn knows(&self, name: Name, now: Seconds) -> bool {
        self.facts.get(&name).is_some_and(|until| now < *until)
    }

    /// Remembers a fact; whether that changed anything worth keeping. An old promise is never shortened by a new one.
    pub(super) fn learn(&mut self, name: Name, until: Seconds, now: Seconds) -> bool {
        if until <= now {
            return false;
        }
        let known = self.facts.entry(name).or_insert(0);
        // A busy client would otherwise have the whole table written at each request.
        let changed = until > known.saturating_add((until - now) / 8);
        *known = until.max(*known);
        make_room(&mut self.facts, MAX_FACTS, now, |until| *until);
        changed
    }

    /// Forgets a fact; whether it was there.
    pub(super) fn forget(&mut self, name: Name) -> bool {
        self.facts.remove(&name).is_some()
    }

    /// The challenge last seen under this name, if it is not too old.
    pub(super) fn challenge(&self, name: Name, now: Seconds) -> Option<&[String]> {
        let challenge = self.challenges.get(&name)?;
        (now < challenge.until).then_some(&*challenge.values)
    }

    /// Remembers a challenge; whether it is another one than before.
    pub(super) fn challenged(&mut self, name: Name, values: Vec<String>, until: Seconds, now: Seconds) -> bool {
        let before = self.challenges.insert(name, Challenge { values, until });
        make_room(&mut self.challenges, MAX_CHALLENGES, now, |challenge| challenge.until);
        before.map(|challenge| challenge.values) != self.challenges.get(&name).map(|challenge| challenge.values.clone())
    }

    /// As it is kept on disk; what has ended by `now` is left out.
    pub(super) fn to_stored(&self, now: Seconds) -> Stored {
        let facts = self.facts.iter().filter(|(_, until)| now < **until);
        let challenges = self.challenges.iter().filter(|(_, challenge)| now < challenge.until);
        Stored {
            version: Stored::VERSION,
            facts: facts.map(|(name, until)| (hex::encode(name.0), *until)).collect(),
            challenges: challenges
                .map(|(name, challenge)| (hex::encode(name.0), challenge.until, challenge.values.clone()))
                .collect(),
        }
    }

    /// From disk. A name that is none is left out: whoever it was for is asked for again.
    pub(super) fn from_stored(stored: Stored, now: Seconds) -> Self {
        let mut book = Self::default();
        for (name, until) in stored.facts {
            if let Some(name) = parse(&name) {
                book.learn(name, until, now);
            }
        }
        for (name, until, values) in stored.challenges {
            if let Some(name) = parse(&name) {
                book.challenged(name, values, until, now);
            }
        }
        book
    }
}

/// The book's file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) version: u32,
    facts: Vec<(String, Seconds)>,
    challenges: Vec<(String, Seconds, Vec<String>)>,
}

impl Stored {
    /// A file of another version is not read.
    pub(super) const VERSION: u32 = 1;
}

fn parse(text: &str) -> Option<Name> {
    let mut name = [0; 16];
    hex::decode_to_slice(text, &mut name).ok()?;
    Some(Name(name))
}

/// Drops what has ended, and if that is not enough, an eighth of the rest: those that end soonest.
fn make_room<V>(map: &mut HashMap<Name, V>, limit: usize, now: Seconds, until: impl Fn(&V) -> Seconds) {
    if map.len() <= limit {
        return;
    }
    map.retain(|_, value| now < until(value));
    if map.len() <= limit {
        return;
    }
    let mut ends: Vec<(Seconds, Name)> = map.iter().map(|(name, value)| (until(value), *name)).collect();
    let surplus = map.len() - limit + limit / 8;
    ends.select_nth_unstable(surplus - 1);
    for (_, name) in &ends[..surplus] {
        map.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> Name {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Name(bytes)
    }

    #[test]
    fn a_fact_ends_with_its_time_and_at_once_when_it_is_revoked() {
        let mut book = Book::default();
        assert!(book.learn(name(1), 100, 10));
        assert!(book.knows(name(1), 99));
        assert!(!book.knows(name(1), 100));
        assert!(!book.learn(name(2), 10, 10));
        assert!(book.forget(name(1)));
        assert!(!book.knows(name(1), 20));
        assert!(!book.forget(name(1)));
    }

    #[test]
    fn a_fact_that_is_confirmed_again_and_again_is_not_news_each_time() {
        let mut book = Book::default();
        assert!(book.learn(name(1), 3600, 0));
        assert!(!book.learn(name(1), 3601, 1));
        assert!(book.knows(name(1), 3600));
        assert!(book.learn(name(1), 5400, 1800));
    }

    #[test]
    fn a_full_book_drops_what_ends_soonest() {
        let mut book = Book::default();
        for number in 0..=u32::try_from(MAX_FACTS).unwrap() {
            book.learn(name(number), 1000 + u64::from(number), 0);
        }
        assert!(book.facts.len() <= MAX_FACTS);
        assert!(!book.knows(name(0), 1));
        assert!(book.knows(name(u32::try_from(MAX_FACTS).unwrap()), 1));
    }

    #[test]
    fn a_book_survives_its_file_without_what_has_ended() {
        let mut book = Book::default();
        book.learn(name(1), 100, 0);
        book.learn(name(2), 50, 0);
        let challenge = vec!["Bearer realm=\"https://auth\"".to_owned()];
        assert!(book.challenged(name(3), challenge.clone(), 100, 0));
        assert!(!book.challenged(name(3), challenge.clone(), 100, 0));
        let text = serde_json::to_string(&book.to_stored(60)).unwrap();
        let again = Book::from_stored(serde_json::from_str(&text).unwrap(), 60);
        assert!(again.knows(name(1), 60));
        assert!(!again.facts.contains_key(&name(2)));
        assert_eq!(again.challenge(name(3), 60), Some(&*challenge));
    }
}
