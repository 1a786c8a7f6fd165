//! An error with its causes, for the edge where it is told to somebody.

use std::error::Error;
use std::fmt;

/// `error: cause: cause of the cause`. Errors here say only their own part when they are displayed, so that nothing is
/// told twice; the place that tells them uses this.
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> Chain<'a> {
    Chain(error)
}

/// See [`chain`].
#[derive(Debug)]
pub struct Chain<'a>(&'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't start")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_the_error_they_explain() {
        let error = Outer(std::io::Error::other("disk is full"));
        assert_eq!(chain(&error).to_string(), "can't start: disk is full");
    }
}
