//! Every input that once broke a fuzz target, and the seeds, through the targets' functions.

use std::path::Path;

#[test]
fn inputs_that_broke_a_target_no_longer_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions");
    for (name, run) in fuzz_entries::ENTRIES {
        let inputs: Vec<_> = std::fs::read_dir(folder.join(name)).expect("a folder for each target").collect();
        assert!(!inputs.is_empty(), "{name} has no inputs");
        for input in inputs {
            let path = input.expect("a readable folder").path();
            println!("{}", path.display());
            run(&std::fs::read(&path).expect("a readable file"));
        }
    }
}
