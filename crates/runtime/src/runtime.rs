//! The running process: what there is once, the order in which it comes up, and running a program's `Main`.

use crate::code_heap::CodeHeap;
use crate::code_map::CodeMap;
use crate::compile::Compiler;
use crate::domain::{Domain, Domains, ROOT_DOMAIN};
use crate::exceptions::{Exception, Result};
use crate::invoke;
use crate::marshal::Marshalling;
use crate::object::{ABI, ArrayRef, StringRef};
use crate::options::Options;
use crate::stubs::{self, Stubs};
use crate::symbols::Symbols;
use crate::thread::Thread;
use crate::{debugger, gc, icalls, report, traps};
use compiler::abi::{HelperId, data_layout};
use il::AssemblyResolver;
use il::binding::BindingPolicy;
use il::types::{AssemblyId, MethodId, TypeId, TypeSystem};
use ir::mach::{Backend, CodegenOptions, LinkModel};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Everything of which a process has one.
pub struct Runtime {
    /// Options.
    pub options: Options,
    /// The type system.
    pub types: TypeSystem,
    /// The host's back end.
    pub backend: Box<dyn Backend>,
    /// Code and cells.
    pub code: CodeHeap,
    /// What code lies where.
    pub code_map: CodeMap,
    /// Domains.
    pub domains: Domains,
    /// Symbol files.
    pub symbols: Symbols,
    /// The compiler.
    pub compiler: Compiler,
    /// What crosses to native code, and how.
    pub marshalling: Marshalling,
    stubs: OnceLock<Stubs>,
    program: OnceLock<PathBuf>,
    arguments: OnceLock<Vec<String>>,
}

static RUNTIME: AtomicPtr<Runtime> = AtomicPtr::new(std::ptr::null_mut());

/// The one runtime.
///
/// # Panics
/// If it is not started.
#[inline]
pub fn runtime() -> &'static Runtime {
    let runtime = RUNTIME.load(Ordering::Acquire);
    assert!(!runtime.is_null(), "the runtime is not started");
    // SAFETY: leaked by `start`.
    unsafe { &*runtime }
}

/// Why the runtime did not start.
#[derive(Debug)]
pub enum StartError {
    /// The core library could not be loaded.
    Library(il::Error),
    /// The system refused memory for code.
    Memory(std::io::Error),
    /// The back end made stubs that could not be placed.
    Stubs(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Library(error) => write!(f, "{error}"),
            StartError::Memory(error) => write!(f, "cannot reserve memory for code: {error}"),
            StartError::Stubs(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}

/// Starts the runtime and attaches the current thread. Once in a process.
pub fn start(options: Options, backend: Box<dyn Backend>) -> std::result::Result<&'static Runtime, StartError> {
    let mut resolver = AssemblyResolver::from_environment(&options.framework, |name| std::env::var_os(name));
    resolver.application_paths = options.application_folders.clone();
    let types = TypeSystem::new(data_layout(backend.architecture()), resolver).map_err(StartError::Library)?;
    let code = CodeHeap::new().map_err(StartError::Memory)?;
    gc::initialize(&options.gc);
    let compiler = Compiler::new(&options);
    let runtime: &'static Runtime = Box::leak(Box::new(Runtime {
        options,
        types,
        backend,
        code_map: CodeMap::new(code.area().0),
        code,
        domains: Domains::default(),
        symbols: Symbols::default(),
        compiler,
        marshalling: Marshalling::default(),
        stubs: OnceLock::new(),
        program: OnceLock::new(),
        arguments: OnceLock::new(),
    }));
    runtime.domains.create(String::new());
    RUNTIME.store(std::ptr::from_ref(runtime).cast_mut(), Ordering::Release);
    gc::set_interruptible_test(is_interruptible);
    gc::set_finalization_notice(icalls::collector::wake_finalizer_thread);
    Thread::attach();
    runtime.types.set_listener(Box::new(icalls::assembly_events::Events));
    traps::install(runtime);
    debugger::announce(runtime.code.area(), runtime.backend.as_ref());
    let stubs = stubs::make(runtime).map_err(|exception| StartError::Stubs(exception.describe()))?;
    // The runtime is fresh, so nobody was first.
    let _ = runtime.stubs.set(stubs);
    Ok(runtime)
}

