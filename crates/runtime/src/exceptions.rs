//! Exceptions as the runtime's own functions see them: a `Result` whose error is a managed exception, made late.

use crate::class_library::{core_class, declared_method};
use crate::invoke::{self, Argument};
use crate::method_table::method_table;
use crate::object::{self, ObjectRef, StringRef};
use crate::stack_trace::TraceStart;
use crate::{runtime, unwind};
use il::ErrorKind;
use il::types::TypeId;
use ir::instruction::TrapCode;

/// What a function of the runtime gives that may raise.
pub type Result<T> = std::result::Result<T, Exception>;

/// An exception to be raised.
#[derive(Debug)]
pub struct Exception(Box<Kind>);

#[derive(Debug)]
enum Kind {
    /// An exception object that exists. It stays alive only while a reference to it is on the stack, too: see [`Exception::from_object`].
    Object { kept: Kept, passing: Option<Passing> },
    /// One of a class of the core library, with the arguments of its constructor. `in_caller`: see [`Exception::in_caller`].
    New { namespace: &'static str, class: &'static str, arguments: Vec<Option<String>>, in_caller: bool },
}

/// Of an exception that managed code has thrown, whose trace goes on with the frames around: where it goes, if the frames around that native code
/// were asked already.
#[derive(Clone, Copy, Debug)]
struct Passing(Option<unwind::Target>);

/// A reference held from Rust's heap by a handle.
#[derive(Debug)]
struct Kept(usize);

impl Drop for Kept {
    fn drop(&mut self) {
        crate::gc::free_handle(self.0);
    }
}

impl Exception {
    /// A new exception of a class of the core library with this message.
    pub fn new(namespace: &'static str, class: &'static str, message: impl Into<String>) -> Exception {
        Exception::with_arguments(namespace, class, vec![Some(message.into())])
    }

    /// A new exception of a class of the core library made by its constructor without parameters.
    pub fn default_of(namespace: &'static str, class: &'static str) -> Exception {
        Exception::with_arguments(namespace, class, Vec::new())
    }

    /// A new exception of a class of the core library, made by its constructor with that many `string` parameters.
    pub fn with_arguments(namespace: &'static str, class: &'static str, arguments: Vec<Option<String>>) -> Exception {
        Exception(Box::new(Kind::New { namespace, class, arguments, in_caller: false }))
    }

    /// The same, from what the innermost frame's method needs to be compiled. Mono finds that before the method runs, so traces begin at the caller.
    pub fn in_caller(mut self) -> Exception {
        if let Kind::New { in_caller, .. } = &mut *self.0 {
            *in_caller = true;
        }
        self
    }

    /// An existing exception object.
    pub fn from_object(object: ObjectRef) -> Exception {
        Exception::of_object(object, None)
    }

    /// An exception object that came out of managed code which the runtime called, and where it goes if that is known.
    pub fn passing(object: ObjectRef, target: Option<unwind::Target>) -> Exception {
        Exception::of_object(object, Some(Passing(target)))
    }

    fn of_object(object: ObjectRef, passing: Option<Passing>) -> Exception {
        let handle = crate::gc::allocate_handle(object.raw().cast(), crate::gc::HandleKind::Normal);
        Exception(Box::new(Kind::Object { kept: Kept(handle), passing }))
    }

