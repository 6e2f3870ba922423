//! `health`: whether a service lives, for the health checks of containers.

use crate::client::Client;
use crate::error::Result;
use crate::service::ServeOptions;
use clap::{Args, Parser};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Less than what checks of health are given as a rule.
const PATIENCE: Duration = Duration::from_secs(4);

/// Ask a service whether it lives; the exit status is 0 if it does
#[derive(Clone, Debug, Args)]
pub(super) struct HealthRequest {
    /// http://host:port, https://host or unix:///path [default: where `serve` listens on this machine, by
    /// BIOPRUNE_LISTEN, BIOPRUNE_UNIX_SOCKET and BIOPRUNE_TLS_CERT]
    #[arg(env = "BIOPRUNE_SERVER", value_name = "URL")]
    server: Option<String>,
}

/// The flags of `serve` as the environment alone gives them.
#[derive(Parser)]
struct Environment {
    #[command(flatten)]
    serve: ServeOptions,
}

pub(super) fn run(request: &HealthRequest) -> Result<()> {
    let client = match &request.server {
        Some(server) => Client::new(server, None)?,
        // as `serve` says it, where it starts with the same environment
        None => Client::on_this_machine(&address(&Environment::parse_from(["health"]).serve))?,
    };
    client.check_health(PATIENCE)
}

/// How a service with these flags is reached from its own machine.
fn address(serve: &ServeOptions) -> String {
    if let Some(path) = &serve.unix_socket {
        return format!("unix://{}", path.display());
    }
    let mut address = serve.listen;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("{}://{address}", if serve.tls_cert.is_some() { "https" } else { "http" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_asked_where_it_listens() {
        for (flags, expected) in [
            (&["serve", "--listen", "0.0.0.0:81"][..], "http://127.0.0.1:81"),
            (&["serve", "--listen", "[::]:81"], "http://[::1]:81"),
            (&["serve", "--listen", "10.1.2.3:81"], "http://10.1.2.3:81"),
            (&["serve", "--unix-socket", "/run/b.sock"], "unix:///run/b.sock"),
            (
                &["serve", "--listen", "0.0.0.0:81", "--tls-cert", "c", "--tls-key", "k"],
                "https://127.0.0.1:81",
            ),
        ] {
            assert_eq!(address(&Environment::parse_from(flags).serve), expected);
        }
    }
}
