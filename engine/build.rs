//! Links the `weir` binary and the integration tests so that glommio's calls of io_uring go through `runtime/ring.rs`.

fn main() {
    for function in ["__sys_io_uring_setup", "__sys_io_uring_enter", "__sys_io_uring_enter2"] {
        for kind in ["bins", "tests"] {
            println!("cargo:rustc-link-arg-{kind}=-Wl,--wrap={function}");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
}
