//! What each address is worth, by networks that may lie within each other.
//!
//! Networks nest or are apart, so the innermost one of an address is found by no walk down a trie:
//! they are flattened beforehand into the addresses at which the value changes. Those stand sorted
//! in an implicit B-tree (a level is one array, in which a key's place is that of its child), of which a
//! search reads one node for each level: with 200,000 changes five for IPv4, each a cache line, the
//! upper three so few that they stay in the nearest cache.

use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// Keys in a node: a cache line of IPv4 addresses.
const V4_WIDTH: usize = 16;
/// Two lines of IPv6 addresses, which the processor fetches together.
const V6_WIDTH: usize = 8;

/// A value for every address. An IPv4 address is the same as its mapped IPv6 one (`::ffff:0:0/96`),
/// written either way; an IPv6 network around all of those says nothing about IPv4.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct NetworkMap<V> {
    v4: Steps<u32, V, V4_WIDTH>,
    v6: Steps<u128, V, V6_WIDTH>,
}

impl<V: Copy + Ord> NetworkMap<V> {
    /// `outside` is the value of addresses in no network. The value inside of a network is what
    /// `within` makes of the value around it and its own; networks that are given twice count as
    /// within each other, the lesser value outside.
    pub(super) fn new(
        networks: impl IntoIterator<Item = (IpNet, V)>,
        outside: V,
        within: impl Fn(V, V) -> V,
    ) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (network, value) in networks {
            let (family, first, last) = match (network.network(), network.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    (&mut v4, first.to_bits().into(), last.to_bits().into())
                }
                (first, last) => {
                    let mapped = (network.prefix_len() >= 96).then(|| first.to_canonical());
                    match (mapped, last.to_canonical()) {
                        (Some(IpAddr::V4(first)), IpAddr::V4(last)) => {
                            (&mut v4, first.to_bits().into(), last.to_bits().into())
                        }
                        _ => (&mut v6, number(first), number(last)),
                    }
                }
            };
            family.push(Run { first, last, value });
        }
        Self {
            v4: Steps::new(&flatten(v4, outside, &within)),
            v6: Steps::new(&flatten(v6, outside, &within)),
        }
    }

    #[inline]
    pub(super) fn find(&self, address: IpAddr) -> V {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        }
    }
}

/// Without its content, which may be long.
impl<V> fmt::Debug for NetworkMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (v4, v6) = (self.v4.values.len(), self.v6.values.len());
        f.debug_struct("NetworkMap").field("v4", &v4).field("v6", &v6).finish_non_exhaustive()
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A network as numbers.
struct Run<V> {
    first: u128,
    last: u128,
    value: V,
}

/// The numbers at which the value changes, ascending, beginning with 0. One of them may lie behind
/// the last number of the family.
fn flatten<V: Copy + Ord>(
    mut runs: Vec<Run<V>>,
    outside: V,
    within: &impl Fn(V, V) -> V,
) -> Vec<(u128, V)> {
    // Outer ones before those within them.
    runs.sort_unstable_by_key(|run| (run.first, Reverse(run.last), run.value));
    let mut steps = vec![(0, outside)];
    // Last number and value of the networks around the present place, outermost first.
    let mut around: Vec<(u128, V)> = Vec::new();
    for Run { first, last, value } in runs {
        while let Some((end, _)) = around.pop_if(|(end, _)| *end < first) {
            step(&mut steps, end.checked_add(1), value_of(&around, outside));
        }
        let value = within(value_of(&around, outside), value);
        step(&mut steps, Some(first), value);
        around.push((last, value));
    }
    while let Some((end, _)) = around.pop() {
        step(&mut steps, end.checked_add(1), value_of(&around, outside));
    }
    steps
}

/// The value of the innermost.
fn value_of<V: Copy>(around: &[(u128, V)], outside: V) -> V {
    around.last().map_or(outside, |(_, value)| *value)
}

/// From `start` on, the value is this one. There is nothing behind the last number.
fn step<V: Copy + PartialEq>(steps: &mut Vec<(u128, V)>, start: Option<u128>, value: V) {
    let Some(start) = start else { return };
    steps.pop_if(|(last, _)| *last == start);
    if steps.last().is_none_or(|(_, before)| *before != value) {
        steps.push((start, value));
    }
}

/// A sorted array of keys, the first of which is the least there is, with a value from each to the
/// next; searched as an implicit B-tree of nodes of `W` keys.
#[derive(Clone, PartialEq, Eq)]
struct Steps<K, V, const W: usize> {
    /// The root first. Each key of a level is the first one of a node of the next.
    levels: Box<[Level<K, W>]>,
    /// In the order of the last level's keys.
    values: Box<[V]>,
}

#[derive(Clone, PartialEq, Eq)]
struct Level<K, const W: usize> {
    nodes: Box<[Node<K, W>]>,
    /// The last key that is no padding.
    last: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
struct Node<K, const W: usize>([K; W]);

impl<K: Copy + Ord + TryFrom<u128>, V: Copy, const W: usize> Steps<K, V, W> {
    fn new(steps: &[(u128, V)]) -> Self {
        // What does not fit lies behind the last address.
        let fitting = steps.iter().filter_map(|(at, value)| Some((K::try_from(*at).ok()?, *value)));
        let (mut keys, values): (Vec<K>, Vec<V>) = fitting.unzip();
        let mut levels = Vec::new();
        loop {
            levels.push(Level::new(&keys));
            if keys.len() <= W {
                break;
            }
            keys = keys.iter().copied().step_by(W).collect();
        }
        levels.reverse();
        Self { levels: levels.into(), values: values.into() }
    }

    #[inline]
    fn find(&self, key: K) -> V {
        let mut at = 0;
        for level in &self.levels {
            let node = &level.nodes[at].0;
            let not_above = node.partition_point(|start| *start <= key);
            // At least the first key is not above; padding may be not above the greatest one.
            at = (at * W + not_above).saturating_sub(1).min(level.last);
        }
        self.values[at]
    }
}

impl<K: Copy, const W: usize> Level<K, W> {
    /// Padded with the last key. There is at least one.
    fn new(keys: &[K]) -> Self {
        let last = keys.len() - 1;
        let padded =
            |chunk: &[K]| Node(std::array::from_fn(|i| *chunk.get(i).unwrap_or(&keys[last])));
        Self { nodes: keys.chunks(W).map(padded).collect(), last }
    }
}

#[cfg(test)]
mod tests;
