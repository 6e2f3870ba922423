//! The queue on disk: a SQLite database that survives a crash at any moment.

use super::id::JobId;
use super::job::{JobResult, JobState};
use super::problem::Problem;
use super::queue::IdempotencyKey;
use super::request::{JobKind, JobRequest};
use super::runner::Origin;
use crate::digest::sha256;
use crate::error::{Error, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// What brings a store from each version to the next, the first from nothing.
const MIGRATIONS: [&str; 2] = [SCHEMA, "ALTER TABLE jobs ADD COLUMN origin TEXT NOT NULL DEFAULT '{}'"];
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// `seq` is a job's place in the queue, new each time it is queued. A running job is stored as queued.
const SCHEMA: &str = "
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        seq INTEGER NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        request TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('queued', 'complete', 'failed', 'canceled')),
        created TEXT NOT NULL,
        started TEXT,
        finished TEXT,
        starts INTEGER NOT NULL DEFAULT 0,
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        result TEXT,
        error TEXT
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE TABLE idempotency_keys (
        key TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        job TEXT NOT NULL REFERENCES jobs (id),
        created TEXT NOT NULL
    ) STRICT;
";

const COLUMNS: &str = "id, seq, kind, request, state, created, started, finished, starts, cancel_requested, result, error, origin";

/// How long an idempotency key is remembered: longer than any client repeats a request.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A job as stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub id: JobId,
    pub seq: i64,
    pub request: JobRequest,
    pub state: JobState,
    pub created: String,
    pub started: Option<String>,
    pub finished: Option<String>,
    /// How often it was begun since it was queued, and not ended in order
    pub starts: u32,
    pub cancel_requested: bool,
    pub result: Option<JobResult>,
    pub error: Option<Problem>,
    pub origin: Origin,
}

impl Stored {
    /// How long ago it was first asked for.
    pub fn age(&self) -> Duration {
        let created = DateTime::parse_from_rfc3339(&self.created).map(SystemTime::from);
        created.ok().and_then(|created| created.elapsed().ok()).unwrap_or_default()
    }
}

/// Which jobs a list holds.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<JobState>,
    /// Where the last page ended
    pub before: Option<i64>,
    pub limit: usize,
}

pub(super) struct Store(Connection);

impl Store {
    pub fn open(path: &Path) -> Result<Store> {
        let opened = (|| {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // a job that was accepted outlives the machine's power
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            for (next, migration) in (1..).zip(MIGRATIONS).skip(version.max(0) as usize) {
                connection
                    .execute_batch(&format!("BEGIN; {migration}; PRAGMA user_version = {next}; COMMIT;"))?;
            }
            Ok((connection, version))
        })();
        let (connection, version) = opened.map_err(|error: rusqlite::Error| {
            Error::storage(format!("cannot open the job store {}", path.display())).caused_by(error)
        })?;
        if version > SCHEMA_VERSION {
            return Err(Error::storage(format!(
                "the job store {} has version {version}, of a later bioprune; this one reads up to {SCHEMA_VERSION}",
                path.display()
            )));
        }
        Ok(Store(connection))
    }

    pub fn get(&self, id: &JobId) -> Result<Option<Stored>> {
        self.first(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"), [id.as_str()])
    }

    /// The first queued job behind place `seq` in the queue.
    pub fn queued_after(&self, seq: i64) -> Result<Option<Stored>> {
        let queued = "state = 'queued' AND seq > ?1 ORDER BY seq LIMIT 1";
        self.first(&format!("SELECT {COLUMNS} FROM jobs WHERE {queued}"), [seq])
    }

    /// Puts a job at the end of the queue; what an earlier run of it left is forgotten.
    pub fn enqueue(&self, id: &JobId, request: &JobRequest, origin: &Origin) -> Result<()> {
        self.change(
            "INSERT INTO jobs (id, seq, kind, request, state, created, origin)
             VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM jobs), ?2, ?3, 'queued', ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, state = 'queued', started = NULL, finished = NULL,
                 starts = 0, cancel_requested = 0, result = NULL, error = NULL, origin = excluded.origin",
            params![id.as_str(), request.kind().name(), request.to_json()?, now(), json(origin)?],
        )
    }

    pub fn mark_started(&self, id: &JobId) -> Result<()> {
        self.change(
            "UPDATE jobs SET starts = starts + 1, started = ?2 WHERE id = ?1",
            params![id.as_str(), now()],
        )
    }

    /// Undoes [`Store::mark_started`]: the run is given up in order, not by a crash.
    pub fn unmark_started(&self, id: &JobId) -> Result<()> {
        self.change("UPDATE jobs SET starts = starts - 1, started = NULL WHERE id = ?1", [id.as_str()])
    }

    /// The running job has committed some of its work: what it did before need not be done again.
    pub fn mark_progress(&self, id: &JobId) -> Result<()> {
        self.change("UPDATE jobs SET starts = 1 WHERE id = ?1 AND starts > 1", [id.as_str()])
    }

    /// Forgets jobs that ended before `time`; returns how many.
    pub fn forget_before(&self, time: SystemTime) -> Result<usize> {
        let (old, time) = ("state <> 'queued' AND finished < ?1", timestamp(time));
        self.change(
            &format!("DELETE FROM idempotency_keys WHERE job IN (SELECT id FROM jobs WHERE {old})"),
            [&time],
        )?;
        self.execute(&format!("DELETE FROM jobs WHERE {old}"), [&time])
    }

