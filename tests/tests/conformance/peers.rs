//! Other proxies, in front of the same backend, configured for nothing but that.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use weir_tests::{Process, ports, wait};

/// A running peer. Killed when dropped.
pub(crate) struct Peer {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Peer {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn haproxy(backend: SocketAddr) -> Self {
        Self::start(|folder, address| {
            let path = folder.join("haproxy.cfg");
            let text = format!(
                "defaults\n mode http\n timeout connect 2s\n timeout client 2s\n timeout server 2s\n\
                 frontend front\n bind {address}\n default_backend back\n\
                 backend back\n server one {backend}\n"
            );
            std::fs::write(&path, text).expect("writes the configuration");
            let mut command = Command::new("/usr/sbin/haproxy");
            command.arg("-db").arg("-f").arg(path);
            command
        })
    }

    /// With the lines that its users add for kept connections and the client's Host.
    pub(crate) fn nginx(backend: SocketAddr) -> Self {
        Self::start(|folder, address| {
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {name};\n"))
                .concat();
            let text = format!(
                "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\nevents {{}}\nhttp {{\n\
                 access_log off; {temporary}\
                 client_header_timeout 2s; client_body_timeout 2s; proxy_read_timeout 2s;\n\
                 upstream back {{ server {backend}; keepalive 4; }}\n\
                 server {{ listen {address}; location / {{ proxy_pass http://back;\n\
                 proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
                 proxy_set_header Host $host; }} }} }}\n"
            );
            let path = folder.join("nginx.conf");
            std::fs::write(&path, text).expect("writes the configuration");
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-p").arg(folder).args(["-e", "stderr", "-c"]).arg(path);
            command
        })
    }

    fn start(command: impl FnOnce(&Path, SocketAddr) -> Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = ports::free_address();
        let mut process = Process::spawn(command(folder.path(), address));
        wait::until("the peer listens", || {
            assert!(process.status().is_none(), "it ended: {}", process.stderr());
            TcpStream::connect(address).is_ok()
        });
        Self { address, _process: process, _folder: folder }
    }
}
