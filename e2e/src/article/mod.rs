//! The story of two isolated clusters under one manager, told by running it: a first sign-in, a second cluster added by
//! REST, its members started with the ids that the API returned, an image pulled on every node by containerd, and what
//! that took, beside the same pull straight from the registry.

mod measure;
mod picture;
mod report;
mod story;
mod table;

pub use self::report::{Blob, Case, Edge, Kind, Pull, Report, Verdict};
pub use self::story::{Standing, stand, tell};

impl Report {
    /// The article's table, and what the run shows.
    #[must_use]
    pub fn table(&self) -> String {
        table::render(self)
    }

    /// A page of its own: the two clusters with the bytes that moved, and each pull as a waterfall.
    #[must_use]
    pub fn html(&self) -> String {
        picture::page(self)
    }
}
