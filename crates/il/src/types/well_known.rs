//! Types of the core library that the runtime and the compiler know by name.

use super::*;
use crate::assembly::Assembly;
use crate::error::{Error, Result};

macro_rules! well_known {
    ($($(#[$doc:meta])* $field:ident = $namespace:literal $name:literal;)*) => {
        /// Ids of well-known types of the core library.
        #[derive(Clone, Debug)]
        pub struct WellKnown {
            $($(#[$doc])* pub $field: TypeId,)*
            /// The generic interfaces of vectors: `IList`, `ICollection`, `IEnumerable`, `IReadOnlyList`, `IReadOnlyCollection`.
            pub vector_interfaces: [TypeId; 5],
        }

        impl WellKnown {
            /// Stands in until the core library is loaded.
            pub(crate) const NONE: WellKnown =
                WellKnown { $($field: TypeId::OBJECT,)* vector_interfaces: [TypeId::OBJECT; 5] };

            /// `define` gives the type of a TypeDef row.
            pub(crate) fn find(corlib: &Assembly, define: impl Fn(u32) -> TypeId) -> Result<WellKnown> {
                let find = |namespace: &str, name: &str| find_row(corlib, namespace, name).map(&define);
                let mut known = WellKnown { $($field: find($namespace, $name)?,)* ..WellKnown::NONE };
                known.vector_interfaces =
                    [known.list, known.collection, known.enumerable, known.read_only_list, known.read_only_collection];
                Ok(known)
            }
        }
    };
}

well_known! {
    /// `System.Object`
    object = "System" "Object";
    /// `System.String`
    string = "System" "String";
    /// `System.Array`
    array = "System" "Array";
    /// `System.ValueType`
    value_type = "System" "ValueType";
    /// `System.Enum`
    enum_ = "System" "Enum";
    /// `System.Delegate`
    delegate = "System" "Delegate";
    /// `System.MulticastDelegate`
    multicast_delegate = "System" "MulticastDelegate";
    /// `System.Nullable<T>`
    nullable = "System" "Nullable`1";
    /// `System.Type`
    type_ = "System" "Type";
    /// `System.RuntimeType`
    runtime_type = "System" "RuntimeType";
    /// `System.RuntimeTypeHandle`
    runtime_type_handle = "System" "RuntimeTypeHandle";
    /// `System.RuntimeMethodHandle`
    runtime_method_handle = "System" "RuntimeMethodHandle";
    /// `System.RuntimeFieldHandle`
    runtime_field_handle = "System" "RuntimeFieldHandle";
    /// `System.RuntimeArgumentHandle`
    runtime_argument_handle = "System" "RuntimeArgumentHandle";
    /// `System.ArgIterator`
    arg_iterator = "System" "ArgIterator";
    /// `System.Attribute`
    attribute = "System" "Attribute";
    /// `System.Threading.Thread`
    thread = "System.Threading" "Thread";
    /// `System.Threading.InternalThread`
    internal_thread = "System.Threading" "InternalThread";
    /// `System.AppDomain`
    app_domain = "System" "AppDomain";
    /// `System.MarshalByRefObject`
    marshal_by_ref_object = "System" "MarshalByRefObject";
    /// `System.ContextBoundObject`
    context_bound_object = "System" "ContextBoundObject";
    /// `System.__ComObject`
    com_object = "System" "__ComObject";
    /// `System.Runtime.Remoting.Proxies.TransparentProxy`
    transparent_proxy = "System.Runtime.Remoting.Proxies" "TransparentProxy";
    /// `System.Collections.Generic.IList<T>`
    list = "System.Collections.Generic" "IList`1";
    /// `System.Collections.Generic.ICollection<T>`
    collection = "System.Collections.Generic" "ICollection`1";
    /// `System.Collections.Generic.IEnumerable<T>`
    enumerable = "System.Collections.Generic" "IEnumerable`1";
    /// `System.Collections.Generic.IReadOnlyList<T>`
    read_only_list = "System.Collections.Generic" "IReadOnlyList`1";
    /// `System.Collections.Generic.IReadOnlyCollection<T>`
    read_only_collection = "System.Collections.Generic" "IReadOnlyCollection`1";
    /// `System.Exception`
    exception = "System" "Exception";
    /// `System.SystemException`
    system_exception = "System" "SystemException";
    /// `System.NullReferenceException`
    null_reference_exception = "System" "NullReferenceException";
    /// `System.IndexOutOfRangeException`
    index_out_of_range_exception = "System" "IndexOutOfRangeException";
    /// `System.DivideByZeroException`
    divide_by_zero_exception = "System" "DivideByZeroException";
    /// `System.ArithmeticException`
    arithmetic_exception = "System" "ArithmeticException";
    /// `System.OverflowException`
    overflow_exception = "System" "OverflowException";
    /// `System.InvalidCastException`
    invalid_cast_exception = "System" "InvalidCastException";
    /// `System.ArrayTypeMismatchException`
    array_type_mismatch_exception = "System" "ArrayTypeMismatchException";
    /// `System.StackOverflowException`
    stack_overflow_exception = "System" "StackOverflowException";
    /// `System.OutOfMemoryException`
    out_of_memory_exception = "System" "OutOfMemoryException";
    /// `System.InvalidProgramException`
    invalid_program_exception = "System" "InvalidProgramException";
    /// `System.TypeLoadException`
    type_load_exception = "System" "TypeLoadException";
    /// `System.TypeInitializationException`
    type_initialization_exception = "System" "TypeInitializationException";
    /// `System.MissingMethodException`
    missing_method_exception = "System" "MissingMethodException";
    /// `System.MissingFieldException`
    missing_field_exception = "System" "MissingFieldException";
    /// `System.MethodAccessException`
    method_access_exception = "System" "MethodAccessException";
    /// `System.FieldAccessException`
    field_access_exception = "System" "FieldAccessException";
    /// `System.BadImageFormatException`
    bad_image_format_exception = "System" "BadImageFormatException";
    /// `System.EntryPointNotFoundException`
    entry_point_not_found_exception = "System" "EntryPointNotFoundException";
    /// `System.DllNotFoundException`
    dll_not_found_exception = "System" "DllNotFoundException";
    /// `System.ExecutionEngineException`
    execution_engine_exception = "System" "ExecutionEngineException";
    /// `System.NotSupportedException`
    not_supported_exception = "System" "NotSupportedException";
    /// `System.NotImplementedException`
    not_implemented_exception = "System" "NotImplementedException";
    /// `System.ArgumentException`
    argument_exception = "System" "ArgumentException";
    /// `System.ArgumentNullException`
    argument_null_exception = "System" "ArgumentNullException";
    /// `System.ArgumentOutOfRangeException`
    argument_out_of_range_exception = "System" "ArgumentOutOfRangeException";
    /// `System.InvalidOperationException`
    invalid_operation_exception = "System" "InvalidOperationException";
    /// `System.RankException`
    rank_exception = "System" "RankException";
    /// `System.IO.FileNotFoundException`
    file_not_found_exception = "System.IO" "FileNotFoundException";
    /// `System.IO.FileLoadException`
    file_load_exception = "System.IO" "FileLoadException";
    /// `System.Threading.ThreadAbortException`
    thread_abort_exception = "System.Threading" "ThreadAbortException";
    /// `System.Threading.SynchronizationLockException`
    synchronization_lock_exception = "System.Threading" "SynchronizationLockException";
    /// `System.Reflection.TargetInvocationException`
    target_invocation_exception = "System.Reflection" "TargetInvocationException";
    /// `System.Runtime.CompilerServices.RuntimeWrappedException`
    runtime_wrapped_exception = "System.Runtime.CompilerServices" "RuntimeWrappedException";
}

/// TypeDef row of a type that the core library must have.
pub(crate) fn find_row(corlib: &Assembly, namespace: &str, name: &str) -> Result<u32> {
    corlib.find_type(namespace, name).ok_or_else(|| {
        Error::type_load("the core library lacks a type that the runtime needs")
            .with_name(format!("{namespace}.{name}"))
            .with_file(corlib.file())
    })
}
