//! `[engine]`, `[control]` and `[[listener]]`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::super::document::Table;
use super::super::names::Names;
use super::super::node::Node;
use super::super::scalar::{self, DURATION_MAX};
use super::super::{
    ControlConfig, EngineConfig, ListenerConfig, LiveTable, RuntimeChoice, ServerTlsConfig, Shards,
    WatchdogAction,
};
use super::forwarding::{proxy_protocol, trusted_proxies};
use super::{CONTROL, flight, tls};

/// Linux counts CPUs in sets of 1,024 (sched_setaffinity(2)).
const CPUS_MAX: usize = 1024;
/// Two groups of eight slots, the fewest a key can choose from.
const SLOTS_MIN: usize = 16;
/// 16 GiB of table.
const SLOTS_MAX: usize = 1 << 28;
/// What fits `sun_path` with its final zero (unix(7)).
const SOCKET_BYTES_MAX: usize = 107;
pub(super) const CONNECTIONS_MAX: usize = 1 << 20;
/// Stands where the file has no valid address; never seen outside, for the file is refused.
pub(super) const PLACEHOLDER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
/// The shortest timeout: a timer is accurate to a few milliseconds.
pub(super) const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=DURATION_MAX;
/// Where zero turns it off.
pub(super) const TIMEOUT_OR_NONE: RangeInclusive<Duration> = Duration::ZERO..=DURATION_MAX;
/// Below, copying would be most of what the disk does; above, nobody would call it a sync.
const SYNC_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);
const LIVE_TABLES: [(&str, LiveTable); 3] =
    [("auto", LiveTable::Auto), ("tmpfs", LiveTable::Tmpfs), ("file", LiveTable::File)];

/// Shards show each second that they turn.
const WATCHDOG: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(3600);
const WATCHDOG_ACTIONS: [(&str, WatchdogAction); 2] =
    [("report", WatchdogAction::Report), ("abort", WatchdogAction::Abort)];

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            shards: Shards::Auto,
            runtime: RuntimeChoice::Auto,
            ledger: PathBuf::from("/var/lib/weir"),
            slots: 65_536,
            live_table: LiveTable::Auto,
            sync_interval: Duration::from_secs(1),
            flight: 16 << 20,
            drain_timeout: Duration::from_secs(30),
            connections_per_shard: 32_768,
            watchdog: Some(Duration::from_secs(5)),
            watchdog_action: WatchdogAction::Report,
        }
    }
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self { address: None, socket: PathBuf::from("/run/weir/weir.sock"), sample_api: false }
    }
}

pub(super) fn engine(table: Option<Table<'_>>) -> EngineConfig {
    let default = EngineConfig::default();
    let Some(mut table) = table else { return default };
    let engine = EngineConfig {
        shards: table.take("shards").and_then(|n| shards(&n)).unwrap_or(default.shards),
        runtime: table.take("runtime").and_then(|n| runtime(&n)).unwrap_or(default.runtime),
        ledger: table.take("ledger").and_then(|n| path(&n)).unwrap_or(default.ledger),
        slots: table.take("slots").and_then(|n| slots(&n)).unwrap_or(default.slots),
        live_table: table
            .take("live_table")
            .and_then(|node| node.choice(&LIVE_TABLES, &[]))
            .unwrap_or(default.live_table),
        sync_interval: table
            .duration("sync_interval", SYNC_INTERVAL)
            .unwrap_or(default.sync_interval),
        flight: table.take("flight").and_then(|n| flight::flight(&n)).unwrap_or(default.flight),
        drain_timeout: table
            .duration("drain_timeout", TIMEOUT_OR_NONE)
            .unwrap_or(default.drain_timeout),
        connections_per_shard: table
            .integer("connections_per_shard", 1..=CONNECTIONS_MAX)
            .unwrap_or(default.connections_per_shard),
        watchdog: table.take("watchdog").map_or(default.watchdog, |node| watchdog(&node)),
        watchdog_action: table
            .take("watchdog_action")
            .and_then(|node| node.choice(&WATCHDOG_ACTIONS, &[]))
            .unwrap_or(default.watchdog_action),
    };
    table.finish();
    engine
}

/// `false` is off.
fn watchdog(node: &Node<'_>) -> Option<Duration> {
    if node.is_boolean() {
        if node.boolean() == Some(true) {
            node.fault("must be false, or a duration such as \"5s\"");
        }
        return None;
    }
    node.scalar("false, or a duration such as \"5s\"", |text| {
        scalar::duration_within(text, &WATCHDOG)
    })
}

fn shards(node: &Node<'_>) -> Option<Shards> {
    if node.is_integer() {
        return node.integer(&(1..=CPUS_MAX)).map(Shards::Count);
    }
    if node.is_list() {
        return cpus(&node.list()?, node).map(Shards::Cpus);
    }
    if node.is_string() && node.text() == Some("auto") {
        return Some(Shards::Auto);
    }
    node.fault("must be \"auto\", a number of shards, or a list of CPUs such as [0, 2]");
    None
}

