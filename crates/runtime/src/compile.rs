//! Compiling a method while the program runs. One method at a time; a compilation may load types but runs no managed code.

use crate::code_heap::CodeLife;
use crate::code_map::{CodeKind, CodeRange, InlinedMethod};
use crate::emit::releasing;
use crate::exceptions::{Exception, Result};
use crate::gc;
use crate::jit_env::JitEnv;
use crate::object::ABI;
use crate::options::Options;
use crate::{handles, interpreter, report, runtime, trace};
use compiler::abi::{Abi, HelperId};
use compiler::compile::{CompileError, compile_imported};
use compiler::guard::guarded;
use compiler::{
    CompileOptions, CompiledMethod, DelegateStub, ImportError, ImportFlags, ImportedMethod, compile_method, import_com_stub,
    import_delegate_stub, import_method, import_proxy_stub,
};
use il::types::MethodId;
use ir::expand::{Barrier, BumpAllocation, ExpandOptions, MetadataBase, SideBit};
use ir::pass_manager::{OptimizationFlags, PassManager};
use ir::types::{Access, Type};
use parking_lot::ReentrantMutex;
use std::time::Instant;

/// Largest object that compiled code allocates by itself, in bytes.
const FAST_ALLOCATION_BYTES: u32 = 4096;

/// The compiler's state.
pub struct Compiler {
    lock: ReentrantMutex<()>,
    passes: PassManager,
    expand: ExpandOptions,
}

impl Compiler {
    /// Runs `body` while nothing is compiled.
    pub fn pause<T>(&self, body: impl FnOnce() -> T) -> T {
        let _guard = self.lock.lock();
        body()
    }

    /// A compiler with these options, for the heap that was set up before.
    pub fn new(options: &Options) -> Compiler {
        assert_eq!(log_bits_base(ABI), gc::log_bits_base() as i64, "the collector keeps its log bits elsewhere");
        let mut passes = options.passes.clone();
        if options.interpreter {
            passes.flags = OptimizationFlags::none();
        }
        Compiler {
            lock: ReentrantMutex::new(()),
            passes: PassManager::new(passes, Box::new(std::io::stderr())),
            expand: expand_options(ABI),
        }
    }
}

/// Where the collector keeps its log bits, see [`gc::log_bits_base`]: fixed for each width of pointers, also that of another machine.
fn log_bits_base(abi: Abi) -> i64 {
    if abi.pointer_bytes == 8 { 0xe00_0400_0000 } else { 0x1800_0800 }
}

/// How object operations expand for a heap like this process's, with the widths of a machine that may be another.
pub fn expand_options(abi: Abi) -> ExpandOptions {
    // As `gc::SIDE_BIT_SHIFT` for that machine.
    let bit_shift = abi.pointer_bytes.trailing_zeros();
    ExpandOptions {
        resolve_cell: HelperId::ResolveCell as u16,
        new_object: HelperId::NewObject as u16,
        new_array: HelperId::NewArray as u16,
        alloc: Some(BumpAllocation {
            cursor_offset: abi.thread_allocation_cursor(),
            limit_offset: abi.thread_allocation_limit(),
            max_fast_size: FAST_ALLOCATION_BYTES,
            alignment: gc::OBJECT_ALIGNMENT as u32,
        }),
        barrier: Barrier::ObjectRemembering {
            unlogged: SideBit { base: MetadataBase::Constant(log_bits_base(abi)), byte_shift: bit_shift + 3, bit_shift },
            slow_helper: HelperId::WriteBarrier as u16,
        },
        store_ref_unknown: HelperId::StoreReference as u16,
        method_table_offset: abi.object_method_table(),
        array_length_offset: abi.length(),
        array_length: Access::Full(Type::I32),
    }
}

fn options() -> CompileOptions<'static> {
    let runtime = runtime();
    CompileOptions {
        import: ImportFlags::default(),
        passes: &runtime.compiler.passes,
        expand: &runtime.compiler.expand,
        codegen: runtime.codegen_options(),
    }
}

fn raised(method: MethodId, error: CompileError) -> Exception {
    match error {
        CompileError::Import(ImportError::Invalid(error)) => Exception::from(error),
        CompileError::Internal(message) => {
            let name = runtime().types.method_full_name(method);
            Exception::from(il::Error::new(il::ErrorKind::InvalidProgram, format!("{name}: internal error: {message}")))
        }
        other => Exception::engine(format!("{}: {other}", runtime().types.method_full_name(method))),
    }
}

