//! `Proxy-Status`: RFC 9209, for answers that the gateway gives because of its next hop.

use super::HeadError;

/// Declares [`ProxyError`] with the names of its variants.
macro_rules! proxy_errors {
    ($($error:ident $name:literal),+ $(,)?) => {
        /// What went wrong on the way to the next hop, as section 2.3 and the registry name it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProxyError {
            $(#[doc = concat!("`", $name, "`")] $error,)+
        }

        impl ProxyError {
            /// The registered name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$error => $name,)+
                }
            }
        }

        #[cfg(test)]
        const ALL: &[ProxyError] = &[$(ProxyError::$error),+];
    };
}

proxy_errors! {
    DestinationUnavailable "destination_unavailable",
    DestinationIpUnroutable "destination_ip_unroutable",
    ConnectionRefused "connection_refused",
    ConnectionTerminated "connection_terminated",
    ConnectionTimeout "connection_timeout",
    ConnectionWriteTimeout "connection_write_timeout",
    TlsProtocolError "tls_protocol_error",
    TlsCertificateError "tls_certificate_error",
    HttpResponseIncomplete "http_response_incomplete",
    HttpResponseHeaderSectionSize "http_response_header_section_size",
    HttpResponseTransferCoding "http_response_transfer_coding",
    HttpResponseTimeout "http_response_timeout",
    HttpUpgradeFailed "http_upgrade_failed",
    HttpProtocolError "http_protocol_error",
    ProxyInternalError "proxy_internal_error",
    ProxyLoopDetected "proxy_loop_detected",
}

impl ProxyError {
    /// What is wrong with the head of a backend's answer.
    #[must_use]
    pub fn of_response(error: HeadError) -> Self {
        match error {
            HeadError::HeadTooLarge | HeadError::TooManyFields => {
                Self::HttpResponseHeaderSectionSize
            }
            HeadError::UnknownTransferCoding => Self::HttpResponseTransferCoding,
            _ => Self::HttpProtocolError,
        }
    }
}

/// Appends the field. `name` is this proxy's, of visible ASCII; no parameter tells more than the
/// kind of error (section 4: details help attackers as well).
pub fn append_proxy_status(out: &mut Vec<u8>, name: &str, error: ProxyError) {
    out.extend_from_slice(b"Proxy-Status: ");
    append_name(out, name);
    out.extend_from_slice(b"; error=");
    out.extend_from_slice(error.name().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A token of RFC 9651 section 3.3.4 begins with a letter; any other name is a string.
fn append_name(out: &mut Vec<u8>, name: &str) {
    let letter = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if letter && super::via::is_pseudonym(name) {
        return out.extend_from_slice(name.as_bytes());
    }
    out.push(b'"');
    for byte in name.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, error: ProxyError) -> String {
        let mut out = Vec::new();
        append_proxy_status(&mut out, name, error);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_tokens_or_strings() {
        let error = ProxyError::ConnectionRefused;
        assert_eq!(line("weir", error), "Proxy-Status: weir; error=connection_refused\r\n");
        assert_eq!(line("1st", error), "Proxy-Status: \"1st\"; error=connection_refused\r\n");
        assert_eq!(
            line("a\"\\", error),
            "Proxy-Status: \"a\\\"\\\\\"; error=connection_refused\r\n"
        );
    }

    #[test]
    fn answers_that_are_too_large_are_told_from_broken_ones() {
        let of = ProxyError::of_response;
        assert_eq!(of(HeadError::HeadTooLarge), ProxyError::HttpResponseHeaderSectionSize);
        assert_eq!(of(HeadError::UnknownTransferCoding), ProxyError::HttpResponseTransferCoding);
        assert_eq!(of(HeadError::StatusLine), ProxyError::HttpProtocolError);
    }

    #[test]
    fn every_error_has_a_name_of_its_own() {
        for (index, error) in ALL.iter().enumerate() {
            let name = error.name();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(ALL[..index].iter().all(|other| other.name() != name), "{name}");
        }
    }
}
