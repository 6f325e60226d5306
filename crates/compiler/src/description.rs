//! Descriptions of types, methods, fields and cells as bytes that mean the same in another process.
//!
//! A type system numbers what it meets in the order in which it meets it; an image names the same things by assembly and
//! metadata row. That holds because an image is only used with the very assemblies that it was compiled from. Numbers
//! are LEB128; assemblies are numbered by the image.

use crate::env::{CellRequest, GenericLookup};
use il::types::{
    ArrayMethod, AssemblyId, CallConvention, FieldId, MethodId, MethodKind, MethodSignature, Primitive, TypeId, TypeKind,
    TypeSystem,
};
use il::{Error, ErrorKind};

/// What a cell of an image asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CellDescription {
    /// A request without numbers of its own.
    Request(CellRequest),
    /// A lookup in a generic context.
    Lookup(GenericLookup),
    /// An error met at compile time: kind, message, name.
    Error(ErrorKind, String, Option<String>),
}

/// Writes descriptions.
pub struct DescriptionWriter<'a> {
    types: &'a TypeSystem,
    /// Gives an assembly its number in the image.
    number: &'a mut dyn FnMut(AssemblyId) -> u32,
    out: Vec<u8>,
}

/// Reads descriptions.
pub struct DescriptionReader<'a> {
    types: &'a TypeSystem,
    /// The assembly with a number, loaded if need be.
    assembly: &'a dyn Fn(u32) -> il::Result<AssemblyId>,
    rest: &'a [u8],
}

mod type_tag {
    pub const CLASS: u8 = 0;
    pub const INSTANCE: u8 = 1;
    pub const SZ_ARRAY: u8 = 2;
    pub const ARRAY: u8 = 3;
    pub const POINTER: u8 = 4;
    pub const BY_REF: u8 = 5;
    pub const FUNCTION_POINTER: u8 = 6;
    pub const VAR: u8 = 7;
    pub const MVAR: u8 = 8;
    pub const CANON: u8 = 9;
    pub const TYPED_REFERENCE: u8 = 10;
    pub const PRIMITIVE: u8 = 11;
}

mod method_tag {
    pub const DEFINITION: u8 = 0;
    pub const GET: u8 = 1;
    pub const SET: u8 = 2;
    pub const ADDRESS: u8 = 3;
    pub const CONSTRUCTOR: u8 = 4;
    pub const VARIADIC: u8 = 5;
    pub const NATIVE_POINTER: u8 = 6;
}

mod cell_tag {
    /// Requests are numbered from here by their place in `CellRequest`.
    pub const METHOD_TABLE: u8 = 0;
    pub const INITIALIZED_METHOD_TABLE: u8 = 1;
    pub const STATICS: u8 = 2;
    pub const REFERENCE_STATICS: u8 = 3;
    pub const STATICS_WITHOUT_INITIALIZER: u8 = 4;
    pub const REFERENCE_STATICS_WITHOUT_INITIALIZER: u8 = 5;
    pub const STRING: u8 = 6;
    pub const METHOD_ENTRY: u8 = 7;
    pub const FUNCTION_POINTER: u8 = 8;
    pub const METHOD_HANDLE: u8 = 9;
    pub const FIELD_HANDLE: u8 = 10;
    pub const TYPE_HANDLE: u8 = 11;
    pub const TYPE_OBJECT: u8 = 12;
    pub const INTERFACE_KEY: u8 = 13;
    pub const METHOD_DICTIONARY: u8 = 14;
    pub const FIELD_DATA: u8 = 15;
    pub const INTERNAL_CALL: u8 = 16;
    pub const PLATFORM_INVOKE: u8 = 17;
    pub const GENERIC_LOOKUP: u8 = 18;
    pub const DEFERRED_ERROR: u8 = 19;
}

