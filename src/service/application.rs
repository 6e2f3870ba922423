//! The service as a whole: built from its flags, run until it is told to stop.

use super::allow::AllowList;
use super::auth::{Tokens, authenticate};
use super::engine::Engine;
use super::health::Probe;
use super::idle::{Activity, idle};
use super::info::{Info, Limits};
use super::metrics::{Metrics, measure};
use super::routes::{self, Paths};
use super::{ServeOptions, Service, openapi, tls};
use crate::error::{Code, Error, Result};
use crate::jobs::{Jobs, Leases, Objects, Problem, Runner, service_name};
use crate::model;
use crate::storage::{Policy, Storage};
use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpServer, web};
use serde_json::json;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use utoipa_actix_web::AppExt;

/// Handlers only parse and wait, so that a few threads serve many clients; the cores belong to the engine.
const HTTP_THREADS: usize = 2;
/// For each of these, of those that wait for the disk or for storage. More that run at once would only stand in the way of
/// those that answer.
const BLOCKING_THREADS: usize = 32;
/// How long a stopped service lets open requests come to their end.
const REQUESTS_GRACE: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A service that listens.
pub struct Application {
    server: Server,
    service: web::Data<Service>,
    address: Address,
    stop: StopHandle,
    idle_timeout: Option<Duration>,
}

#[derive(Clone)]
enum Address {
    Tcp { scheme: &'static str, address: SocketAddr },
    Unix(PathBuf),
}

/// Stops a running [`Application`], from any thread.
#[derive(Clone, Default)]
pub struct StopHandle(Arc<Notify>);

impl StopHandle {
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// Runs the service until SIGINT or SIGTERM, which it handles itself; tells its address once it listens. Blocks.
///
/// # Errors
/// Whatever keeps it from starting: flags that make no sense, an address or a data directory in use.
pub fn serve(options: &ServeOptions, listening: impl FnOnce(&str, StopHandle)) -> Result<()> {
    actix_web::rt::System::new().block_on(async {
        let application = Application::build(options)?;
        listening(&application.url(), application.stop_handle());
        application.run().await
    })
}

/// What the operator allows, with the model that the service has by default.
fn allow_list(options: &ServeOptions) -> Result<AllowList> {
    let allow = AllowList::parse(&options.allow)?;
    Ok(match options.model.model.parse() {
        Ok(id) => allow.with_model(&id),
        Err(_) => allow,
    })
}

impl Application {
    /// Opens the data directory, starts the worker and listens; requests are answered once it runs. Must be called
    /// within an actix runtime.
    pub fn build(options: &ServeOptions) -> Result<Application> {
        let allow: Arc<dyn Policy> = Arc::new(allow_list(options)?);
        let storage = Storage::from_env()?.restricted(allow.clone()).listing_at_most(options.max_inputs);
        let name = service_name(&data_directory(options)?)?;
        let engine = Engine {
            storage: storage.clone(),
            allow,
            model: options.model.clone(),
            commit_every: options.commit.interval(),
            leases: Leases::new(storage.clone(), name, Duration::from_secs(options.lease.into())),
        };
        Application::build_with(options, Arc::new(storage), Arc::new(engine))
    }

    /// The same with another engine and another view of storage, for programs that bring their own.
    pub fn build_with(
        options: &ServeOptions,
        objects: Arc<dyn Objects>,
        runner: Arc<dyn Runner>,
    ) -> Result<Application> {
        let allow = allow_list(options)?;
        let metrics = Metrics::new()?;
        let tokens = options.token_file.as_deref().map(Tokens::read).transpose()?.unwrap_or_default();
        if tokens.is_open() && options.unix_socket.is_none() && !options.listen.ip().is_loopback() {
            log::warn!("anyone who reaches {} may use this service: it has no --token-file", options.listen);
        }
        let models = model::bundled()?;
        let info = Info {
            version: env!("CARGO_PKG_VERSION"),
            device: placement(options).map_or_else(|error| error.to_string(), |(_, told)| told),
            default_model: options.model.model.clone(),
            models: models.iter().map(|model| model.name.clone()).collect(),
            limits: Limits::of(options),
        };
        let directory = data_directory(options)?;
        let retention = DAY * options.keep_jobs;
        let metered = metrics.metered(runner);
        let service = web::Data::new(Service {
            jobs: Jobs::open(&directory, options.queue_length, retention, objects.clone(), metered)?,
            drain: Duration::from_secs(options.drain.into()),
            objects,
            probe: Probe::new(allow.probes()),
            allow,
            tokens,
            defaults: vec![
                ("model", json!(options.model.model)),
                ("threads", json!(options.model.threads)),
                ("max_batch_tokens", json!(options.model.max_batch_tokens)),
            ],
            max_body: options.max_body,
            request_timeout: Duration::from_secs(options.request_timeout.into()),
            models,
            metrics,
            activity: Activity::default(),
            info,
            openapi: openapi::openapi_json().into(),
            paths: Paths::read(openapi::document()),
        });
        let (server, address) = listen(options, service.clone())?;
        let idle_timeout = options.idle_timeout.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Application { server, service, address, stop: StopHandle::default(), idle_timeout })
    }

