//! Origins, as cross-origin requests name them (Fetch standard, section 3.2; RFC 6454 section 6.2).

use super::is_authority;

/// The longest `Origin` that is looked at: scheme, a host name of 253 bytes, port.
const ORIGIN_BYTES_MAX: usize = 512;

/// Which origins may read the answers of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`.
    Any,
    /// One origin, or `null`, as browsers write it: compared byte by byte.
    Exact(String),
    /// `https://*.example.com`: every host below the domain, however deep, but not the domain.
    Below { scheme: String, domain: String },
}

impl OriginPattern {
    /// Reads `*`, `null`, `https://app.example.com:8443` or `https://*.example.com`, in any case of
    /// letters. `None` when it is none of them, or one that no browser sends: with a path, a
    /// default port or user information.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        if text == "null" {
            return Some(Self::Exact(text));
        }
        let (scheme, authority) = text.split_once("://")?;
        let default_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            // Extensions and applications have schemes of their own.
            _ if is_scheme(scheme) => "",
            _ => return None,
        };
        let named = authority.strip_prefix("*.");
        let host = named.unwrap_or(authority);
        let has_default_port = !default_port.is_empty() && host.ends_with(default_port);
        if !is_authority(host) || host.contains('*') || host.ends_with(':') || has_default_port {
            return None;
        }
        if named.is_none() {
            return Some(Self::Exact(text));
        }
        let scheme = format!("{scheme}://");
        Some(Self::Below { scheme, domain: format!(".{host}") })
    }

    /// Whether it allows `origin`, the value of one `Origin` field.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => origin == exact.as_bytes(),
            Self::Below { scheme, domain } => {
                origin.len() <= ORIGIN_BYTES_MAX
                    && origin
                        .strip_prefix(scheme.as_bytes())
                        .and_then(|rest| rest.strip_suffix(domain.as_bytes()))
                        .is_some_and(is_labels)
            }
        }
    }
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// Host labels in lower case with dots between: nothing that ends a host for anybody.
fn is_labels(text: &[u8]) -> bool {
    let label = |label: &[u8]| {
        let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(b);
        !label.is_empty() && label.iter().all(allowed)
    };
    text.split(|byte| *byte == b'.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, origin: &str) -> bool {
        OriginPattern::parse(pattern).expect("a pattern").allows(origin.as_bytes())
    }

    #[test]
    fn origins_are_compared_whole() {
        assert!(allows("https://App.example.com", "https://app.example.com"));
        assert!(allows("http://localhost:3000", "http://localhost:3000"));
        assert!(allows("null", "null"));
        assert!(allows("chrome-extension://abcdef", "chrome-extension://abcdef"));
        for origin in [
            "http://app.example.com",
            "https://app.example.com.evil.example",
            "https://app.example.com:8443",
            "https://app.example.co",
            "https://APP.example.com",
            "null",
            "",
        ] {
            assert!(!allows("https://app.example.com", origin), "{origin}");
        }
        assert!(allows("*", "https://anybody.example"));
    }

    #[test]
    fn subdomains_are_hosts_and_nothing_else() {
        let pattern = "https://*.example.com";
        assert!(allows(pattern, "https://a.example.com"));
        assert!(allows(pattern, "https://a.b-c.d_1.example.com"));
        assert!(allows("https://*.example.com:8443", "https://a.example.com:8443"));
        for origin in [
            "https://example.com",
            "https://.example.com",
            "https://a..example.com",
            "https://evilexample.com",
            "http://a.example.com",
            "https://a.example.com:8443",
            "https://evil.example/.example.com",
            "https://evil.example?.example.com",
            "https://evil.example#.example.com",
            "https://u@evil.example.com",
            "https://evil.example\\.example.com",
            "https://A.example.com",
            "https://a\u{e9}.example.com",
            "https://a.example.com https://a.example.com",
        ] {
            assert!(!allows(pattern, origin), "{origin}");
        }
        let long = format!("https://{}.example.com", "a".repeat(100_000));
        assert!(!allows(pattern, &long));
    }

    #[test]
    fn what_no_browser_sends_is_no_pattern() {
        for text in [
            "",
            "example.com",
            "https://",
            "https://*",
            "https://*.",
            "https://a.*.com",
            "https://*.*.com",
            "https://a.com/",
            "https://a.com/x",
            "https://a.com:443",
            "http://a.com:80",
            "https://a.com:",
            "https://u@a.com",
            "https://a.com\r\nX: y",
            "1x://a.com",
            "://a.com",
        ] {
            assert_eq!(OriginPattern::parse(text), None, "{text}");
        }
    }
}
