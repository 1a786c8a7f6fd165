//! The file with which an operator need not say the same with each call.

use crate::failure::Failure;
use dragonfly_service::{config, config_section};
use secrecy::SecretString;
use std::path::{Path, PathBuf};

config_section! {
    /// dfctl.yaml.
    File {
        /// The manager's REST address.
        manager: Option<String> = None,
        /// A token.
        #[serde(serialize_with = "dragonfly_service::config::hidden")]
        token: Option<SecretString> = None,
        /// A user to sign in as, where there is no token.
        user: Option<String> = None,
        /// The password of that user.
        #[serde(serialize_with = "dragonfly_service::config::hidden")]
        password: Option<SecretString> = None,
        /// PEM file with the CA of the manager.
        ca: Option<PathBuf> = None,
    }
}

/// Reads the file that was named, else the user's, else the host's, else nothing.
pub(super) fn read(named: Option<&Path>, home: Option<&Path>) -> Result<File, Failure> {
    let of_user = home.map(|home| home.join(".config/dragonfly/dfctl.yaml"));
    let of_host = PathBuf::from("/etc/dragonfly/dfctl.yaml");
    let usual = of_user.into_iter().chain([of_host]).find(|path| path.exists());
    match named.map(Path::to_owned).or(usual) {
        Some(path) => config::load(&path).map_err(|error| Failure::config(&error)),
        None => Ok(File::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_is_read_before_the_users_and_must_be_right() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(".config/dragonfly")).unwrap();
        std::fs::write(
            home.path().join(".config/dragonfly/dfctl.yaml"),
            "manager: http://one\n",
        )
        .unwrap();
        let named = home.path().join("named.yaml");
        std::fs::write(&named, "manager: http://two\n").unwrap();
        let manager = |file: Result<File, Failure>| file.ok().and_then(|file| file.manager);
        assert_eq!(manager(read(None, Some(home.path()))).as_deref(), Some("http://one"));
        assert_eq!(
            manager(read(Some(&named), Some(home.path()))).as_deref(),
            Some("http://two")
        );
        std::fs::write(&named, "manger: http://two\n").unwrap();
        let failure = read(Some(&named), None).err().unwrap();
        assert!(failure.to_string().contains("\"manager\""), "{failure}");
        assert_eq!(failure.code(), 64);
    }
}
