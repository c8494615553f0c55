//! Just enough understanding of Rust and Markdown for `tidy.rs`.

/// Top-level folders; a quoted word that begins with one of them is a path.
const FOLDERS: &[&str] =
    &["benches/", "ctl/", "deploy/", "docs/", "engine/", "protocol/", "sim/", "tests/"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// `text` with comments, strings and characters blanked, line for line.
pub(crate) fn without_literals(text: &str) -> String {
    keep(text, Kind::Code)
}

/// `text` with everything but comments blanked, line for line.
pub(crate) fn only_comments(text: &str) -> String {
    keep(text, Kind::Comment)
}

fn keep(text: &str, kind: Kind) -> String {
    let mut kept = String::with_capacity(text.len());
    for (piece, own) in pieces(text) {
        kept.extend(piece.chars().map(|c| if own == kind || c == '\n' { c } else { ' ' }));
    }
    kept
}

/// Cuts `text` into code, comments and literals.
fn pieces(text: &str) -> Vec<(&str, Kind)> {
    let mut pieces = Vec::new();
    let (mut code, mut at) = (0, 0);
    while at < text.len() {
        let (length, kind) = piece_at(text, at);
        if kind != Kind::Code {
            pieces.push((&text[code..at], Kind::Code));
            pieces.push((&text[at..at + length], kind));
            code = at + length;
        }
        at += length;
    }
    pieces.push((&text[code..], Kind::Code));
    pieces
}

fn piece_at(text: &str, at: usize) -> (usize, Kind) {
    let rest = &text[at..];
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let after_word = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment_length(rest), Kind::Comment);
    }
    if rest.starts_with('"') {
        return (string_length(rest), Kind::Literal);
    }
    if (!after_word || text[..at].ends_with(['b', 'c']))
        && let Some(length) = raw_string_length(rest)
    {
        return (length, Kind::Literal);
    }
    match character_length(rest) {
        Some(length) => (length, Kind::Literal),
        None => (first, Kind::Code),
    }
}

fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#` and so on.
fn raw_string_length(rest: &str) -> Option<usize> {
    let behind = rest.strip_prefix('r')?;
    let hashes = behind.bytes().take_while(|&byte| byte == b'#').count();
    let body = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(1 + hashes + 1 + length)
}

/// A character literal; `None` for a lifetime.
fn character_length(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let first = body.chars().next()?;
    let behind = if first == '\\' {
        // The escaped character itself may be a quote.
        2 + body.get(2..)?.find('\'')?
    } else {
        first.len_utf8()
    };
    body[behind..].starts_with('\'').then_some(1 + behind + 1)
}

/// Names and lengths, from the line of `fn` to that of the closing brace, of all functions with a
/// body in `code`, which has no comments or literals.
pub(crate) fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let (false, Some(end)) = (name.is_empty(), body_end(rest)) {
            found.push((name, rest[..end].lines().count()));
        }
    }
    found
}

/// Where the body that begins in `rest` ends; `None` when a `;` outside brackets comes first.
fn body_end(rest: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if braces == 0 && brackets == 0 => return None,
            // Braces inside brackets of a signature are a const expression.
            b'{' if braces > 0 || brackets == 0 => braces += 1,
            b'}' if braces > 0 => {
                braces -= 1;
                if braces == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Words in backquotes that are paths from the top level. Those with a wildcard or a placeholder
/// are patterns, and a `:line` at the end is no part of the path.
pub(crate) fn quoted_paths(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .filter(|word| !word.contains(|c: char| c.is_whitespace() || "*<>{}…|".contains(c)))
        .map(|word| word.split(':').next().unwrap_or(word).to_owned())
        .collect()
}

/// Targets of Markdown links that lead to files.
pub(crate) fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .filter(|target| !target.contains("://") && !target.starts_with(['#', '/']))
        .filter(|target| !target.starts_with("mailto:") && !target.is_empty())
        .map(|target| target.split('#').next().unwrap_or(target).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_told_from_code() {
        let text = "let a = \"{ \\\" {\"; // } \"\nlet b = '{'; let c: &'a str = r#\"}\"{\"#;\n\
            /* { /* } */ { */ let d = '\\''; br\"{\"; let for_r = 'x';";
        let code = without_literals(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(!code.contains(['{', '}', '"']), "{code}");
        for word in ["let a =", "let b =", "&'a str =", "let d =", "let for_r ="] {
            assert!(code.contains(word), "{word} in {code}");
        }
        assert_eq!(only_comments(text).split_whitespace().collect::<String>(), "//}\"/*{/*}*/{*/");
    }

    #[test]
    fn functions_are_measured() {
        let text = "fn one() {}\ntrait T { fn none(&self, a: [u8; 2]); }\n\
            pub(crate) const fn four<const N: usize>(\n    a: [u8; { N }],\n) -> u8 {\n    \
            if a { b } else { c } }\nlet f: fn (u8) -> u8 = g; // fn comment() {}\n\
            fn outer() {\n    fn inner() {\n    }\n}\n";
        let expected = [("one", 1), ("four", 4), ("outer", 4), ("inner", 2)];
        let expected = expected.map(|(name, lines)| (name.to_owned(), lines));
        assert_eq!(functions(&without_literals(text)), expected);
    }

    #[test]
    fn references_are_found() {
        let text = "See `docs/a.md`, `engine/src/lib.rs:12`, `other/b`, `docs/*.md`, `docs/x y`,\n\
            [one](c.md), [two](../d.md#part), [web](https://x/y.md), [here](#part).";
        assert_eq!(quoted_paths(text), ["docs/a.md", "engine/src/lib.rs"]);
        assert_eq!(links(text), ["c.md", "../d.md"]);
    }
}
