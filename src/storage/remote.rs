//! Clients of object stores, one for each bucket or host, and the runtime that drives them.

use super::connect::{Connector, Counters, Traffic};
use super::error::{Action, changed, from_store};
use super::location::Target;
use super::uploads::Uploads;
use super::{Location, ObjectInfo, web};
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientConfigKey, GetOptions, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Longest time for one request with its body: a ranged read of 8 MiB or an uploaded part of 16 MiB.
const REQUEST_TIMEOUT: &str = "120 seconds";
const WEB_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a call is made in all where its answer broke off or was not what was asked for. A request without an
/// answer, or with a fault of the server, is sent again by object_store itself: up to 10 times within 3 minutes, after
/// 0.1 to 15 seconds at random.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether a job that waits for a store was canceled.
const CANCEL_CHECK: Duration = Duration::from_millis(50);

/// What a request needs: the client and the name inside its bucket.
pub(super) type Object = (Arc<dyn ObjectStore>, Path);

#[derive(Clone)]
pub(super) struct Remote {
    driver: Arc<Driver>,
    clients: Arc<Mutex<HashMap<String, Client>>>,
    counters: Arc<Counters>,
    /// Ends all waiting
    cancel: CancelToken,
}

/// Of one bucket or host.
#[derive(Clone)]
struct Client {
    store: Arc<dyn ObjectStore>,
    /// Where they can be told
    uploads: Option<Uploads>,
}

struct Driver {
    /// Taken only by `drop`
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Remote {
    pub(super) fn new() -> Result<Remote> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("storage")
            .enable_all()
            .build()
            .map_err(|error| Error::internal("cannot start the storage threads").caused_by(error))?;
        Ok(Remote {
            driver: Arc::new(Driver { handle: runtime.handle().clone(), runtime: Some(runtime) }),
            clients: Arc::default(),
            counters: Arc::default(),
            cancel: CancelToken::default(),
        })
    }

    /// The same clients for a job that `cancel` ends.
    pub(super) fn until(&self, cancel: CancelToken) -> Remote {
        Remote { cancel, ..self.clone() }
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.counters.traffic()
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.driver.handle
    }

    /// Waits for a store's answer.
    ///
    /// # Errors
    /// `canceled` as soon as the job is, whatever the store does: it may have done what it was asked for, or not.
    pub(super) fn block_on<F: Future>(&self, future: F) -> Result<F::Output> {
        let canceled = async {
            loop {
                if let Err(canceled) = self.cancel.check() {
                    return canceled;
                }
                tokio::time::sleep(CANCEL_CHECK).await;
            }
        };
        self.handle().block_on(async {
            tokio::select! {
                biased;
                canceled = canceled => Err(canceled),
                answer = future => Ok(answer),
            }
        })
    }

    /// The client for a location and the object's name in it.
    pub(super) fn object(&self, location: &Location) -> Result<Object> {
        let Target::Remote { store, key } = location.target() else {
            return Err(Error::internal(format!("{location} is not in an object store")));
        };
        let path = match store.starts_with("http") {
            true => Path::from_url_path(key),
            false => Path::parse(key),
        }
        .map_err(|error| {
            Error::usage(format!("location {location}: the name is not allowed")).caused_by(error)
        })?;
        Ok((self.client(store)?.store, path))
    }

    /// The unfinished uploads of a bucket, where its store tells them.
    pub(super) fn uploads(&self, store: &str) -> Result<Option<Uploads>> {
        Ok(self.client(store)?.uploads)
    }

    fn client(&self, store: &str) -> Result<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(store) {
            return Ok(client.clone());
        }
        let client = build(store, &self.counters)
            .map_err(|error| Error::storage(format!("cannot set up access to {store}")).caused_by(error))?;
        clients.insert(store.to_string(), client.clone());
        Ok(client)
    }

    pub(super) fn stat(&self, location: &Location) -> Result<ObjectInfo> {
        let (store, path) = self.object(location)?;
        let meta =
            self.block_on(store.head(&path))?.map_err(|error| from_store(Action::Read, location, error))?;
        Ok(ObjectInfo { location: location.clone(), size: meta.size, etag: quoted(meta.e_tag) })
    }

    pub(super) fn delete(&self, location: &Location) -> Result<()> {
        let (store, path) = self.object(location)?;
        match self.block_on(again(|| store.delete(&path)))? {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            other => other.map_err(|error| from_store(Action::Delete, location, error)),
        }
    }

    /// Puts an object if there is none, or if the one there is of the `expected` version; `None` where it is not.
    pub(super) fn put_if(
        &self,
        location: &Location,
        bytes: Vec<u8>,
        expected: Option<&str>,
    ) -> Result<Option<String>> {
        use object_store::Error as Store;
        let (store, path) = self.object(location)?;
        let mode = match expected {
            None => PutMode::Create,
            Some(etag) => PutMode::Update(UpdateVersion { e_tag: Some(etag.to_string()), version: None }),
        };
        match self.block_on(store.put_opts(&path, bytes.into(), mode.into()))? {
            Ok(put) => Ok(Some(quoted(put.e_tag).unwrap_or_default())),
            Err(Store::AlreadyExists { .. } | Store::Precondition { .. }) => Ok(None),
            Err(error) => Err(from_store(Action::Write, location, error)),
        }
    }

    pub(super) fn read_range(&self, info: &ObjectInfo, range: Range<u64>) -> Result<Bytes> {
        let object = self.object(&info.location)?;
        self.block_on(fetch(object, info.clone(), range))?
    }
}

