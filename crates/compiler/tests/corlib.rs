//! Imports every method of the core library and verifies the functions, and takes them through the passes to what a 32-bit back
//! end gets.
//!
//! `IMPORT_LIST=1` prints each failure; `IMPORT_ONLY=name` imports the methods whose full name contains the text and prints
//! them; `IMPORT_ASSEMBLY=file` imports another assembly; `IMPORT_PASSES=1` also inlines and runs the passes, verifying after each.

mod common;

use amd64::Amd64;
use common::TestEnv;
use compiler::abi::legalize_options;
use compiler::env::MethodEnv;
use compiler::inline_source::MethodBodies;
use compiler::{ImportFlags, import_method};
use ir::pass_manager::{OptimizationFlags, PassContext, PassManager, PassOptions};
use ir::verify::{verify, verify_legal};
use std::collections::BTreeMap;
use x86::X86;

#[test]
fn imports_the_core_library() {
    let Some(env) = TestEnv::new(Box::new(Amd64)) else { return };
    let types = env.types();
    let corlib = match std::env::var("IMPORT_ASSEMBLY") {
        Ok(path) => types.load_file(std::path::Path::new(&path)).expect("the assembly loads"),
        Err(_) => types.corlib(),
    };
    let only = std::env::var("IMPORT_ONLY").ok();
    let list = std::env::var("IMPORT_LIST").is_ok();
    let with_passes = std::env::var("IMPORT_PASSES").is_ok();
    let passes = PassManager::new(PassOptions { verify: true, ..PassOptions::default() }, Box::new(std::io::sink()));
    let (mut total, mut failed) = (0u32, 0u32);
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    let start = std::time::Instant::now();
    for method in env.methods(corlib) {
        let name = types.method_full_name(method);
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        total += 1;
        let attempt =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| import_method(&env, method, ImportFlags::default())));
        let Ok(outcome) = attempt else {
            println!("panic in {name}");
            *reasons.entry("panic".into()).or_default() += 1;
            failed += 1;
            continue;
        };
        let reason = match outcome {
            Err(error) => error.to_string(),
            Ok(imported) => {
                if only.is_some() {
                    println!("{}", imported.function);
                }
                let mut function = imported.function;
                match ir::verify::verify(&function) {
                    Ok(()) if !with_passes => continue,
                    Ok(()) => {
                        let mut bodies = MethodBodies::new(&env, ImportFlags::default(), method, imported.callees);
                        let mut context = PassContext { inline: Some(&mut bodies), ..PassContext::default() };
                        let run = std::panic::AssertUnwindSafe(|| passes.run(&mut function, &mut context));
                        match std::panic::catch_unwind(run) {
                            Ok(Ok(())) => continue,
                            Ok(Err(error)) => format!("pass {}: {}", error.pass, error.errors.errors[0].message),
                            Err(_) => "panic in a pass".into(),
                        }
                    }
                    Err(errors) => errors.errors[0].message.clone(),
                }
            }
        };
        failed += 1;
        if list {
            println!("{name}: {reason}");
        }
        *reasons.entry(reason).or_default() += 1;
    }
    println!("{total} methods, {failed} failed, {:?}", start.elapsed());
    for (reason, count) in &reasons {
        println!("{count:6} {reason}");
    }
    println!("deferred errors:");
    for (error, count) in env.errors.lock().unwrap().iter() {
        println!("{count:6} {error}");
    }
    assert!(failed * 1000 <= total, "{failed} of {total} methods failed");
}

/// No function that a 32-bit back end gets has a 64-bit integer left, whatever passes ran before.
#[test]
fn legalizes_the_core_library() {
    let Some(env) = TestEnv::new(Box::new(X86)) else { return };
    let types = env.types();
    let methods = env.methods(types.corlib());
    let expand = env.expand_options();
    let mut failures = Vec::new();
    for (flags, software_division) in [(OptimizationFlags::all(), false), (OptimizationFlags::none(), true)] {
        let legalize = legalize_options(software_division);
        let import = ImportFlags::default();
        let passes = PassManager::new(PassOptions { flags, verify: false, ..PassOptions::default() }, Box::new(std::io::sink()));
        let mut scratch = passes.take_scratch();
        for &method in &methods {
            let outcome = import_method(&env, method, import).map_err(|error| error.to_string()).and_then(|imported| {
                let mut function = imported.function;
                verify(&function).map_err(|errors| format!("imported: {errors}"))?;
                let mut bodies = MethodBodies::new(&env, import, method, imported.callees);
                let (expand, legalize) = (Some(&expand), Some(&legalize));
                let taken = std::mem::take(&mut scratch);
                let mut context =
                    PassContext { expand, legalize, inline: Some(&mut bodies), scratch: taken, ..PassContext::default() };
                passes.run(&mut function, &mut context).map_err(|error| error.to_string())?;
                scratch = context.scratch;
                verify(&function).and_then(|()| verify_legal(&function)).map_err(|errors| errors.to_string())
            });
            if let Err(message) = outcome {
                failures.push(format!("{}: {message}", types.method_full_name(method)));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures, such as\n{}", failures.len(), failures[..failures.len().min(10)].join("\n"));
}
