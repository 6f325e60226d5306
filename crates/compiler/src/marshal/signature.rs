//! Native signatures of imported methods and of delegates.

use super::{Conversion, NativeForm, Place, Text, conversion, layout};
use il::attributes::{ArgumentValue, AttributeArguments, EnumTypes, MarshalDescriptor, native};
use il::signature::CallConvention as Convention;
use il::signature::{MethodSig, element};
use il::tables::{ImplMapRow, ParamRow};
use il::types::{AssemblyId, MethodId, MethodKind, TypeId, TypeKind, TypeSystem, method_impl_attributes};
use il::{Error, ErrorKind, Result, TableId, Token};
use ir::signature::CallConvention;

/// Bit of a P/Invoke's attributes: keep errno (ECMA-335 II.23.1.8).
const SUPPORTS_LAST_ERROR: u16 = 0x40;
/// Mask and value of the Unicode character set.
const CHARACTER_SET_MASK: u16 = 6;
const CHARACTER_SET_UNICODE: u16 = 4;
/// Mask of the convention, and those that are not C's. What Windows calls its own is C's elsewhere.
const CONVENTION_MASK: u16 = 0x700;
const CONVENTION_STDCALL: u16 = 0x300;
const CONVENTION_THISCALL: u16 = 0x400;
/// The same of `System.Runtime.InteropServices.CallingConvention`.
const ATTRIBUTE_STDCALL: i32 = 3;
const ATTRIBUTE_THISCALL: i32 = 4;
/// `CharSet.Unicode`.
const ATTRIBUTE_UNICODE: i32 = 3;
/// `ParamAttributes` (II.23.1.13).
const PARAM_IN: u16 = 1;
const PARAM_OUT: u16 = 2;
/// Every value in the area begins at a multiple of this.
const AREA_ALIGN: u32 = 8;

/// A parameter or result that crosses to native code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NativeParam {
    /// Its managed type.
    pub ty: TypeId,
    /// What it becomes.
    pub conversion: Conversion,
    /// The native form of that.
    pub form: NativeForm,
    /// Whether the callee gets the value.
    pub input: bool,
    /// Whether the caller gets it back.
    pub output: bool,
    /// Its place in the area that holds all native values of a call.
    pub offset: u32,
}

/// What a call between managed and native code passes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NativeSignature {
    /// The parameters.
    pub params: Vec<NativeParam>,
    /// The result.
    pub result: NativeParam,
    /// Bytes of the area that holds all native values. It begins with a word for the runtime's own use.
    pub area_size: u32,
    /// Whether errno is kept for `Marshal.GetLastWin32Error`.
    pub keeps_error: bool,
    /// The rules of the native side.
    pub convention: CallConvention,
}

/// Alignment of the area of native values.
pub const AREA_ALIGNMENT: u32 = 16;

/// The native signature of an imported method, of a delegate's `Invoke`, of the call of an address, or of a method that is called through COM.
pub fn native_signature(types: &TypeSystem, method: MethodId) -> Result<NativeSignature> {
    let data = types.method(method);
    let import = data.row().filter(|_| data.is_pinvoke()).and_then(|row| import(types, data.assembly, row));
    match import {
        Some(import) => {
            let unicode = import.flags & CHARACTER_SET_MASK == CHARACTER_SET_UNICODE;
            let convention = match import.flags & CONVENTION_MASK {
                CONVENTION_STDCALL => CallConvention::StdCall,
                CONVENTION_THISCALL => CallConvention::ThisCall,
                _ => CallConvention::Native,
            };
            build(types, method, unicode, import.flags & SUPPORTS_LAST_ERROR != 0, convention)
        }
        None if matches!(data.kind, MethodKind::NativePointer { .. }) => {
            let convention = match types.method_signature(method)?.convention {
                Convention::StdCall => CallConvention::StdCall,
                Convention::ThisCall => CallConvention::ThisCall,
                _ => CallConvention::Native,
            };
            build(types, method, false, false, convention)
        }
        None if !types.header(data.owner)?.is_delegate() => com_signature(types, method),
        None => {
            let options = delegate_options(types, data.owner)?;
            build(types, method, options.unicode, options.keeps_error, options.convention)
        }
    }
}

fn import(types: &TypeSystem, assembly: AssemblyId, row: u32) -> Option<ImplMapRow> {
    types.metadata(assembly).impl_map(Token::new(TableId::MethodDef, row))
}

/// What `UnmanagedFunctionPointerAttribute` says.
struct DelegateOptions {
    unicode: bool,
    keeps_error: bool,
    convention: CallConvention,
}

/// The attribute's enumerations are all `int`.
struct IntEnums;

impl EnumTypes for IntEnums {
    fn underlying_type_of(&self, _: Token) -> Result<u8> {
        Ok(element::I4)
    }
    fn underlying_type_by_name(&self, _: &str) -> Result<u8> {
        Ok(element::I4)
    }
}

