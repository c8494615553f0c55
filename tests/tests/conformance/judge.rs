//! Finds the word for what a proxy did.

use crate::case::{Case, Row, Sign, bytes};
use crate::observe::{Ending, Message, Observation};

/// What a message is called that was passed on and shows none of a row's signs.
pub(crate) const UNNAMED: &str = "passed in another form";

/// The word for what came of a case of `row`.
pub(crate) fn verdict(row: &Row, case: &Case, seen: &Observation) -> String {
    let passed = match case {
        Case::Request(_) => passed_requests(seen),
        Case::Answer { .. } => passed_answers(seen),
    };
    match passed {
        Ok(messages) => word(row, &messages, seen.ending).to_owned(),
        Err(refusal) => refusal,
    }
}

/// The requests of the case that reached the backend; else the word for their refusal.
fn passed_requests(seen: &Observation) -> Result<Vec<&Message>, String> {
    let requests: Vec<_> = seen.requests.iter().filter(|it| !it.is_next_request()).collect();
    if requests.is_empty() { Err(refusal(seen)) } else { Ok(requests) }
}

/// The answers of the case that reached the client; else the status they were replaced with.
fn passed_answers(seen: &Observation) -> Result<Vec<&Message>, String> {
    let answers: Vec<_> = seen.answers.iter().filter(|it| !it.is_next_answer()).collect();
    let replaced = answers.iter().any(|it| matches!(it.status(), Some(502..=504)));
    // A reset may overtake the answer that it breaks off.
    let refused = replaced || (answers.is_empty() && seen.ending != Ending::Reset);
    if refused { Err(refusal(seen)) } else { Ok(answers) }
}

fn refusal(seen: &Observation) -> String {
    match seen.answers.iter().find_map(|answer| answer.status().filter(|status| *status >= 200)) {
        Some(status) => status.to_string(),
        None if seen.ending == Ending::Open => "waits".into(),
        None => "closed".into(),
    }
}

fn word(row: &Row, messages: &[&Message], ending: Ending) -> &'static str {
    let texts: Vec<_> = messages.iter().map(|message| message.text.as_slice()).collect();
    let all = texts.concat();
    let cut_off = ending == Ending::Reset || messages.iter().any(|message| !message.whole);
    let shows = |sign: &Sign| match *sign {
        Sign::Starts(text) => all.starts_with(&bytes(text)),
        Sign::Has(text) => has(&all, text),
        Sign::Lacks(text) => !has(&all, text),
        Sign::Ends(text) => all.ends_with(&bytes(text)),
        Sign::Count(count) => messages.len() == count,
        Sign::CutOff => cut_off,
    };
    let fits = row.words.iter().find(|(_, signs)| signs.iter().all(shows));
    fits.map_or(UNNAMED, |(word, _)| word)
}

fn has(all: &[u8], text: &str) -> bool {
    let wanted = bytes(text);
    all.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(&wanted))
}

/// What must hold of a careful proxy whatever the case; a fault in words, if any.
pub(crate) fn fault(case: &Case, seen: &Observation) -> Option<&'static str> {
    let finals = seen.answers.iter().filter(|it| it.status() >= Some(200)).count();
    if seen.ending == Ending::Open {
        return Some("the connection stays open");
    }
    if seen.requests.iter().any(|request| request.second_word() == b"/smuggled") {
        return Some("a body was taken for a request");
    }
    if matches!(case, Case::Request(_)) && finals < seen.requests.len() {
        return Some("a request was passed on and not answered");
    }
    if seen.answers.iter().any(|answer| has(&answer.text, "smuggled")) {
        return Some("bytes behind an answer reached the client");
    }
    None
}

/// Whether `word` says that nothing was passed on.
pub(crate) fn is_refusal(word: &str) -> bool {
    word == "closed" || word.parse::<u16>().is_ok()
}
