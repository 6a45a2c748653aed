// SPDX-License-Identifier: MIT
//! The example ends well only if every death was told and repaired.

#[path = "../examples/transfer.rs"]
mod transfer;

fn main() -> Result<(), deadbolt::Error> {
    transfer::main()
}