/// Puts code of a method where it can run. `is_released`: until the method is released.
fn publish(method: MethodId, compiled: CompiledMethod, is_released: bool) -> Result<usize> {
    let runtime = runtime();
    let CompiledMethod { code, regions, catch_types, inline_sites, .. } = compiled;
    let inline_sites = inline_sites.iter().map(|site| site.with_callee(InlinedMethod::Known(site.callee))).collect();
    let length = code.code_len as usize;
    let life = if is_released { CodeLife::Freed } else { CodeLife::Process };
    let address = runtime.code.publish(&*runtime.backend, &code, life, |address| {
        let mut range = CodeRange::new(address, CodeKind::Method(method), &code, regions, catch_types, inline_sites);
        if is_released {
            range.keeps = Some(method);
            runtime.code_map.add_freed(range);
        } else {
            runtime.code_map.add(range);
        }
    })?;
    report::map_code(runtime, address, length, || runtime.types.method_full_name(method));
    if is_compilation_traced(runtime, method) {
        let name = report::name_with_result(method);
        let program = runtime.program().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
        let end = address + length;
        report::print(format_args!("Method {name} emitted at {address:#x} to {end:#x} (code length {length}) [{program}]"));
    }
    if let Some(part) = &runtime.options.dump_code {
        let name = runtime.types.method_full_name(method);
        if name.contains(part.as_str()) {
            let text = runtime.backend.disassemble(&code.bytes[..code.code_len as usize], address as u64);
            eprintln!("{name}:\n{text}");
        }
    }
    Ok(address)
}

/// Whether the compilation of a method is told.
fn is_compilation_traced(runtime: &crate::Runtime, method: MethodId) -> bool {
    runtime.options.trace_compilation || runtime.options.trace_compilation_of.fit(method)
}

/// Compiles what `import` gives, traced or as the shell of an interpreted function if the options say so.
fn compile_changed(
    env: &JitEnv,
    method: MethodId,
    traced: bool,
    import: impl FnOnce() -> std::result::Result<ImportedMethod, ImportError>,
) -> std::result::Result<CompiledMethod, CompileError> {
    let compile = || {
        let mut imported = import().map_err(CompileError::Import)?;
        if traced {
            trace::instrument(&mut imported.function, method);
        }
        if env.runtime.options.interpreter {
            imported.function =
                interpreter::shell(imported.function, Some(method).filter(|&method| releasing::may_be_released(method)));
        }
        compile_imported(env, method, imported, &options())
    };
    guarded(compile).unwrap_or_else(|message| Err(CompileError::Internal(message)))
}

/// Whether a method has type parameters, or its class has, that no arguments stand for.
fn is_open(method: MethodId) -> bool {
    let types = &runtime().types;
    let data = types.method(method);
    let is_open_class = types.generic_definition_type(data.owner) == data.owner
        && types.generic_params(data.owner).is_ok_and(|params| !params.is_empty());
    is_open_class || data.generic_param_count as usize != data.method_args.len()
}

/// Compiles a canonical method and gives its address.
pub fn compile(method: MethodId) -> Result<usize> {
    let runtime = runtime();
    let _guard = runtime.compiler.lock.lock();
    if let Some(code) = crate::methods::existing_code(method) {
        return Ok(code);
    }
    if is_compilation_traced(runtime, method) {
        report::print(format_args!("converting method {}", report::name_with_result(method)));
    }
    let started = Instant::now();
    if is_open(method) {
        let message = "Could not execute the method because the containing type is not fully instantiated.";
        return Err(il::Error::new(il::ErrorKind::OpenGeneric, message).into());
    }
    let env = JitEnv { runtime };
    let traced = runtime.options.trace.as_ref().is_some_and(|expression| trace::matches(expression, method));
    let compiled = match traced || runtime.options.interpreter {
        true => compile_changed(&env, method, traced, || import_method(&env, method, ImportFlags::default())),
        false => compile_method(&env, method, &options()),
    }
    .map_err(|error| raised(method, error))?;
    report::count_compilation(compiled.code.code_len as usize, started.elapsed());
    publish(method, compiled, releasing::may_be_released(method))
}

/// Compiles what `invoke_impl` of a delegate points to. `invoke` is the canonical `Invoke` of its class.
pub fn compile_delegate_stub(invoke: MethodId, stub: DelegateStub) -> Result<usize> {
    compile_wrapper(invoke, |env| import_delegate_stub(env, invoke, stub))
}

/// Compiles what calls an exact method on the object behind a proxy.
pub fn compile_proxy_stub(method: MethodId) -> Result<usize> {
    let canonical = runtime().types.canonical_method(method);
    compile_wrapper(canonical, |env| import_proxy_stub(env, canonical, handles::from_method(method)))
}

/// Compiles what calls an interface's method on a COM object.
pub fn compile_com_stub(method: MethodId) -> Result<usize> {
    let canonical = runtime().types.canonical_method(method);
    compile_wrapper(canonical, |env| import_com_stub(env, canonical))
}

/// Compiles code with the signature of a canonical method.
fn compile_wrapper(
    method: MethodId,
    import: impl FnOnce(&JitEnv) -> std::result::Result<ImportedMethod, ImportError>,
) -> Result<usize> {
    let runtime = runtime();
    let _guard = runtime.compiler.lock.lock();
    let env = JitEnv { runtime };
    let compiled = compile_changed(&env, method, false, || import(&env));
    publish(method, compiled.map_err(|error| raised(method, error))?, false)
}