    /// `NullReferenceException` with Mono's message for one that the runtime raises.
    pub fn null_reference() -> Exception {
        Exception::new("System", "NullReferenceException", "Object reference not set to an instance of an object")
    }
    /// `OutOfMemoryException`
    pub fn out_of_memory() -> Exception {
        Exception::default_of("System", "OutOfMemoryException")
    }
    /// `OverflowException`
    pub fn overflow() -> Exception {
        Exception::default_of("System", "OverflowException")
    }
    /// `IndexOutOfRangeException`
    pub fn index_out_of_range() -> Exception {
        Exception::default_of("System", "IndexOutOfRangeException")
    }
    /// `ArrayTypeMismatchException`
    pub fn array_type_mismatch() -> Exception {
        Exception::default_of("System", "ArrayTypeMismatchException")
    }
    /// `InvalidCastException` with Mono's message for a failed cast.
    pub fn invalid_cast() -> Exception {
        Exception::default_of("System", "InvalidCastException")
    }
    /// `ArgumentNullException` for the parameter `name`.
    pub fn argument_null(name: &str) -> Exception {
        Exception::new("System", "ArgumentNullException", name)
    }
    /// `ArgumentException` for the parameter `name`.
    pub fn argument(name: &str, message: &str) -> Exception {
        Exception::with_arguments("System", "ArgumentException", vec![Some(message.into()), Some(name.into())])
    }
    /// `ArgumentOutOfRangeException` for the parameter `name`.
    pub fn argument_out_of_range(name: &str) -> Exception {
        Exception::new("System", "ArgumentOutOfRangeException", name)
    }
    /// `InvalidOperationException`
    pub fn invalid_operation(message: &str) -> Exception {
        Exception::new("System", "InvalidOperationException", message)
    }
    /// `NotSupportedException`
    pub fn not_supported(message: &str) -> Exception {
        Exception::new("System", "NotSupportedException", message)
    }
    /// `NotImplementedException`
    pub fn not_implemented(message: &str) -> Exception {
        Exception::new("System", "NotImplementedException", message)
    }
    /// `MissingMethodException`
    pub fn missing_method(message: impl Into<String>) -> Exception {
        Exception::new("System", "MissingMethodException", message)
    }
    /// `ExecutionEngineException`: the runtime met something that it does not know how to handle.
    pub fn engine(message: impl Into<String>) -> Exception {
        Exception::new("System", "ExecutionEngineException", message)
    }

    /// What a trap means.
    pub fn of_trap(code: TrapCode) -> Exception {
        const CLASSES: [&str; 9] = [
            "NullReferenceException",
            "IndexOutOfRangeException",
            "DivideByZeroException",
            "OverflowException",
            "ArrayTypeMismatchException",
            "InvalidCastException",
            "ArithmeticException",
            "StackOverflowException",
            "InvalidProgramException",
        ];
        match code {
            TrapCode::NullReference => Exception::null_reference(),
            TrapCode::StackOverflow => {
                Exception::new("System", "StackOverflowException", "The requested operation caused a stack overflow.")
            }
            code => Exception::default_of("System", CLASSES[code as usize]),
        }
    }

    /// The exception object, made now if need be. If making it raises, that exception.
    pub fn into_object(self) -> ObjectRef {
        match *self.0 {
            // SAFETY: the handle holds an object.
            Kind::Object { ref kept, .. } => unsafe { ObjectRef::from_raw(crate::gc::handle_target(kept.0).cast()) },
            Kind::New { namespace, class, ref arguments, .. } => match create(namespace, class, arguments) {
                Ok(object) => object,
                Err(exception) => exception.into_object(),
            },
        }
    }

    /// Class and message, for reports when no object can be made.
    pub fn describe(&self) -> String {
        match &*self.0 {
            Kind::Object { .. } => "exception object".to_string(),
            Kind::New { namespace, class, arguments, .. } => {
                let message = arguments.first().and_then(|argument| argument.clone()).unwrap_or_default();
                format!("{namespace}.{class}: {message}")
            }
        }
    }
}

fn create(namespace: &str, class: &str, arguments: &[Option<String>]) -> Result<ObjectRef> {
    let ty = core_class(namespace, class)?;
    let parameters = vec![TypeId::STRING; arguments.len()];
    let constructor = declared_method(ty, ".ctor", Some(&parameters))?;
    let object = object::allocate(method_table(ty)?)?;
    let mut values = smallvec::SmallVec::<[Argument; 4]>::new();
    values.push(Argument::reference(object));
    for argument in arguments {
        let text = match argument {
            Some(text) => StringRef::new(text)?,
            None => StringRef::NULL,
        };
        values.push(Argument::reference(text.object()));
    }
    invoke::call(constructor, &values)?;
    Ok(object)
}

