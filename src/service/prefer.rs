//! The `Prefer` header (RFC 7240): whether a client waits for its job.

use actix_web::http::header::HeaderMap;
use std::time::Duration;

/// Longer waits meet the timeouts of proxies.
const LONGEST_WAIT: u64 = 60;

/// What of the header is honoured; anything else is passed over, as the RFC asks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Preference {
    pub wait: Option<Duration>,
    respond_async: bool,
}

pub(super) fn parse(headers: &HeaderMap) -> Preference {
    let mut preference = Preference::default();
    let values = headers.get_all("Prefer").filter_map(|value| value.to_str().ok());
    for part in values.flat_map(|value| value.split([',', ';'])) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            // the first of its name counts
            "wait" if preference.wait.is_none() => {
                preference.wait =
                    value.parse().ok().map(|seconds: u64| Duration::from_secs(seconds.min(LONGEST_WAIT)));
            }
            "respond-async" => preference.respond_async = true,
            _ => {}
        }
    }
    preference
}

impl Preference {
    /// The value of `Preference-Applied`.
    pub fn applied(&self) -> Option<String> {
        match self.wait {
            Some(wait) => Some(format!("wait={}", wait.as_secs())),
            None => self.respond_async.then(|| "respond-async".to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn waits_are_read_and_bounded_and_the_rest_is_passed_over() {
        for (header, applied) in [
            ("wait=30", Some("wait=30")),
            ("respond-async, wait=5", Some("wait=5")),
            ("WAIT = \"7\"", Some("wait=7")),
            ("wait=100000", Some("wait=60")),
            ("respond-async", Some("respond-async")),
            ("wait=soon", None),
            ("return=minimal; foo=bar", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static(header));
            assert_eq!(parse(&headers).applied().as_deref(), applied, "{header}");
        }
    }
}
