//! The tables, one file each. `updated_at` of a member is the time of its last registration or change, not of its last
//! sign of life.

pub(crate) mod application;
pub(crate) mod attendance;
pub(crate) mod audit;
pub(crate) mod cluster_link;
pub(crate) mod config;
pub(crate) mod duty;
pub(crate) mod identity;
pub(crate) mod job;
pub(crate) mod job_rate;
pub(crate) mod job_target;
pub(crate) mod job_work;
pub(crate) mod kept_task;
pub(crate) mod oauth;
pub(crate) mod peer;
pub(crate) mod peer_sighting;
pub(crate) mod role;
pub(crate) mod role_permission;
pub(crate) mod scheduler;
pub(crate) mod scheduler_cluster;
pub(crate) mod secret;
pub(crate) mod seed_peer;
pub(crate) mod seed_peer_cluster;
pub(crate) mod session;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod user_role;
