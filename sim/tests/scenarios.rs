//! The committed scenarios hold, runs repeat, and what must fail does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use weir_sim::report::Report;
use weir_sim::scenario::{Scenario, Step, Troubles};
use weir_sim::trace::Step as Recorded;
use weir_sim::world;

const SEEDS: u64 = 5;

fn committed() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = std::fs::read_dir(folder).expect("the folder of scenarios");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn weir_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir-sim")).args(arguments).output().expect("weir-sim runs")
}

/// Writes a scenario where a test's binary may write.
fn write(name: &str, text: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a temporary file");
    path.display().to_string()
}

fn text_of(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

/// A crash, on a gateway with these checks and these expectations.
fn crash(health: &str, expect: &str) -> String {
    format!(
        r#"
name = "crash"
duration = "4s"
[gateway]
config = """
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "api"
connect_timeout = "200ms"
response_timeout = "500ms"
{health}
[[upstream.backend]]
address = "@one@"
[[upstream.backend]]
address = "10.1.2.3:8000"
[[limit]]
name = "per-address"
key = "address"
rate = "40/1s"
[[route]]
path = "/*"
upstream = "api"
limits = ["per-address"]
"""
[[host]]
name = "one"
[[host]]
name = "two"
stands_for = "10.1.2.3:8000"
[[client]]
name = "writers"
think = "10ms"
method = "POST"
body_bytes = 10
[[event]]
at = "1s"
kind = "fail"
host = "one"
status = 500
[expect]
{expect}
"#
    )
}

#[test]
fn every_committed_scenario_holds_under_several_seeds() {
    let files = committed();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let scenario = Scenario::load(&file, None).expect("a scenario");
        for seed in (0..SEEDS).map(|offset| scenario.seed + offset) {
            let run = world::run(&scenario, seed).expect("a configuration");
            let report = Report::new(&scenario, &run);
            assert!(report.passed(), "{} {report}", file.display());
            assert!(report.requests > 100, "{} {report}", file.display());
        }
    }
}

/// A step and what happens there.
type Met = (&'static str, &'static str);

fn all_of<S: Step>(troubles: &Troubles<S>) -> BTreeSet<Met> {
    let does = |at: &S| {
        let at = at.name();
        troubles.does.iter().map(move |does| (at, does.name()))
    };
    troubles.at.iter().flat_map(does).collect()
}

/// Every group of hosts with troubles, and those troubles.
fn troubled(scenario: &Scenario) -> Vec<(String, BTreeSet<Met>)> {
    let backends = scenario
        .backends
        .iter()
        .filter_map(|host| Some((host.name.get_ref().clone(), all_of(host.trouble.as_ref()?))));
    let clients = scenario.clients.iter().filter_map(|client| {
        Some((client.name.get_ref().clone(), all_of(client.trouble.as_ref()?)))
    });
    backends.chain(clients).collect()
}