fn cpus(items: &[Node<'_>], list: &Node<'_>) -> Option<Vec<usize>> {
    if items.is_empty() {
        list.fault("an empty list leaves no shard; name at least one CPU, such as [0]");
        return None;
    }
    let mut cpus = Vec::new();
    for item in items {
        let cpu = item.integer(&(0..=CPUS_MAX - 1))?;
        if cpus.contains(&cpu) {
            item.fault(format_args!("CPU {cpu} is named twice; a CPU runs one shard"));
        }
        cpus.push(cpu);
    }
    Some(cpus)
}

fn runtime(node: &Node<'_>) -> Option<RuntimeChoice> {
    let words = [
        ("auto", RuntimeChoice::Auto),
        ("glommio", RuntimeChoice::Glommio),
        ("epoll", RuntimeChoice::Epoll),
    ];
    node.choice(&words, &[])
}

fn slots(node: &Node<'_>) -> Option<usize> {
    let slots = node.integer(&(SLOTS_MIN..=SLOTS_MAX))?;
    if slots.is_power_of_two() {
        return Some(slots);
    }
    let (below, above) = (slots.next_power_of_two() / 2, slots.next_power_of_two());
    node.fault(format_args!("must be a power of two, such as {below} or {above}, not {slots}"));
    None
}

fn path(node: &Node<'_>) -> Option<PathBuf> {
    let text = node.text()?;
    if text.is_empty() || text.contains('\0') {
        node.fault("must be a path");
        return None;
    }
    Some(PathBuf::from(text))
}

/// With the TLS of its listener.
pub(super) fn control(table: Option<Table<'_>>) -> (ControlConfig, Option<ServerTlsConfig>) {
    let default = ControlConfig::default();
    let Some(mut table) = table else { return (default, None) };
    let control = ControlConfig {
        address: table
            .take("address")
            .and_then(|node| node.scalar("an address such as \"127.0.0.1:8080\"", scalar::address)),
        socket: socket(&mut table).unwrap_or(default.socket),
        sample_api: table.boolean("sample_api").unwrap_or(default.sample_api),
    };
    let node = table.take("tls");
    if let (Some(node), None) = (&node, control.address) {
        node.fault("is of no use without \"address\"");
    }
    let tls = node.and_then(|node| tls::server(&node));
    table.not_yet(&["token", "token_env", "token_file"]);
    table.finish();
    (control, tls)
}

fn socket(table: &mut Table<'_>) -> Option<PathBuf> {
    let node = table.take("socket")?;
    let path = path(&node)?;
    let found = path.as_os_str().len();
    if found > SOCKET_BYTES_MAX {
        node.fault(format_args!(
            "the path has {found} bytes; a Unix socket's has {SOCKET_BYTES_MAX} at most"
        ));
    }
    Some(path)
}

/// The listeners of the file, and after them the one that `[control]` asks for.
pub(super) fn listeners(
    tables: Vec<Table<'_>>,
    control: Option<SocketAddr>,
    control_tls: Option<ServerTlsConfig>,
) -> (Vec<ListenerConfig>, Names) {
    let mut names = Names::new("listener");
    let mut listeners: Vec<ListenerConfig> = Vec::new();
    for table in tables {
        let listener = listener(table, &listeners, control, &mut names);
        listeners.push(listener);
    }
    if let Some(address) = control {
        let name = names.add_text(None, CONTROL.to_owned());
        let (trusted_proxies, proxy_protocol, tls) = (Vec::new(), false, control_tls);
        listeners.push(ListenerConfig { name, address, trusted_proxies, proxy_protocol, tls });
    }
    (listeners, names)
}

fn listener(
    mut table: Table<'_>,
    earlier: &[ListenerConfig],
    control: Option<SocketAddr>,
    names: &mut Names,
) -> ListenerConfig {
    let node = table.require("address", "address = \"0.0.0.0:8080\"");
    let address = node
        .as_ref()
        .and_then(|node| node.scalar("an address such as \"127.0.0.1:8080\"", scalar::address));
    // Port 0 is another port each time.
    let fixed = address.filter(|address| address.port() != 0);
    let taken = fixed.is_some()
        && (control == fixed || earlier.iter().any(|other| Some(other.address) == fixed));
    if let (Some(node), true) = (&node, taken) {
        let other = if control == fixed { "[control]" } else { "another [[listener]]" };
        node.fault(format_args!("{other} has this address; change one of their ports"));
    }
    let name = match table.take("name") {
        Some(named) => names.add(Some(&named), &[CONTROL]),
        // A repeated address has its fault already.
        None if taken => names.add_text(None, String::new()),
        None => {
            let text = address.map(|address| address.to_string()).unwrap_or_default();
            names.add_text(node.as_ref(), text)
        }
    };
    let trusted_proxies = trusted_proxies(&mut table);
    let proxy_protocol = proxy_protocol(&mut table, &trusted_proxies);
    let tls = table.take("tls").and_then(|node| tls::server(&node));
    table.finish();
    let address = address.unwrap_or(PLACEHOLDER);
    ListenerConfig { name, address, trusted_proxies, proxy_protocol, tls }
}
