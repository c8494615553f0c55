use super::check;

#[test]
fn watchdog() {
    check(&[
        (
            "[engine]\nwatchdog = \"2s\"",
            &["10:12: \"watchdog\" in [engine]: must be between 3s and 60m, not \"2s\""],
        ),
        (
            "[engine]\nwatchdog = true",
            &["10:12: \"watchdog\" in [engine]: must be false, or a duration such as \"5s\""],
        ),
        (
            "[engine]\nwatchdog = 5\nwatchdog_action = \"kill\"",
            &[
                "10:12: \"watchdog\" in [engine] must be false, or a duration such as \"5s\", \
                 not an integer",
                "11:19: \"watchdog_action\" in [engine]: \"kill\" must be \"report\" or \"abort\"",
            ],
        ),
    ]);
}
