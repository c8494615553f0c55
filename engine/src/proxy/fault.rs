//! Why there is nothing to pass on, and what clients are told of it.

use std::io;

use weir_protocol::http::ProxyError;

/// Why there is no answer to pass on. Nothing was sent to the client yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `error` says what the backend, or the way to it, has to do with it.
    Answer {
        status: u16,
        detail: &'static str,
        error: Option<ProxyError>,
    },
    ClientGone,
}

impl Fault {
    pub(super) fn because(status: u16, detail: &'static str, error: ProxyError) -> Self {
        Self::Answer { status, detail, error: Some(error) }
    }
}

/// Why there is no connection, in the words of RFC 9209.
pub(super) fn connect_error(kind: io::ErrorKind) -> ProxyError {
    match kind {
        io::ErrorKind::TimedOut => ProxyError::ConnectionTimeout,
        io::ErrorKind::ConnectionRefused => ProxyError::ConnectionRefused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ProxyError::DestinationIpUnroutable
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            ProxyError::ConnectionTerminated
        }
        // A Unix socket that is gone.
        io::ErrorKind::NotFound => ProxyError::DestinationUnavailable,
        // Such as a lack of descriptors or ports here.
        _ => ProxyError::ProxyInternalError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_connecting_have_their_names() {
        let name = |errno| connect_error(io::Error::from_raw_os_error(errno).kind()).name();
        let cases = [
            (libc::ECONNREFUSED, "connection_refused"),
            (libc::ETIMEDOUT, "connection_timeout"),
            (libc::EHOSTUNREACH, "destination_ip_unroutable"),
            (libc::ENETUNREACH, "destination_ip_unroutable"),
            (libc::ECONNRESET, "connection_terminated"),
            (libc::ENOENT, "destination_unavailable"),
            (libc::EMFILE, "proxy_internal_error"),
            (libc::EADDRNOTAVAIL, "proxy_internal_error"),
        ];
        for (errno, expected) in cases {
            assert_eq!(name(errno), expected, "{errno}");
        }
    }
}
