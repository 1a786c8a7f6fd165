//! The entries of identity providers: made, changed, listed. Their secrets go in and never come out.

use super::{Providers, github};
use crate::error::{Error, wire_id};
use crate::rows::{self, set_given};
use crate::store::entity::oauth::{ActiveModel, Column, Entity, Model};
use crate::store::{Json, Time};
use dragonfly_api::rest::{Check, CreateOauth, Oauth, OauthFilter, Page, Problems, SignInWay, UpdateOauth};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What identity providers are called in errors.
const WHAT: &str = "identity provider";
const GOOGLE: &str = "https://accounts.google.com";
/// Ways to sign in that are shown.
const MAX_WAYS: u64 = 100;

impl Providers {
    /// One page of the identity providers that match, and how many match in total.
    pub(crate) async fn list(&self, filter: OauthFilter, page: Page) -> Result<(Vec<Oauth>, u64), Error> {
        let mut rows = Entity::find().order_by_asc(Column::Id);
        for (column, text) in [(Column::Name, filter.name), (Column::ClientId, filter.client_id)] {
            if let Some(text) = text {
                rows = rows.filter(column.eq(text));
            }
        }
        let (rows, total) = rows::page(&self.store, rows, page).await?;
        Ok((rows.into_iter().map(wire).collect(), total))
    }

    /// The identity provider with this id.
    pub(crate) async fn get(&self, id: u64) -> Result<Oauth, Error> {
        Ok(wire(rows::get::<Entity>(self.store.db(), WHAT, id).await?))
    }

    /// The identity providers by which anybody may try to sign in.
    pub(crate) async fn ways(&self) -> Result<Vec<SignInWay>, Error> {
        let rows = Entity::find().order_by_asc(Column::Id).limit(MAX_WAYS);
        let way = |row: Model| SignInWay {
            path: format!("/api/v1/users/signin/{}", row.name),
            name: row.name,
        };
        Ok(rows.all(self.store.db()).await?.into_iter().map(way).collect())
    }

    /// Makes one.
    pub(crate) async fn create(&self, create: CreateOauth, now: Time) -> Result<Oauth, Error> {
        create.checked()?;
        let issuer = match create.name.as_str() {
            _ if !create.issuer.is_empty() => create.issuer,
            "github" => github::ISSUER.to_owned(),
            _ => GOOGLE.to_owned(),
        };
        self.check_urls(&[("issuer", &issuer), ("redirect_url", &create.redirect_url)])?;
        let row = ActiveModel {
            id: NotSet,
            bio: Set(create.bio),
            client_id: Set(create.client_id),
            sealed_secret: Set(self.sealed(&create.name, &create.client_secret)),
            redirect_url: Set(create.redirect_url),
            issuer: Set(issuer),
            domains: Set(Json(create.domains)),
            created_at: Set(now),
            updated_at: Set(now),
            name: Set(create.name.clone()),
        };
        let row = row.insert(self.store.db()).await;
        Ok(wire(
            row.map_err(|error| Error::unless_exists(error, WHAT, &create.name))?,
        ))
    }

    /// Changes what `update` names and leaves the rest. Where it is stays: its people's names are that provider's.
    pub(crate) async fn update(&self, id: u64, update: UpdateOauth, now: Time) -> Result<Oauth, Error> {
        update.checked()?;
        if let Some(url) = &update.redirect_url {
            self.check_urls(&[("redirect_url", url)])?;
        }
        let transaction = self.store.write().await?;
        let row = rows::locked::<Entity>(&transaction, WHAT, id).await?;
        let name = row.name.clone();
        let mut row = row.into_active_model();
        set_given!(row, update: bio, client_id, redirect_url);
        if let Some(secret) = update.client_secret {
            row.sealed_secret = Set(self.sealed(&name, &secret));
        }
        if let Some(domains) = update.domains {
            row.domains = Set(Json(domains));
        }
        row.updated_at = Set(now);
        let row = row.update(&transaction).await?;
        transaction.commit().await?;
        Ok(wire(row))
    }

    /// Removes one, and with it who its people are here. The users stay.
    pub(crate) async fn delete(&self, id: u64) -> Result<(), Error> {
        rows::delete::<Entity>(self.store.db(), WHAT, id).await
    }

    /// The identity provider of this name.
    pub(super) async fn named(&self, name: &str) -> Result<Model, Error> {
        let row = Entity::find()
            .filter(Column::Name.eq(name))
            .one(self.store.db())
            .await?;
        row.ok_or_else(|| Error::NotFound {
            what: WHAT,
            key: name.to_owned(),
        })
    }

    /// What proves to a provider that it is asked by this manager.
    pub(super) fn secret(&self, provider: &Model) -> Result<SecretString, Error> {
        let secret = self.sealer.open(&provider.name, &provider.sealed_secret);
        secret.map(SecretString::from).ok_or_else(|| {
            Error::Conflict(format!(
                "the secret of {WHAT} {} was sealed with another key; set it again",
                provider.name
            ))
        })
    }

    fn sealed(&self, name: &str, secret: &SecretString) -> String {
        self.sealer.seal(name, secret.expose_secret())
    }

    /// Over plain HTTP codes and secrets could be read on the way.
    fn check_urls(&self, urls: &[(&str, &str)]) -> Result<(), Error> {
        let mut problems = Problems::default();
        for (field, url) in urls {
            let is_plain = Url::parse(url).is_ok_and(|url| url.scheme() == "http");
            if is_plain && !self.web.takes_plain_http() {
                problems.push(field, "must be an https URL, unless auth.oauth.plainHTTP is set");
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems.into()),
        }
    }
}

fn wire(row: Model) -> Oauth {
    Oauth {
        id: wire_id(row.id),
        created_at: row.created_at.timestamp(),
        updated_at: row.updated_at.timestamp(),
        is_del: 0,
        name: row.name,
        bio: row.bio,
        client_id: row.client_id,
        redirect_url: row.redirect_url,
        issuer: row.issuer,
        domains: row.domains.0,
    }
}
