//! A fingerprint of the sources that decide about compiled code and what it takes for granted: images of another `saki` are refused by it. It is the
//! same on every machine, since one compiles for another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// The crates, beside this one.
const CRATES: [&str; 8] = ["aot-writer", "amd64", "arm", "compiler", "il", "ir", "runtime", "x86"];

fn main() -> io::Result<()> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut hash = Xxh3::new();
    for name in CRATES {
        let folder = crates.join(name).join("src");
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        collect(&folder, &mut files)?;
        files.sort();
        for file in files {
            let place = file.strip_prefix(&folder).unwrap_or(&file);
            hash.update(format!("{name}/{}\n", place.display()).as_bytes());
            hash.update(&fs::read(&file)?);
        }
    }
    println!("cargo::rustc-env=SAKI_SOURCE_FINGERPRINT={:016x}", hash.digest());
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
