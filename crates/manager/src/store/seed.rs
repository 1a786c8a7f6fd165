//! The rows of the first start: the default cluster, the roles, the user `root`, the settings.

use super::entity::{
    cluster_link, config, role, role_permission, scheduler_cluster, seed_peer_cluster, user, user_role,
};
use super::{Json, OpenError, Store, Time, lock};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, PaginatorTrait, SqlErr};

/// Name of the first user.
pub(crate) const ROOT: &str = "root";
/// Name of the role that may look at everything that is no secret.
pub(crate) const GUEST: &str = "guest";
/// Name of the first cluster.
const FIRST_CLUSTER: &str = "cluster-1";
/// Id of all that the first cluster consists of, and of the first user.
pub(crate) const FIRST_ID: i64 = 1;
/// What a guest may read.
const GUEST_READS: [&str; 6] = [
    "clusters",
    "scheduler-clusters",
    "seed-peer-clusters",
    "schedulers",
    "seed-peers",
    "peers",
];
/// How long finished jobs (6 h) and audit records (7 d) are kept, in nanoseconds.
const GC: &str = r#"{"audit":{"ttl":604800000000000},"job":{"ttl":21600000000000}}"#;

/// The first user's password, hashed.
pub(crate) struct FirstPassword {
    pub(crate) hash: String,
    pub(crate) must_change: bool,
}

/// Whether the first start's rows have been written. The first user can't be deleted, so it is the witness: a default
/// cluster that an operator removed does not come back.
pub(crate) async fn is_done(store: &Store) -> Result<bool, OpenError> {
    has_users(store.db()).await.map_err(OpenError::Seed)
}

/// Writes the first start's rows, all or none, and returns whether it did: if they are there it does nothing. Managers
/// that start at the same moment wait for each other.
pub(crate) async fn run(store: &Store, password: FirstPassword, now: Time) -> Result<bool, OpenError> {
    let lock = lock::take(store).await?;
    let result = async {
        let transaction = store.write().await?;
        let first = !has_users(&transaction).await?;
        if first {
            first_cluster(&transaction, now).await?;
            let root = roles(&transaction).await?;
            first_user(&transaction, password, root, now).await?;
            settings(&transaction, now).await?;
            after_explicit_ids(&transaction).await?;
        }
        transaction.commit().await?;
        Ok::<_, DbErr>(first)
    };
    let first = match result.await {
        Ok(first) => first,
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => false,
        Err(error) => return Err(OpenError::Seed(error)),
    };
    lock.release().await?;
    Ok(first)
}

async fn has_users(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(user::Entity::find().count(db).await? > 0)
}

