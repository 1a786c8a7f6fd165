//! Peers: the hosts that schedulers know, as they report them. Which scheduler knows which peer is kept apart from what is known
//! of the peer, so that a scheduler that lost its memory takes away only its own word, and a peer is active as long as any
//! scheduler that lives knows it.

mod reports;

pub(crate) use reports::Whole;

use crate::clusters::{self, Clusters};
use crate::error::{Error, row_id, wire_id};
use crate::members::ip_text;
use crate::rows;
use crate::store::entity::{peer, peer_sighting, scheduler, scheduler_cluster};
use crate::store::{Store, Time};
use dragonfly_api::rest::{self, Check, CreatePeer, MemberState, Page, Peer, PeerFilter, PeerType};
use dragonfly_model::HostId;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use std::collections::{HashMap, HashSet};

/// What peers are called in errors.
const WHAT: &str = "peer";
/// Ids that a query names at once.
const BATCH: usize = 1000;

/// All that can be asked about peers. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    store: Store,
    clusters: Clusters,
}

impl Peers {
    pub(crate) fn new(store: Store, clusters: Clusters) -> Self {
        Self { store, clusters }
    }

    /// The peer with this id.
    pub(crate) async fn get(&self, id: u64, now: Time) -> Result<Peer, Error> {
        let row = rows::get::<peer::Entity>(self.store.db(), WHAT, id).await?;
        let peers = self.views(vec![row], now).await?;
        peers.into_iter().next().ok_or_else(|| Error::no(WHAT, id))
    }

    /// One page of the peers that match, and how many match in total.
    pub(crate) async fn list(&self, filter: PeerFilter, page: Page, now: Time) -> Result<(Vec<Peer>, u64), Error> {
        let (rows, total) = rows::page(&self.store, wanted(filter, now), page).await?;
        Ok((self.views(rows, now).await?, total))
    }

    /// Writes one down that no scheduler has reported.
    pub(crate) async fn create(&self, create: CreatePeer, now: Time) -> Result<Peer, Error> {
        create.checked()?;
        let cluster = row_id(create.scheduler_cluster_id);
        rows::get::<scheduler_cluster::Entity>(self.store.db(), clusters::WHAT, create.scheduler_cluster_id).await?;
        let seed = create.r#type == PeerType::Super;
        let host_id = HostId::of(create.ip, &create.host_name, seed).to_string();
        let row = peer::ActiveModel {
            id: NotSet,
            scheduler_cluster_id: Set(cluster),
            host_id: Set(host_id),
            host_name: Set(create.host_name.clone()),
            ip: Set(ip_text(create.ip)),
            r#type: Set(create.r#type.as_str().to_owned()),
            port: Set(create.port.into()),
            download_port: Set(create.download_port.into()),
            proxy_port: Set(create.proxy_port.into()),
            idc: Set(create.idc),
            location: Set(create.location),
            os: Set(create.os),
            platform: Set(create.platform),
            platform_family: Set(create.platform_family),
            platform_version: Set(create.platform_version),
            kernel_version: Set(create.kernel_version),
            git_version: Set(create.git_version),
            git_commit: Set(create.git_commit),
            build_platform: Set(create.build_platform),
            by_hand: Set(true),
            created_at: Set(now),
            updated_at: Set(now),
        };
        let row = row.insert(self.store.db()).await;
        let row = row.map_err(|error| Error::unless_exists(error, WHAT, &create.host_name))?;
        self.get(wire_id(row.id), now).await
    }

    /// Removes one. One that lives is reported again when it changes, or its scheduler opens a new stream.
    pub(crate) async fn delete(&self, id: u64) -> Result<(), Error> {
        rows::delete::<peer::Entity>(self.store.db(), WHAT, id).await
    }