fn delegate_options(types: &TypeSystem, delegate: TypeId) -> Result<DelegateOptions> {
    /// Its constructor takes a `CallingConvention`, which here is as good as `int`.
    const CONSTRUCTOR: &[u8] = &[0x20, 1, element::VOID, element::I4];
    let mut options = DelegateOptions { unicode: false, keeps_error: false, convention: CallConvention::Native };
    let Some((assembly, row)) = types.definition_of(delegate) else { return Ok(options) };
    let token = Token::new(TableId::TypeDef, row);
    let value = types.custom_attribute(assembly, token, "System.Runtime.InteropServices", "UnmanagedFunctionPointerAttribute");
    let Some(value) = value else { return Ok(options) };
    let arguments = AttributeArguments::parse(value, &MethodSig::parse(CONSTRUCTOR)?, &IntEnums)?;
    options.convention = match arguments.fixed.first() {
        Some(ArgumentValue::I4(ATTRIBUTE_STDCALL)) => CallConvention::StdCall,
        Some(ArgumentValue::I4(ATTRIBUTE_THISCALL)) => CallConvention::ThisCall,
        _ => CallConvention::Native,
    };
    for named in arguments.named {
        match (&*named.name, &named.value) {
            ("CharSet", ArgumentValue::I4(value)) => options.unicode = *value == ATTRIBUTE_UNICODE,
            ("SetLastError", ArgumentValue::Boolean(value)) => options.keeps_error = *value,
            _ => {}
        }
    }
    Ok(options)
}

fn build(
    types: &TypeSystem,
    method: MethodId,
    unicode: bool,
    keeps_error: bool,
    convention: CallConvention,
) -> Result<NativeSignature> {
    let data = types.method(method);
    let signature = types.method_signature(method)?;
    let mut values = Values::new(types, method, unicode);
    // The address that is called is no argument of the native code.
    let first = usize::from(matches!(data.kind, MethodKind::NativePointer { .. }));
    let mut params = Vec::with_capacity(signature.params.len());
    for (index, &ty) in signature.params.iter().enumerate().skip(first) {
        params.push(values.add(ty, index as u16 + 1, None)?);
    }
    let result = values.add(signature.ret, 0, None)?;
    if !is_import_result(types, &result.conversion)? && data.is_pinvoke() {
        return Err(values.refused("Cannot marshal 'return value': Invalid managed/unmanaged type combination."));
    }
    let convention = match signature.convention {
        Convention::VarArg | Convention::NativeVarArg => CallConvention::Variadic,
        _ => convention,
    };
    values.signature(params, result, keeps_error, convention)
}

/// The native signature of a method of a COM interface, or of a class that is seen through its own: the interface comes first. Unless the
/// method is marked as one that keeps its signature (`PreserveSig`), its result is an error code, and what it returns in managed code goes
/// to the address in the last parameter.
fn com_signature(types: &TypeSystem, method: MethodId) -> Result<NativeSignature> {
    let signature = types.method_signature(method)?;
    let mut values = Values::new(types, method, false);
    let mut params = vec![values.add(TypeId::I, u16::MAX, None)?];
    for (index, &ty) in signature.params.iter().enumerate() {
        let mut param = values.add(ty, index as u16 + 1, com_default(types, ty))?;
        if let Conversion::Array { size_param: Some(number), .. } = &mut param.conversion {
            *number += 1;
        }
        params.push(param);
    }
    let default = com_default(types, signature.ret);
    let result = match keeps_signature(types, method) {
        true => values.add(signature.ret, 0, default)?,
        false => {
            if signature.ret != TypeId::VOID {
                let param = values.add(types.by_ref(signature.ret), 0, default)?;
                params.push(NativeParam { input: false, output: true, ..param });
            }
            values.add(TypeId::I4, u16::MAX, None)?
        }
    };
    values.signature(params, result, false, CallConvention::Native)
}

/// Whether a method of a COM interface returns in native code what it returns in managed code, not an error code.
pub fn keeps_signature(types: &TypeSystem, method: MethodId) -> bool {
    types.method(method).impl_attributes & method_impl_attributes::PRESERVE_SIG != 0
}

/// What COM makes of parameters and results that do not say it.
fn com_default(types: &TypeSystem, ty: TypeId) -> Option<MarshalDescriptor> {
    let ty = match *types.kind(ty) {
        TypeKind::ByRef(target) => target,
        _ => ty,
    };
    Some(match types.kind(ty) {
        _ if ty == TypeId::OBJECT => MarshalDescriptor::Simple(native::STRUCT),
        _ if ty == TypeId::STRING => MarshalDescriptor::Simple(native::BSTR),
        _ if ty == TypeId::BOOLEAN => MarshalDescriptor::Simple(native::VARIANT_BOOL),
        TypeKind::Class { .. } if types.is_reference_type(ty) => {
            MarshalDescriptor::Interface { kind: native::INTERFACE, identity_param: None }
        }
        TypeKind::SzArray(TypeId::OBJECT) => MarshalDescriptor::SafeArray { variant_type: None, user_type: None },
        _ => return None,
    })
}