/// PostgreSQL's sequences do not follow explicit ids and must be told.
async fn after_explicit_ids(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    if transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for table in ["scheduler_cluster", "seed_peer_cluster", "user"] {
        let sql =
            format!("SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'), (SELECT MAX(id) FROM \"{table}\"))");
        transaction.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Its ids are explicit, since values files name them.
async fn first_cluster(transaction: &DatabaseTransaction, now: Time) -> Result<(), DbErr> {
    scheduler_cluster::Entity::insert(scheduler_cluster::ActiveModel {
        id: Set(FIRST_ID),
        name: Set(FIRST_CLUSTER.into()),
        bio: Set(String::new()),
        config: Set(Json(Default::default())),
        client_config: Set(Json(Default::default())),
        scopes: Set(Json(Default::default())),
        is_default: Set(true),
        created_at: Set(now),
        updated_at: Set(now),
    })
    .exec_without_returning(transaction)
    .await?;
    seed_peer_cluster::Entity::insert(seed_peer_cluster::ActiveModel {
        id: Set(FIRST_ID),
        name: Set(FIRST_CLUSTER.into()),
        bio: Set(String::new()),
        config: Set(Json(Default::default())),
        created_at: Set(now),
        updated_at: Set(now),
    })
    .exec_without_returning(transaction)
    .await?;
    cluster_link::Entity::insert(cluster_link::ActiveModel {
        scheduler_cluster_id: Set(FIRST_ID),
        seed_peer_cluster_id: Set(FIRST_ID),
    })
    .exec_without_returning(transaction)
    .await?;
    Ok(())
}

/// Writes the roles and returns the id of root's.
async fn roles(transaction: &DatabaseTransaction) -> Result<i64, DbErr> {
    let root = role_with(transaction, ROOT, &[("*", "*")]).await?;
    let guest: Vec<_> = GUEST_READS.iter().map(|object| (*object, "read")).collect();
    role_with(transaction, GUEST, &guest).await?;
    Ok(root)
}

async fn role_with(transaction: &DatabaseTransaction, name: &str, permissions: &[(&str, &str)]) -> Result<i64, DbErr> {
    let role = role::Entity::insert(role::ActiveModel {
        id: NotSet,
        name: Set(name.into()),
    })
    .exec(transaction)
    .await?
    .last_insert_id;
    let permissions = permissions.iter().map(|(object, action)| role_permission::ActiveModel {
        role_id: Set(role),
        object: Set((*object).into()),
        action: Set((*action).into()),
    });
    role_permission::Entity::insert_many(permissions)
        .exec_without_returning(transaction)
        .await?;
    Ok(role)
}

async fn first_user(
    transaction: &DatabaseTransaction,
    password: FirstPassword,
    role: i64,
    now: Time,
) -> Result<(), DbErr> {
    user::Entity::insert(user::ActiveModel {
        id: Set(FIRST_ID),
        name: Set(ROOT.into()),
        email: Set(None),
        encrypted_password: Set(password.hash),
        must_change_password: Set(password.must_change),
        session_epoch: Set(0),
        avatar: Set(String::new()),
        phone: Set(String::new()),
        state: Set(user::ENABLED.into()),
        location: Set(String::new()),
        bio: Set(String::new()),
        created_at: Set(now),
        updated_at: Set(now),
    })
    .exec_without_returning(transaction)
    .await?;
    user_role::Entity::insert(user_role::ActiveModel {
        user_id: Set(FIRST_ID),
        role_id: Set(role),
    })
    .exec_without_returning(transaction)
    .await?;
    Ok(())
}

async fn settings(transaction: &DatabaseTransaction, now: Time) -> Result<(), DbErr> {
    config::Entity::insert(config::ActiveModel {
        id: NotSet,
        name: Set("gc".into()),
        value: Set(GC.into()),
        bio: Set(String::new()),
        user_id: Set(FIRST_ID),
        created_at: Set(now),
        updated_at: Set(now),
    })
    .exec_without_returning(transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(hash: &str) -> FirstPassword {
        FirstPassword {
            hash: hash.into(),
            must_change: false,
        }
    }

    async fn counts(store: &Store) -> [u64; 7] {
        let db = store.db();
        [
            scheduler_cluster::Entity::find().count(db).await.unwrap(),
            seed_peer_cluster::Entity::find().count(db).await.unwrap(),
            cluster_link::Entity::find().count(db).await.unwrap(),
            user::Entity::find().count(db).await.unwrap(),
            role::Entity::find().count(db).await.unwrap(),
            user_role::Entity::find().count(db).await.unwrap(),
            config::Entity::find().count(db).await.unwrap(),
        ]
    }

    #[tokio::test]
    async fn a_second_seeding_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(&dir.path().join("manager.db")).await.unwrap();
        assert!(!is_done(&store).await.unwrap());
        assert!(run(&store, password("first"), Time(1)).await.unwrap());
        assert!(is_done(&store).await.unwrap());
        assert!(!run(&store, password("second"), Time(2)).await.unwrap());
        assert_eq!(counts(&store).await, [1, 1, 1, 1, 2, 1, 1]);
        let root = user::Entity::find_by_id(FIRST_ID)
            .one(store.db())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((root.encrypted_password.as_str(), root.updated_at), ("first", Time(1)));
    }

    #[tokio::test]
    async fn a_seeding_that_is_cut_off_leaves_nothing_and_the_next_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(&dir.path().join("manager.db")).await.unwrap();
        let transaction = store.write().await.unwrap();
        first_cluster(&transaction, Time(1)).await.unwrap();
        roles(&transaction).await.unwrap();
        drop(transaction);
        assert_eq!(counts(&store).await, [0; 7]);
        run(&store, password("first"), Time(2)).await.unwrap();
        assert_eq!(counts(&store).await, [1, 1, 1, 1, 2, 1, 1]);
    }

    #[tokio::test]
    async fn two_managers_that_seed_at_the_same_time_seed_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manager.db");
        let one = Store::open_sqlite(&path).await.unwrap();
        let other = Store::open_sqlite(&path).await.unwrap();
        let (first, second) = tokio::join!(
            run(&one, password("one"), Time(1)),
            run(&other, password("other"), Time(1))
        );
        assert!(first.unwrap() != second.unwrap());
        assert_eq!(counts(&one).await, [1, 1, 1, 1, 2, 1, 1]);
    }
}
