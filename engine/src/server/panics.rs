//! What is told of a panic: one line, without what a client or a secret could have put into it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Longest message shown, in characters.
const MESSAGE_MAX: usize = 200;
/// A longer word could be a credential: API keys have 16 characters at least.
const WORD_MAX: usize = 15;

/// Panics of the process, whichever thread had them. Relaxed: a statistic.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// The last one's line. Taken while a thread panics and by the control plane only.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Has every panic of this process told in one line on standard error, and remembered.
pub(super) fn install() {
    std::panic::set_hook(Box::new(tell));
}

/// Panics since the start.
pub(super) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Thread, place and message of the last panic.
pub(super) fn last() -> Option<String> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn tell(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = panic.location().map_or_else(
        || "an unknown place".to_owned(),
        |at| format!("{}:{}", short(at.file()), at.line()),
    );
    let line = format!("{thread}: panic at {place}: {}", message(panic.payload()));
    COUNT.fetch_add(1, Ordering::Relaxed);
    // Nobody may be reading standard error, which is no reason for another panic.
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "weir: {line}");
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        let _ = writeln!(stderr, "{trace}");
    }
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
}

/// The path within its crate's folder, for a crate that came from a registry.
fn short(file: &str) -> &str {
    let Some((_, behind)) = file.split_once("/registry/src/") else { return file };
    behind.split_once('/').map_or(behind, |(_, path)| path)
}

/// A message that was written in the source is shown. One that was put together may quote what a
/// client sent, and is shown only if nothing in it could be that.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(literal) = payload.downcast_ref::<&'static str>() {
        return shown(literal);
    }
    match payload.downcast_ref::<String>() {
        Some(text) if is_harmless(text) => shown(text),
        Some(_) => "the message is kept back, for it may quote a request".to_owned(),
        None => "no message".to_owned(),
    }
}

fn is_harmless(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || " ,:;.()-".contains(letter);
    text.chars().all(plain) && text.split(' ').all(|word| word.len() <= WORD_MAX)
}

fn shown(text: &str) -> String {
    let visible = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().take(MESSAGE_MAX).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::any::Any;

    #[expect(clippy::needless_pass_by_value, reason = "panics carry boxes")]
    fn told(payload: Box<dyn Any + Send>) -> String {
        message(&*payload)
    }

    /// What a real panic carries.
    fn payload(panics: impl FnOnce() + std::panic::UnwindSafe) -> Box<dyn Any + Send> {
        std::panic::catch_unwind(panics).expect_err("panics")
    }

    #[test]
    fn what_stands_in_the_source_is_shown_in_one_bounded_line() {
        assert_eq!(told(Box::new("a read filled more\nthan \x1b its buffer")).lines().count(), 1);
        assert_eq!(told(Box::new("a\nb\x1b[2Jc\u{9b}")), "a b [2Jc ");
        let long: &'static str = "é".repeat(MESSAGE_MAX + 1).leak();
        assert_eq!(told(Box::new(long)).chars().count(), MESSAGE_MAX);
        let none = payload(|| _ = std::hint::black_box(None::<u8>).unwrap());
        assert_eq!(told(none), "called `Option::unwrap()` on a `None` value");
        assert_eq!(told(Box::new(7_u8)), "no message");
    }

    #[test]
    fn what_could_quote_a_client_is_kept_back() {
        let list = std::hint::black_box(vec![1, 2, 3]);
        let index = payload(move || _ = list[std::hint::black_box(7)]);
        assert_eq!(told(index), "index out of bounds: the len is 3 but the index is 7");
        let text = std::hint::black_box("Bearer é secret".to_owned());
        let cut = payload(move || drop(text[8..].to_owned()));
        let key = std::hint::black_box("demo-free-key-0001".to_owned());
        let named = payload(move || panic!("key {key}"));
        let error = payload(|| _ = std::hint::black_box(Err::<u8, _>(b"pass")).unwrap());
        for hidden in [cut, named, error] {
            assert_eq!(told(hidden), "the message is kept back, for it may quote a request");
        }
    }

    #[test]
    fn a_place_is_told_without_the_machine() {
        assert_eq!(short("engine/src/shard/mod.rs"), "engine/src/shard/mod.rs");
        let file = "/home/ann/.cargo/registry/src/index-0/tokio-1.0.0/src/lib.rs";
        assert_eq!(short(file), "tokio-1.0.0/src/lib.rs");
    }
}
