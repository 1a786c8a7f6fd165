//! Liveness. A member is active until its lease ends; a sign of life extends the lease by [`INTERVALS`] of the member's
//! intervals, from any stream, so that a member with two streams is not hurt by the older one.
//!
//! Leases are numbered. Each registration and each stream takes the next number, and a stream that ends in order ends
//! the lease only if it still has the highest: the end of an old stream can't end a newer lease. A stream that breaks
//! ends nothing; the lease runs out. All of it is in the row, so it holds across restarts and several managers.

use super::{Identity, Member, identified};
use crate::error::Error;
use crate::store::{Store, Time};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect};
use std::time::Duration;

/// Intervals without a sign of life after which a member is inactive.
pub(crate) const INTERVALS: u32 = 3;
/// The interval of members that do not say theirs.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

/// A lease that a stream took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Row of the member.
    id: i64,
    /// Number of the lease.
    number: i64,
}

/// Takes the next lease of a member, whose first sign of life this is.
pub(crate) async fn take<M: Member>(store: &Store, member: &Identity, now: Time) -> Result<Lease, Error> {
    let transaction = store.write().await?;
    let rows: Vec<(i64, i64)> = identified::<M>(member)
        .select_only()
        .columns([M::ID, M::LEASE])
        .lock_exclusive()
        .into_tuple()
        .all(&transaction)
        .await?;
    let (id, number) = match rows.as_slice() {
        [] => {
            return Err(Error::NotFound {
                what: M::WHAT,
                key: member.to_string(),
            });
        }
        [(id, number)] => (*id, *number + 1),
        _ => {
            return Err(Error::Invalid(format!(
                "{} {member} is ambiguous; the address must be given",
                M::WHAT
            )));
        }
    };
    let lease = Lease { id, number };
    extend::<M>(lease, now)
        .col_expr(M::LEASE, Expr::value(number))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(lease)
}

/// A further sign of life. Fails with [`Error::NotFound`] if the member was removed: it has to register again.
pub(crate) async fn renew<M: Member>(store: &Store, lease: Lease, now: Time) -> Result<(), Error> {
    match extend::<M>(lease, now).exec(store.db()).await?.rows_affected {
        0 => Err(Error::NotFound {
            what: M::WHAT,
            key: format!("with id {}, it was removed", lease.id),
        }),
        _ => Ok(()),
    }
}

/// The end of a stream in order: the member is inactive from now on, unless a newer lease was taken.
pub(crate) async fn end<M: Member>(store: &Store, lease: Lease, now: Time) -> Result<(), Error> {
    M::update_many()
        .col_expr(M::LEASE_UNTIL, Expr::value(now))
        .filter(M::ID.eq(lease.id))
        .filter(M::LEASE.eq(lease.number))
        .exec(store.db())
        .await?;
    Ok(())
}

fn extend<M: Member>(lease: Lease, now: Time) -> sea_orm::UpdateMany<M> {
    let until = Expr::value(now).add(Expr::col(M::KEEP_ALIVE_INTERVAL).mul(i64::from(INTERVALS)));
    M::update_many()
        .col_expr(M::LEASE_UNTIL, until)
        .col_expr(M::LAST_KEEP_ALIVE_AT, Expr::value(now))
        .filter(M::ID.eq(lease.id))
}

#[cfg(test)]
mod tests;
