//! How far each target is, for whoever carries an order out to write and for whoever follows it to read.

use dragonfly_api::ext::{Target, TargetState};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Characters of a reason.
const MAX_REASON: usize = 512;
/// Failures that a summary names.
const MAX_NAMED: usize = 5;

/// The targets of one order.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    targets: Vec<Target>,
    /// Those that have changed since they were taken.
    changed: BTreeSet<usize>,
}

/// A target on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row(usize);

/// How many targets are how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) others: usize,
}

impl Board {
    /// A new target.
    pub(crate) fn add(&self, target: Target) -> Row {
        let mut state = self.state();
        let row = state.targets.len();
        state.targets.push(target);
        state.changed.insert(row);
        Row(row)
    }

    /// Changes a target, unless it has ended.
    pub(super) fn update(&self, row: Row, change: impl FnOnce(&mut Target)) {
        let mut state = self.state();
        let Some(target) = state.targets.get_mut(row.0).filter(|target| !has_ended(target)) else {
            return;
        };
        change(target);
        state.changed.insert(row.0);
    }

    pub(super) fn ended(&self, row: Row, how: TargetState, reason: &str) {
        self.update(row, |target| {
            target.set_state(how);
            target.description = reason.chars().take(MAX_REASON).collect();
        });
    }

    /// Ends all targets that have not.
    pub(super) fn close(&self, how: TargetState, reason: &str) {
        let rows = self.state().targets.len();
        for row in 0..rows {
            self.ended(Row(row), how, reason);
        }
    }

    /// Up to so many targets that have changed since they were last taken.
    pub(crate) fn take_changes(&self, most: usize) -> Vec<Target> {
        let mut state = self.state();
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(row) = state.changed.pop_first()
        {
            taken.push(state.targets[row].clone());
        }
        taken
    }

    /// All targets are to be told anew.
    pub(crate) fn tell_all_again(&self) {
        let mut state = self.state();
        state.changed = (0..state.targets.len()).collect();
    }

    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for target in &self.state().targets {
            match target.state() {
                TargetState::Done => tally.done += 1,
                TargetState::Failed => tally.failed += 1,
                TargetState::Waiting | TargetState::Running | TargetState::Cancelled => tally.others += 1,
            }
        }
        tally
    }

    /// What failed, in a sentence; empty if nothing did.
    pub(crate) fn failures(&self) -> String {
        let state = self.state();
        let failed: Vec<&Target> = state
            .targets
            .iter()
            .filter(|target| target.state() == TargetState::Failed)
            .collect();
        if failed.is_empty() {
            return String::new();
        }
        let named: Vec<String> = failed
            .iter()
            .take(MAX_NAMED)
            .map(|target| format!("{} ({}): {}", target.hostname, target.ip, target.description))
            .collect();
        let more = match failed.len() - named.len() {
            0 => "",
            _ => "; …",
        };
        let (count, all) = (failed.len(), state.targets.len());
        format!("{count} of {all} targets failed: {}{more}", named.join("; "))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_ended(target: &Target) -> bool {
    match target.state() {
        TargetState::Done | TargetState::Failed | TargetState::Cancelled => true,
        TargetState::Waiting | TargetState::Running => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> Target {
        Target {
            hostname: name.to_owned(),
            ip: "10.0.0.1".to_owned(),
            ..Target::default()
        }
    }

    #[test]
    fn only_changes_are_told_until_all_is_to_be_told_again() {
        let board = Board::default();
        let rows: Vec<Row> = ["a", "b", "c"].iter().map(|name| board.add(target(name))).collect();
        assert_eq!(board.take_changes(2).len(), 2);
        assert_eq!(board.take_changes(2).len(), 1);
        board.update(rows[1], |target| target.finished_length = 7);
        board.ended(rows[1], TargetState::Done, "");
        let changes = board.take_changes(9);
        assert_eq!((changes.len(), changes[0].finished_length), (1, 7));
        board.tell_all_again();
        assert_eq!(board.take_changes(9).len(), 3);
    }

    #[test]
    fn what_has_ended_stays_so_and_failures_are_named() {
        let board = Board::default();
        let rows: Vec<Row> = ["a", "b", "c"].iter().map(|name| board.add(target(name))).collect();
        board.ended(rows[0], TargetState::Done, "");
        board.ended(rows[1], TargetState::Failed, "it is gone");
        board.close(TargetState::Cancelled, "enough");
        let tally = Tally {
            done: 1,
            failed: 1,
            others: 1,
        };
        assert_eq!(board.tally(), tally);
        assert_eq!(board.failures(), "1 of 3 targets failed: b (10.0.0.1): it is gone");
        board.update(rows[0], |_| panic!("it has ended"));
    }
}
