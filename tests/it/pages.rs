//! The pages in a real browser: they come up without anything from elsewhere, and complain of nothing.

use crate::service_fixture::Service;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The page as the browser has it once its scripts have run, and what it said of it.
fn load(url: &str) -> (String, String) {
    let browser = std::env::var("BIOPRUNE_TEST_BROWSER")
        .expect("BIOPRUNE_TEST_BROWSER names chromium; ./test.sh sets it, `--skip pages` goes without");
    let profile = TempDir::new().unwrap();
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        // nothing but this machine can be reached
        .args(["--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=127.0.0.1"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", url])
        .output()
        .unwrap();
    let console = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = console.lines().filter(|line| line.contains("CONSOLE")).collect();
    (String::from_utf8(output.stdout).unwrap(), complaints.join("\n"))
}

#[test]
fn the_docs_show_every_endpoint_offline() {
    let (service, _directory) = Service::start(&[]);
    let (page, complaints) = load(&format!("{}/docs/", service.url));
    for endpoint in
        ["/v1/prune", "/v1/score", "/v1/select", "/v1/curvature", "/v1/jobs/{id}/events", "/healthz"]
    {
        assert!(page.contains(&format!("data-path=\"{endpoint}\"")), "{endpoint} is not in\n{page}");
    }
    assert_eq!(complaints, "");
}

#[test]
fn the_report_needs_nothing_and_complains_of_nothing() {
    let folder = TempDir::new().unwrap();
    let input = crate::example::write_short(40, folder.path());
    let output = Command::new(env!("CARGO_BIN_EXE_bioprune"))
        .args(["prune", input.to_str().unwrap(), "--keep", "50%", "--mask-passes", "1", "-o"])
        .arg(folder.path().join("out"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: &Path = &folder.path().join("out/report.html");
    let (page, complaints) = load(&format!("file://{}", report.display()));
    assert!(page.contains("<h1>Coreset of short-40.fa</h1>"), "{page}");
    assert!(page.matches("<svg").count() >= 2 && page.contains("</footer>"), "{page}");
    assert_eq!(complaints, "");
}
