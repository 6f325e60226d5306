//! What compiled code and the runtime agree on: object and method table layout, the thread structure's first fields, and the
//! helpers. Parametric in the size of pointers; both sides take every offset from here.

use il::types::DataLayout;
use ir::Type;
use ir::legalize::LegalizeOptions;
use ir::mach::{Architecture, ThreadLayout};

/// Offsets in heap objects and in the runtime's structures, in bytes, for pointers of `pointer_bytes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Abi {
    /// 4 or 8.
    pub pointer_bytes: u32,
}

/// The layout of types on an architecture.
///
/// # Panics
/// If the type system has none of its name.
pub fn data_layout(architecture: Architecture) -> DataLayout {
    let layout = DataLayout::ALL.into_iter().find(|layout| layout.name == architecture.name());
    layout.expect("every architecture has a data layout")
}

/// Slots of a method table's interface dispatch table (see [`Abi::method_table_interface_slots`]).
pub const INTERFACE_SLOTS: u32 = 16;

/// Bits of [`Abi::method_table_flags`].
pub mod method_table_flags {
    /// Instances hold references.
    pub const HAS_REFERENCES: u32 = 1;
    /// Boxed value type.
    pub const VALUE_TYPE: u32 = 2;
    /// Vector (one-dimensional array from 0).
    pub const VECTOR: u32 = 4;
    /// Array with bounds.
    pub const ARRAY: u32 = 8;
    /// String.
    pub const STRING: u32 = 16;
    /// Instances must be finalised.
    pub const FINALIZER: u32 = 32;
    /// Interface.
    pub const INTERFACE: u32 = 64;
    /// `Nullable<T>`.
    pub const NULLABLE: u32 = 128;
    /// Delegate.
    pub const DELEGATE: u32 = 256;
    /// Enumeration.
    pub const ENUM: u32 = 512;
    /// The class initialiser ran (or there is none).
    pub const INITIALIZED: u32 = 1024;
    /// Transparent proxy.
    pub const PROXY: u32 = 2048;
    /// Weak reference-like object that the collector treats on its own (ephemeron arrays, weak handles).
    pub const SPECIAL_SCAN: u32 = 4096;
    /// The class library is asked for a proxy before an instance is made: `TypeSystem::begins_as_proxy`, or a program wants it so.
    pub const BEGINS_AS_PROXY: u32 = 8192;
    /// Instances hold references that do not keep their objects; the collector knows each instance from its allocation.
    pub const WEAK_FIELDS: u32 = 32768;
    /// Some of the references in instances or elements share their bytes with other fields, so that they may be anything.
    pub const OVERLAPPED_REFERENCES: u32 = 16384;
}

/// Tables of the answers that a lookup in generic contexts has got: the mask, then places of two pointers each, a context and its answer. A
/// context's place is `(context ^ context >> SHIFT) & mask` bytes behind the first. What has no context yet has a 0.
pub mod lookup_answers {
    /// Offset of the mask.
    pub const MASK: i32 = 0;
    /// See above.
    pub const SHIFT: u32 = 5;
}

impl Abi {
    /// Offsets on an architecture.
    pub fn of(architecture: Architecture) -> Abi {
        Abi { pointer_bytes: architecture.pointer_bytes() }
    }
    /// Object: pointer to the method table.
    pub const fn object_method_table(self) -> i32 {
        0
    }
    /// Object: 32-bit synchronisation word (thin lock, hash code, or index of an inflated one).
    pub const fn object_sync(self) -> i32 {
        self.pointer_bytes as i32
    }
    /// First byte of instance fields.
    pub const fn object_fields(self) -> i32 {
        self.pointer_bytes as i32 + 4
    }
    /// Payload of a boxed value.
    pub const fn boxed_payload(self) -> i32 {
        2 * self.pointer_bytes as i32
    }
    /// Array and string: 32-bit number of elements.
    pub const fn length(self) -> i32 {
        self.pointer_bytes as i32 + 4
    }
    /// String: first UTF-16 unit.
    pub const fn string_chars(self) -> i32 {
        self.pointer_bytes as i32 + 8
    }
    /// Argument list, which a call with variable arguments makes in its frame: their number, then a typed reference to each.
    pub const fn argument_list_entries(self) -> i32 {
        self.pointer_bytes as i32
    }
    /// Vector: first element.
    pub const fn vector_data(self) -> i32 {
        16
    }
    /// Array of several dimensions: pairs of 32-bit (length, lower bound).
    pub const fn array_bounds(self) -> i32 {
        16
    }
    /// Array of several dimensions: first element.
    pub const fn array_data(self, rank: u32) -> i32 {
        16 + 8 * rank as i32
    }