#[test]
fn every_trouble_is_met_at_every_step() {
    let mut groups = 0;
    for file in committed() {
        let scenario = Scenario::load(&file, None).expect("a scenario");
        let expected = troubled(&scenario);
        if expected.is_empty() {
            continue;
        }
        let mut met: BTreeMap<String, BTreeSet<Met>> = BTreeMap::new();
        for seed in (0..SEEDS).map(|offset| scenario.seed + offset) {
            for record in world::run(&scenario, seed).expect("a configuration").records {
                let Recorded::Trouble { host, at, does, .. } = record.step else { continue };
                // Clients of a group are numbered.
                let group = expected.iter().map(|(group, _)| group).find(|group| {
                    host.strip_prefix(group.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                });
                met.entry(group.expect("a group").clone()).or_default().insert((at, does.name()));
            }
        }
        for (group, expected) in expected {
            let missing: Vec<_> = expected.difference(&met[&group]).collect();
            assert!(missing.is_empty(), "{} {group} never meets {missing:?}", file.display());
            groups += 1;
        }
    }
    assert!(groups >= 6, "{groups} groups of troubled hosts");
}

#[test]
fn the_same_seed_is_the_same_run_in_another_process_and_place() {
    for file in committed() {
        let run = |seed: &str, folder: &Path, variable: &str| {
            let output = Command::new(env!("CARGO_BIN_EXE_weir-sim"))
                .args(["run", "--json", "--seed", seed])
                .arg(&file)
                .current_dir(folder)
                .env_clear()
                .env(variable, "a value")
                .env("TZ", variable)
                .output()
                .expect("weir-sim runs");
            text_of(&output).0
        };
        let one = run("5", Path::new("/"), "FIRST");
        let other = run("5", Path::new(env!("CARGO_MANIFEST_DIR")), "WEIR_SECOND");
        assert_eq!(one, other, "{}", file.display());
        let hash = |text: &str| {
            let report: serde_json::Value = serde_json::from_str(text).expect("JSON");
            report["trace_hash"].as_str().expect("a hash").to_owned()
        };
        assert_eq!(hash(&one).len(), 16);
        let different = run("6", Path::new("/"), "FIRST");
        assert_ne!(hash(&one), hash(&different), "{}", file.display());
    }
}

#[test]
fn without_health_checks_there_is_no_failover_and_the_report_says_why() {
    let file = write("unchecked.toml", &crash("", "failover = { within = \"1s\" }"));
    let output = weir_sim(&["run", &file, "--seed", "3"]);
    let (text, _) = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let failed = text.split("FAIL failover: ").nth(1).expect("a failed property");
    assert!(failed.starts_with("writers-1."), "{text}");
    for words in ["(POST", "failed (500 from one)", "event: fail one with 500", "arrives at one"] {
        assert!(failed.contains(words), "{words} is not in {text}");
    }
    assert!(text.contains(&format!("replay: weir-sim run {file} --seed 3")), "{text}");
}

#[test]
fn with_health_checks_the_same_scenario_passes() {
    let health = "health = { interval = \"300ms\", timeout = \"100ms\", rise = 2, fall = 2 }";
    let file = write("checked.toml", &crash(health, "failover = {}\nspread = {}"));
    let output = weir_sim(&["run", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output).0);
}

#[test]
fn a_limit_that_is_not_kept_fails() {
    // The gateway's limit is 40 a second.
    let admitted = |rate: &str| {
        format!("no_over_admission = [{{ clients = [\"writers\"], rate = \"{rate}/1s\" }}]")
    };
    for (rate, status) in [("40", 0), ("39", 1), ("41", 1)] {
        let file = write(&format!("limit-{rate}.toml"), &crash("", &admitted(rate)));
        let output = weir_sim(&["run", &file, "--json"]);
        let (text, _) = text_of(&output);
        assert_eq!(output.status.code(), Some(status), "{text}");
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let property = &report["properties"][1];
        assert_eq!(property["name"], "no_over_admission(writers)");
        assert_eq!(property["passed"], status == 0, "{text}");
    }
}

#[test]
fn what_cannot_be_run_is_refused_in_one_line() {
    let unknown = write("unknown.toml", "name = \"x\"\nduration = \"1s\"\nshape = \"round\"\n");
    let nobody = crash("", "").replace("@one@", "@three@");
    let nobody = write("nobody.toml", &nobody);
    let stranger = crash("", "").replace("stands_for = \"10.1.2.3:8000\"", "");
    let stranger = write("stranger.toml", &stranger);
    let faulty = write("faulty.toml", &crash("strategy = \"best\"", ""));
    for (file, words) in [
        (unknown.as_str(), "unknown.toml:3: unknown field `shape`"),
        ("missing.toml", "missing.toml: cannot be read"),
        (&nobody, "@three@ is no [[host]]"),
        (&stranger, "backend 10.1.2.3:8000 of upstream \"api\" is no host"),
        (&faulty, "[gateway] config:7:"),
    ] {
        let output = weir_sim(&["run", file]);
        let (out, error) = text_of(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn another_configuration_can_take_the_scenarios_place() {
    let file = write("own.toml", &crash("", "failover = { within = \"1s\" }"));
    let config = "
[[listener]]
address = \"0.0.0.0:9000\"
[[upstream]]
name = \"api\"
health = { interval = \"300ms\", timeout = \"100ms\", rise = 2, fall = 2 }
[[upstream.backend]]
address = \"10.1.2.3:8000\"
[[upstream.backend]]
address = \"@one@\"
[[route]]
path = \"/*\"
upstream = \"api\"
";
    let config = write("weir.toml", config);
    let output = weir_sim(&["run", &file, "--config", &config]);
    let (text, error) = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{error}");
    assert!(text.contains(&format!("--config {config}")), "{text}");
}