impl From<il::Error> for Exception {
    /// Each kind of error is one class of exception; messages are Mono's where programs see them often.
    fn from(error: il::Error) -> Exception {
        let (namespace, class) = match error.kind() {
            ErrorKind::BadImage => ("System", "BadImageFormatException"),
            ErrorKind::FileNotFound | ErrorKind::NotPreloaded => ("System.IO", "FileNotFoundException"),
            ErrorKind::FileLoad => ("System.IO", "FileLoadException"),
            ErrorKind::TypeLoad => ("System", "TypeLoadException"),
            ErrorKind::MissingMethod => ("System", "MissingMethodException"),
            ErrorKind::MissingField => ("System", "MissingFieldException"),
            ErrorKind::InvalidProgram => ("System", "InvalidProgramException"),
            ErrorKind::MethodAccess => ("System", "MethodAccessException"),
            ErrorKind::FieldAccess => ("System", "FieldAccessException"),
            ErrorKind::NotSupported => ("System", "NotSupportedException"),
            ErrorKind::MarshalDirective => ("System.Runtime.InteropServices", "MarshalDirectiveException"),
            ErrorKind::MemberAccess => ("System", "MemberAccessException"),
            ErrorKind::AmbiguousImplementation => ("System.Runtime", "AmbiguousImplementationException"),
            ErrorKind::OpenGeneric => ("System", "InvalidOperationException"),
        };
        match (error.kind(), error.name()) {
            (ErrorKind::FileNotFound | ErrorKind::FileLoad | ErrorKind::NotPreloaded, Some(name)) => {
                let message = error.reason().into_owned();
                Exception::with_arguments(namespace, class, vec![Some(message), Some(name.to_string())])
            }
            (ErrorKind::MemberAccess, Some(name)) => Exception::new(namespace, class, format!("{}: {name}", error.message())),
            (
                ErrorKind::TypeLoad
                | ErrorKind::MissingMethod
                | ErrorKind::MissingField
                | ErrorKind::MemberAccess
                | ErrorKind::MethodAccess
                | ErrorKind::FieldAccess
                | ErrorKind::AmbiguousImplementation
                | ErrorKind::OpenGeneric,
                _,
            ) => Exception::new(namespace, class, error.reason()),
            // With the instruction in the message, the name is the reason.
            (ErrorKind::InvalidProgram, Some(_)) => Exception::new(namespace, class, error.message()),
            _ => Exception::new(namespace, class, error.to_string()),
        }
    }
}

/// Raises an exception in the managed code that called the running helper or internal call. Nothing in the frames between may need a
/// drop.
///
/// What other managed code threw goes on with the trace that it has.
pub fn raise(exception: Exception) -> ! {
    let (passing, start) = match *exception.0 {
        Kind::Object { passing, .. } => (passing, TraceStart::Fresh),
        Kind::New { in_caller: true, .. } => (None, TraceStart::InCaller),
        Kind::New { .. } => (None, TraceStart::Fresh),
    };
    let object = exception.into_object();
    match passing {
        Some(Passing(target)) => unwind::pass_on(object, target),
        None => unwind::throw_starting(object, start),
    }
}

/// Whether an object is a `System.Exception`.
pub fn is_exception(object: ObjectRef) -> bool {
    crate::casts::is_assignable(object.type_id(), runtime().types.well_known().exception)
}

/// `TypeInitializationException` for a class whose initialiser threw `inner`.
pub fn type_initialization(ty: TypeId, inner: ObjectRef) -> Result<ObjectRef> {
    let types = &runtime().types;
    let exception = types.well_known().type_initialization_exception;
    let constructor = declared_method(exception, ".ctor", Some(&[TypeId::STRING, types.well_known().exception]))?;
    let object = object::allocate(method_table(exception)?)?;
    let name = StringRef::new(&types.reflection_name(ty))?;
    invoke::call(constructor, &[Argument::reference(object), Argument::reference(name.object()), Argument::reference(inner)])?;
    Ok(object)
}

/// Name of the class of an exception object, for reports.
pub fn class_name(object: ObjectRef) -> String {
    runtime().types.reflection_name(object.type_id())
}