/// The values of a signature, which get their places in the area one after the other.
struct Values<'t> {
    types: &'t TypeSystem,
    method: MethodId,
    place: Place,
    area_size: u32,
}

impl<'t> Values<'t> {
    fn new(types: &'t TypeSystem, method: MethodId, unicode: bool) -> Values<'t> {
        let place = Place { unicode, field: false, assembly: types.method(method).assembly };
        Values { types, method, place, area_size: AREA_ALIGN }
    }

    fn refused(&self, message: &str) -> Error {
        Error::new(ErrorKind::MarshalDirective, message).with_name(self.types.method_full_name(self.method))
    }

    /// The parameter with this number (from 1; 0 is the result) of type `ty`, or a value that has no row.
    fn add(&mut self, ty: TypeId, sequence: u16, default: Option<MarshalDescriptor>) -> Result<NativeParam> {
        let data = self.types.method(self.method);
        let row = data.row().and_then(|row| param_row(self.types, data.assembly, row, sequence));
        let descriptor = match row {
            Some((token, _)) => layout::descriptor(self.types, data.assembly, token)?,
            None => None,
        };
        let conversion = conversion(self.types, ty, descriptor.or(default).as_ref(), self.place)?;
        if matches!(conversion, Conversion::FixedText { .. } | Conversion::FixedArray { .. }) {
            return Err(self.refused("only fields are marshalled in place"));
        }
        let (input, output) = directions(self.types, &conversion, row.map_or(0, |(_, flags)| flags));
        let form = conversion.native_form(self.types)?;
        let offset = self.area_size.next_multiple_of(form.align.max(AREA_ALIGN));
        // Whole registers are read up to the end.
        self.area_size = (offset + form.size).next_multiple_of(AREA_ALIGN);
        Ok(NativeParam { ty, conversion, form, input, output, offset })
    }

    fn signature(
        self,
        params: Vec<NativeParam>,
        result: NativeParam,
        keeps_error: bool,
        convention: CallConvention,
    ) -> Result<NativeSignature> {
        if matches!(result.conversion, Conversion::Variant) {
            return Err(Error::new(ErrorKind::MarshalDirective, "Marshalling of VARIANT not supported as a return type."));
        }
        let area_size = self.area_size.next_multiple_of(AREA_ALIGNMENT);
        Ok(NativeSignature { params, result, area_size, keeps_error, convention })
    }
}

/// Whether native code may return it.
fn is_import_result(types: &TypeSystem, conversion: &Conversion) -> Result<bool> {
    Ok(match conversion {
        Conversion::HandleRef(_) | Conversion::Array { .. } | Conversion::AsAny { .. } => false,
        Conversion::SafeHandle(ty) => !types.header(*ty)?.is_abstract(),
        _ => true,
    })
}

/// The Param row of a parameter (from 1; 0 is the result) with its flags.
fn param_row(types: &TypeSystem, assembly: AssemblyId, method: u32, sequence: u16) -> Option<(Token, u16)> {
    let metadata = types.metadata(assembly);
    metadata.params_of(method).find_map(|row| {
        let param: ParamRow = metadata.row(row).ok()?;
        (param.sequence == sequence).then(|| (Token::new(TableId::Param, row), param.flags))
    })
}

/// Whether the callee gets a value and whether the caller gets it back.
fn directions(types: &TypeSystem, conversion: &Conversion, flags: u16) -> (bool, bool) {
    let (is_in, is_out) = (flags & PARAM_IN != 0, flags & PARAM_OUT != 0);
    match conversion {
        // As Mono has it: a `ref` parameter is passed in but does not come back.
        Conversion::Pointer { by_ref: true, target } if matches!(**target, Conversion::Interface(_)) => (!is_out, is_out),
        Conversion::Pointer { by_ref: true, target } if matches!(**target, Conversion::SafeArray) => (is_in, is_out),
        Conversion::Pointer { by_ref: true, .. } | Conversion::Builder(_) => (is_in || !is_out, is_out || !is_in),
        Conversion::Array { element, .. } if matches!(**element, Conversion::Builder(_)) => (is_in || !is_out, is_out || !is_in),
        // Numbers are seen in place by Mono.
        Conversion::ClassPointer(ty) if types.class(*ty).is_ok_and(|class| class.is_blittable) => (true, true),
        Conversion::ClassPointer(_) | Conversion::Array { .. } | Conversion::AsAny { .. } => (is_in || !is_out, is_out),
        Conversion::Custom { .. } => (is_in || !is_out, is_in && is_out),
        _ => (true, false),
    }
}

impl NativeParam {
    /// The text form of a `string` that is only passed, or returned.
    pub fn text(&self) -> Option<Text> {
        match self.conversion {
            Conversion::Text(text) => Some(text),
            _ => None,
        }
    }
}