    /// What clients are to be given as the service's address: `http://…`, `https://…` or `unix://…`.
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp { scheme, address } => format!("{scheme}://{address}"),
            Address::Unix(path) => format!("unix://{}", path.display()),
        }
    }

    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Serves until SIGINT, SIGTERM, [`StopHandle::stop`] or, where that is asked for, nobody has used it for a while.
    /// Then it is not ready any more and takes no more jobs, has the running one commit what is done (it stays in the
    /// queue), and lets open requests come to their end.
    pub async fn run(self) -> Result<()> {
        let (interrupt, terminate) =
            (listen_for(SignalKind::interrupt())?, listen_for(SignalKind::terminate())?);
        let handle = self.server.handle();
        if let Some(timeout) = self.idle_timeout {
            let (service, stop) = (self.service.clone(), self.stop.clone());
            actix_web::rt::spawn(async move {
                idle(service, timeout).await;
                log::info!("nobody has used the service for {} s", timeout.as_secs());
                stop.stop();
            });
        }
        let stopping = stop_when_told(self.stop.0, interrupt, terminate, handle, self.service.clone());
        let stopping = actix_web::rt::spawn(stopping);
        let served = self.server.await;
        stopping.abort();
        if let Address::Unix(path) = &self.address {
            // the socket of the next one is made anew anyway
            let _ = std::fs::remove_file(path);
        }
        let service = self.service;
        let ended = web::block(move || {
            service.jobs.stop()?;
            Ok(service.jobs.wait_stopped(service.drain))
        });
        match ended.await {
            Ok(Ok(true)) => log::info!("stopped"),
            Ok(Ok(false)) => log::warn!("the running job did not give up in time; it stays in the queue"),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(Error::internal("the threads that wait for the disk are gone")),
        }
        served.map_err(|error| Error::internal("the server failed").caused_by(error))
    }
}

async fn stop_when_told(
    told: Arc<Notify>,
    mut interrupt: Signal,
    mut terminate: Signal,
    server: ServerHandle,
    service: web::Data<Service>,
) {
    tokio::select! {
        _ = told.notified() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    log::info!("stopping; once more to end at once");
    // events and waiting requests end with the queue, or they would hold the server up
    let queue = web::block(move || {
        service.jobs.stop()?;
        service.jobs.wait_stopped(service.drain);
        Ok(())
    });
    let stop = async {
        let stopped: std::result::Result<Result<()>, _> = queue.await;
        if let Ok(Err(error)) = stopped {
            log::error!("{error}");
        }
        server.stop(true).await;
    };
    let again = async {
        let status = tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        };
        std::process::exit(status);
    };
    tokio::join!(stop, again);
}

fn listen_for(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Error::internal("cannot listen for signals").caused_by(error))
}

fn listen(options: &ServeOptions, service: web::Data<Service>) -> Result<(Server, Address)> {
    let factory = move || {
        let refuse =
            |http: HttpRequest, service: web::Data<Service>| async move { service.paths.refuse(&http) };
        let path_problem = |error: actix_web::error::PathError, _: &HttpRequest| {
            Problem::new(Code::ResourceNotFound, error.to_string()).into()
        };
        App::new()
            .into_utoipa_app()
            .app_data(service.clone())
            .app_data(web::PathConfig::default().error_handler(path_problem))
            .configure(routes::configure)
            .default_service(web::to(refuse))
            .into_app()
            .wrap(from_fn(authenticate))
            .wrap(from_fn(measure))
    };
    let server = HttpServer::new(factory)
        .workers(HTTP_THREADS)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .client_request_timeout(Duration::from_secs(options.request_timeout.into()))
        .shutdown_timeout(REQUESTS_GRACE.as_secs())
        .disable_signals();
    if let Some(path) = &options.unix_socket {
        let failed = |error: std::io::Error| {
            Error::usage(format!("cannot listen on the socket {}", path.display())).caused_by(error)
        };
        remove_stale_socket(path)?;
        return Ok((server.bind_uds(path).map_err(failed)?.run(), Address::Unix(path.clone())));
    }
    let failed =
        |error: std::io::Error| Error::usage(format!("cannot listen on {}", options.listen)).caused_by(error);
    let (scheme, server) = match (&options.tls_cert, &options.tls_key) {
        (Some(chain), Some(key)) => (
            "https",
            server.bind_rustls_0_23(options.listen, tls::server_config(chain, key)?).map_err(failed)?,
        ),
        _ => ("http", server.bind(options.listen).map_err(failed)?),
    };
    let address = server.addrs().first().copied().unwrap_or(options.listen);
    Ok((server.run(), Address::Tcp { scheme, address }))
}

/// The socket of a service that has ended is in the way of the next; any other file is not ours to remove.
fn remove_stale_socket(path: &Path) -> Result<()> {
    let refuse = |why: &str| Err(Error::usage(format!("socket {}: {why}", path.display())));
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(metadata) if !metadata.file_type().is_socket() => refuse("there is a file that is no socket"),
        Ok(_) if UnixStream::connect(path).is_ok() => refuse("a service listens on it already"),
        Ok(_) => std::fs::remove_file(path).map_err(|error| {
            Error::usage(format!("cannot remove the socket {}", path.display())).caused_by(error)
        }),
    }
}

/// What jobs compute on that do not say otherwise.
fn placement(options: &ServeOptions) -> Result<(model::Placement, String)> {
    model::Placement::settle(options.model.device, options.model.precision, options.model.max_batch_tokens)
}

fn data_directory(options: &ServeOptions) -> Result<PathBuf> {
    options.data_dir.clone().map_or_else(default_data_directory, Ok)
}

fn default_data_directory() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state
        .map(|state| state.join("bioprune"))
        .ok_or_else(|| Error::usage("--data-dir is needed: neither XDG_STATE_HOME nor HOME is set"))
}
