//! The programs under test, built once for each test process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub fn weir() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build("weir-engine", "weir"))
}

pub fn weirctl() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build("weir-ctl", "weirctl"))
}

pub fn weir_sim() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build("weir-sim", "weir-sim"))
}

/// Builds one binary in this test's own profile and returns where cargo put it. The target folder
/// is the one of the environment and of cargo's configuration, as for the test itself.
fn build(package: &str, binary: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells this test of its package would make it build for a second time what build
    // scripts read those variables for.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_the_package) {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        .args(["--package", package, "--bin", binary, "--profile", &profile()])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo cannot build {binary}");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    executable(&messages, binary).expect("cargo names the executable it built")
}

fn is_of_the_package(variable: &str) -> bool {
    ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// This process runs from `<target>/[<triple>/]<profile>/deps/`, where the profiles `dev` and
/// `test` share the folder `debug`.
fn profile() -> String {
    let own = std::env::current_exe().expect("a process knows its file");
    let folder = own.parent().and_then(Path::parent).and_then(Path::file_name);
    match folder.and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".into(),
        Some(name) => name.into(),
    }
}

/// The path in cargo's message on `binary`, one message a line.
fn executable(messages: &str, binary: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["target"]["name"] == binary)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_messages() {
        let messages = concat!(
            "not json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/x/other"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"weir"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"weir"},"executable":"/x/weir"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages, "weir"), Some("/x/weir".into()));
        assert_eq!(executable(messages, "weirctl"), None);
    }
}
