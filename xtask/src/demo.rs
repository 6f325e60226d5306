//! `cargo xtask demo`: the main job from end to end, with what happened in figures.

use crate::shell::{build_saki, capture, has_command, root, run as run_command, saki, target_folder};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const CLASS_LIBRARY: &str = "/usr/lib/mono/4.5/mscorlib.dll";

/// Runs the demo.
pub fn run(_arguments: &[String]) -> Result<(), String> {
    crate::packages::install()?;
    build_saki()?;
    let folder = target_folder().join("demo");
    let images = folder.join("aot");
    std::fs::create_dir_all(&images).map_err(|error| format!("{}: {error}", images.display()))?;
    let program = folder.join("inventory.exe");
    println!("\n1. compiling samples/inventory.cs with mcs");
    run_command(Command::new("mcs").args(["-nologo", "-optimize+"]).arg(out(&program)).arg(root().join("samples/inventory.cs")))?;

    println!("\n2. compiling the class library ahead of time (-O=all)");
    let library_image = images.join("mscorlib.dll.so");
    compile_ahead(Path::new(CLASS_LIBRARY), &library_image)?;
    println!("\n3. compiling the program ahead of time (-O=all)");
    let program_image = images.join("inventory.exe.so");
    compile_ahead(&program, &program_image)?;

    println!("\n4. running it");
    let aot_path = format!("--aot-path={}", images.display());
    let ways: [(&str, Command); 3] = [
        ("saki, from the images", command(&[saki().as_os_str(), aot_path.as_ref(), "--stats".as_ref(), program.as_os_str()])),
        ("saki, just in time", command(&[saki().as_os_str(), "-O=-aot".as_ref(), "--stats".as_ref(), program.as_os_str()])),
        ("mono", command(&["mono".as_ref(), program.as_os_str()])),
    ];
    let mut outputs: Vec<(String, Vec<u8>)> = Vec::new();
    for (way, mut command) in ways {
        if way == "mono" && !has_command("mono") {
            continue;
        }
        let (output, time) = best_of_three(&mut command)?;
        println!("\n   {way}: {:.1} ms, {}", time.as_secs_f64() * 1e3, output.status);
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            println!("      {line}");
        }
        outputs.push((way.to_owned(), output.stdout));
    }
    println!("\n   what it printed:");
    for line in String::from_utf8_lossy(&outputs[0].1).lines() {
        println!("      {line}");
    }
    match outputs.iter().find(|(_, output)| *output != outputs[0].1) {
        None => println!("\nAll {} ways printed the same.", outputs.len()),
        Some((way, _)) => return Err(format!("«{way}» printed something else than «{}»", outputs[0].0)),
    }
    Ok(())
}

fn out(path: &Path) -> String {
    format!("-out:{}", path.display())
}

fn command(words: &[&std::ffi::OsStr]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn best_of_three(command: &mut Command) -> Result<(std::process::Output, Duration), String> {
    let mut best = capture(command)?;
    for _ in 0..2 {
        let next = capture(command)?;
        if next.1 < best.1 {
            best = next;
        }
    }
    Ok(best)
}

fn compile_ahead(assembly: &Path, image: &Path) -> Result<(), String> {
    let started = std::time::Instant::now();
    run_command(Command::new(saki()).arg("-O=all").arg(format!("--aot=outfile={},stats", image.display())).arg(assembly))?;
    let size = std::fs::metadata(image).map_err(|error| format!("{}: {error}", image.display()))?.len();
    println!("   {:.2} s, {} KiB", started.elapsed().as_secs_f64(), size >> 10);
    Ok(())
}
