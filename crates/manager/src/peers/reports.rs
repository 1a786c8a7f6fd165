//! What schedulers report of their hosts. Only what is new or has changed is written, many rows in one statement.

use super::{BATCH, Peers};
use crate::error::{Error, wire_id};
use crate::jobs::Seat;
use crate::store::Time;
use crate::store::entity::{peer, peer_sighting};
use dragonfly_api::rest::PeerType;
use dragonfly_api::{common, ext};
use dragonfly_model::HostKind;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Hosts of one cluster.
const MAX_HOSTS: usize = 100_000;
/// Rows that are written at once.
const ROWS: usize = 500;

/// A whole report of which some parts may be missing yet.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    /// The peers of the parts that came; nothing if no report has begun.
    seen: Option<HashSet<i64>>,
}

impl Peers {
    /// Records a scheduler's report.
    pub(crate) async fn hear(
        &self,
        seat: Seat,
        whole: &mut Whole,
        report: ext::HostsReport,
        now: Time,
    ) -> Result<(), Error> {
        if report.whole_begins {
            whole.seen = Some(HashSet::new());
        }
        // In one order, so that two schedulers that report the same don't wait for each other.
        let hosts: BTreeMap<String, common::Host> = report
            .hosts
            .into_iter()
            .filter(|host| !host.id.is_empty())
            .map(|host| (cut(&host.id, 255), host))
            .collect();
        let hosts: Vec<peer::Model> = hosts.values().map(|host| row(seat.cluster, host, now)).collect();
        for hosts in hosts.chunks(ROWS) {
            let ids = self.write(seat.cluster, hosts).await?;
            if let Some(seen) = &mut whole.seen {
                seen.extend(&ids);
                if seen.len() > MAX_HOSTS {
                    return Err(Error::Invalid(format!("a cluster has at most {MAX_HOSTS} hosts")));
                }
            }
            self.sight(seat.scheduler, ids).await?;
        }
        for gone in report.gone.chunks(BATCH) {
            let ids = self.ids(seat.cluster, gone.iter().map(String::as_str)).await?;
            self.lose_sight(seat.scheduler, ids.into_values().collect(), now)
                .await?;
        }
        if report.whole_ends
            && let Some(seen) = whole.seen.take()
        {
            let known: Vec<i64> = peer_sighting::Entity::find()
                .select_only()
                .column(peer_sighting::Column::PeerId)
                .filter(peer_sighting::Column::SchedulerId.eq(seat.scheduler))
                .into_tuple()
                .all(self.store.db())
                .await?;
            let gone: Vec<i64> = known.into_iter().filter(|id| !seen.contains(id)).collect();
            for gone in gone.chunks(BATCH) {
                self.lose_sight(seat.scheduler, gone.to_vec(), now).await?;
            }
        }
        Ok(())
    }

    /// Writes what is new or has changed of these hosts of a cluster, and returns the ids of all.
    async fn write(&self, cluster: i64, hosts: &[peer::Model]) -> Result<Vec<i64>, DbErr> {
        let known: HashMap<String, peer::Model> = peer::Entity::find()
            .filter(peer::Column::SchedulerClusterId.eq(cluster))
            .filter(peer::Column::HostId.is_in(hosts.iter().map(|host| host.host_id.as_str())))
            .all(self.store.db())
            .await?
            .into_iter()
            .map(|row| (row.host_id.clone(), row))
            .collect();
        let changed: Vec<&peer::Model> = hosts
            .iter()
            .filter(|host| known.get(&host.host_id).is_none_or(|known| differs(known, host)))
            .collect();
        if changed.is_empty() {
            return Ok(known.into_values().map(|row| row.id).collect());
        }
        let rows = changed.into_iter().map(|host| {
            let mut row = host.clone().into_active_model().reset_all();
            row.id = NotSet;
            row
        });
        let again = OnConflict::columns([peer::Column::SchedulerClusterId, peer::Column::HostId])
            .update_columns([
                peer::Column::HostName,
                peer::Column::Ip,
                peer::Column::Type,
                peer::Column::Port,
                peer::Column::DownloadPort,
                peer::Column::ProxyPort,
                peer::Column::Idc,
                peer::Column::Location,
                peer::Column::Os,
                peer::Column::Platform,
                peer::Column::PlatformFamily,
                peer::Column::PlatformVersion,
                peer::Column::KernelVersion,
                peer::Column::GitVersion,
                peer::Column::GitCommit,
                peer::Column::BuildPlatform,
                peer::Column::ByHand,
                peer::Column::UpdatedAt,
            ])
            .to_owned();
        peer::Entity::insert_many(rows)
            .on_conflict(again)
            .exec_without_returning(self.store.db())
            .await?;
        let ids = self
            .ids(cluster, hosts.iter().map(|host| host.host_id.as_str()))
            .await?;
        Ok(ids.into_values().collect())
    }

