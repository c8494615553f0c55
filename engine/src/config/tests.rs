//! The configuration as a user meets it: text in, values or faults out.

use super::{Config, Faults};

mod access;
mod ban;
mod defaults;
mod faults;
mod hostile;
mod limits;
mod policy;
mod reload;
mod tls;
mod tunnels;
mod values;

const SAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../weir.toml"));

/// The least that is right; a test appends what it is about, from line 9 on.
const LEAST: &str = r#"[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "api"
backend = [{ address = "127.0.0.1:5001" }]
[[route]]
path = "/*"
upstream = "api"
"#;

/// Parses with three environment variables and no other.
fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse_with(text, "weir.toml", &|name| match name {
        "SECRET" => Some("hunter2-hunter2-hunter2-hunter2-".to_owned()),
        "SHORT" => Some("hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    })
}

fn parse_with_least(text: &str) -> Result<Config, Faults> {
    parse(&format!("{LEAST}{text}"))
}

fn right(text: &str) -> Config {
    parse_with_least(text).unwrap_or_else(|faults| panic!("{text}\n{faults}"))
}