impl Drop for Driver {
    /// A runtime may not be dropped inside async code, but the last clone of a `Storage` may be.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An ETag in its quotes, as `If-Match` wants it; some stores leave them out when they list (Azure does).
pub(super) fn quoted(etag: Option<String>) -> Option<String> {
    etag.map(|etag| if etag.ends_with('"') { etag } else { format!("\"{etag}\"") })
}

/// The bytes of a range of exactly the version that `info` names.
pub(super) async fn fetch(object: Object, info: ObjectInfo, range: Range<u64>) -> Result<Bytes> {
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    again(|| fetch_once(&object, &info, range.clone()))
        .await
        .map_err(|error| from_store(Action::Read, &info.location, error))?
        .ok_or_else(|| changed(&info.location))
}

/// Makes a call to a store again where it failed in a way that may pass; see [`ATTEMPTS`].
pub(super) async fn again<T, F>(mut call: impl FnMut() -> F) -> object_store::Result<T>
where
    F: Future<Output = object_store::Result<T>>,
{
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error @ object_store::Error::Generic { .. }) if attempt < ATTEMPTS => {
                log::warn!("a store failed and is asked again: {error}");
                // at random, so that requests that failed together do not come back together
                let share = f64::from(RandomState::new().hash_one(attempt) as u32) / f64::from(u32::MAX);
                let pause = FIRST_PAUSE * 4u32.pow(attempt - 1);
                tokio::time::sleep(pause.mul_f64(0.5 + share)).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// One ranged GET; `None` where the object is of another version now.
async fn fetch_once(
    (store, path): &Object,
    info: &ObjectInfo,
    range: Range<u64>,
) -> object_store::Result<Option<Bytes>> {
    // A weak ETag never matches in If-Match (RFC 9110, 13.1.1): it is compared here instead.
    let weak = info.etag.as_ref().is_some_and(|etag| etag.starts_with("W/"));
    let pin = info.etag.clone().filter(|_| !weak);
    let length = range.end - range.start;
    let options = GetOptions::new().with_range(Some(range)).with_if_match(pin);
    let result = match store.get_opts(path, options).await {
        Err(object_store::Error::Precondition { .. }) => return Ok(None),
        result => result?,
    };
    if result.meta.size != info.size || (weak && quoted(result.meta.e_tag.clone()) != info.etag) {
        return Ok(None);
    }
    let bytes = result.bytes().await?;
    if bytes.len() as u64 == length {
        return Ok(Some(bytes));
    }
    let message = format!("{} bytes came where {length} were asked for", bytes.len());
    Err(object_store::Error::Generic { store: "any", source: message.into() })
}

/// A client for `scheme://bucket` or `scheme://host`, configured by the environment.
fn build(store: &str, counters: &Arc<Counters>) -> object_store::Result<Client> {
    let timeout = ClientConfigKey::Timeout;
    let connector = Connector::new(counters);
    let store: Arc<dyn ObjectStore> = match store.split_once("://") {
        Some(("s3", bucket)) => {
            let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
            let is_http = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
                .iter()
                .find_map(|key| builder.get_config_value(key))
                .is_some_and(|endpoint| endpoint.starts_with("http://"));
            let builder = if is_http { builder.with_allow_http(true) } else { builder };
            let builder = builder.with_config(AmazonS3ConfigKey::Client(timeout), REQUEST_TIMEOUT);
            let store = Arc::new(builder.with_http_connector(Connector::new(counters)).build()?);
            let uploads = Some(Uploads::of(&store, &connector)?);
            return Ok(Client { store, uploads });
        }
        Some(("gs", bucket)) => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            let builder = builder.with_http_connector(connector);
            Arc::new(builder.with_config(GoogleConfigKey::Client(timeout), REQUEST_TIMEOUT).build()?)
        }
        Some(("az", container)) => {
            let builder = MicrosoftAzureBuilder::from_env().with_container_name(container);
            let builder = builder.with_http_connector(connector);
            Arc::new(builder.with_config(AzureConfigKey::Client(timeout), REQUEST_TIMEOUT).build()?)
        }
        _ => {
            let client = web::client(store, WEB_TIMEOUT)
                .map_err(|error| object_store::Error::Generic { store: "HTTP", source: error.into() })?;
            let builder =
                HttpBuilder::new().with_url(store).with_http_connector(connector.with_client(client));
            // An http:// location is itself the permission to use plain HTTP.
            Arc::new(builder.with_config(ClientConfigKey::AllowHttp, "true").build()?)
        }
    };
    Ok(Client { store, uploads: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_the_same_quoted_or_not() {
        for (given, expected) in [("\"a1\"", "\"a1\""), ("0x8D", "\"0x8D\""), ("W/\"a1\"", "W/\"a1\"")] {
            assert_eq!(quoted(Some(given.to_string())).as_deref(), Some(expected));
        }
    }
}
