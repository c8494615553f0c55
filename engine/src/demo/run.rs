use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use super::{DemoPorts, configuration, guide, mock, token};
use crate::config::{Config, Faults};
use crate::runtime::os;
use crate::server::{self, Launch, ServerError};

/// Why the demo did not run. One line each.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot make a temporary folder: {0}")]
    Folder(io::Error),
    #[error("cannot start a backend on port {port}: {source}; name others with --backend-port")]
    Backend { port: u16, source: io::Error },
    #[error("the demo's own configuration is wrong, which is a bug: {0}")]
    Configuration(Faults),
    #[error("the demo's own token secret is wrong, which is a bug: {0}")]
    Token(weir_protocol::jwt::KeyError),
    #[error("{0}; the demo's ports can be changed with --port, --control-port and --backend-port")]
    Listen(ServerError),
    #[error(transparent)]
    Server(ServerError),
}

/// Starts the backends and the gateway, prints what to try, and serves until told to stop. All it
/// writes is in a temporary folder that goes with it.
pub fn run(ports: &DemoPorts) -> Result<(), DemoError> {
    let folder = tempfile::Builder::new().prefix("weir-demo-").tempdir();
    let folder = folder.map_err(DemoError::Folder)?;
    for port in ports.backends {
        let failed = |source| DemoError::Backend { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
        mock::serve(listener, port.to_string()).map_err(failed)?;
    }
    let secret = random_secret();
    let socket = folder.path().join("weir.sock");
    let text = configuration(ports, &folder.path().join("ledger"), &socket, &secret);
    let file = folder.path().join("weir.toml");
    fs::write(&file, &text).map_err(DemoError::Folder)?;
    let config =
        Config::parse(&text, &file.display().to_string()).map_err(DemoError::Configuration)?;
    let token = token(&secret, os::wall()).map_err(DemoError::Token)?;
    let ready = |banner: &str| print!("{banner}\n{}", guide(ports, &socket, &token));
    let launch = Launch { config, config_path: file, predecessor: None };
    server::run(launch, ready).map_err(|error| match error {
        ServerError::Listen { .. } => DemoError::Listen(error),
        error => DemoError::Server(error),
    })
}

/// 256 random bits as hexadecimal digits.
fn random_secret() -> String {
    let mut bytes = [0; 32];
    os::fill_random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
