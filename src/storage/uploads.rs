//! Uploads that a killed process left unfinished in an S3 bucket: no listing shows them, and they cost money.
//!
//! object_store neither lists nor remembers them, so they are asked for here (`ListMultipartUploads`).

use super::connect::Connector;
use super::remote::Remote;
use super::{Location, location::Target};
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{ClientOptions, Error, Result};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// How long the signature of a request holds.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// The unfinished uploads of a bucket.
#[derive(Clone)]
pub(super) struct Uploads {
    s3: Arc<AmazonS3>,
    http: HttpClient,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Unfinished>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unfinished {
    key: String,
    upload_id: String,
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: error.into() }
}

impl Uploads {
    pub fn of(s3: &Arc<AmazonS3>, connector: &Connector) -> Result<Uploads> {
        let http = connector.connect(&ClientOptions::new().with_allow_http(true))?;
        Ok(Uploads { s3: s3.clone(), http })
    }

    /// Ends the unfinished uploads of the object `key`, or of all below it where it ends with `/`; gives how many.
    async fn abort(&self, key: &str) -> Result<usize> {
        let mut aborted = 0;
        let mut after = (String::new(), String::new());
        loop {
            let page = self.page(key, &after).await?;
            for Unfinished { key: found, upload_id } in page.uploads {
                if found == key || key.ends_with('/') {
                    match self.s3.abort_multipart(&Path::parse(found)?, &upload_id).await {
                        // whoever began it was faster
                        Ok(()) | Err(Error::NotFound { .. }) => aborted += 1,
                        Err(error) => return Err(error),
                    }
                }
            }
            let next = (page.next_key_marker, page.next_upload_id_marker);
            if !page.is_truncated || next == after {
                return Ok(aborted);
            }
            after = next;
        }
    }

    /// The unfinished uploads whose keys begin so, as many as a page holds, behind those that were told.
    async fn page(&self, prefix: &str, (key, upload): &(String, String)) -> Result<Page> {
        let mut options = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", prefix)]);
        if !key.is_empty() {
            options = options.with_query([("key-marker", key), ("upload-id-marker", upload)]);
        }
        let url = self.s3.signed_url_opts(Method::GET, &Path::default(), SIGNED_FOR, &options).await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(|_| failed("the bucket has no address"))?;
        let answer = self.http.execute(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(failed)?;
        match status.is_success() {
            true => quick_xml::de::from_str(&String::from_utf8_lossy(&body)).map_err(failed),
            false => Err(failed(format!("the listing of unfinished uploads is answered with {status}"))),
        }
    }
}

/// Ends the uploads to `location`, or below it where it ends with `/`, that were begun and never finished. Stores of
/// other kinds than S3, and buckets that refuse the listing, forget them by rules of their own.
pub(super) fn abort_left(remote: &Remote, location: &Location) {
    let Target::Remote { store, key } = location.target() else { return };
    let Ok(Some(uploads)) = remote.uploads(store) else { return };
    match remote.block_on(uploads.abort(key)) {
        Ok(Ok(0)) => {}
        Ok(Ok(aborted)) => {
            log::info!("{location}: {aborted} unfinished uploads of an earlier run are removed")
        }
        Ok(Err(error)) => log::info!("{location}: unfinished uploads are not looked for: {error}"),
        // canceled
        Err(_) => {}
    }
}