    pub fn request_cancel(&self, id: &JobId) -> Result<()> {
        self.change("UPDATE jobs SET cancel_requested = 1 WHERE id = ?1", [id.as_str()])
    }

    /// Brings a job into a final state.
    pub fn finish(&self, id: &JobId, outcome: &Outcome) -> Result<()> {
        let (state, result, error) = match outcome {
            Outcome::Complete(result) => (JobState::Complete, Some(json(result)?), None),
            Outcome::Failed(problem) => (JobState::Failed, None, Some(json(problem)?)),
            Outcome::Canceled => (JobState::Canceled, None, None),
            Outcome::Suspended | Outcome::Deferred(_) => return Ok(()),
        };
        self.change(
            "UPDATE jobs SET state = ?2, finished = ?3, result = ?4, error = ?5 WHERE id = ?1",
            params![id.as_str(), state.name(), now(), result, error],
        )
    }

    /// How many jobs are stored in a state.
    pub fn count(&self, state: JobState) -> Result<u64> {
        self.0
            .query_row("SELECT count(*) FROM jobs WHERE state = ?1", [state.name()], |row| {
                row.get::<_, i64>(0)
            })
            .map(|count| count as u64)
            .map_err(failed)
    }

    /// Jobs, the latest first. `running` is the job that the store cannot know to be running.
    pub fn list(&self, filter: &Filter, running: Option<&JobId>) -> Result<Vec<Stored>> {
        let running = running.map_or("", JobId::as_str);
        let (state, wanted) = match filter.state {
            Some(JobState::Running) => ("queued", "id = ?3"),
            Some(state) => (state.name(), "id <> ?3"),
            None => ("", "?1 = '' AND ?3 = ?3"),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE (?1 = '' OR state = ?1) AND {wanted} AND seq < ?2
             ORDER BY seq DESC LIMIT ?4"
        );
        let mut statement = self.0.prepare_cached(&sql).map_err(failed)?;
        let before = filter.before.unwrap_or(i64::MAX);
        let rows = statement
            .query_map(params![state, before, running, filter.limit as i64], |row| Ok(read(row)))
            .map_err(failed)?;
        rows.map(|row| row.map_err(failed)?).collect()
    }

    /// Remembers which job a key led to, and forgets keys that are too old.
    pub fn remember(&self, key: &IdempotencyKey, job: &JobId) -> Result<()> {
        let oldest = timestamp(SystemTime::now() - KEY_LIFETIME);
        self.change("DELETE FROM idempotency_keys WHERE created < ?1", [oldest])?;
        self.change(
            "INSERT INTO idempotency_keys (key, body, job, created) VALUES (?1, ?2, ?3, ?4)",
            params![key.stored(), sha256(&key.body), job.as_str(), now()],
        )
    }

    /// The job that a key led to, and whether the body was this one.
    pub fn recall(&self, key: &IdempotencyKey) -> Result<Option<(JobId, bool)>> {
        let found: Option<(String, String)> = self
            .0
            .query_row("SELECT job, body FROM idempotency_keys WHERE key = ?1", [key.stored()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(failed)?;
        found.map(|(job, body)| Ok((job.parse()?, body == sha256(&key.body)))).transpose()
    }

    fn first(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Option<Stored>> {
        let row = self
            .0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(parameters, |row| Ok(read(row))).optional());
        row.map_err(failed)?.transpose()
    }

    fn change(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<()> {
        self.execute(sql, parameters).map(|_| ())
    }

    /// Returns how many rows changed.
    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize> {
        self.0.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map_err(failed)
    }
}

/// How a run of a job ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Complete(JobResult),
    Failed(Problem),
    Canceled,
    /// It was given up for now, and stays in the queue
    Suspended,
    /// Another service works on its output: it stays in the queue, and others go first
    Deferred(Error),
}

fn read(row: &Row<'_>) -> Result<Stored> {
    let text = |column: &str| row.get::<_, String>(column).map_err(failed);
    let optional = |column: &str| row.get::<_, Option<String>>(column).map_err(failed);
    let request = JobRequest::from_json(JobKind::from_str(&text("kind")?)?, parse(&text("request")?)?)
        .map_err(|error| Error::internal("the job store holds an unreadable request").caused_by(error))?;
    Ok(Stored {
        id: text("id")?.parse()?,
        seq: row.get("seq").map_err(failed)?,
        request,
        state: text("state")?.parse()?,
        created: text("created")?,
        started: optional("started")?,
        finished: optional("finished")?,
        starts: row.get("starts").map_err(failed)?,
        cancel_requested: row.get("cancel_requested").map_err(failed)?,
        result: optional("result")?.as_deref().map(parse).transpose()?,
        error: optional("error")?.as_deref().map(parse).transpose()?,
        origin: parse(&text("origin")?)?,
    })
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal("a job does not fit into JSON").caused_by(error))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::internal("the job store holds unreadable JSON").caused_by(error))
}

fn now() -> String {
    timestamp(SystemTime::now())
}

/// RFC 3339, in UTC, of one length, so that the order of texts is the order of times.
fn timestamp(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A disk that is full or fails is not a fault of ours, and what was asked may be asked again.
fn failed(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly,
        ) => Error::storage("the data directory cannot be written").caused_by(error),
        _ => Error::internal("the job store failed").caused_by(error),
    }
}
