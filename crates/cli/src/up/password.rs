//! The first password of root: random, in a file that only the owner of the data reads.

use dragonfly_service::fs;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};

/// As many characters as a manager allows.
const LENGTH: usize = 20;

/// The name of the first user.
pub(super) const USER: &str = "root";

/// The file, and what stands in it.
#[derive(Debug)]
pub(super) struct RootPassword {
    pub(super) file: PathBuf,
    secret: Option<SecretString>,
}

impl RootPassword {
    /// Reads the file, or writes it if this is the first start. Once there are users, a file that is gone is not
    /// replaced: another password would not be root's.
    pub(super) fn keep(data_dir: &Path, first_start: bool) -> Result<Self, fs::Error> {
        let file = data_dir.join("root-password");
        let known = std::fs::read_to_string(&file).ok().map(|text| text.trim().to_owned());
        let secret = match known.filter(|text| !text.is_empty()) {
            Some(text) => Some(SecretString::from(text)),
            None if first_start => {
                let text = Alphanumeric.sample_string(&mut rand::rng(), LENGTH);
                fs::write_atomic(&file, format!("{text}\n").as_bytes(), 0o600)?;
                Some(SecretString::from(text))
            }
            None => None,
        };
        Ok(Self { file, secret })
    }

    /// For the manager's first start.
    pub(super) fn secret(&self) -> Option<SecretString> {
        self.secret.clone()
    }

    /// For the person at the terminal.
    pub(super) fn shown(&self) -> &str {
        self.secret
            .as_ref()
            .map_or("<the one you set>", |secret| secret.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_start_makes_a_password_and_later_ones_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = RootPassword::keep(dir.path(), true).unwrap();
        assert_eq!(first.shown().len(), LENGTH);
        let mode = std::fs::metadata(&first.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let later = RootPassword::keep(dir.path(), false).unwrap();
        assert_eq!(later.shown(), first.shown());
    }

    #[test]
    fn a_password_that_is_gone_is_not_made_up() {
        let dir = tempfile::tempdir().unwrap();
        let password = RootPassword::keep(dir.path(), false).unwrap();
        assert!(password.secret().is_none() && !password.file.exists());
    }
}
