//! Personal access tokens, without the tokens themselves.

use super::super::{Json, Time};
use sea_orm::entity::prelude::*;
use std::fmt;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "personal_access_token")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) name: String,
    pub(crate) bio: String,
    /// SHA-256 of the token, in hex. A token is 32 random bytes, so no more is needed.
    #[sea_orm(unique)]
    pub(crate) hash: String,
    pub(crate) scopes: Json<Vec<String>>,
    /// `active` or `inactive`.
    pub(crate) state: String,
    pub(crate) expires_at: Time,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

/// [`Model::state`] of a token that opens something.
pub(crate) const ACTIVE: &str = "active";
/// [`Model::state`] of a token that opens nothing.
pub(crate) const INACTIVE: &str = "inactive";

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("user_id", &self.user_id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
