//! Questions to metadata that the type system has no use for itself: user strings, imports, names of parameters.

use crate::exceptions::{Exception, Result};
use crate::runtime;
use il::tables::{ImplMapRow, ParamRow};
use il::types::{AssemblyId, FieldId, FieldLocation, MethodId};
use il::{TableId, Token};

/// Bits of a P/Invoke's attributes (ECMA-335 II.23.1.8).
const NO_MANGLE: u16 = 1;
const CHARACTER_SET_MASK: u16 = 6;
const CHARACTER_SET_UNICODE: u16 = 4;

/// The UTF-16 units of a user string by its token.
pub fn user_string(assembly: AssemblyId, token: u32) -> Result<Vec<u16>> {
    let bytes = runtime().types.metadata(assembly).user_string(token & 0xff_ffff)?;
    Ok(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect())
}

/// What a P/Invoke method imports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Import {
    /// Name of the library as written.
    pub library: String,
    /// Name of the function.
    pub entry_point: String,
    /// Whether text is UTF-16, and so the function with a `W` at the end of its name the right one.
    pub unicode: bool,
    /// Whether the name is to be taken as it stands.
    pub exact: bool,
}

/// What a method imports, if it is a P/Invoke.
pub fn import(method: MethodId) -> Option<Import> {
    let types = &runtime().types;
    let data = types.method(method);
    let metadata = types.metadata(data.assembly);
    let map: ImplMapRow = metadata.impl_map(Token::new(TableId::MethodDef, data.row()?))?;
    let library = metadata.row::<il::tables::ModuleRefRow>(map.import_scope).ok()?;
    let entry_point = match metadata.string(map.import_name) {
        "" => types.method_name(method),
        name => name,
    };
    Some(Import {
        library: metadata.string(library.name).to_string(),
        entry_point: entry_point.to_string(),
        unicode: map.flags & CHARACTER_SET_MASK == CHARACTER_SET_UNICODE,
        exact: map.flags & NO_MANGLE != 0,
    })
}

/// Names of a method's parameters, in order; empty where there is none.
pub fn parameter_names(method: MethodId) -> Vec<String> {
    let types = &runtime().types;
    let data = types.method(method);
    let metadata = types.metadata(data.assembly);
    let Some(row) = data.row() else { return Vec::new() };
    let mut names = Vec::new();
    let list = metadata.params_of(row);
    for index in 0..list.len() as u32 {
        let Some(param) = list.get(index).and_then(|row| metadata.row::<ParamRow>(row).ok()) else { continue };
        let Some(position) = (param.sequence as usize).checked_sub(1) else { continue };
        if names.len() <= position {
            names.resize(position + 1, String::new());
        }
        names[position] = metadata.string(param.name).to_string();
    }
    names
}

/// Address of a static field whose data lies in its mapped file, of which the process has a copy that it may write.
pub fn field_data(field: FieldId) -> Result<usize> {
    let types = &runtime().types;
    let FieldLocation::Rva { rva } = types.field_location(field)? else {
        return Err(Exception::engine("a field without initial data was asked for it"));
    };
    let image = types.assembly(types.field(field).assembly).image();
    Ok(image.at_rva(rva)?.as_ptr() as usize)
}
