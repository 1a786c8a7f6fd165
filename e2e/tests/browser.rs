//! The console in a real browser: Debian's Chromium, driven by the console's own tests, against a real cluster.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::packages::{self, CHROMIUM};
use dragonfly_testkit::up::{Options, Up, as_url};
use dragonfly_testkit::{client, process};

/// Every page is looked at twice, in both themes.
const WITHIN: Duration = Duration::from_secs(900);

fn console() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../console")
}

fn npm(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(console()).args(arguments);
    command
}

#[tokio::test]
async fn every_page_of_the_console_is_accessible_and_what_operators_do_there_works() {
    packages::require(&[CHROMIUM]).unwrap();
    // The build of the console has left them, unless it was built before from a cache.
    if !console().join("node_modules/.package-lock.json").exists() {
        process::run(npm(&["ci"]), WITHIN).await.unwrap();
    }
    let origin = Origin::start().unwrap();
    let file = origin.put("/file", Resource::file(Content::new(90, 9 << 20)));
    let options = Options::default().with_config("security: {egress: {allow: [127.0.0.0/8]}}\n");
    let up = Up::start(options).await.unwrap();
    let rest = as_url(&up.cluster().manager.rest);
    let page = client::builder()
        .unwrap()
        .build()
        .unwrap()
        .get(&rest)
        .send()
        .await
        .unwrap();
    assert!(
        !page.text().await.unwrap().contains("no console"),
        "the binary was built without Node 20.19 or later and npm; Debian 13 has them as nodejs and npm"
    );
    let mut tests = npm(&["run", "test:browser"]);
    tests
        .env("DRAGONFLY_CONSOLE", &rest)
        .env("DRAGONFLY_FILE", &file)
        .env("DRAGONFLY_PROXY", up.proxy(0))
        .env("DRAGONFLY_PASSWORD_FILE", &up.cluster().root.password_file)
        .env("CHROMIUM", CHROMIUM.1);
    let said = process::output(tests, WITHIN).await.unwrap();
    println!(
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    assert!(said.status.success(), "{}", said.status);
}
