// SPDX-License-Identifier: MIT
//! Finds libdeadbolt by the pkg-config command. DEADBOLT_STATIC=1 links the static library.

use std::env;
use std::process::Command;

fn pkg_config(argument: &str) -> String {
    let command = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(&command).args([argument, "deadbolt"]).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8(output.stdout).expect("pkg-config writes text")
        }
        Ok(output) => panic!(
            "{} does not find libdeadbolt; install libdeadbolt-dev, or set PKG_CONFIG_PATH to where \
             deadbolt.pc is:\n{}",
            command,
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("cannot run {}: {}", command, error),
    }
}

fn main() {
    for variable in ["PKG_CONFIG", "PKG_CONFIG_PATH", "DEADBOLT_STATIC"] {
        println!("cargo:rerun-if-env-changed={}", variable);
    }
    let directory = pkg_config("--variable=libdir");
    println!("cargo:rustc-link-search=native={}", directory.trim());
    let is_static = env::var("DEADBOLT_STATIC").map_or(false, |value| value == "1");
    if is_static {
        println!("cargo:rerun-if-changed={}/libdeadbolt.a", directory.trim());
        println!("cargo:rustc-link-lib=static=deadbolt");
    } else {
        println!("cargo:rustc-link-lib=dylib=deadbolt");
    }
    // For tests that compile C.
    println!(
        "cargo:rustc-env=DEADBOLT_CFLAGS={}",
        pkg_config("--cflags").trim()
    );
}
