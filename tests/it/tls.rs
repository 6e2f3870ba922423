//! The service over HTTPS: its client trusts whom the machine trusts, and wrong files are told by name.

use crate::example;
use crate::support::service::Launch;
use std::path::Path;
use std::process::Command;

/// Writes a certificate for 127.0.0.1 and its key.
fn write_pair(directory: &Path, name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    let path = |end: &str| directory.join(format!("{name}.{end}")).to_str().unwrap().to_string();
    std::fs::write(path("crt"), made.cert.pem()).unwrap();
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    (path("crt"), path("key"))
}

#[test]
fn a_job_goes_over_https_to_a_service_whose_certificate_is_trusted_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (certificate, key) = write_pair(folder.path(), "service");
    let (other, _) = write_pair(folder.path(), "other");
    std::fs::write(at("rna.fa"), example::short(24).concat()).unwrap();
    let allow = at("");
    let flags = ["--tls-cert", &certificate, "--tls-key", &key, "--allow", &allow];
    let service = Launch::new(&folder.path().join("jobs"), &flags).start();
    assert!(service.url.starts_with("https://127.0.0.1:"), "{}", service.url);

    let prune = |trusted: &str, output: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
        command.args(["prune", &at("rna.fa"), "-o", &at(output), "--keep", "50%", "--sample", "all"]);
        command.args(["--progress", "none", "--server", &service.url]).env("SSL_CERT_FILE", trusted);
        command.output().unwrap()
    };
    let pruned = prune(&certificate, "out/");
    assert!(pruned.status.success(), "{}", String::from_utf8_lossy(&pruned.stderr));
    assert!(folder.path().join("out/coreset.fa.gz").exists());

    let refused = prune(&other, "none/");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(104), "{said}");
    assert!(said.contains("certificate"), "{said}");
    assert!(!folder.path().join("none").exists());
}

#[test]
fn a_service_is_asked_for_its_health_at_its_address_or_where_it_listens_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = write_pair(folder.path(), "service");
    let flags = ["--tls-cert", &certificate, "--tls-key", &key];
    let service = Launch::new(&folder.path().join("jobs"), &flags).start();
    let url = service.url.clone();
    let health = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
        command.arg("health").args(arguments).env_remove("BIOPRUNE_SERVER").envs(environment.iter().copied());
        let asked = command.output().unwrap();
        (asked.status.code(), String::from_utf8(asked.stderr).unwrap())
    };
    let alive = (Some(0), String::new());
    assert_eq!(health(&[&url], &[("SSL_CERT_FILE", &certificate)]), alive);
    assert_eq!(health(&[], &[("BIOPRUNE_SERVER", &url), ("SSL_CERT_FILE", &certificate)]), alive);
    // on its own machine as `serve` would be started there, whatever name its certificate is in
    let listening = [
        ("BIOPRUNE_LISTEN", url.strip_prefix("https://").unwrap()),
        ("BIOPRUNE_TLS_CERT", &certificate),
        ("BIOPRUNE_TLS_KEY", &key),
    ];
    assert_eq!(health(&[], &listening), alive);
    let (status, said) = health(&[&url], &[]);
    assert_eq!(status, Some(104), "{said}");
    assert!(said.contains("certificate"), "{said}");
    service.kill();
    let (status, said) = health(&[], &listening);
    assert_eq!(status, Some(104), "{said}");
    assert!(said.contains("cannot be reached"), "{said}");
}

#[test]
fn files_that_are_no_certificate_and_key_are_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = write_pair(folder.path(), "service");
    let (_, another_key) = write_pair(folder.path(), "other");
    let empty = folder.path().join("empty.pem").to_str().unwrap().to_string();
    std::fs::write(&empty, "").unwrap();
    let data = folder.path().join("jobs").to_str().unwrap().to_string();
    for (certificate, key, named) in [
        (&certificate, &another_key, &another_key),
        (&certificate, &empty, &empty),
        (&empty, &key, &empty),
        (&certificate, &"/nowhere.pem".to_string(), &"/nowhere.pem".to_string()),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
        let ended = command.args(["--tls-cert", certificate, "--tls-key", key]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(named.as_str()), "{named}: {said}");
    }
}
