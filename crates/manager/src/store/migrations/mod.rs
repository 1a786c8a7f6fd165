//! The schema's history. A migration that has been released is never edited.

mod m0001_first;
mod m0002_access;
mod m0003_audit;
mod m0004_jobs;
mod m0005_oauth;
mod m0006_kept_tasks;
mod m0007_pieces;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::Migration),
            Box::new(m0002_access::Migration),
            Box::new(m0003_audit::Migration),
            Box::new(m0004_jobs::Migration),
            Box::new(m0005_oauth::Migration),
            Box::new(m0006_kept_tasks::Migration),
            Box::new(m0007_pieces::Migration),
        ]
    }
}
