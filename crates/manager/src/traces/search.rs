//! Finding traces: one index names candidates, newest first, and each is asked whether it is what was meant.

use super::span::{Term, Told, TraceId};
use super::store::{CLASSES, Error, Found, Segment, Store, class};
use std::collections::HashSet;
use std::iter::Peekable;

/// The most traces that are answered; as many as Jaeger's UI can ask for.
pub(crate) const MAX_TRACES: usize = 1500;
/// Spans of which one search reads what they say.
const MAX_READ: usize = 50_000;
/// Spans of which one search looks at time and duration.
const MAX_SEEN: usize = 1_000_000;

/// Which traces: those with a span that is all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) service: String,
    pub(crate) operation: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    /// Shortest and longest duration, in microseconds.
    pub(crate) durations: (u64, u64),
    /// Earliest and latest start, in microseconds since 1970.
    pub(crate) times: (u64, u64),
    pub(crate) limit: usize,
}

/// What was found, and whether all was looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) traces: Vec<TraceId>,
    pub(super) cut: bool,
}

impl Query {
    /// The index that names the fewest.
    fn term(&self) -> Term {
        let by_tag = Term::of_tags(&self.service, &self.tags);
        let by_operation = || {
            let operation = self.operation.as_ref()?;
            Some(Term::operation(&self.service, operation))
        };
        by_tag
            .or_else(by_operation)
            .unwrap_or_else(|| Term::service(&self.service))
    }

    /// Whether the index alone has answered.
    fn is_indexed(&self) -> bool {
        self.tags.is_empty()
    }

    fn is_met_by(&self, told: &Told) -> bool {
        told.service() == self.service
            && self.operation.as_ref().is_none_or(|operation| told.name() == operation)
            && told.says(&self.tags)
    }
}

/// Looks for traces. Segments are in the order of arrival, so newer traces come first but for those that came late.
pub(super) fn find(store: &Store, query: &Query) -> Result<Outcome, Error> {
    let mut search = Search {
        query,
        known: HashSet::new(),
        outcome: Outcome::default(),
        seen: 0,
        read: 0,
    };
    for segment in store.segments().iter().rev() {
        if search.segment(segment)? {
            break;
        }
    }
    Ok(search.outcome)
}

struct Search<'a> {
    query: &'a Query,
    known: HashSet<TraceId>,
    outcome: Outcome,
    seen: usize,
    read: usize,
}

impl Search<'_> {
    /// True when there is enough.
    fn segment(&mut self, segment: &Segment) -> Result<bool, Error> {
        let (shortest, longest) = self.query.durations;
        let classes = class(shortest)..=class(longest).min(CLASSES - 1);
        let term = self.query.term();
        let mut sources: Vec<_> = classes
            .map(|class| segment.found(term, class, self.query.times).peekable())
            .collect();
        while let Some(found) = newest(&mut sources)? {
            self.seen += 1;
            let fits = (shortest..=longest).contains(&found.duration);
            if fits && !self.known.contains(&found.trace) && self.is_meant(segment, found)? {
                self.known.insert(found.trace);
                self.outcome.traces.push(found.trace);
            }
            if self.outcome.traces.len() >= self.query.limit.min(MAX_TRACES) {
                return Ok(true);
            }
            if self.seen >= MAX_SEEN || self.read >= MAX_READ {
                self.outcome.cut = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_meant(&mut self, segment: &Segment, found: Found) -> Result<bool, Error> {
        // Reading is what takes time; a hash of a name alone is believed if nothing else was asked.
        if self.query.is_indexed() {
            return Ok(true);
        }
        self.read += 1;
        let told = segment.told(found)?;
        Ok(told.is_some_and(|told| self.query.is_met_by(&told)))
    }
}

/// The newest of what several sources have next.
fn newest(sources: &mut [Peekable<impl Iterator<Item = Result<Found, Error>>>]) -> Result<Option<Found>, Error> {
    let mut first: Option<(Found, usize)> = None;
    let mut failed = None;
    for (number, source) in sources.iter_mut().enumerate() {
        match source.peek() {
            Some(Ok(found)) if first.is_none_or(|(first, _)| *found < first) => first = Some((*found, number)),
            Some(Err(_)) => failed = Some(number),
            _ => {}
        }
    }
    match failed.or(first.map(|(_, number)| number)) {
        Some(number) => sources[number].next().transpose(),
        None => Ok(None),
    }
}
