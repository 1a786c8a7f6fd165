//! Personal access tokens: what a script shows instead of a password.
//!
//! Invariants: a token is shown once and kept as a hash; it opens what its scopes name *and* its user may do at that
//! moment; it never opens users, roles or tokens, so it can't make itself more.

use super::rights::{Action, READ};
use super::{Caller, Credential, Error, Users};
use crate::error::{Error as Refusal, row_id, wire_id};
use crate::rows;
use crate::store::entity::token::{ACTIVE, ActiveModel, Column, Entity, INACTIVE, Model};
use crate::store::entity::user;
use crate::store::seed::FIRST_ID;
use crate::store::{Json, Store, Time};
use dragonfly_api::rest::{
    Check, CreateToken, Page, PersonalAccessToken, Problems, TokenFilter, TokenState, UpdateToken,
};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How a token begins, so that it is known for one where it should not be.
const PREFIX: &str = "dfp_";
const TOKEN_BYTES: usize = 32;
const WHAT: &str = "personal access token";
/// Tokens of one user.
const MAX_TOKENS: u64 = 100;
/// How long a token may last: ten years, leap days included.
const MAX_VALIDITY: Duration = Duration::from_secs(3653 * 86_400);
/// The scopes that Dragonfly 2.5 has, and what they open.
const GROUPS: [(&str, &[&str]); 2] = [
    ("job", &["jobs"]),
    ("cluster", &["clusters", "scheduler-clusters", "seed-peer-clusters"]),
];
/// What can be opened one by one.
const OBJECTS: [&str; 13] = [
    "clusters",
    "scheduler-clusters",
    "seed-peer-clusters",
    "schedulers",
    "seed-peers",
    "peers",
    "persistent-tasks",
    "persistent-cache-tasks",
    "jobs",
    "audits",
    "applications",
    "configs",
    "traces",
];

/// The token that an operator gives to a manager's start, and its name.
const FIRST: &str = "default";
/// The fewest characters of it. Its hash is kept without salt, so it must be no word.
pub(crate) const MIN_FIRST_TOKEN_CHARS: usize = 32;

/// Keeps the token that the operator chose as one of the first user's, for ten years. What is there from an earlier start is
/// left as it is, unless the operator chose another token since.
pub(crate) async fn keep_first_token(store: &Store, token: &SecretString, now: Time) -> Result<(), DbErr> {
    let hash = hash(token.expose_secret());
    let transaction = store.write().await?;
    let row = Entity::find()
        .filter(Column::UserId.eq(FIRST_ID))
        .filter(Column::Name.eq(FIRST))
        .lock_exclusive()
        .one(&transaction)
        .await?;
    match row {
        Some(row) if row.hash == hash => return Ok(()),
        Some(row) => {
            let mut row = row.into_active_model();
            row.hash = Set(hash);
            row.expires_at = Set(now.plus(MAX_VALIDITY));
            row.updated_at = Set(now);
            row.update(&transaction).await?;
        }
        None => {
            let row = ActiveModel {
                id: NotSet,
                user_id: Set(FIRST_ID),
                name: Set(FIRST.to_owned()),
                bio: Set("given to the manager's start".to_owned()),
                hash: Set(hash),
                scopes: Set(Json(GROUPS.map(|(group, _)| group.to_owned()).to_vec())),
                state: Set(ACTIVE.to_owned()),
                expires_at: Set(now.plus(MAX_VALIDITY)),
                created_at: Set(now),
                updated_at: Set(now),
            };
            row.insert(&transaction).await?;
        }
    }
    transaction.commit().await?;
    tracing::info!(
        token.name = FIRST,
        "keeps the personal access token that the operator chose"
    );
    Ok(())
}

/// Whether scopes open this.
pub(super) fn open(scopes: &[String], action: Action, object: &str) -> bool {
    scopes.iter().any(|scope| {
        if let Some((_, objects)) = GROUPS.iter().find(|(group, _)| group == scope) {
            return objects.contains(&object);
        }
        match scope.split_once(':') {
            None => scope == object,
            Some((scope, only)) => scope == object && only == READ && action == Action::Read,
        }
    })
}

