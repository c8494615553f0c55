//! Links the `weir` binary so that glommio's calls of io_uring go through `runtime/ring.rs`.

fn main() {
    for function in ["__sys_io_uring_setup", "__sys_io_uring_enter", "__sys_io_uring_enter2"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap={function}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