/// Kinds of errors by number; the order is part of the format.
const ERROR_KINDS: &[ErrorKind] = &[
    ErrorKind::BadImage,
    ErrorKind::FileNotFound,
    ErrorKind::FileLoad,
    ErrorKind::TypeLoad,
    ErrorKind::MissingMethod,
    ErrorKind::MissingField,
    ErrorKind::InvalidProgram,
    ErrorKind::MethodAccess,
    ErrorKind::FieldAccess,
    ErrorKind::NotSupported,
    ErrorKind::MarshalDirective,
    ErrorKind::MemberAccess,
    ErrorKind::AmbiguousImplementation,
    ErrorKind::OpenGeneric,
    ErrorKind::NotPreloaded,
];

const CONVENTIONS: &[CallConvention] = &[
    CallConvention::Default,
    CallConvention::C,
    CallConvention::StdCall,
    CallConvention::ThisCall,
    CallConvention::FastCall,
    CallConvention::VarArg,
    CallConvention::Unmanaged,
    CallConvention::NativeVarArg,
];

impl<'a> DescriptionWriter<'a> {
    /// A writer that numbers assemblies by `number`.
    pub fn new(types: &'a TypeSystem, number: &'a mut dyn FnMut(AssemblyId) -> u32) -> Self {
        DescriptionWriter { types, number, out: Vec::new() }
    }

