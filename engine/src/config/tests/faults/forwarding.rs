use super::check;

#[test]
fn choices() {
    check(&[
        (
            "[forwarding]\nclient_address = \"x-forwarded-fro\"",
            &["10:18: \"client_address\" in [forwarding]: \"x-forwarded-fro\" must be \
                 \"x-forwarded-for\" or \"forwarded\" or \"x-real-ip\"; did you mean \
                 \"x-forwarded-for\"?"],
        ),
        (
            "[forwarding]\nforwarded = true",
            &["10:13: \"forwarded\" in [forwarding] must be \"x-forwarded\" or \"rfc7239\" or \
                 \"both\" or \"off\", not a boolean"],
        ),
        (
            "[forwarding]\nrequest_id = \"make\"\ntrace_context = \"replace\"",
            &[
                "10:14: \"request_id\" in [forwarding]: \"make\" must be \"keep\" or \"replace\" or \
                 \"off\"",
                "11:17: \"trace_context\" in [forwarding]: \"replace\" must be \"pass\" or \"make\" \
                 or \"off\"",
            ],
        ),
    ]);
}

#[test]
fn names_in_via() {
    check(&[
        (
            "[forwarding]\nvia = true",
            &["10:7: \"via\" in [forwarding]: needs a name, such as \"weir\"; or false"],
        ),
        (
            "[forwarding]\nvia = \"my gateway\"",
            &["10:7: \"via\" in [forwarding]: \"my gateway\" is not a token (RFC 9110 section \
                 5.6.2) of 1 to 64 characters, such as \"weir\""],
        ),
        (
            "[forwarding]\nvia = 1",
            &["10:7: \"via\" in [forwarding] must be a string, not an integer"],
        ),
        (
            "[forwarding]\nvia = false\nvia_in_response = true",
            &["9:1: \"via_in_response\" needs a name in \"via\""],
        ),
    ]);
}

#[test]
fn trusted_proxies() {
    let listener =
        |value: &str| format!("[[listener]]\naddress = \"127.0.0.1:1\"\ntrusted_proxies = {value}");
    check(&[
        (
            &listener("\"10.0.0.0/8\""),
            &["11:19: \"trusted_proxies\" in [[listener]] must be a list, not a string"],
        ),
        (
            &listener("[\"10.0.0.0/33\", \"lb.example\", \"10.0.0.1/8\", 1]"),
            &[
                "11:20: \"trusted_proxies\" in [[listener]]: \"10.0.0.0/33\" is not a network; \
                 write one such as \"10.0.0.0/8\", or an address",
                "11:35: \"trusted_proxies\" in [[listener]]: \"lb.example\" is not a network; \
                 write one such as \"10.0.0.0/8\", or an address",
                "11:49: \"trusted_proxies\" in [[listener]]: \"10.0.0.1/8\" has bits behind its \
                 prefix; write \"10.0.0.0/8\"",
                "11:63: \"trusted_proxies\" in [[listener]] must be a string, not an integer",
            ],
        ),
        (
            &listener(&format!("[{}]", "\"10.0.0.0/8\",".repeat(4097))),
            &["11:19: \"trusted_proxies\" in [[listener]]: 4097 networks are too many; at most \
                 4096"],
        ),
    ]);
}
