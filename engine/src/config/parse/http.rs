//! `[http]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::document::Table;
use super::super::{ForwardPath, HttpConfig};
use super::engine::{CONNECTIONS_MAX, TIMEOUT};
use super::policy::forward_path;

/// What fits the count of one entry (`crate::shard::AddressTable`).
const CONNECTIONS_PER_ADDRESS_MAX: u32 = 32_768;
/// A gigabyte a second: whoever asks for more asks for nobody.
const BODY_RATE_MAX: u64 = 1 << 30;

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 << 10,
            target_bytes_max: 8 << 10,
            fields_max: 100,
            body_bytes_max: 1 << 30,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_rate_min: 100,
            abort_on_close: false,
            idle_timeout: Duration::from_secs(75),
            requests_per_connection: 10_000,
            connections_per_address: 0,
            forward_path: ForwardPath::AsWritten,
            tunnel_idle_timeout: Duration::from_secs(3600),
            tunnels_per_shard: 16_384,
            trace: false,
            rate_limit_fields: true,
        }
    }
}

pub(super) fn http(table: Option<Table<'_>>) -> HttpConfig {
    let default = HttpConfig::default();
    let Some(mut table) = table else { return default };
    let head_bytes_max =
        bytes(&mut table, "head_bytes_max", 256..=65_536).unwrap_or(default.head_bytes_max);
    let http = HttpConfig {
        head_bytes_max,
        // A target lies within its head.
        target_bytes_max: bytes(&mut table, "target_bytes_max", 16..=head_bytes_max)
            .unwrap_or(default.target_bytes_max.min(head_bytes_max)),
        fields_max: table.integer("fields_max", 1..=128).unwrap_or(default.fields_max),
        body_bytes_max: table
            .take("body_bytes_max")
            .and_then(|node| node.size(&(0..=i64::MAX.unsigned_abs())))
            .unwrap_or(default.body_bytes_max),
        head_timeout: table.duration("head_timeout", TIMEOUT).unwrap_or(default.head_timeout),
        body_timeout: table.duration("body_timeout", TIMEOUT).unwrap_or(default.body_timeout),
        body_rate_min: table
            .take("body_rate_min")
            .and_then(|node| node.size(&(0..=BODY_RATE_MAX)))
            .unwrap_or(default.body_rate_min),
        abort_on_close: table.boolean("abort_on_close").unwrap_or(default.abort_on_close),
        idle_timeout: table.duration("idle_timeout", TIMEOUT).unwrap_or(default.idle_timeout),
        requests_per_connection: table
            .integer("requests_per_connection", 1..=u32::MAX)
            .unwrap_or(default.requests_per_connection),
        connections_per_address: table
            .integer("connections_per_address", 0..=CONNECTIONS_PER_ADDRESS_MAX)
            .unwrap_or(default.connections_per_address),
        forward_path: forward_path(&mut table).unwrap_or(default.forward_path),
        tunnel_idle_timeout: table
            .duration("tunnel_idle_timeout", TIMEOUT)
            .unwrap_or(default.tunnel_idle_timeout),
        tunnels_per_shard: table
            .integer("tunnels_per_shard", 0..=CONNECTIONS_MAX)
            .unwrap_or(default.tunnels_per_shard),
        trace: table.boolean("trace").unwrap_or(default.trace),
        rate_limit_fields: table.boolean("rate_limit_fields").unwrap_or(default.rate_limit_fields),
    };
    table.finish();
    http
}

fn bytes(table: &mut Table<'_>, key: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
    let wide = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    let range = wide(*range.start())..=wide(*range.end());
    let bytes = table.take(key)?.size(&range)?;
    usize::try_from(bytes).ok()
}