    /// Method table: u32 size of an instance in bytes; arrays and strings: offset of the first element.
    pub const fn method_table_base_size(self) -> i32 {
        0
    }
    /// Method table: u32 size of an element of an array or string, else 0.
    pub const fn method_table_component_size(self) -> i32 {
        4
    }
    /// Method table: u32 of [`method_table_flags`].
    pub const fn method_table_flags(self) -> i32 {
        8
    }
    /// Method table: u32 number of the type in the type system.
    pub const fn method_table_type(self) -> i32 {
        12
    }
    /// Method table: u32 number of virtual slots.
    pub const fn method_table_slot_count(self) -> i32 {
        16
    }
    /// Method table: u16 length of the display (the class's depth; `object` has 1).
    pub const fn method_table_depth(self) -> i32 {
        20
    }
    /// Method table: u16 number of interfaces.
    pub const fn method_table_interface_count(self) -> i32 {
        22
    }
    const fn pointer_field(self, index: u32) -> i32 {
        24 + (index * self.pointer_bytes) as i32
    }
    /// Method table: the parent's.
    pub const fn method_table_parent(self) -> i32 {
        self.pointer_field(0)
    }
    /// Method table: the element type's, or the underlying type's of a nullable or enumeration.
    pub const fn method_table_element(self) -> i32 {
        self.pointer_field(1)
    }
    /// Method table: pointer to the display, the method tables of all ancestors from `object` to itself.
    pub const fn method_table_display(self) -> i32 {
        self.pointer_field(2)
    }
    /// Method table: pointer to the method tables of all interfaces.
    pub const fn method_table_interfaces(self) -> i32 {
        self.pointer_field(3)
    }
    /// Method table: pointer to the generic dictionary of the class, or null.
    pub const fn method_table_dictionary(self) -> i32 {
        self.pointer_field(4)
    }
    /// Method table: pointer to the layout of references in instances (the runtime's own).
    pub const fn method_table_reference_map(self) -> i32 {
        self.pointer_field(5)
    }
    /// Method table: base of the static fields without references.
    pub const fn method_table_statics(self) -> i32 {
        self.pointer_field(6)
    }
    /// Method table: base of the static fields that are references (or structures with references, boxed).
    pub const fn method_table_reference_statics(self) -> i32 {
        self.pointer_field(7)
    }
    /// Method table: the `System.RuntimeType` object's handle cell.
    pub const fn method_table_type_object(self) -> i32 {
        self.pointer_field(8)
    }
    /// Method table: the runtime's own record of the class.
    pub const fn method_table_class(self) -> i32 {
        self.pointer_field(9)
    }
    /// Method table: [`INTERFACE_SLOTS`] code pointers; an interface method is called through slot `TypeSystem::imt_slot` with its
    /// key in the key register.
    pub const fn method_table_interface_slots(self) -> i32 {
        self.pointer_field(10)
    }
    /// Method table: code pointers of the virtual slots, up to the end.
    pub const fn method_table_slots(self) -> i32 {
        self.pointer_field(10 + INTERFACE_SLOTS)
    }

    /// Generic dictionary: slot `index`. Slot 0 is always null, so that a lookup through it always takes the slow path. Slot 1 is the
    /// method table (class dictionaries) or the method's own record (method dictionaries).
    pub const fn dictionary_slot(self, index: u32) -> i32 {
        (index * self.pointer_bytes) as i32
    }

    /// Table of the answers of a lookup in generic contexts (see [`lookup_answers`]): the context of its first place.
    pub const fn lookup_place_context(self) -> i32 {
        self.pointer_bytes as i32
    }
    /// Likewise: the answer of its first place.
    pub const fn lookup_place_answer(self) -> i32 {
        2 * self.pointer_bytes as i32
    }

    /// Thread structure: next free byte of the allocation buffer.
    pub const fn thread_allocation_cursor(self) -> i32 {
        0
    }
    /// Thread structure: end of the allocation buffer.
    pub const fn thread_allocation_limit(self) -> i32 {
        self.pointer_bytes as i32
    }
    /// Thread structure: base of the thread's static fields table.
    pub const fn thread_statics(self) -> i32 {
        5 * self.pointer_bytes as i32
    }
    /// Thread structure: stack pointer of the innermost running filter.
    pub const fn thread_filter_sp(self) -> i32 {
        6 * self.pointer_bytes as i32
    }
    /// Thread structure: whether the thread is to be aborted, a 32-bit number of [`abort_states`].
    pub const fn thread_abort_state(self) -> i32 {
        8 * self.pointer_bytes as i32
    }
    /// Thread structure: what back ends use.
    pub const fn thread_layout(self) -> ThreadLayout {
        let word = self.pointer_bytes as i32;
        ThreadLayout { last_managed_sp: 2 * word, last_managed_pc: 3 * word, stack_limit: 4 * word, self_pointer: 7 * word }
    }
}

