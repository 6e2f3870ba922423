//! The flags of `bioprune serve`.

use crate::pipeline::{CommitOptions, ModelOptions};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the service listens, what it may touch, and how much it takes on.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeOptions {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "BIOPRUNE_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Listen on this Unix socket instead of an address
    #[arg(long, env = "BIOPRUNE_UNIX_SOCKET", value_name = "PATH")]
    pub unix_socket: Option<PathBuf>,

    /// Serve HTTPS with this certificate, followed by those that vouch for it: a file in PEM
    #[arg(
        long,
        env = "BIOPRUNE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key",
        conflicts_with = "unix_socket"
    )]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key: a file in PEM
    #[arg(long, env = "BIOPRUNE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Where jobs are kept [default: $XDG_STATE_HOME/bioprune, else ~/.local/state/bioprune]
    #[arg(long, env = "BIOPRUNE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Requests may read and write below this URI or local directory only; may be repeated. Without it they may use
    /// any object store, and neither local files nor http. Models of the Hugging Face Hub are fetched for them where
    /// hf://, hf://owner or hf://owner/name says so
    #[arg(long, env = "BIOPRUNE_ALLOW", value_name = "URI-PREFIX", value_delimiter = ',')]
    pub allow: Vec<String>,

    /// File of the bearer tokens of which requests must show one; health and docs stay open. On each line sha256:DIGEST, as
    /// `printf %s TOKEN | sha256sum` prints it, then what the bearer may touch: read=URI-PREFIX and write=URI-PREFIX,
    /// any number of them; none: all that --allow says
    #[arg(long, env = "BIOPRUNE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Longest body of a request, in bytes
    #[arg(long, env = "BIOPRUNE_MAX_BODY", value_name = "BYTES", default_value_t = 1 << 20)]
    pub max_body: usize,

    /// Most files that a pattern in a request may name
    #[arg(long, env = "BIOPRUNE_MAX_INPUTS", value_name = "FILES", default_value_t = 100_000)]
    pub max_inputs: usize,

    /// Longest time that a client may take to send a request, in seconds
    #[arg(long, env = "BIOPRUNE_REQUEST_TIMEOUT", value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub request_timeout: u32,

    /// Most jobs that may wait; more are refused with 429
    #[arg(long, env = "BIOPRUNE_QUEUE_LENGTH", value_name = "JOBS", default_value_t = 64)]
    pub queue_length: usize,

    /// How long jobs are kept after their end, in days
    #[arg(long, env = "BIOPRUNE_KEEP_JOBS", value_name = "DAYS", default_value_t = 30)]
    pub keep_jobs: u32,

    /// How long a stopping service lets the running job commit what is done, in seconds
    #[arg(long, env = "BIOPRUNE_DRAIN", value_name = "SECONDS", default_value_t = 30)]
    pub drain: u32,

    /// Services may share a bucket: each takes a lease on the output of the job that it runs; after so many seconds
    /// without a sign of life another takes the job over
    #[arg(long, env = "BIOPRUNE_LEASE", value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub lease: u32,

    /// Stop once no job has waited or run, and nothing was asked for, during so many seconds
    #[arg(long, env = "BIOPRUNE_IDLE_TIMEOUT", value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub idle_timeout: Option<u32>,

    #[command(flatten)]
    pub commit: CommitOptions,

    /// What a request takes that does not say otherwise
    #[command(flatten)]
    pub model: ModelOptions,
}
