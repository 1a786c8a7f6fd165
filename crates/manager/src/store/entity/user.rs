//! Users.

use super::super::Time;
use sea_orm::entity::prelude::*;
use std::fmt;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(unique)]
    pub(crate) name: String,
    /// Absent for the first user, who has none.
    #[sea_orm(unique)]
    pub(crate) email: Option<String>,
    /// An Argon2id hash as a PHC string.
    pub(crate) encrypted_password: String,
    /// Until a new password is set, sessions may do nothing else.
    pub(crate) must_change_password: bool,
    /// Sessions that were opened under a smaller number are void.
    pub(crate) session_epoch: i64,
    pub(crate) avatar: String,
    pub(crate) phone: String,
    /// `enable` or `disable`.
    pub(crate) state: String,
    pub(crate) location: String,
    pub(crate) bio: String,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

/// [`Model::state`] of a user who may sign in.
pub(crate) const ENABLED: &str = "enable";
/// [`Model::state`] of a user who may not.
pub(crate) const DISABLED: &str = "disable";

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
