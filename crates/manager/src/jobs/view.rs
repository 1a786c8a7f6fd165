//! Jobs as REST shows them.

use super::ask::Args;
use super::targets::{self, Tally};
use super::{Jobs, WHAT, state_of, type_of};
use crate::error::{Error, row_id, wire_id};
use crate::rows;
use crate::store::Time;
use crate::store::entity::{job, job_target, job_work, user};
use dragonfly_api::rest::{
    self, DoneTask, FailedTask, Image, ImageDistribution, ImagePeer, Job, JobFilter, JobProgress, JobResult, JobState,
    JobType, JobUser, Page, TargetState, TaskPeer, WorkResult, WorkState,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;

/// Targets of either kind that one answer has; all of them are asked for by pages.
const MAX_SHOWN: u64 = 2000;
/// Jobs on a page.
const MAX_PER_PAGE: u64 = 500;
/// How a seed peer's host id ends.
const SEED: &str = "-seed";

/// Whatever belongs to some jobs.
struct Parts {
    works: Vec<job_work::Model>,
    tallies: HashMap<i64, Tally>,
    done: Vec<job_target::Model>,
    failed: Vec<job_target::Model>,
    users: HashMap<i64, String>,
    clusters: HashMap<u64, rest::SchedulerCluster>,
}

impl Jobs {
    /// The job with this id.
    pub(crate) async fn get(&self, id: u64) -> Result<Job, Error> {
        let job = rows::get::<job::Entity>(self.store.db(), WHAT, id).await?;
        let jobs = self.views(vec![job]).await?;
        jobs.into_iter().next().ok_or_else(|| Error::no(WHAT, id))
    }

    /// One page of the jobs that match, newest first, how many match in total, and the page as it is given: of so many at
    /// most.
    pub(crate) async fn list(&self, filter: JobFilter, mut page: Page) -> Result<(Vec<Job>, u64, Page), Error> {
        let mut jobs = job::Entity::find().order_by_desc(job::Column::Id);
        if let Some(kind) = filter.r#type {
            jobs = jobs.filter(job::Column::Type.eq(kind.as_str()));
        }
        if let Some(state) = filter.state {
            jobs = jobs.filter(job::Column::State.eq(state.as_str()));
        }
        if let Some(user) = filter.user_id.filter(|user| *user != 0) {
            jobs = jobs.filter(job::Column::UserId.eq(row_id(user)));
        }
        if page.per_page <= Page::MAX_PER_PAGE {
            page.per_page = page.per_page.min(MAX_PER_PAGE);
        }
        let (jobs, total) = rows::page(&self.store, jobs, page).await?;
        Ok((self.views(jobs).await?, total, page))
    }

    /// What an image's distribution was found to be, cluster by cluster.
    pub(crate) async fn distribution(&self, id: u64) -> Result<ImageDistribution, Error> {
        let mut all = ImageDistribution::default();
        for work in self.get(id).await?.result.job_states {
            for result in work.results {
                let WorkResult::Image { image, peers, .. } = result else {
                    continue;
                };
                if all.image.layers.is_empty() {
                    all.image = image;
                }
                all.peers.extend(peers);
            }
        }
        Ok(all)
    }

    async fn views(&self, jobs: Vec<job::Model>) -> Result<Vec<Job>, Error> {
        let parts = self.parts(&jobs).await?;
        Ok(jobs.into_iter().map(|job| parts.view(job)).collect())
    }

    async fn parts(&self, jobs: &[job::Model]) -> Result<Parts, Error> {
        let db = self.store.db();
        let works = job_work::Entity::find()
            .filter(job_work::Column::JobId.is_in(jobs.iter().map(|job| job.id)))
            .order_by_asc(job_work::Column::Id)
            .all(db)
            .await?;
        let ids: Vec<i64> = works
            .iter()
            .filter(|work| work.targets > 0)
            .map(|work| work.id)
            .collect();
        let users = user::Entity::find()
            .filter(user::Column::Id.is_in(jobs.iter().map(|job| job.user_id)))
            .all(db)
            .await?;
        let snapshot = self.clusters.snapshot().await?;
        let clusters = snapshot.clusters.iter().cloned().map(rest::SchedulerCluster::from);
        Ok(Parts {
            tallies: targets::tally(db, &ids).await?,
            done: self.shown(&ids, &[TargetState::Done]).await?,
            failed: self.shown(&ids, &[TargetState::Failed, TargetState::Cancelled]).await?,
            works,
            users: users.into_iter().map(|user| (user.id, user.name)).collect(),
            clusters: clusters.map(|cluster| (cluster.id, cluster)).collect(),
        })
    }

    async fn shown(&self, works: &[i64], states: &[TargetState]) -> Result<Vec<job_target::Model>, DbErr> {
        if works.is_empty() {
            return Ok(Vec::new());
        }
        job_target::Entity::find()
            .filter(job_target::Column::WorkId.is_in(works.iter().copied()))
            .filter(job_target::Column::State.is_in(states.iter().map(|state| state.as_str())))
            .order_by_asc(job_target::Column::Id)
            .limit(MAX_SHOWN)
            .all(self.store.db())
            .await
    }
}