    /// Whether the hosts of each of these clusters, or of all if there are none, are being reported; else the first whose are
    /// not.
    pub(crate) async fn unreported(&self, clusters: &[u64], now: Time) -> Result<Option<u64>, Error> {
        for id in clusters {
            rows::get::<scheduler_cluster::Entity>(self.store.db(), clusters::WHAT, *id).await?;
            let active = crate::members::active::<scheduler::Entity>(self.store.db(), row_id(*id), now).await?;
            if active.is_empty() {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }

    async fn views(&self, rows: Vec<peer::Model>, now: Time) -> Result<Vec<Peer>, Error> {
        let mut active: HashSet<i64> = HashSet::new();
        for rows in rows.chunks(BATCH) {
            let ids = rows.iter().map(|row| row.id);
            let seen: Vec<i64> = peer_sighting::Entity::find()
                .select_only()
                .column(peer_sighting::Column::PeerId)
                .filter(peer_sighting::Column::PeerId.is_in(ids))
                .filter(by_the_living(now))
                .into_tuple()
                .all(self.store.db())
                .await?;
            active.extend(seen);
        }
        let snapshot = self.clusters.snapshot().await?;
        let clusters: HashMap<u64, rest::SchedulerCluster> = snapshot
            .clusters
            .iter()
            .map(|cluster| (wire_id(cluster.scheduler.id), cluster.clone().into()))
            .collect();
        let view = |row: peer::Model| {
            let state = match active.contains(&row.id) {
                true => MemberState::Active,
                false => MemberState::Inactive,
            };
            wire(row, state, &clusters)
        };
        Ok(rows.into_iter().map(view).collect())
    }
}

/// Peers that no scheduler has known since then, and that nobody has written down.
pub(crate) fn forgotten(since: Time) -> Select<peer::Entity> {
    let known = Query::select()
        .column(peer_sighting::Column::PeerId)
        .from(peer_sighting::Entity)
        .to_owned();
    peer::Entity::find()
        .filter(peer::Column::ByHand.eq(false))
        .filter(peer::Column::UpdatedAt.lt(since))
        .filter(peer::Column::Id.not_in_subquery(known))
}

/// Whether the scheduler of a sighting is alive. Asked per sighting: as a list of all living schedulers, databases would look up
/// each of them for each peer.
fn by_the_living(now: Time) -> SimpleExpr {
    let scheduler = Expr::col((scheduler::Entity, scheduler::Column::Id));
    let living = Query::select()
        .expr(Expr::val(1))
        .from(scheduler::Entity)
        .and_where(scheduler.equals((peer_sighting::Entity, peer_sighting::Column::SchedulerId)))
        .and_where(Expr::col((scheduler::Entity, scheduler::Column::LeaseUntil)).gt(now))
        .to_owned();
    Expr::exists(living)
}

fn wanted(filter: PeerFilter, now: Time) -> Select<peer::Entity> {
    let mut rows = peer::Entity::find().order_by_asc(peer::Column::Id);
    let texts = [
        (peer::Column::HostName, filter.host_name),
        (peer::Column::Type, filter.r#type.map(|kind| kind.as_str().to_owned())),
        (peer::Column::Idc, filter.idc),
        (peer::Column::Location, filter.location),
        (peer::Column::Ip, filter.ip.map(ip_text)),
        (peer::Column::Os, filter.os),
        (peer::Column::Platform, filter.platform),
        (peer::Column::PlatformFamily, filter.platform_family),
        (peer::Column::PlatformVersion, filter.platform_version),
        (peer::Column::KernelVersion, filter.kernel_version),
        (peer::Column::GitVersion, filter.git_version),
        (peer::Column::GitCommit, filter.git_commit),
        (peer::Column::BuildPlatform, filter.build_platform),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            rows = rows.filter(column.eq(text));
        }
    }
    let ports = [
        (peer::Column::Port, filter.port),
        (peer::Column::DownloadPort, filter.download_port),
        (peer::Column::ProxyPort, filter.proxy_port),
    ];
    for (column, port) in ports {
        if let Some(port) = port {
            rows = rows.filter(column.eq(i32::from(port)));
        }
    }
    if let Some(cluster) = filter.scheduler_cluster_id {
        rows = rows.filter(peer::Column::SchedulerClusterId.eq(row_id(cluster)));
    }
    let active = Query::select()
        .column(peer_sighting::Column::PeerId)
        .from(peer_sighting::Entity)
        .and_where(by_the_living(now))
        .to_owned();
    match filter.state {
        Some(MemberState::Active) => rows.filter(peer::Column::Id.in_subquery(active)),
        Some(MemberState::Inactive) => rows.filter(peer::Column::Id.not_in_subquery(active)),
        None => rows,
    }
}

fn wire(row: peer::Model, state: MemberState, clusters: &HashMap<u64, rest::SchedulerCluster>) -> Peer {
    let port = |port: i32| u16::try_from(port).unwrap_or(0);
    let cluster = wire_id(row.scheduler_cluster_id);
    Peer {
        id: wire_id(row.id),
        created_at: row.created_at.timestamp(),
        updated_at: row.updated_at.timestamp(),
        is_del: 0,
        host_name: row.host_name,
        r#type: match row.r#type == PeerType::Super.as_str() {
            true => PeerType::Super,
            false => PeerType::Normal,
        },
        idc: row.idc,
        location: row.location,
        ip: row.ip,
        port: port(row.port),
        download_port: port(row.download_port),
        proxy_port: port(row.proxy_port),
        object_storage_port: 0,
        state,
        os: row.os,
        platform: row.platform,
        platform_family: row.platform_family,
        platform_version: row.platform_version,
        kernel_version: row.kernel_version,
        git_version: row.git_version,
        git_commit: row.git_commit,
        build_platform: row.build_platform,
        scheduler_cluster_id: cluster,
        scheduler_cluster: clusters.get(&cluster).cloned(),
    }
}
