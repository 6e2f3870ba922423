//! `with-server`: a service for one command, which is told of it by `BIOPRUNE_SERVER` and outlives it by nothing.

use super::console::Console;
use super::signals;
use crate::digest::hex;
use crate::error::{Error, Result};
use crate::pipeline::{CancelToken, ModelOptions};
use crate::service::{self, ServeOptions, StopHandle};
use clap::{Args, Parser};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::channel;
use std::time::Duration;
use tempfile::TempDir;

const PAUSE: Duration = Duration::from_millis(20);

/// Start a service, run a command that uses it, and stop the service.
#[derive(Debug, Args)]
pub(super) struct WithServer {
    /// Listen on this address, with a token that the command is told (port 0: a free one), in place of a socket that
    /// this user alone can reach
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// Jobs may read and write below this URI or local directory only; may be repeated
    #[arg(long, value_name = "URI-PREFIX", value_delimiter = ',', default_value = "/")]
    allow: Vec<String>,

    /// Stop the service, though not the command, once no job has run and none was asked for during so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    idle_timeout: Option<u32>,

    #[command(flatten)]
    model: ModelOptions,

    /// The command and its arguments, after `--`
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The flags of `serve`, for their defaults.
#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    options: ServeOptions,
}

/// Does not return once the command has run: the process ends as the command did.
pub(super) fn run(request: &WithServer, console: &Console) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("bioprune-")
        .tempdir()
        .map_err(|error| Error::storage("no temporary folder for the service").caused_by(error))?;
    let token = request.listen.map(|_| token()).transpose()?;
    let options = options(request, folder.path(), token.as_deref())?;
    let (url, stop, service) = start(options)?;
    console.line(&format!("bioprune: listening on {url} for {:?}", request.command[0]));

    let signaled = CancelToken::default();
    signals::cancel_on_signal(signaled.clone())?;
    let [program, arguments @ ..] = &request.command[..] else {
        return Err(Error::usage("which command?"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env("BIOPRUNE_SERVER", &url);
    match &token {
        Some(token) => command.env("BIOPRUNE_TOKEN", token),
        None => command.env_remove("BIOPRUNE_TOKEN"),
    };
    let status = command.spawn().and_then(|child| wait(child, &signaled)).map_err(|error| {
        let name = program.to_string_lossy();
        match error.kind() {
            ErrorKind::NotFound => Error::usage(format!("the command {name:?} does not exist")),
            _ => Error::usage(format!("the command {name:?} cannot be run")).caused_by(error),
        }
    });
    stop.stop();
    let served = service.join().unwrap_or_else(|_| Err(Error::internal("the service panicked")));
    let (status, ()) = (status?, served?);
    end(folder, status)
}

/// Starts the service on a thread of its own.
fn start(options: ServeOptions) -> Result<(String, StopHandle, std::thread::JoinHandle<Result<()>>)> {
    let (sender, listening) = channel();
    let service = std::thread::spawn(move || {
        // nobody waits for it any more: the command has ended before
        service::serve(&options, |url, stop| drop(sender.send((url.to_string(), stop))))
    });
    match listening.recv() {
        Ok((url, stop)) => Ok((url, stop, service)),
        Err(_) => Err(match service.join() {
            Ok(Err(error)) => error,
            _ => Error::internal("the service ended before it listened"),
        }),
    }
}

fn options(request: &WithServer, folder: &Path, token: Option<&str>) -> Result<ServeOptions> {
    let defaults = Defaults::try_parse_from(["serve"])
        .map_err(|error| Error::usage("the environment sets a flag of serve wrongly").caused_by(error))?;
    let token_file = match token {
        None => None,
        Some(token) => {
            let file = folder.join("tokens");
            std::fs::write(&file, service::token_line(token))
                .map_err(|error| Error::storage("cannot write the service's token").caused_by(error))?;
            Some(file)
        }
    };
    Ok(ServeOptions {
        listen: request.listen.unwrap_or(defaults.options.listen),
        unix_socket: request.listen.is_none().then(|| folder.join("socket")),
        data_dir: Some(folder.join("jobs")),
        allow: request.allow.clone(),
        token_file,
        idle_timeout: request.idle_timeout,
        model: request.model.clone(),
        ..defaults.options
    })
}

/// 256 random bits in hexadecimal digits.
fn token() -> Result<String> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|error| Error::internal("no random numbers for a token").caused_by(error))?;
    Ok(hex(&bytes))
}

/// Waits for the command; passes a termination of this process on to it. (Ctrl-C reaches it by itself.)
fn wait(mut child: Child, signaled: &CancelToken) -> std::io::Result<ExitStatus> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if signaled.is_canceled() && !told && signals::terminated() {
            told = true;
            // it may have ended by itself in this moment
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Ends this process as the command ended.
fn end(folder: TempDir, status: ExitStatus) -> ! {
    drop(folder);
    // as shells report it
    let by_signal = status.signal().map(|signal| 128 + signal);
    std::process::exit(status.code().or(by_signal).unwrap_or(1))
}