/// What the thread structure says of aborting the thread ([`Abi::thread_abort_state`]).
pub mod abort_states {
    /// Nobody asked for it.
    pub const NONE: u32 = 0;
    /// Somebody asked for it, and it has not been raised yet.
    pub const REQUESTED: u32 = 1;
    /// The exception was raised and not called off: the end of the handler that catches it raises it again.
    pub const RAISED: u32 = 2;
}

/// The helpers that take the place of 64-bit instructions on 32-bit targets, and of 32-bit division where there is
/// `software_division` only.
pub const fn legalize_options(software_division: bool) -> LegalizeOptions {
    use HelperId::*;
    LegalizeOptions {
        software_division,
        divide_32: [DivI32 as u16, DivU32 as u16, RemI32 as u16, RemU32 as u16],
        divide_64: [DivI64 as u16, DivU64 as u16, RemI64 as u16, RemU64 as u16],
        signed_high_product: HighProductI64 as u16,
        unsigned_high_product: HighProductU64 as u16,
        signed_to_f32: I64ToF32 as u16,
        unsigned_to_f32: U64ToF32 as u16,
        f64_to_signed: F64ToI64 as u16,
        f64_to_unsigned: F64ToU64 as u16,
        atomic_load: AtomicLoadI64 as u16,
        atomic_store: AtomicStoreI64 as u16,
        atomic_add: AtomicAddI64 as u16,
        atomic_exchange: AtomicExchangeI64 as u16,
        atomic_compare_exchange: AtomicCompareExchangeI64 as u16,
    }
}

/// The signature of a helper, in SSA types.
#[derive(Clone, Copy, Debug)]
pub struct HelperInfo {
    /// Name in dumps and in the table of an image.
    pub name: &'static str,
    /// Parameters.
    pub params: &'static [Type],
    /// Result, if any.
    pub result: Option<Type>,
    /// Whether it never returns.
    pub diverges: bool,
    /// Whether it may walk the stack, collect or raise (convention `Native`); else it is a leaf (`Leaf`).
    pub native: bool,
}

