use std::path::Path;

use super::{DemoPorts, KEYS};

/// What the demo prints when it serves: where everything is and what to try. `socket` is weirctl's,
/// `token` one that [`token`](super::token) made.
pub fn guide(ports: &DemoPorts, socket: &Path, token: &str) -> String {
    let (gateway, control) = (ports.gateway, ports.control);
    let [first, second, third] = ports.backends;
    let keys: String =
        KEYS.iter().map(|key| format!("    {:<11} {}\n", key.tier, key.key)).collect();
    let (free, premium) = (KEYS[0].key, KEYS[2].key);
    let socket = shell(&socket.to_string_lossy());
    format!(
        "\
Weir demo: the gateway on http://127.0.0.1:{gateway}, its control address on \
http://127.0.0.1:{control},
three backends on {first}, {second} and {third}. Ctrl-C stops all of it.

Keys, one for each tier:
{keys}
The backends take turns:
    curl http://127.0.0.1:{gateway}/data

The free tier has five requests a minute, so the sixth is refused:
    for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{{http_code}}\\n' \
-H 'X-API-Key: {free}' http://127.0.0.1:{gateway}/data; done

What is left, in the answer's fields:
    curl -i -H 'X-API-Key: {premium}' http://127.0.0.1:{gateway}/data

The sample API asks who is calling, by a key or by a token (valid for an hour):
    curl -H 'X-API-Key: {premium}' http://127.0.0.1:{control}/api/v2/data
    TOKEN='{token}'
    curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:{control}/api/v2/premium

A slow backend, and what the gateway counted:
    curl 'http://127.0.0.1:{gateway}/slow?ms=500'
    curl http://127.0.0.1:{gateway}/stats
    curl http://127.0.0.1:{control}/metrics
    weirctl --socket {socket} status
"
    )
}

/// `text` as one word of a POSIX shell.
fn shell(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_ports_keys_and_token_of_this_run() {
        let ports = DemoPorts { gateway: 18080, control: 15000, backends: [1, 2, 3] };
        let socket = Path::new("/tmp/it's/weir.sock");
        let text = guide(&ports, socket, "a.b.c");
        let lines = [
            "three backends on 1, 2 and 3. Ctrl-C stops all of it.",
            "    for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{http_code}\\n' \
             -H 'X-API-Key: demo-free-key-0001' http://127.0.0.1:18080/data; done",
            "    TOKEN='a.b.c'",
            "    curl 'http://127.0.0.1:18080/slow?ms=500'",
            "    curl http://127.0.0.1:15000/metrics",
            "    weirctl --socket '/tmp/it'\\''s/weir.sock' status",
        ];
        for line in lines {
            assert!(text.lines().any(|shown| shown == line), "{line}\nis not in\n{text}");
        }
        assert!(KEYS.iter().all(|key| text.contains(key.key)));
    }

    #[test]
    fn a_path_is_one_word_of_the_shell() {
        assert_eq!(shell("/run/weir/weir.sock"), "/run/weir/weir.sock");
        assert_eq!(shell("/a b"), "'/a b'");
        assert_eq!(shell("a'b"), r"'a'\''b'");
        assert_eq!(shell(""), "''");
    }
}
