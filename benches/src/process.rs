//! A child process and what `/proc` says about it and its descendants.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::clock;
use crate::error::Error;
use crate::sys;

/// How long a child may take to leave after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(3);
/// How much of a child's log an error quotes, in bytes.
const LOG_TAIL: usize = 2000;

/// A child that is stopped, with its descendants, when this is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` on `cpu`, its output going to the file `log`.
    pub fn start(mut command: Command, cpu: usize, log: PathBuf) -> Result<Self, Error> {
        let doing = || format!("start {}", command.get_program().display());
        let output = File::create(&log).map_err(Error::io(doing()))?;
        let errors = output.try_clone().map_err(Error::io(doing()))?;
        let doing = doing();
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        sys::bind_child(&mut command, cpu);
        let child = command.spawn().map_err(Error::io(doing))?;
        Ok(Self { child, log })
    }

    /// The exit status, once there is one.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The end of what the child wrote.
    pub fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LOG_TAIL)..];
        String::from_utf8_lossy(tail).into_owned()
    }

    /// CPU time of all threads of the process and its living descendants, user and system.
    pub fn cpu_time(&self) -> Result<Duration, Error> {
        let family = self.family()?;
        let ticks: u64 = family.iter().map(|stat| stat.ticks).sum();
        Ok(Duration::from_secs(ticks) / u32::try_from(sys::ticks_per_second()).unwrap_or(100))
    }

    /// Resident memory of the process and its living descendants, in bytes; pages that two of
    /// them share count twice.
    pub fn resident_bytes(&self) -> Result<u64, Error> {
        self.family()?.iter().map(|stat| resident_bytes(stat.pid)).sum()
    }

    fn family(&self) -> Result<Vec<Stat>, Error> {
        let root = self.child.id();
        let all = read_all().map_err(Error::io("read /proc"))?;
        let family = descend(root, &all);
        if family.is_empty() { Err(Error::ProcessGone(root)) } else { Ok(family) }
    }

    fn leaves_in_time(&mut self) -> bool {
        let start = clock::now();
        while clock::now().saturating_duration_since(start) < PATIENCE {
            if self.exited().is_some() {
                return true;
            }
            clock::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exited().is_some() {
            return;
        }
        // Known before the parent goes, because orphans are nobody's descendants.
        let family = self.family().unwrap_or_default();
        let asked = sys::signal(self.child.id(), libc::SIGTERM).is_ok();
        if asked && self.leaves_in_time() {
            return;
        }
        eprintln!("weir-bench: process {} ignored SIGTERM and is killed", self.child.id());
        for stat in family.iter().rev() {
            if let Err(error) = sys::signal(stat.pid, libc::SIGKILL) {
                eprintln!("weir-bench: cannot kill {}: {error}", stat.pid);
            }
        }
        if let Err(error) = self.child.wait() {
            eprintln!("weir-bench: cannot wait for {}: {error}", self.child.id());
        }
    }
}

/// What is used of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    /// User and system time of all threads, dead ones included, in clock ticks.
    ticks: u64,
}

impl Stat {
    /// The command, second field, stands in parentheses and may itself contain some.
    fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let parent = fields.nth(1)?.parse().ok()?;
        // Fields 14 and 15 of the manual's count; field 4 was the last one taken.
        let user: u64 = fields.nth(9)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self { pid: pid.parse().ok()?, parent, ticks: user + system })
    }
}

fn read_all() -> io::Result<Vec<Stat>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            // A process may end between the listing and the reading.
            let line = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            all.extend(Stat::parse(&line));
        }
    }
    Ok(all)
}

/// `root` and its descendants, parents before children.
fn descend(root: u32, all: &[Stat]) -> Vec<Stat> {
    let mut family: Vec<Stat> = all.iter().filter(|stat| stat.pid == root).copied().collect();
    let mut next = 0;
    while next < family.len() {
        let parent = family[next].pid;
        family.extend(all.iter().filter(|stat| stat.parent == parent && stat.pid != parent));
        next += 1;
    }
    family
}

fn resident_bytes(pid: u32) -> Result<u64, Error> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
    parse_rss(&text).ok_or(Error::ProcessGone(pid))
}

fn parse_rss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_a_hostile_command_name() {
        let line = "42 (a) R 9 (b) S 7 42 42 0 -1 4194560 1 2 3 4 150 25 6 7 20 0 3 0 99 1 2\n";
        assert_eq!(Stat::parse(line), Some(Stat { pid: 42, parent: 7, ticks: 175 }));
        assert_eq!(Stat::parse("42 (a) S 7"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn family_is_found_however_proc_is_ordered() {
        let stat = |pid, parent| Stat { pid, parent, ticks: 1 };
        let all = [stat(5, 3), stat(3, 2), stat(2, 1), stat(9, 1), stat(4, 2)];
        let pids: Vec<u32> = descend(2, &all).iter().map(|stat| stat.pid).collect();
        assert_eq!(pids, [2, 3, 4, 5]);
        assert!(descend(77, &all).is_empty());
    }

    #[test]
    fn rss_is_in_bytes() {
        assert_eq!(parse_rss("00-ff [rollup]\nRss:     1200 kB\nPss: 7 kB\n"), Some(1_228_800));
        assert_eq!(parse_rss("Pss: 7 kB\n"), None);
    }

    #[test]
    fn a_child_with_a_grandchild_is_accounted_for_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; sh -c 'while :; do :; done' & wait"]);
        let log = folder.path().join("log");
        // CPU 0 always exists; the busy grandchild makes the time grow.
        let process = Process::start(command, 0, log).unwrap();
        clock::sleep(Duration::from_millis(400));
        let pids: Vec<u32> = process.family().unwrap().iter().map(|stat| stat.pid).collect();
        assert_eq!(pids.len(), 2);
        assert!(process.cpu_time().unwrap() >= Duration::from_millis(20));
        assert!(process.resident_bytes().unwrap() > 100_000);
        drop(process);
        // The orphan may be a zombie until init looks: it has no memory and no code any more.
        clock::sleep(Duration::from_millis(100));
        for pid in pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            assert!(status.is_empty() || status.contains("State:\tZ"), "{status}");
        }
    }
}
