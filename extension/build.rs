//! Links the unwinder into the library: Supabase's images have no `libgcc_s.so.1`, and a server that can't load the library says only that.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks")]

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return Ok(());
    }
    let Some(folder) = env::var_os("OUT_DIR").map(PathBuf::from) else { return Ok(()) };
    // Found before the real one: rustc asks for `-lgcc_s`, the linker gets the static archives.
    fs::write(folder.join("libgcc_s.so"), "GROUP ( libgcc_eh.a libgcc.a )\n")?;
    println!("cargo::rustc-link-arg-cdylib=-L{}", folder.display());
    Ok(())
}