    /// The bytes written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// A number.
    pub fn unsigned(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn text(&mut self, text: &str) {
        self.unsigned(text.len() as u32);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn assembly(&mut self, id: AssemblyId) {
        let number = (self.number)(id);
        self.unsigned(number);
    }

    fn tagged_type(&mut self, tag: u8, t: TypeId) {
        self.out.push(tag);
        self.ty(t);
    }

    /// A type.
    pub fn ty(&mut self, t: TypeId) {
        let types = self.types;
        match types.kind(t) {
            TypeKind::Primitive(primitive) => self.out.extend_from_slice(&[type_tag::PRIMITIVE, *primitive as u8]),
            TypeKind::TypedReference => self.out.push(type_tag::TYPED_REFERENCE),
            TypeKind::Class { assembly, row } => {
                self.out.push(type_tag::CLASS);
                self.assembly(*assembly);
                self.unsigned(*row);
            }
            TypeKind::Instance { definition, args } => {
                self.tagged_type(type_tag::INSTANCE, *definition);
                self.types_list(args);
            }
            TypeKind::SzArray(element) => self.tagged_type(type_tag::SZ_ARRAY, *element),
            TypeKind::Array { element, rank } => {
                self.tagged_type(type_tag::ARRAY, *element);
                self.unsigned(*rank);
            }
            TypeKind::Pointer(target) => self.tagged_type(type_tag::POINTER, *target),
            TypeKind::ByRef(target) => self.tagged_type(type_tag::BY_REF, *target),
            TypeKind::FunctionPointer(signature) => {
                self.out.push(type_tag::FUNCTION_POINTER);
                self.signature(signature);
            }
            TypeKind::Var(number) => {
                self.out.push(type_tag::VAR);
                self.unsigned(*number);
            }
            TypeKind::MVar(number) => {
                self.out.push(type_tag::MVAR);
                self.unsigned(*number);
            }
            TypeKind::Canon => self.out.push(type_tag::CANON),
        }
    }

    fn types_list(&mut self, list: &[TypeId]) {
        self.unsigned(list.len() as u32);
        for &t in list {
            self.ty(t);
        }
    }

    fn signature(&mut self, signature: &MethodSignature) {
        self.types_list(&signature.params);
        self.ty(signature.ret);
        let convention = CONVENTIONS.iter().position(|known| *known == signature.convention).unwrap_or(0);
        let flags = u8::from(signature.has_this) | u8::from(signature.explicit_this) << 1 | (convention as u8) << 2;
        self.out.push(flags);
        self.unsigned(signature.generic_param_count);
        self.unsigned(signature.fixed_params.map_or(0, |count| count + 1));
    }

    /// A method.
    pub fn method(&mut self, m: MethodId) {
        let types = self.types;
        let method = types.method(m);
        match method.kind {
            MethodKind::Definition { row } => {
                self.out.push(method_tag::DEFINITION);
                self.ty(method.owner);
                self.unsigned(row);
                self.types_list(&method.method_args);
            }
            MethodKind::Variadic { row, signature } => {
                self.tagged_type(method_tag::VARIADIC, method.owner);
                self.unsigned(row);
                self.ty(signature);
            }
            MethodKind::NativePointer { signature } => {
                self.tagged_type(method_tag::NATIVE_POINTER, method.owner);
                self.ty(signature);
            }
            MethodKind::Array(kind) => {
                let (tag, count) = match kind {
                    ArrayMethod::Get => (method_tag::GET, None),
                    ArrayMethod::Set => (method_tag::SET, None),
                    ArrayMethod::Address => (method_tag::ADDRESS, None),
                    ArrayMethod::Constructor(count) => (method_tag::CONSTRUCTOR, Some(count)),
                };
                self.tagged_type(tag, method.owner);
                if let Some(count) = count {
                    self.unsigned(count);
                }
            }
        }
    }

    /// A field.
    pub fn field(&mut self, f: FieldId) {
        let field = self.types.field(f);
        let (owner, index) = (field.owner, field.index);
        self.ty(owner);
        self.unsigned(index);
    }

    /// A cell.
    pub fn cell(&mut self, cell: &CellDescription) {
        match cell {
            CellDescription::Request(request) => self.request(*request),
            CellDescription::Lookup(lookup) => {
                self.out.push(cell_tag::GENERIC_LOOKUP);
                self.method(lookup.within);
                self.out.push(lookup.from_method_dictionary.into());
                self.request(lookup.request);
            }
            CellDescription::Error(kind, message, name) => {
                self.out.push(cell_tag::DEFERRED_ERROR);
                self.out.push(ERROR_KINDS.iter().position(|known| known == kind).unwrap_or(0) as u8);
                self.text(message);
                self.out.push(name.is_some().into());
                if let Some(name) = name {
                    self.text(name);
                }
            }
        }
    }

    fn request(&mut self, request: CellRequest) {
        use CellRequest::*;
        match request {
            MethodTable(t) => self.tagged_type(cell_tag::METHOD_TABLE, t),
            InitializedMethodTable(t) => self.tagged_type(cell_tag::INITIALIZED_METHOD_TABLE, t),
            Statics(t) => self.tagged_type(cell_tag::STATICS, t),
            ReferenceStatics(t) => self.tagged_type(cell_tag::REFERENCE_STATICS, t),
            StaticsWithoutInitializer(t) => self.tagged_type(cell_tag::STATICS_WITHOUT_INITIALIZER, t),
            ReferenceStaticsWithoutInitializer(t) => self.tagged_type(cell_tag::REFERENCE_STATICS_WITHOUT_INITIALIZER, t),
            TypeHandle(t) => self.tagged_type(cell_tag::TYPE_HANDLE, t),
            TypeObject(t) => self.tagged_type(cell_tag::TYPE_OBJECT, t),
            String(assembly, offset) => {
                self.out.push(cell_tag::STRING);
                self.assembly(assembly);
                self.unsigned(offset);
            }
            MethodEntry(m) => self.tagged_method(cell_tag::METHOD_ENTRY, m),
            FunctionPointer(m) => self.tagged_method(cell_tag::FUNCTION_POINTER, m),
            MethodHandle(m) => self.tagged_method(cell_tag::METHOD_HANDLE, m),
            InterfaceKey(m) => self.tagged_method(cell_tag::INTERFACE_KEY, m),
            MethodDictionary(m) => self.tagged_method(cell_tag::METHOD_DICTIONARY, m),
            InternalCall(m) => self.tagged_method(cell_tag::INTERNAL_CALL, m),
            PlatformInvoke(m) => self.tagged_method(cell_tag::PLATFORM_INVOKE, m),
            FieldHandle(f) => self.tagged_field(cell_tag::FIELD_HANDLE, f),
            FieldData(f) => self.tagged_field(cell_tag::FIELD_DATA, f),
            GenericLookup(number) | DeferredError(number) => {
                unreachable!("cell {number} is described by what its number stands for")
            }
        }
    }

    fn tagged_method(&mut self, tag: u8, m: MethodId) {
        self.out.push(tag);
        self.method(m);
    }

    fn tagged_field(&mut self, tag: u8, f: FieldId) {
        self.out.push(tag);
        self.field(f);
    }
}

fn damaged() -> Error {
    Error::bad_image("a description in the AOT image is damaged")
}

impl<'a> DescriptionReader<'a> {
    /// A reader of `bytes`.
    pub fn new(types: &'a TypeSystem, assembly: &'a dyn Fn(u32) -> il::Result<AssemblyId>, bytes: &'a [u8]) -> Self {
        DescriptionReader { types, assembly, rest: bytes }
    }

    /// Whether all bytes are read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn byte(&mut self) -> il::Result<u8> {
        let (&first, rest) = self.rest.split_first().ok_or_else(damaged)?;
        self.rest = rest;
        Ok(first)
    }

    /// A number.
    pub fn unsigned(&mut self) -> il::Result<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).ok_or_else(damaged)?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged())
    }

    fn text(&mut self) -> il::Result<String> {
        let length = self.unsigned()? as usize;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(damaged)?;
        self.rest = rest;
        String::from_utf8(bytes.to_vec()).map_err(|_| damaged())
    }

    fn assembly(&mut self) -> il::Result<AssemblyId> {
        let number = self.unsigned()?;
        (self.assembly)(number)
    }

    /// A type.
    pub fn ty(&mut self) -> il::Result<TypeId> {
        let types = self.types;
        Ok(match self.byte()? {
            type_tag::CLASS => {
                let assembly = self.assembly()?;
                types.type_definition(assembly, self.unsigned()?)
            }
            type_tag::INSTANCE => {
                let definition = self.ty()?;
                types.instance(definition, &self.types_list()?)
            }
            type_tag::SZ_ARRAY => types.sz_array(self.ty()?),
            type_tag::ARRAY => {
                let element = self.ty()?;
                types.array(element, self.unsigned()?)
            }
            type_tag::POINTER => types.pointer(self.ty()?),
            type_tag::BY_REF => types.by_ref(self.ty()?),
            type_tag::FUNCTION_POINTER => types.function_pointer(self.signature()?),
            type_tag::VAR => types.var(self.unsigned()?),
            type_tag::MVAR => types.mvar(self.unsigned()?),
            type_tag::CANON => TypeId::CANON,
            type_tag::TYPED_REFERENCE => TypeId::TYPED_REFERENCE,
            type_tag::PRIMITIVE => {
                let number = self.byte()?;
                let primitive = Primitive::ALL.iter().find(|known| **known as u8 == number).ok_or_else(damaged)?;
                primitive.type_id()
            }
            _ => return Err(damaged()),
        })
    }

    fn types_list(&mut self) -> il::Result<Vec<TypeId>> {
        (0..self.unsigned()?).map(|_| self.ty()).collect()
    }

    fn signature(&mut self) -> il::Result<MethodSignature> {
        let params = self.types_list()?.into();
        let ret = self.ty()?;
        let flags = self.byte()?;
        let convention = *CONVENTIONS.get(usize::from(flags >> 2)).ok_or_else(damaged)?;
        Ok(MethodSignature {
            params,
            ret,
            has_this: flags & 1 != 0,
            explicit_this: flags & 2 != 0,
            convention,
            generic_param_count: self.unsigned()?,
            fixed_params: self.unsigned()?.checked_sub(1),
        })
    }

    /// A method.
    pub fn method(&mut self) -> il::Result<MethodId> {
        let types = self.types;
        let tag = self.byte()?;
        let owner = self.ty()?;
        Ok(match tag {
            method_tag::DEFINITION => {
                let row = self.unsigned()?;
                let definition = types.method_on(owner, row);
                match self.types_list()?.as_slice() {
                    [] => definition,
                    args => types.instantiate_method(definition, owner, args),
                }
            }
            method_tag::GET => types.array_method(owner, ArrayMethod::Get),
            method_tag::SET => types.array_method(owner, ArrayMethod::Set),
            method_tag::ADDRESS => types.array_method(owner, ArrayMethod::Address),
            method_tag::CONSTRUCTOR => types.array_method(owner, ArrayMethod::Constructor(self.unsigned()?)),
            method_tag::VARIADIC => {
                let definition = types.method_on(owner, self.unsigned()?);
                types.variadic_method(definition, self.pointed_signature()?)
            }
            method_tag::NATIVE_POINTER => types.native_pointer_method(self.pointed_signature()?),
            _ => return Err(damaged()),
        })
    }

    /// The signature of a function pointer's type.
    fn pointed_signature(&mut self) -> il::Result<MethodSignature> {
        match self.types.kind(self.ty()?) {
            TypeKind::FunctionPointer(signature) => Ok(MethodSignature::clone(signature)),
            _ => Err(damaged()),
        }
    }

    /// A field.
    pub fn field(&mut self) -> il::Result<FieldId> {
        let owner = self.ty()?;
        let index = self.unsigned()? as usize;
        self.types.fields_of(owner)?.get(index).copied().ok_or_else(damaged)
    }

    /// A cell.
    pub fn cell(&mut self) -> il::Result<CellDescription> {
        let tag = self.byte()?;
        match tag {
            cell_tag::GENERIC_LOOKUP => {
                let within = self.method()?;
                let from_method_dictionary = self.byte()? != 0;
                let tag = self.byte()?;
                let request = self.request(tag)?;
                Ok(CellDescription::Lookup(GenericLookup { within, from_method_dictionary, request }))
            }
            cell_tag::DEFERRED_ERROR => {
                let kind = *ERROR_KINDS.get(usize::from(self.byte()?)).ok_or_else(damaged)?;
                let message = self.text()?;
                let name = if self.byte()? != 0 { Some(self.text()?) } else { None };
                Ok(CellDescription::Error(kind, message, name))
            }
            tag => Ok(CellDescription::Request(self.request(tag)?)),
        }
    }

    fn request(&mut self, tag: u8) -> il::Result<CellRequest> {
        Ok(match tag {
            cell_tag::METHOD_TABLE => CellRequest::MethodTable(self.ty()?),
            cell_tag::INITIALIZED_METHOD_TABLE => CellRequest::InitializedMethodTable(self.ty()?),
            cell_tag::STATICS => CellRequest::Statics(self.ty()?),
            cell_tag::REFERENCE_STATICS => CellRequest::ReferenceStatics(self.ty()?),
            cell_tag::STATICS_WITHOUT_INITIALIZER => CellRequest::StaticsWithoutInitializer(self.ty()?),
            cell_tag::REFERENCE_STATICS_WITHOUT_INITIALIZER => CellRequest::ReferenceStaticsWithoutInitializer(self.ty()?),
            cell_tag::TYPE_HANDLE => CellRequest::TypeHandle(self.ty()?),
            cell_tag::TYPE_OBJECT => CellRequest::TypeObject(self.ty()?),
            cell_tag::STRING => {
                let assembly = self.assembly()?;
                CellRequest::String(assembly, self.unsigned()?)
            }
            cell_tag::METHOD_ENTRY => CellRequest::MethodEntry(self.method()?),
            cell_tag::FUNCTION_POINTER => CellRequest::FunctionPointer(self.method()?),
            cell_tag::METHOD_HANDLE => CellRequest::MethodHandle(self.method()?),
            cell_tag::INTERFACE_KEY => CellRequest::InterfaceKey(self.method()?),
            cell_tag::METHOD_DICTIONARY => CellRequest::MethodDictionary(self.method()?),
            cell_tag::INTERNAL_CALL => CellRequest::InternalCall(self.method()?),
            cell_tag::PLATFORM_INVOKE => CellRequest::PlatformInvoke(self.method()?),
            cell_tag::FIELD_HANDLE => CellRequest::FieldHandle(self.field()?),
            cell_tag::FIELD_DATA => CellRequest::FieldData(self.field()?),
            _ => return Err(damaged()),
        })
    }
}