/// Whether a thread may be stopped at this address: in compiled methods, anywhere.
fn is_interruptible(pc: usize) -> bool {
    runtime().code_map.is_interruptible(pc)
}

/// The configuration file of a program.
fn configuration_of(program: &Path) -> PathBuf {
    let mut configuration = program.as_os_str().to_owned();
    configuration.push(".config");
    configuration.into()
}

impl Runtime {
    /// The domain that the program starts in.
    ///
    /// # Panics
    /// If the runtime is not started.
    #[inline]
    pub fn root_domain(&self) -> &'static Domain {
        self.domains.find(ROOT_DOMAIN).expect("the root domain is made at start and never unloaded")
    }

    /// The stubs.
    #[inline]
    pub fn stubs(&self) -> &Stubs {
        self.stubs.get().expect("the stubs are made at start")
    }

    /// Settings for generated code.
    pub fn codegen_options(&self) -> CodegenOptions {
        CodegenOptions {
            link: LinkModel::Jit,
            thread: ABI.thread_layout(),
            optimize_allocation: self.options.optimize_allocation,
            check_allocation: self.options.check_allocation,
            cpu_features: self.backend.host_features(),
            raise_trap: HelperId::RaiseTrap as u16,
            resume_unwind: HelperId::ResumeUnwind as u16,
            end_filter: HelperId::EndFilter as u16,
            cell_resolver: None,
        }
    }

    /// The program's file, once it is loaded.
    pub fn program(&self) -> Option<&Path> {
        self.program.get().map(PathBuf::as_path)
    }

    /// Folder of the program.
    pub fn program_folder(&self) -> PathBuf {
        self.program().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
    }

    /// The program's arguments.
    pub fn arguments(&self) -> &[String] {
        self.arguments.get().map_or(&[], Vec::as_slice)
    }

    /// Loads a program.
    pub fn load_program(&self, path: &Path) -> Result<AssemblyId> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if let Ok(text) = std::fs::read_to_string(configuration_of(&path)) {
            let mut policy = BindingPolicy::parse(&text);
            let folder = path.parent().unwrap_or(Path::new(""));
            policy.private_paths.iter_mut().for_each(|private| *private = folder.join(&*private));
            self.types.set_policy(policy);
        }
        let id = self.types.load_file(&path)?;
        let _ = self.program.set(path);
        Ok(id)
    }

    /// Runs a program's `Main` with these arguments; gives its exit code. An exception that it does not handle ends the process.
    pub fn run_main(&self, assembly: AssemblyId, arguments: &[String]) -> i32 {
        let _ = self.arguments.set(arguments.to_vec());
        self.warn_of_version(assembly);
        let program = self.program().map(|path| path.to_string_lossy().into_owned());
        icalls::environment::set_command_line(program.into_iter().chain(arguments.iter().cloned()).collect());
        self.try_run_main(assembly, arguments).unwrap_or_else(|exception| icalls::threads::end_main_with(exception))
    }

    /// Programs made for another runtime run nevertheless. The C library holds the text back as it does in Mono, so that it comes where it
    /// comes there. A program with a configuration file says there what it runs on.
    fn warn_of_version(&self, assembly: AssemblyId) {
        const OWN: &str = "v4.";
        const WARNING: &std::ffi::CStr = c"WARNING: The runtime version supported by this application is unavailable.\n\
            Using default runtime: v4.0.30319";
        let is_configured = self.program().is_some_and(|path| configuration_of(path).exists());
        if !is_configured && !self.types.assembly(assembly).image().runtime_version().starts_with(OWN) {
            // SAFETY: a text that ends with a 0.
            unsafe { libc::puts(WARNING.as_ptr()) };
        }
    }

    fn try_run_main(&self, assembly: AssemblyId, arguments: &[String]) -> Result<i32> {
        let array = ArrayRef::new(TypeId::STRING, arguments.len())?;
        for (index, argument) in arguments.iter().enumerate() {
            array.set_ref(index, StringRef::new(argument)?.object());
        }
        report::main_called();
        let result = self.call_entry_point(assembly, array)?;
        icalls::threads::wait_for_foreground_threads();
        let main = self.entry_point(assembly)?;
        Ok(if self.types.method_signature(main)?.ret == TypeId::VOID { icalls::environment::exit_code() } else { result })
    }

    fn entry_point(&self, assembly: AssemblyId) -> Result<MethodId> {
        let row = self.types.assembly(assembly).entry_point();
        let row = row.ok_or_else(|| Exception::new("System", "BadImageFormatException", "The program has no entry point."))?;
        Ok(self.types.method_definition(assembly, row)?)
    }

    /// Calls the `Main` of a program with an array of strings, if it takes one; gives its result, or 0.
    pub fn call_entry_point(&self, assembly: AssemblyId, arguments: ArrayRef) -> Result<i32> {
        let main = self.entry_point(assembly)?;
        let signature = self.types.method_signature(main)?;
        let values = [invoke::Argument::reference(arguments.object())];
        let count = usize::from(!signature.params.is_empty());
        crate::class_init::ensure_module_initialized(assembly)?;
        let is_marked = |row| {
            let token = il::Token::new(il::TableId::MethodDef, row);
            self.types.has_custom_attribute(assembly, token, "System", "STAThreadAttribute")
        };
        icalls::threads::enter_main(self.types.assembly(assembly).entry_point().is_some_and(is_marked));
        let result = invoke::call(main, &values[..count])?;
        Ok(if signature.ret == TypeId::VOID { 0 } else { result as i32 })
    }

    /// Compiles all methods with this name (`Namespace.Type:Method`, with or without parameters); gives their number.
    pub fn compile_named(&self, assembly: AssemblyId, name: &str) -> Result<usize> {
        let mut count = 0;
        for row in 1..=self.types.metadata(assembly).row_count(il::TableId::MethodDef) {
            let method = self.types.method_definition(assembly, row)?;
            let full_name = self.types.method_full_name(method);
            if full_name == name || full_name.split(" (").next() == Some(name) {
                crate::methods::code(self.types.canonical_method(method))?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Compiles all methods of an assembly that have a body and are not generic, even those that an image has; gives those that could not
    /// be compiled, with the reasons.
    pub fn compile_all(&self, assembly: AssemblyId) -> Result<Vec<(MethodId, Exception)>> {
        let mut failed = Vec::new();
        for row in 1..=self.types.metadata(assembly).row_count(il::TableId::MethodDef) {
            let method = self.types.method_definition(assembly, row)?;
            let data = self.types.method(method);
            let is_generic = data.generic_param_count != 0 || !self.types.generic_params(data.owner)?.is_empty();
            let has_body = !(data.is_abstract() || data.is_internal_call() || data.is_pinvoke() || data.is_runtime());
            if is_generic || !has_body {
                continue;
            }
            if let Err(exception) = crate::compile::compile(self.types.canonical_method(method)) {
                failed.push((method, exception));
            }
        }
        Ok(failed)
    }

    /// Ends the process after `Main` has returned: as [`Runtime::exit`], and aborts background threads.
    pub fn finish(&self, code: i32) -> ! {
        self.end(code, true)
    }

    /// Ends the process after the program's handlers of that event and its finalisers ran, which may set another exit code.
    pub fn exit(&self, code: i32) -> ! {
        self.end(code, false)
    }

    fn end(&self, code: i32, aborts_threads: bool) -> ! {
        icalls::environment::set_exit_code(code);
        if icalls::environment::begin_exit() {
            icalls::app_domains::raise_process_exit();
            if aborts_threads {
                icalls::threads::abort_background_threads();
            }
            icalls::environment::begin_shutdown();
            icalls::collector::finalize_all();
        }
        self.exit_at_once(icalls::environment::exit_code())
    }

    /// Ends the process without running any more of the program.
    pub fn exit_at_once(&self, code: i32) -> ! {
        if self.options.statistics {
            let _ = std::io::stderr().write_all(report::statistics(self).as_bytes());
        }
        // The C library ends this thread before the process: nobody who waits for it may go on.
        icalls::threads::end_with_process();
        std::process::exit(code)
    }
}
