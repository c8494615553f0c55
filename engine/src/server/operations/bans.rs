//! Who is kept out: by an operator, and by limits.

use weir_protocol::control::{BANS_PAGE, BanStatus, BansRequest, Response, Subject as Asked};
use weir_protocol::journal::{Block, Lift, Subject};

use super::Engine;
use super::record::audit;
use crate::access::{BlockChange, parse_network};
use crate::inspect::Catalogue;
use crate::runtime::os;

/// Longest name and reason, in bytes.
const TEXT_BYTES_MAX: usize = 256;

impl Engine {
    pub(super) fn answer_bans(&self, request: BansRequest, by: &str) -> Result<Response, String> {
        match request {
            BansRequest::List { skip } => Ok(Response::Bans(self.list_bans(skip))),
            BansRequest::Add { subject, seconds, reason } => {
                self.block(&subject, seconds, reason, by).map(Response::Done)
            }
            BansRequest::Lift { subject } => self.lift(subject, by).map(Response::Done),
        }
    }

    /// Blocks in the order of their subjects, then bans in that of the table.
    fn list_bans(&self, skip: u32) -> Vec<BanStatus> {
        let now_ms = os::wall().as_millis();
        let blocks = self.blocking.list().into_iter().map(|block| BanStatus {
            subject: block.subject.to_string(),
            limit: None,
            left_s: block.until_ms.map(|until_ms| until_ms.saturating_sub(now_ms).div_ceil(1_000)),
            step: 0,
            reason: block.reason,
            by: block.by,
        });
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        blocks.chain(self.running_bans()).skip(skip).take(BANS_PAGE).collect()
    }

    fn running_bans(&self) -> Vec<BanStatus> {
        let snapshot = self.snapshot();
        let catalogue = Catalogue::new(&snapshot);
        let now = self.table.moment(os::now());
        let bans = self.table.entries().filter_map(|entry| catalogue.ban(&entry, now));
        bans.collect()
    }

    fn block(
        &self,
        asked: &Asked,
        seconds: Option<u64>,
        reason: String,
        by: &str,
    ) -> Result<String, String> {
        let subject = subject_of(asked)?;
        check_text("reason", &reason)?;
        let at_ms = os::wall().as_millis();
        let until_ms = seconds.map(|seconds| at_ms.saturating_add(seconds.saturating_mul(1_000)));
        let length = seconds.map_or_else(
            || "until that is lifted".to_owned(),
            |seconds| format!("for {seconds} s"),
        );
        let done = format!("{subject} is blocked {length}");
        let record = audit(by, "bans add", format!("{subject} {length}"));
        let block = Block { subject: subject.clone(), reason, until_ms, by: by.to_owned(), at_ms };
        let before = self.blocking.apply(BlockChange::Block(block), record);
        let replaced = match before.map_err(unchanged)? {
            Some(_) => ", in place of an earlier block",
            None => "",
        };
        Ok(format!("{done}{replaced}{}", self.stranger(&subject)))
    }

    /// A remark for names that nobody has.
    fn stranger(&self, subject: &Subject) -> &'static str {
        let keys = &self.snapshot().config.keys;
        match subject {
            Subject::Key(name) if keys.iter().all(|key| key.name != *name) => {
                "; no key of the configuration has that name"
            }
            _ => "",
        }
    }

    fn lift(&self, asked: Asked, by: &str) -> Result<String, String> {
        let subject = subject_of(&asked)?;
        let blocked = self.blocking.has(&subject);
        let banned = self.banned(asked);
        if !blocked && banned.is_empty() {
            return Err(self.not_banned(&subject));
        }
        let record = audit(by, "bans lift", subject.to_string());
        if blocked {
            let (at_ms, reason) = (os::wall().as_millis(), String::new());
            let lift = Lift { subject: subject.clone(), reason, by: by.to_owned(), at_ms };
            self.blocking.apply(BlockChange::Lift(lift), record).map_err(unchanged)?;
        } else {
            self.journal.append_and_wait(vec![record]).map_err(unchanged)?;
        }
        let lifted = banned.iter().filter(|tag| self.table.lift_tag(**tag)).count();
        let parts = [
            blocked.then(|| "a block".to_owned()),
            (lifted > 0).then(|| format!("{lifted} ban{}", if lifted == 1 { "" } else { "s" })),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return Ok(format!("the ban of {subject} ended by itself"));
        }
        Ok(format!("{subject} is let in again: lifted {}", parts.join(" and ")))
    }

    /// The tags of a subject's counters that ban it. A network has none.
    fn banned(&self, asked: Asked) -> Vec<u64> {
        let snapshot = self.snapshot();
        let catalogue = Catalogue::new(&snapshot);
        let Ok(wanted) = catalogue.wanted(asked, &self.table) else { return Vec::new() };
        let now = self.table.moment(os::now());
        let entries = self.table.entries();
        let bans = entries.filter(|entry| {
            wanted.find(entry, &catalogue).is_some() && catalogue.ban(entry, now).is_some()
        });
        bans.map(|entry| entry.tag).collect()
    }

    fn not_banned(&self, subject: &Subject) -> String {
        let wider = match subject {
            Subject::Address(network) => self.blocking.covering(network),
            Subject::Key(_) | Subject::User(_) => None,
        };
        match wider {
            Some(wider) => format!("{subject} is blocked with all of {wider}: lift that"),
            None => format!("{subject} is neither blocked nor banned"),
        }
    }
}

fn unchanged(error: impl std::fmt::Display) -> String {
    format!("nothing has changed, since it would not last: {error}")
}

/// Who it is, as the journal has it.
fn subject_of(asked: &Asked) -> Result<Subject, String> {
    match asked {
        Asked::Address(text) => {
            let network =
                parse_network(text).ok_or_else(|| format!("{text:?} is no address or network"))?;
            Ok(Subject::Address(network))
        }
        Asked::Key(name) => check_name("key", name).map(Subject::Key),
        Asked::User(name) => check_name("user", name).map(Subject::User),
    }
}

fn check_name(kind: &str, name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err(format!("the {kind}'s name is empty"));
    }
    check_text(&format!("{kind}'s name"), name)?;
    Ok(name.to_owned())
}

fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("the {what} is longer than {TEXT_BYTES_MAX} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("the {what} has control characters in it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(asked: &Asked) -> Result<String, String> {
        subject_of(asked).map(|subject| subject.to_string())
    }

    #[test]
    fn subjects_are_told_in_the_one_way_in_which_they_are_kept() {
        let address = |text: &str| subject(&Asked::Address(text.to_owned()));
        assert_eq!(address("192.0.2.7").as_deref(), Ok("address 192.0.2.7/32"));
        assert_eq!(address("192.0.2.7/24").as_deref(), Ok("address 192.0.2.0/24"));
        assert_eq!(address("::ffff:192.0.2.7").as_deref(), Ok("address 192.0.2.7/32"));
        assert_eq!(address("2001:db8::7").as_deref(), Ok("address 2001:db8::/64"));
        assert_eq!(address("2001:db8::7/128").as_deref(), Ok("address 2001:db8::7/128"));
        for wrong in ["", "192.0.2", "192.0.2.7/33", "a.example"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        assert_eq!(subject(&Asked::Key("ann".to_owned())).as_deref(), Ok("key ann"));
        for wrong in ["".to_owned(), "a\nb".to_owned(), "a".repeat(257)] {
            assert!(subject(&Asked::User(wrong.clone())).is_err(), "{wrong}");
        }
    }
}
