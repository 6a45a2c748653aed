// SPDX-License-Identifier: MIT
//! What this crate declares is what the installed header declares, as a C compiler sees it.

use std::fmt::Write as _;
use std::mem::{align_of, size_of};
use std::path::Path;
use std::process::Command;

const SOURCE: &str = include_str!("../src/lib.rs");

fn compile(program: &str, arguments: &[&str]) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(arguments[0]);
    std::fs::write(&file, program).unwrap();
    let done = Command::new("cc")
        .args(["-std=gnu11", "-Werror", "-fsyntax-only"])
        .args(env!("DEADBOLT_CFLAGS").split_whitespace())
        .args(&arguments[1..])
        .arg(&file)
        .output()
        .expect("cc is there");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// `(name, value)` of every enumerator here, taken from the source: none can be left out.
fn constants() -> Vec<(&'static str, &'static str)> {
    let found: Vec<_> = SOURCE
        .lines()
        .filter_map(|line| line.strip_prefix("pub const DEADBOLT_"))
        .filter(|rest| !rest.contains("REGION_INIT"))
        .map(|rest| {
            let name = rest.split(':').next().unwrap();
            (name, rest.split("= ").nth(1).unwrap().trim_end_matches(';'))
        })
        .collect();
    assert!(found.len() > 30);
    found
}

#[test]
fn constants_and_layouts_are_the_headers() {
    let mut program = String::from("#include <deadbolt/region.h>\n#include <time.h>\n");
    for (name, value) in constants() {
        writeln!(
            program,
            "_Static_assert(DEADBOLT_{} == {}, \"\");",
            name, value
        )
        .unwrap();
    }
    macro_rules! layout {
        ($($name:ident { $($field:ident),* })*) => { $(
            writeln!(program, "_Static_assert(sizeof(struct {0}) == {1} && _Alignof(struct {0}) == {2}, \"\");",
                stringify!($name), size_of::<deadbolt_sys::$name>(), align_of::<deadbolt_sys::$name>()).unwrap();
            $(
                let one = std::mem::MaybeUninit::<deadbolt_sys::$name>::uninit();
                let offset = unsafe {
                    std::ptr::addr_of!((*one.as_ptr()).$field) as usize - one.as_ptr() as usize
                };
                writeln!(program, "_Static_assert(offsetof(struct {}, {}) == {}, \"\");",
                    stringify!($name), stringify!($field), offset).unwrap();
            )*
        )* };
    }
    layout! {
        deadbolt_region_options { size, members, mode, largest }
        deadbolt_region { mapping, status, error }
        deadbolt_read_only_region { mapping, status, error }
        deadbolt_object_info { name, offset, size, kind }
        deadbolt_stop_flag { word }
        deadbolt_mutex { word, waiting, spins, revocations, plain_after }
        deadbolt_shared_mutex { writer, readers, state, policy, unused }
        deadbolt_condition_variable { word }
        deadbolt_permit { word }
        timespec { tv_sec, tv_nsec }
    }
    compile(&program, &["layout.c"]);
}

/// Every function of the header, declared again as it is here, in C: a difference in number or
/// size of the arguments is a conflict. `const` and enums are given away for it.
#[test]
fn functions_are_the_headers() {
    let header = Command::new("sh")
        .args([
            "-c",
            "echo '#include <deadbolt/region.h>' | cc -E -P $0 -",
            env!("DEADBOLT_CFLAGS"),
        ])
        .output()
        .unwrap();
    let header = String::from_utf8(header.stdout).unwrap();
    let mut declared = 0;
    for statement in header.split(';') {
        let before = match statement.split_once('(') {
            // "=": a call in an inline function of the header.
            Some((before, arguments))
                if !before.contains("__attribute__") && !before.contains('=') =>
            {
                (before, arguments)
            }
            _ => continue,
        };
        let name = before
            .0
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|w| !w.is_empty())
            .last();
        let name = match name {
            Some(name) if name.starts_with("deadbolt_") => name,
            _ => continue,
        };
        let arguments = before.1.split(')').next().unwrap();
        let count = if arguments == "void" {
            0
        } else {
            arguments.split(',').count()
        };
        let here = SOURCE.split(&format!("fn {}(", name)).nth(1);
        let here = here
            .unwrap_or_else(|| panic!("{} is not declared", name))
            .split(')')
            .next()
            .unwrap();
        assert_eq!(here.matches(':').count(), count, "arguments of {}", name);
        declared += 1;
    }
    assert_eq!(declared, SOURCE.matches("pub fn deadbolt_").count());
}
