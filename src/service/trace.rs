//! The trace that a request belongs to (W3C Trace Context): told in the log, with the job that it queues.

use actix_web::http::header::HeaderMap;

/// Bytes of `version-trace-parent-flags`.
const LENGTH: usize = 55;

/// The `traceparent` of a request, if it has one of a form that the recommendation knows.
pub(super) fn parent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?.trim();
    let fields: Vec<&str> = value.split('-').collect();
    let is_hex = |field: &str| field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    match fields[..] {
        [version, trace, parent, flags]
            if value.len() == LENGTH
                && (version.len(), trace.len(), parent.len(), flags.len()) == (2, 32, 16, 2)
                && fields.iter().all(|field| is_hex(field))
                && version != "ff"
                && !is_zero(trace)
                && !is_zero(parent) =>
        {
            Some(value.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn a_trace_is_taken_in_its_own_form_alone() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static("traceparent"), HeaderValue::from_str(value).unwrap());
            parent(&headers)
        };
        assert_eq!(read(valid).as_deref(), Some(valid));
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            &valid.to_uppercase(),
            &valid.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &valid.replacen("00", "ff", 1),
            &format!("{valid}-x"),
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