macro_rules! helpers {
    ($($(#[$doc:meta])* $variant:ident $name:literal ($($param:ident)*) $kind:ident $($result:ident)?;)*) => {
        /// The functions of the runtime that compiled code calls. Not for icalls, which are bound by metadata name.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum HelperId { $($(#[$doc])* $variant,)* }

        impl HelperId {
            /// All, in order of declaration.
            pub const ALL: &'static [HelperId] = &[$(HelperId::$variant,)*];

            /// Name and signature.
            pub const fn info(self) -> HelperInfo {
                match self {
                    $(HelperId::$variant => HelperInfo {
                        name: $name,
                        params: &[$(Type::$param),*],
                        result: helpers!(@result $($result)?),
                        diverges: helpers!(@diverges $kind),
                        native: helpers!(@native $kind),
                    },)*
                }
            }
        }
    };
    (@result) => { None };
    (@result $result:ident) => { Some(Type::$result) };
    (@diverges diverges) => { true };
    (@diverges $other:ident) => { false };
    (@native leaf) => { false };
    (@native $other:ident) => { true };
}

helpers! {
    // Late binding
    /// (address of the cell) fills a cell and gives its value; may run a class initialiser, may raise
    ResolveCell "resolve_cell" (Iptr) native Iptr;
    /// (context, address of the lookup cell) looks up what shared code needs in its generic context
    GenericLookup "generic_lookup" (Iptr Iptr) native Iptr;
    /// (object, method handle) code of a virtual or generic virtual method for this object
    VirtualCode "virtual_code" (Ref Iptr) native Iptr;
    /// (method table of a value type, method handle, place with the address of a value) code of the method for this type; the place
    /// then holds what the code takes as `this`: the same address, or a boxed copy
    ConstrainedCode "constrained_code" (Iptr Iptr Mptr) native Iptr;
    /// (method table) runs the class initialiser if it has not run
    InitializeClass "initialize_class" (Iptr) native;
    /// (method table) base of its thread static fields on this thread: first the area of references, then, from the next
    /// multiple of 16 bytes on, the area without
    ThreadStatics "thread_statics" (Iptr) native Iptr;
    /// (method table) likewise of its context static fields in the current context
    ContextStatics "context_statics" (Iptr) native Iptr;

    // Allocation
    /// (method table)
    NewObject "new_object" (Iptr) native Ref;
    /// (method table, length)
    NewArray "new_array" (Iptr Iptr) native Ref;
    /// (method table, number of dimensions or of pairs (lower bound, length), address of 32-bit arguments)
    NewMultiArray "new_multi_array" (Iptr I32 Iptr) native Ref;
    /// (method table of Nullable<T>, address of the value) boxed T or null
    BoxNullable "box_nullable" (Iptr Mptr) native Ref;
    /// (method table of Nullable<T>, destination, object)
    UnboxNullable "unbox_nullable" (Iptr Mptr Ref) native;
    /// (method table, address of the value) boxes a value of any type but a nullable
    Box "box" (Iptr Mptr) native Ref;

    // References into the heap
    /// (object, value) slow path of the write barrier, after the store; keeps the value in the collector's sight until then
    WriteBarrier "write_barrier" (Ref Ref) leaf;
    /// (address, value) stores where the owner is not known, with all that belongs to it
    StoreReference "store_reference" (Mptr Ref) native;
    /// (method table, destination, source) copies a value type with references to where it may be in the heap
    CopyValue "copy_value" (Iptr Mptr Mptr) native;
    /// (array, index, value) stelem.ref with all checks
    StoreElement "store_element" (Ref Iptr Ref) native;

    // Casts
    /// (method table, object) the object or null
    IsInstance "is_instance" (Iptr Ref) native Ref;
    /// (method table, object) the object; raises
    CastClass "cast_class" (Iptr Ref) native Ref;
    /// (method table of the value type, object) address of the payload; raises
    Unbox "unbox" (Iptr Ref) native Mptr;
    /// (array's wanted method table, array) ldelema's exact type check; raises ArrayTypeMismatchException
    CheckElementAddress "check_element_address" (Iptr Ref) native;

    // Exceptions
    /// (object) throw
    Throw "throw" (Ref) diverges;
    /// (object) rethrow, keeps the stack trace
    Rethrow "rethrow" (Ref) diverges;
    /// (trap code) raises the exception of a `TrapCode`
    RaiseTrap "raise_trap" (I32) diverges;
    /// (address of a cell with a description) raises what loading something raised at compile time
    RaiseDeferred "raise_deferred" (Iptr) diverges;
    /// unwinding goes on after a finally or fault handler
    ResumeUnwind "resume_unwind" () diverges;
    /// (verdict) end of a filter
    EndFilter "end_filter" (I32) diverges;

    // Delegates, reflection
    /// (delegate, target, code, method handle) initialises a delegate
    InitializeDelegate "initialize_delegate" (Ref Ref Iptr Iptr) native;
    /// (delegate, addresses of the arguments of `BeginInvoke`) starts an asynchronous call; its System.IAsyncResult
    BeginInvoke "begin_invoke" (Ref Mptr) native Ref;
    /// (delegate, addresses of the arguments of `EndInvoke`, address for the result) waits for an asynchronous call
    EndInvoke "end_invoke" (Ref Mptr Mptr) native;
    /// (method table) its System.RuntimeType
    TypeObject "type_object" (Iptr) native Ref;
    /// (object) its exact System.RuntimeType (Object.GetType)
    GetType "get_type" (Ref) native Ref;

    // Transparent proxies
    /// (proxy, method handle, its generic context or 0) code that passes a call of the method on to the object behind the proxy
    ProxyCode "proxy_code" (Ref Iptr Iptr) native Iptr;
    /// (proxy, method handle, addresses of the arguments, address for the result) calls the method on the object behind the proxy
    CallProxy "call_proxy" (Ref Iptr Mptr Mptr) native;
    /// (proxy, field handle) address of the field of the object behind the proxy; raises InvalidOperationException if that is elsewhere
    RemoteFieldAddress "remote_field_address" (Ref Iptr) native Mptr;
    /// (proxy, field handle, address for the value)
    LoadRemoteField "load_remote_field" (Ref Iptr Mptr) native;
    /// (proxy, field handle, address of the value)
    StoreRemoteField "store_remote_field" (Ref Iptr Mptr) native;

    // Arithmetic that machines lack
    /// a % b
    Frem64 "frem64" (F64 F64) leaf F64;
    /// a % b
    Frem32 "frem32" (F32 F32) leaf F32;
    /// a / b; here and below the divisor is not 0 and the quotient fits
    DivI32 "div_i32" (I32 I32) leaf I32;
    /// a / b unsigned
    DivU32 "div_u32" (I32 I32) leaf I32;
    /// a % b
    RemI32 "rem_i32" (I32 I32) leaf I32;
    /// a % b unsigned
    RemU32 "rem_u32" (I32 I32) leaf I32;
    /// a / b
    DivI64 "div_i64" (I64 I64) leaf I64;
    /// a / b unsigned
    DivU64 "div_u64" (I64 I64) leaf I64;
    /// a % b
    RemI64 "rem_i64" (I64 I64) leaf I64;
    /// a % b unsigned
    RemU64 "rem_u64" (I64 I64) leaf I64;
    /// high half of the signed product
    HighProductI64 "high_product_i64" (I64 I64) leaf I64;
    /// high half of the unsigned product
    HighProductU64 "high_product_u64" (I64 I64) leaf I64;
    /// signed integer to float
    I64ToF32 "i64_to_f32" (I64) leaf F32;
    /// unsigned integer to float
    U64ToF32 "u64_to_f32" (I64) leaf F32;
    /// as the opcode `float_to_sint`
    F64ToI64 "f64_to_i64" (F64) leaf I64;
    /// as the opcode `float_to_uint`
    F64ToU64 "f64_to_u64" (F64) leaf I64;
    /// (address)
    AtomicLoadI64 "atomic_load_i64" (Mptr) leaf I64;
    /// (address, value)
    AtomicStoreI64 "atomic_store_i64" (Mptr I64) leaf;
    /// (address, value) gives the old value
    AtomicAddI64 "atomic_add_i64" (Mptr I64) leaf I64;
    /// (address, value) gives the old value
    AtomicExchangeI64 "atomic_exchange_i64" (Mptr I64) leaf I64;
    /// (address, expected, replacement) gives the old value
    AtomicCompareExchangeI64 "atomic_compare_exchange_i64" (Mptr I64 I64) leaf I64;

    // Memory
    /// (destination, source, bytes) memmove
    CopyBlock "copy_block" (Mptr Mptr Iptr) leaf;
    /// (destination, byte, bytes) memset
    FillBlock "fill_block" (Mptr I32 Iptr) leaf;

    // Monitors of synchronized methods
    /// (object)
    MonitorEnter "monitor_enter" (Ref) native;
    /// (object)
    MonitorExit "monitor_exit" (Ref) native;

    // Native calls
    /// before a call of native code, which may block: (address of references that must stay where they are, or null); collections may
    /// go on from here
    EnterNative "enter_native" (Iptr) leaf;
    /// after it: waits for a running collection; (1 to keep errno for Marshal.GetLastWin32Error)
    LeaveNative "leave_native" (I32) native;
    /// (handle of the imported method or of a delegate's `Invoke`, addresses of the arguments, area of native values) fills the area
    MarshalArguments "marshal_arguments" (Iptr Iptr Iptr) native;
    /// (the same, address of the native result, address for the managed one) brings back results and frees what the call needed
    MarshalResults "marshal_results" (Iptr Iptr Iptr Iptr Iptr) native;
    /// (COM object, method handle) the object's interface that has the method; raises
    ComInterface "com_interface" (Ref Iptr) native Iptr;

    // Stubs: reached by jump, never by call
    /// (number of a callback, area of its `Callback` stub) native code calls a delegate; what the stub wants to know
    EnterCallback "enter_callback" (Iptr Iptr) leaf Iptr;
    /// (thread, token, saved arguments) code of a method that is compiled at its first call
    ResolveMethod "resolve_method" (Iptr Iptr Iptr) native Iptr;
    /// likewise for a virtual slot; the token is the slot's number
    ResolveSlot "resolve_slot" (Iptr Iptr Iptr) native Iptr;
    /// likewise for an interface slot
    ResolveInterface "resolve_interface" (Iptr Iptr Iptr) native Iptr;
    /// likewise for an import of an image; the token is the address of the method's cell
    ResolveImport "resolve_import" (Iptr Iptr Iptr) native Iptr;
    /// the `Resolve` stub for `ResolveImport`: import stubs jump to it
    EnterImport "enter_import" () native;
    /// (method's number, its arguments in memory) tracing of calls
    TraceEnter "trace_enter" (Iptr Mptr) native;
    /// likewise on return, with the results
    TraceLeave "trace_leave" (Iptr Mptr) native;
    /// (1 at the end of a catch handler) raises `ThreadAbortException` if the thread is to be aborted and may be at this place
    AbortPoint "abort_point" (I32) native;

    // Interpretation, see `ir::interpreter::shell`
    /// (frame, program) interprets until the shell must do something; its exit
    Interpret "interpret" (Iptr Iptr) leaf I32;
    /// lets a collection go on that waits for this thread
    PauseInterpreter "pause_interpreter" () native;
}
