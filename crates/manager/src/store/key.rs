//! Keys that all managers of a database share.

use super::entity::secret;
use super::{Store, Time};
use sea_orm::ActiveValue::Set;
use sea_orm::{DbErr, EntityTrait, SqlErr};
use secrecy::SecretString;

/// Bytes of a key.
const BYTES: usize = 32;

/// The key of this name, as hexadecimal digits. The first manager that looks for it makes it.
pub(crate) async fn key(store: &Store, name: &'static str, now: Time) -> Result<SecretString, DbErr> {
    let find = || secret::Entity::find_by_id(name).one(store.db());
    if let Some(key) = find().await? {
        return Ok(key.value.into());
    }
    let made = secret::Entity::insert(secret::ActiveModel {
        name: Set(name.to_owned()),
        value: Set(hex::encode(rand::random::<[u8; BYTES]>())),
        created_at: Set(now),
    });
    match made.exec_without_returning(store.db()).await {
        Err(error) if !matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => return Err(error),
        // Made by us, or by another manager at the same moment.
        _ => {}
    }
    let key = find().await?;
    let missing = || DbErr::RecordNotFound(format!("the {name} was removed as soon as it was made"));
    Ok(key.ok_or_else(missing)?.value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[tokio::test]
    async fn a_key_is_made_once_for_all_managers_of_a_database() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manager.db");
        let one = Store::open_sqlite(&path).await.unwrap();
        let other = Store::open_sqlite(&path).await.unwrap();
        let (first, second) = tokio::join!(key(&one, "a key", Time(1)), key(&other, "a key", Time(1)));
        let first = first.unwrap();
        assert_eq!(first.expose_secret().len(), 2 * BYTES);
        assert_eq!(first.expose_secret(), second.unwrap().expose_secret());
        let again = key(&one, "a key", Time(2)).await.unwrap();
        assert_eq!(first.expose_secret(), again.expose_secret());
        let other = key(&one, "another key", Time(2)).await.unwrap();
        assert_ne!(first.expose_secret(), other.expose_secret());
    }
}
