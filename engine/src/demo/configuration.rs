use std::fmt::Write;
use std::path::Path;

use super::{DemoPorts, ISSUER, KEYS};

/// The demo's configuration, as a user would write it.
///
/// `ledger` is the ledger's folder, `socket` weirctl's socket, `secret` what signs tokens (at least
/// 32 bytes). Paths must be UTF-8, as TOML is; what is not is
/// replaced, and then fails as a path.
pub fn configuration(ports: &DemoPorts, ledger: &Path, socket: &Path, secret: &str) -> String {
    let ledger = quoted(&ledger.to_string_lossy());
    let socket = quoted(&socket.to_string_lossy());
    let secret = quoted(secret);
    let mut text = format!(
        r#"# What `weir demo` runs. Copy it as a start, but not its keys: they are public.

[engine]
ledger = {ledger}

[[listener]]
name = "public"
address = "127.0.0.1:{gateway}"

[control]
address = "127.0.0.1:{control}"
socket = {socket}
sample_api = true

[tiers]
free = "5/1m"
basic = "20/1m"
premium = "100/1m"
enterprise = "1000/1m"

[[limit]]
name = "per-address"
key = "address"
rate = "100/1m"

[[limit]]
name = "per-tier"
key = "key"
rate = "tier"

[jwt]
algorithms = ["HS256"]
secret = {secret}
issuer = "{ISSUER}"

[[upstream]]
name = "api"
health = {{ path = "/health", interval = "1s", timeout = "500ms", rise = 2, fall = 2 }}
"#,
        gateway = ports.gateway,
        control = ports.control,
    );
    for port in ports.backends {
        let _ = writeln!(text, "[[upstream.backend]]\naddress = \"127.0.0.1:{port}\"");
    }
    for key in KEYS {
        let (tier, key) = (key.tier, key.key);
        let _ = writeln!(
            text,
            "\n[[key]]\nname = \"demo-{tier}\"\nkey = \"{key}\"\nuser = \"{tier}\"\n\
             tier = \"{tier}\""
        );
    }
    text.push_str(ROUTES);
    text
}

const ROUTES: &str = r#"
# Everything goes to the backends; a credential is not asked for, but counts when it is there.
[[route]]
listener = "public"
path = "/*"
upstream = "api"
auth = "none"
limits = ["per-address", "per-tier"]

[[route]]
listener = "public"
path = "/stats"
upstream = "control"
limits = ["per-address"]

# The sample API of the control address.
[[route]]
listener = "control"
path = "/data"
upstream = "control"
auth = "any"
limits = ["per-address", "per-tier"]

[[route]]
listener = "control"
path = "/api/v2/*"
upstream = "control"
auth = "any"
limits = ["per-address", "per-tier"]

[[route]]
listener = "control"
path = "/api/v2/premium"
upstream = "control"
auth = "any"
limits = ["per-address", "per-tier"]
tiers = ["premium", "enterprise"]
"#;

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