    async fn ids<'a>(
        &self,
        cluster: i64,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashMap<String, i64>, DbErr> {
        let ids: Vec<(String, i64)> = peer::Entity::find()
            .select_only()
            .column(peer::Column::HostId)
            .column(peer::Column::Id)
            .filter(peer::Column::SchedulerClusterId.eq(cluster))
            .filter(peer::Column::HostId.is_in(hosts))
            .into_tuple()
            .all(self.store.db())
            .await?;
        Ok(ids.into_iter().collect())
    }

    /// A scheduler knows these peers.
    async fn sight(&self, scheduler: i64, peers: Vec<i64>) -> Result<(), DbErr> {
        let known: HashSet<i64> = peer_sighting::Entity::find()
            .select_only()
            .column(peer_sighting::Column::PeerId)
            .filter(peer_sighting::Column::SchedulerId.eq(scheduler))
            .filter(peer_sighting::Column::PeerId.is_in(peers.iter().copied()))
            .into_tuple::<i64>()
            .all(self.store.db())
            .await?
            .into_iter()
            .collect();
        let rows: Vec<peer_sighting::ActiveModel> = peers
            .into_iter()
            .filter(|id| !known.contains(id))
            .map(|id| peer_sighting::ActiveModel {
                peer_id: Set(id),
                scheduler_id: Set(scheduler),
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let there = OnConflict::columns([peer_sighting::Column::PeerId, peer_sighting::Column::SchedulerId])
            .value(
                peer_sighting::Column::PeerId,
                Expr::col((peer_sighting::Entity, peer_sighting::Column::PeerId)),
            )
            .to_owned();
        peer_sighting::Entity::insert_many(rows)
            .on_conflict(there)
            .exec_without_returning(self.store.db())
            .await?;
        Ok(())
    }

    /// A scheduler does not know these peers any more.
    async fn lose_sight(&self, scheduler: i64, peers: Vec<i64>, now: Time) -> Result<(), DbErr> {
        if peers.is_empty() {
            return Ok(());
        }
        let lost = peer_sighting::Entity::delete_many()
            .filter(peer_sighting::Column::SchedulerId.eq(scheduler))
            .filter(peer_sighting::Column::PeerId.is_in(peers.iter().copied()))
            .exec(self.store.db())
            .await?;
        if lost.rows_affected > 0 {
            peer::Entity::update_many()
                .col_expr(peer::Column::UpdatedAt, Expr::value(now))
                .filter(peer::Column::Id.is_in(peers))
                .exec(self.store.db())
                .await?;
            tracing::debug!(
                scheduler.id = wire_id(scheduler),
                peers = lost.rows_affected,
                "peers are gone"
            );
        }
        Ok(())
    }
}

/// Whether a host is another than it was.
fn differs(known: &peer::Model, host: &peer::Model) -> bool {
    let same = peer::Model {
        id: known.id,
        created_at: known.created_at,
        updated_at: known.updated_at,
        ..host.clone()
    };
    *known != same
}

fn row(cluster: i64, host: &common::Host, now: Time) -> peer::Model {
    let kind = match HostKind::from_number(host.r#type) {
        HostKind::Seed => PeerType::Super,
        HostKind::Normal => PeerType::Normal,
    };
    let network = host.network.as_ref();
    let build = host.build.as_ref();
    let place = |text: Option<&String>| text.map_or_else(String::new, |text| cut(text, 1024));
    let word = |text: Option<&String>| text.map_or_else(String::new, |text| cut(text, 255));
    let ip = match host.ip.parse() {
        Ok(ip) => crate::members::ip_text(ip),
        Err(_) => cut(&host.ip, 45),
    };
    peer::Model {
        id: 0,
        scheduler_cluster_id: cluster,
        host_id: cut(&host.id, 255),
        host_name: cut(&host.hostname, 253),
        ip,
        r#type: kind.as_str().to_owned(),
        port: host.port,
        download_port: host.download_port,
        proxy_port: host.proxy_port,
        idc: place(network.and_then(|network| network.idc.as_ref())),
        location: place(network.and_then(|network| network.location.as_ref())),
        os: cut(&host.os, 255),
        platform: cut(&host.platform, 255),
        platform_family: cut(&host.platform_family, 255),
        platform_version: cut(&host.platform_version, 255),
        kernel_version: cut(&host.kernel_version, 255),
        git_version: word(build.map(|build| &build.git_version)),
        git_commit: word(build.and_then(|build| build.git_commit.as_ref())),
        build_platform: word(build.and_then(|build| build.platform.as_ref())),
        by_hand: false,
        created_at: now,
        updated_at: now,
    }
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
