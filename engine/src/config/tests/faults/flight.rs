use super::check;

#[test]
fn flight() {
    check(&[
        (
            "[engine]\nflight = 4096",
            &[
                "10:10: \"flight\" in [engine]: must be 0 or a size such as \"16MiB\", from 1MiB to \
               64GiB",
            ],
        ),
        (
            "[engine]\nflight = \"1KiB\"",
            &["10:10: \"flight\" in [engine]: must be between 1048576 and 68719476736 \
               bytes, not \"1KiB\""],
        ),
        (
            "[engine]\nflight = false",
            &[
                "10:10: \"flight\" in [engine] must be a size such as \"16KiB\" or a number of bytes, \
               not a boolean",
            ],
        ),
    ]);
}