/// Whether a token can open these objects at all.
pub(crate) fn tokens_open(object: &str) -> bool {
    OBJECTS.contains(&object) || GROUPS.iter().any(|(_, objects)| objects.contains(&object))
}

impl Users {
    /// The user for whom this token acts.
    pub(super) async fn bearer(&self, token: &str, now: Time) -> Result<Caller, Error> {
        let row = Entity::find()
            .filter(Column::Hash.eq(hash(token)))
            .filter(Column::State.eq(ACTIVE))
            .filter(Column::ExpiresAt.gt(now))
            .one(self.store.db())
            .await?
            .ok_or(Error::NotSignedIn)?;
        let user = user::Entity::find_by_id(row.user_id)
            .filter(user::Column::State.eq(user::ENABLED))
            .one(self.store.db())
            .await?
            .ok_or(Error::NotSignedIn)?;
        let credential = Credential::Token {
            name: row.name,
            scopes: row.scopes.0,
        };
        Ok(self.caller(user, credential))
    }

    /// Makes a token of the caller's. Only this answer has it.
    pub(crate) async fn create_token(
        &self,
        caller: &Caller,
        create: CreateToken,
        now: Time,
    ) -> Result<PersonalAccessToken, Error> {
        create.checked().map_err(Refusal::from)?;
        if create.user_id.is_some_and(|user| user != caller.id) {
            return Err(Error::Forbidden {
                user: caller.name.clone(),
                action: "make tokens of",
                object: "another user".into(),
            });
        }
        let expires_at = expiry(create.expired_at, now)?;
        let scopes = scopes(create.scopes)?;
        let text = format!("{PREFIX}{}", hex::encode(rand::random::<[u8; TOKEN_BYTES]>()));
        let user = row_id(caller.id);
        let transaction = self.store.write().await?;
        // The user's row is locked, so that two at the same time are counted.
        let owner = user::Entity::find_by_id(user)
            .lock_exclusive()
            .one(&transaction)
            .await?;
        owner.ok_or(Error::NotSignedIn)?;
        if Entity::find()
            .filter(Column::UserId.eq(user))
            .count(&transaction)
            .await?
            >= MAX_TOKENS
        {
            let message = format!("user {} has {MAX_TOKENS} tokens, which is the limit", caller.name);
            return Err(Refusal::Conflict(message).into());
        }
        let row = ActiveModel {
            id: NotSet,
            user_id: Set(user),
            name: Set(create.name.clone()),
            bio: Set(create.bio),
            hash: Set(hash(&text)),
            scopes: Set(Json(scopes)),
            state: Set(ACTIVE.to_owned()),
            expires_at: Set(expires_at),
            created_at: Set(now),
            updated_at: Set(now),
        };
        let row = row.insert(&transaction).await;
        let row = row.map_err(|error| Refusal::unless_exists(error, WHAT, &create.name))?;
        transaction.commit().await?;
        tracing::info!(
            user.name = caller.name,
            token.name = row.name,
            "made a personal access token"
        );
        Ok(PersonalAccessToken {
            token: Some(text.into()),
            ..wire(row)
        })
    }

    /// One page of tokens and how many there are in total; of everybody if `all`, else the caller's.
    pub(crate) async fn tokens(
        &self,
        caller: &Caller,
        all: bool,
        filter: TokenFilter,
        page: Page,
    ) -> Result<(Vec<PersonalAccessToken>, u64), Error> {
        let mut rows = Entity::find().order_by_asc(Column::Id);
        if !all {
            rows = rows.filter(Column::UserId.eq(row_id(caller.id)));
        }
        if let Some(user) = filter.user_id {
            rows = rows.filter(Column::UserId.eq(row_id(user)));
        }
        if let Some(state) = filter.state {
            rows = rows.filter(Column::State.eq(word(state)));
        }
        let (rows, total) = rows::page(&self.store, rows, page).await?;
        Ok((rows.into_iter().map(wire).collect(), total))
    }

    /// A token; of anybody if `all`, else of the caller.
    pub(crate) async fn token(&self, caller: &Caller, all: bool, id: u64) -> Result<PersonalAccessToken, Error> {
        Ok(wire(self.find_token(caller, all, id).await?))
    }

