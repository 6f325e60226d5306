//! `cargo xtask services`: what services of the runtime and the class library cost, Saki beside Mono, both with the class library ahead of time.

use crate::shell::{build_saki, capture, describe, make_image, root, run as run_command, saki, target_folder};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each runtime runs the program so many times, in turn; medians count.
const ROUNDS: usize = 3;
/// What the program uses of the class library.
const CLASS_LIBRARIES: &[&str] = &["mscorlib", "System", "System.Core", "Microsoft.CSharp"];

/// Times of services by name, in nanoseconds, one for each round.
type Times = BTreeMap<String, Vec<f64>>;

/// Runs the services whose names contain the argument, or all, and prints medians and their ratios.
pub fn run(arguments: &[String]) -> Result<(), String> {
    crate::packages::install()?;
    build_saki()?;
    let folder = target_folder().join("services");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let program = compile(&folder)?;
    let saki = saki().display().to_string();
    for library in CLASS_LIBRARIES {
        make_image(Command::new(&saki), Path::new(&format!("/usr/lib/mono/4.5/{library}.dll")), &folder)?;
    }
    let images = format!("--aot-path={}", folder.display());
    let (mut of_mono, mut of_saki) = (Times::new(), Times::new());
    for _ in 0..ROUNDS {
        measure(Command::new("mono").arg("-O=all").arg(&program).args(arguments), &mut of_mono)?;
        measure(Command::new(&saki).args(["-O=all", &images]).arg(&program).args(arguments), &mut of_saki)?;
    }
    println!("{:<32} {:>14} {:>14} {:>7}", "ns for one", "mono", "saki", "ratio");
    let mut ratios = Vec::new();
    for (name, times) in &of_mono {
        let Some(other) = of_saki.get(name) else { return Err(format!("saki did not run {name}")) };
        let (mono, saki) = (median(times), median(other));
        println!("{name:<32} {mono:>14.1} {saki:>14.1} {:>7.2}", saki / mono);
        ratios.push((saki / mono).ln());
    }
    if !ratios.is_empty() {
        println!("geometric mean of {} ratios: {:.2}", ratios.len(), (ratios.iter().sum::<f64>() / ratios.len() as f64).exp());
    }
    Ok(())
}

fn compile(folder: &Path) -> Result<PathBuf, String> {
    let program = folder.join("services.exe");
    let mut compiler = Command::new("mcs");
    compiler.args(["-nologo", "-langversion:7.2", "-r:System.Core.dll", "-r:Microsoft.CSharp.dll"]);
    compiler.arg(format!("-out:{}", program.display())).arg(root().join("tests/services/*.cs"));
    run_command(&mut compiler)?;
    Ok(program)
}

/// Runs the program once and adds its times.
fn measure(command: &mut Command, times: &mut Times) -> Result<(), String> {
    let (output, _) = capture(command)?;
    if !output.status.success() {
        return Err(format!("{}: {}", describe(command), String::from_utf8_lossy(&output.stderr)));
    }
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, time) = line.split_once('\t').ok_or_else(|| format!("no time in «{line}»"))?;
        let time: f64 = time.parse().map_err(|_| format!("no time in «{line}»"))?;
        times.entry(name.to_owned()).or_default().push(time);
    }
    Ok(())
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
