//! Links the `weir` binary so that glommio's ring set-up goes through `runtime/ring.rs`.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Wl,--wrap=__sys_io_uring_setup");
    println!("cargo:rerun-if-changed=build.rs");
}
