//! Where a program runs: on the network of this host, or in a network namespace of the lab.

use std::ffi::OsStr;
use std::process::Command;

/// A network that programs can be started on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// The network of the test itself.
    #[default]
    Here,
    /// The network namespace of this name, as `ip netns` lists it.
    Namespace(String),
}

impl Place {
    /// A command that runs `program` here. It is the program itself that gets the process id, signals and output:
    /// entering the namespace ends in an `exec`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Here => Command::new(program),
            Self::Namespace(name) => {
                let mut command = Command::new(crate::packages::IP.1);
                command.args(["netns", "exec", name]).arg(program);
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_enters_the_namespace_that_it_runs_in() {
        let here = Place::Here.command("true");
        assert_eq!(here.get_program(), "true");
        let inside = Place::Namespace("core".into()).command("true");
        let arguments: Vec<_> = inside.get_args().collect();
        assert_eq!(inside.get_program(), "/sbin/ip");
        assert_eq!(arguments, ["netns", "exec", "core", "true"]);
    }
}
