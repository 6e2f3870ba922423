//! The flags of `bioprune serve`.

use crate::pipeline::ModelOptions;
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

    /// Where jobs are kept [default: $XDG_STATE_HOME/bioprune, else ~/.local/state/bioprune]
    #[arg(long, env = "BIOPRUNE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Requests may read and write below this URI or local directory only; may be repeated. Without it they may use
    /// any object store, and neither local files nor http. Models of the Hugging Face Hub are fetched for them where
    /// hf://, hf://owner or hf://owner/name says so
    #[arg(long, env = "BIOPRUNE_ALLOW", value_name = "URI-PREFIX", value_delimiter = ',')]
    pub allow: Vec<String>,

    /// File of bearer tokens, one on each line, of which requests must show one; health and docs stay open
    #[arg(long, env = "BIOPRUNE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Longest body of a request, in bytes
    #[arg(long, env = "BIOPRUNE_MAX_BODY", value_name = "BYTES", default_value_t = 1 << 20)]
    pub max_body: usize,

    /// Most jobs that may wait; more are refused with 429
    #[arg(long, env = "BIOPRUNE_QUEUE_LENGTH", value_name = "JOBS", default_value_t = 64)]
    pub queue_length: usize,

    /// What a request takes that does not say otherwise
    #[command(flatten)]
    pub model: ModelOptions,
}
