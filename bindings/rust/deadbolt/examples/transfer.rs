// SPDX-License-Identifier: MIT
//! Two processes move money between accounts. Each is killed by SIGKILL at random, again and
//! again; the next owner repairs what the death left half-done, and no cent is lost.

use deadbolt::{Error, Mutex, Options};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{compiler_fence, Ordering::SeqCst};
use std::time::Duration;

deadbolt::shared! {
    struct Bank { from: i64, to: i64, before: i64, moving: u32, deaths: u32 }
}

fn bank(path: &Path) -> Result<Mutex<Bank>, Error> {
    let empty = Bank {
        from: 0,
        to: 0,
        before: 0,
        moving: 0,
        deaths: 0,
    };
    Options::new(4096)
        .open_or_create(path)?
        .mutex("bank", empty)
}

fn repair(bank: &mut Bank) {
    if bank.moving == 1 {
        bank.from = bank.before;
        bank.to = -bank.before;
    }
    bank.moving = 0;
    bank.deaths += 1;
}

fn work(path: &Path) -> Result<(), Error> {
    let bank = bank(path)?;
    println!("ready");
    for cents in (1..100).cycle() {
        let mut bank = bank.lock_or_recover(repair)?;
        assert_eq!(bank.from + bank.to, 0);
        bank.before = bank.from;
        // A killed process shows the steps in the compiler's order: the fences keep it ours.
        compiler_fence(SeqCst);
        bank.moving = 1;
        compiler_fence(SeqCst);
        bank.from -= cents;
        compiler_fence(SeqCst);
        bank.to += cents;
        compiler_fence(SeqCst);
        bank.moving = 0;
    }
    Ok(())
}

fn start(path: &Path) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program)
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

struct RemoveFile<'a>(&'a Path);
impl Drop for RemoveFile<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

pub fn main() -> Result<(), Error> {
    if let Some(path) = std::env::args_os()
        .nth(1)
        .filter(|path| Path::new(path).is_absolute())
    {
        return work(Path::new(&path));
    }
    let path = format!("/dev/shm/deadbolt-rust-transfer-{}", std::process::id());
    let path = Path::new(&path);
    let _remove = RemoveFile(path);
    let bank = bank(path)?;

    const KILLS: u32 = 200;
    let mut random = std::process::id();
    println!("seed {}", random);
    let mut workers = [start(path), start(path)];
    for round in 0..KILLS {
        random = random.wrapping_mul(1664525).wrapping_add(1013904223);
        std::thread::sleep(Duration::from_micros(u64::from(random >> 20)));
        let victim = &mut workers[round as usize % 2];
        kill(victim);
        *victim = start(path);
    }
    for mut worker in workers {
        kill(&mut worker);
    }
    let bank = bank.lock_or_recover(repair)?;
    println!(
        "{} kills, {} of them with the lock held",
        KILLS + 2,
        bank.deaths
    );
    assert_eq!(bank.from + bank.to, 0);
    assert!(bank.deaths > 0);
    Ok(())
}
