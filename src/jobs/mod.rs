//! Jobs: a durable queue, and the one worker that computes.
//!
//! [`Jobs::open`] starts it over a data directory. [`Jobs::submit`] stores a [`JobRequest`] and returns at once; the
//! worker takes the oldest queued job, hands it to a [`Runner`] and stores what came of it. What is stored never says
//! `running`: that is known in memory only, so that after a crash a job is simply still queued, and runs again.
//!
//! A job's [`JobId`] is derived from its request and from the size and ETag of everything it reads, so the same
//! request over the same data finds the job that there is. A running job commits its work piece by piece, so that it goes
//! on from there when it runs again. Services that share a bucket take [`Leases`] of what they write.

mod board;
mod current;
mod directory;
mod id;
mod job;
mod lease;
mod objects;
mod problem;
mod queue;
mod request;
mod runner;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod worker;

pub use current::{CurrentJob, current};
pub use directory::service_name;
pub use id::JobId;
pub use job::{Job, JobPage, JobProgress, JobResult, JobState};
pub use lease::{Lease, Leases};
pub use objects::Objects;
pub use problem::Problem;
pub use queue::{Change, IdempotencyKey, Jobs, Pace, Readiness, Submitted};
pub use request::{JobKind, JobRequest, Role, is_model_name};
pub use runner::{Origin, Runner, Work};
pub use store::Filter;