    /// Changes a token of the caller's.
    pub(crate) async fn update_token(
        &self,
        caller: &Caller,
        id: u64,
        update: UpdateToken,
        now: Time,
    ) -> Result<PersonalAccessToken, Error> {
        update.checked().map_err(Refusal::from)?;
        let mut row = self.find_token(caller, false, id).await?.into_active_model();
        if let Some(bio) = update.bio {
            row.bio = Set(bio);
        }
        if let Some(given) = update.scopes {
            row.scopes = Set(Json(scopes(given)?));
        }
        if let Some(state) = update.state {
            row.state = Set(word(state).to_owned());
        }
        if let Some(end) = update.expired_at {
            row.expires_at = Set(expiry(end, now)?);
        }
        row.updated_at = Set(now);
        Ok(wire(row.update(self.store.db()).await?))
    }

    /// Removes a token; of anybody if `all`, else of the caller.
    pub(crate) async fn delete_token(&self, caller: &Caller, all: bool, id: u64) -> Result<(), Error> {
        let row = self.find_token(caller, all, id).await?;
        Entity::delete_by_id(row.id).exec(self.store.db()).await?;
        tracing::info!(
            user.name = caller.name,
            token.id = id,
            "removed a personal access token"
        );
        Ok(())
    }

    async fn find_token(&self, caller: &Caller, all: bool, id: u64) -> Result<Model, Error> {
        let mut row = Entity::find_by_id(row_id(id));
        if !all {
            row = row.filter(Column::UserId.eq(row_id(caller.id)));
        }
        let row = row.one(self.store.db()).await?;
        Ok(row.ok_or_else(|| Refusal::no(WHAT, id))?)
    }
}

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

fn expiry(end: jiff::Timestamp, now: Time) -> Result<Time, Refusal> {
    let end = Time(end.as_millisecond());
    if end <= now || end > now.plus(MAX_VALIDITY) {
        return Err(Refusal::Invalid(
            "expired_at must be in the future and at most ten years from now".into(),
        ));
    }
    Ok(end)
}

fn scopes(given: Vec<String>) -> Result<Vec<String>, Refusal> {
    if given.is_empty() {
        return Ok(GROUPS.map(|(group, _)| group.to_owned()).to_vec());
    }
    let known = |scope: &str| {
        let object = scope.strip_suffix(":read").unwrap_or(scope);
        GROUPS.iter().any(|(group, _)| *group == scope) || OBJECTS.contains(&object)
    };
    let mut problems = Problems::default();
    for scope in given.iter().filter(|scope| !known(scope)) {
        let objects = OBJECTS.join(", ");
        problems.push(
            "scopes",
            format_args!("has {scope:?}; there are job, cluster, {objects}, the latter also with :read"),
        );
    }
    if problems.is_empty() {
        return Ok(given);
    }
    Err(problems.into())
}

fn word(state: TokenState) -> &'static str {
    match state {
        TokenState::Active => ACTIVE,
        TokenState::Inactive => INACTIVE,
    }
}

fn wire(row: Model) -> PersonalAccessToken {
    PersonalAccessToken {
        id: wire_id(row.id),
        created_at: row.created_at.timestamp(),
        updated_at: row.updated_at.timestamp(),
        is_del: 0,
        name: row.name,
        bio: row.bio,
        token: None,
        scopes: row.scopes.0,
        state: match row.state.as_str() {
            ACTIVE => TokenState::Active,
            _ => TokenState::Inactive,
        },
        expired_at: row.expires_at.timestamp(),
        user_id: wire_id(row.user_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_opens_what_it_names_and_nothing_else() {
        let opens = |scope: &str, action, object| open(&[scope.to_owned()], action, object);
        assert!(opens("cluster", Action::Write, "clusters"));
        assert!(opens("cluster", Action::Write, "seed-peer-clusters"));
        assert!(!opens("cluster", Action::Read, "schedulers"));
        assert!(opens("schedulers", Action::Write, "schedulers"));
        assert!(opens("schedulers:read", Action::Read, "schedulers"));
        assert!(!opens("schedulers:read", Action::Write, "schedulers"));
        assert!(!opens("schedulers:write", Action::Read, "schedulers"));
        assert!(scopes(vec!["users".into()]).is_err());
        assert!(scopes(vec!["job:read".into()]).is_err());
    }
}