impl Parts {
    fn view(&self, job: job::Model) -> Job {
        let works: Vec<&job_work::Model> = self.works.iter().filter(|work| work.job_id == job.id).collect();
        let clusters = works.iter().map(|work| wire_id(work.scheduler_cluster_id));
        let user = self.users.get(&job.user_id).map(|name| JobUser {
            id: wire_id(job.user_id),
            name: name.clone(),
        });
        let state = state_of(&job.state);
        Job {
            id: wire_id(job.id),
            created_at: job.created_at.timestamp(),
            updated_at: job.updated_at.timestamp(),
            is_del: 0,
            task_id: job.group_uuid.clone(),
            bio: job.bio.clone(),
            r#type: type_of(&job.r#type),
            state,
            result: JobResult {
                group_uuid: job.group_uuid.clone(),
                state,
                created_at: job.created_at.timestamp(),
                updated_at: job.updated_at.timestamp(),
                job_states: works.iter().map(|work| self.work(&job, work)).collect(),
                progress: self.progress(&job, &works),
            },
            user_id: wire_id(job.user_id),
            user,
            scheduler_clusters: clusters.filter_map(|id| self.clusters.get(&id).cloned()).collect(),
            seed_peer_clusters: Vec::new(),
            args: job.args.0,
        }
    }

    fn progress(&self, job: &job::Model, works: &[&job_work::Model]) -> JobProgress {
        let mut progress = JobProgress {
            works: works.len() as u64,
            works_ended: 0,
            targets: Default::default(),
            targets_not_kept: 0,
            finished_length: 0,
            content_length: 0,
            deadline: job.deadline.timestamp(),
            ended_at: job.ended_at.map(Time::timestamp),
        };
        for work in works {
            progress.works_ended += u64::from(state_of(&work.state).has_ended());
            progress.targets_not_kept += wire_id(work.not_kept);
            let Some(tally) = self.tallies.get(&work.id) else {
                continue;
            };
            progress.finished_length += tally.finished_length;
            progress.content_length += tally.content_length;
            let mut counts = tally.counts;
            for state in TargetState::ALL {
                *progress.targets.of(state) += *counts.of(state);
            }
        }
        progress
    }

    fn work(&self, job: &job::Model, work: &job_work::Model) -> WorkState {
        WorkState {
            task_uuid: work.task_uuid.clone(),
            task_name: job.r#type.clone(),
            state: state_of(&work.state),
            results: self.result(job, work).into_iter().collect(),
            error: work.error.clone(),
            created_at: job.created_at.timestamp(),
            ttl: 0,
            scheduler_cluster_id: wire_id(work.scheduler_cluster_id),
            attempts: u32::try_from(work.attempts).unwrap_or(0),
            targets: self.tallies.get(&work.id).map(|tally| tally.counts).unwrap_or_default(),
        }
    }

    /// What came of a work so far; nothing before there is something.
    fn result(&self, job: &job::Model, work: &job_work::Model) -> Option<WorkResult> {
        let scheduler_cluster_id = wire_id(work.scheduler_cluster_id);
        let of_work = |target: &&job_target::Model| target.work_id == work.id;
        if let Some(image) = &work.image {
            let peers = image.0.peers.iter().map(|(ip, hostname, layers)| ImagePeer {
                ip: ip.clone(),
                hostname: hostname.clone(),
                cached_layers: layers.clone(),
                scheduler_cluster_id,
            });
            return Some(WorkResult::Image {
                image: Image {
                    layers: image.0.layers.clone(),
                },
                peers: peers.collect(),
                scheduler_cluster_id,
            });
        }
        let state = state_of(&work.state);
        match type_of(&job.r#type) {
            JobType::Gc | JobType::SyncPeers => None,
            JobType::GetTask => state.has_ended().then(|| WorkResult::Peers {
                peers: self.done.iter().filter(of_work).map(task_peer).collect(),
                scheduler_cluster_id,
            }),
            _ => {
                let success_tasks: Vec<DoneTask> = self.done.iter().filter(of_work).map(done).collect();
                let mut failure_tasks: Vec<FailedTask> = self.failed.iter().filter(of_work).map(failed).collect();
                if state == JobState::Failure && failure_tasks.is_empty() {
                    failure_tasks = unreached(job, work);
                }
                let some = state.has_ended() || !success_tasks.is_empty() || !failure_tasks.is_empty();
                some.then_some(WorkResult::Tasks {
                    success_tasks,
                    failure_tasks,
                    scheduler_cluster_id,
                })
            }
        }
    }
}

/// What was asked of a cluster in which nothing was begun.
fn unreached(job: &job::Model, work: &job_work::Model) -> Vec<FailedTask> {
    let urls: Vec<String> = match Args::kept(type_of(&job.r#type), job.args.0.clone()) {
        Ok(Args::Preheat(args)) => dragonfly_api::order::urls(&args).collect(),
        Ok(Args::Get(args) | Args::Delete(args)) => vec![args.url],
        _ => Vec::new(),
    };
    let failed = |url| FailedTask {
        url,
        hostname: String::new(),
        ip: String::new(),
        description: work.error.clone(),
    };
    urls.into_iter().map(failed).collect()
}

fn done(target: &job_target::Model) -> DoneTask {
    DoneTask {
        url: target.url.clone(),
        hostname: target.hostname.clone(),
        ip: target.ip.clone(),
    }
}

fn failed(target: &job_target::Model) -> FailedTask {
    FailedTask {
        url: target.url.clone(),
        hostname: target.hostname.clone(),
        ip: target.ip.clone(),
        description: target.description.clone(),
    }
}

fn task_peer(target: &job_target::Model) -> TaskPeer {
    let host_type = if target.host_id.ends_with(SEED) {
        "super"
    } else {
        "normal"
    };
    TaskPeer {
        id: target.host_id.clone(),
        hostname: target.hostname.clone(),
        ip: target.ip.clone(),
        host_type: host_type.to_owned(),
        created_at: target.updated_at.timestamp(),
        updated_at: target.updated_at.timestamp(),
        task_finished: target
            .content_length
            .is_some_and(|length| target.finished_length >= length),
        pieces: target.pieces.as_ref().map(|pieces| pieces.0.clone()),
    }
}
