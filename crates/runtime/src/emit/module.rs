//! A metadata image in the making: which rows stand for the types and members that it refers to.

use super::references::{FieldReference, MethodReference, Reference};
use crate::exceptions::Result;
use crate::runtime;
use il::types::{AssemblyId, Bindings, MethodSignature, TypeId, TypeKind};
use il::writer::ImageWriter;
use il::writer::signatures::{self, TypeTokens};
use il::{Assembly, TableId, Token};
use rustc_hash::FxHashMap;

/// A module with rows for what it refers to.
pub struct ModuleScope {
    /// The rows.
    pub writer: ImageWriter,
    /// Whether it becomes a file; otherwise the type system gets it.
    pub is_file: bool,
    bindings: Bindings,
    types: FxHashMap<TypeId, Token>,
    assemblies: FxHashMap<AssemblyId, u32>,
    /// MemberRef and MethodSpec rows by their cells.
    members: FxHashMap<(TableId, [u32; 3]), Token>,
    /// Methods of this module by TypeDef, name and signature.
    own_methods: FxHashMap<[u32; 3], Token>,
    /// Fields of this module likewise.
    own_fields: FxHashMap<[u32; 3], Token>,
}

impl ModuleScope {
    /// An image with the type of the module.
    pub fn new(name: &str) -> ModuleScope {
        let mut writer = ImageWriter::new(name);
        let module_type = writer.string("<Module>");
        writer.add_row(TableId::TypeDef, &[0, module_type, 0, 0, 1, 1]);
        ModuleScope {
            writer,
            is_file: false,
            bindings: Bindings::default(),
            types: FxHashMap::default(),
            assemblies: FxHashMap::default(),
            members: FxHashMap::default(),
            own_methods: FxHashMap::default(),
            own_fields: FxHashMap::default(),
        }
    }

    /// A type that is defined here.
    pub fn define_type(&mut self, ty: TypeId, row: u32) {
        self.types.insert(ty, Token::new(TableId::TypeDef, row));
    }

    /// A method that is defined here, by the cells of its row.
    pub fn define_method(&mut self, type_row: u32, name: u32, signature: u32, row: u32) {
        self.own_methods.insert([type_row, name, signature], Token::new(TableId::MethodDef, row));
    }

    /// A method that was defined here.
    pub fn own_method(&self, type_row: u32, name: u32, signature: u32) -> Option<Token> {
        self.own_methods.get(&[type_row, name, signature]).copied()
    }

    /// A field that is defined here, by the cells of its row.
    pub fn define_field(&mut self, type_row: u32, name: u32, signature: u32, row: u32) {
        self.own_fields.insert([type_row, name, signature], Token::new(TableId::Field, row));
    }

    /// Says which type is around the one that is made.
    pub fn set_enclosing(&mut self, outer: TypeId) {
        self.bindings.enclosing = Some(outer);
    }

    /// Says in which assembly its types are found by name.
    pub fn set_whole(&mut self, whole: AssemblyId) {
        self.bindings.member_of = Some(whole);
    }

    /// Finishes the image and gives it to the type system under a reserved number.
    pub fn install(self, assembly: AssemblyId, name: &str) -> Result<()> {
        let image = Assembly::from_bytes(self.writer.finish().into(), name)?;
        runtime().types.fill_assembly(assembly, image, &self.bindings);
        Ok(())
    }

    /// TypeDef, TypeRef or TypeSpec of a type.
    pub fn type_token(&mut self, ty: TypeId) -> Token {
        let types = &runtime().types;
        if let Some(&token) = self.types.get(&ty) {
            return token;
        }
        let is_named = matches!(types.kind(ty), TypeKind::Class { .. } | TypeKind::Primitive(_) | TypeKind::TypedReference);
        let token = if is_named { self.add_type_ref(ty) } else { self.add_type_spec(ty) };
        self.types.insert(ty, token);
        token
    }

    fn add_type_spec(&mut self, ty: TypeId) -> Token {
        let mut signature = Vec::new();
        signatures::push_type(&mut signature, &runtime().types, self, ty);
        let blob = self.writer.blob(&signature);
        Token::new(TableId::TypeSpec, self.writer.add_row(TableId::TypeSpec, &[blob]))
    }

    fn add_type_ref(&mut self, ty: TypeId) -> Token {
        let types = &runtime().types;
        let (namespace, name) = types.simple_name(ty);
        let scope = match (types.declaring_type(ty), types.definition_of(ty)) {
            (Some(outer), _) => self.type_token(outer),
            (None, Some((assembly, _))) => Token::new(TableId::AssemblyRef, self.assembly_ref(assembly)),
            (None, None) => Token::NULL,
        };
        let cells = [scope.0, self.writer.string(name), self.writer.string(namespace)];
        let row = self.writer.add_row(TableId::TypeRef, &cells);
        self.bindings.types.push((row, ty));
        Token::new(TableId::TypeRef, row)
    }

    fn assembly_ref(&mut self, assembly: AssemblyId) -> u32 {
        if let Some(&row) = self.assemblies.get(&assembly) {
            return row;
        }
        let name = runtime().types.assembly(assembly).name();
        let (version, key) = (name.version, name.token());
        let version = [version.major, version.minor, version.build, version.revision].map(u32::from);
        let key = self.writer.blob(key.as_ref().map_or(&[], |key| &key[..]));
        let (simple, culture) = (self.writer.string(&name.name), self.writer.string(&name.culture));
        let cells = [version[0], version[1], version[2], version[3], 0, key, simple, culture];
        let row = self.writer.add_row(TableId::AssemblyRef, &cells);
        self.assemblies.insert(assembly, row);
        row
    }

    /// Index of a method signature's blob.
    pub fn method_signature(&mut self, signature: &MethodSignature) -> u32 {
        let mut bytes = Vec::new();
        signatures::push_method(&mut bytes, &runtime().types, self, signature);
        self.writer.blob(&bytes)
    }

    /// Index of a field signature's blob.
    pub fn field_signature(&mut self, ty: TypeId) -> u32 {
        const FIELD: u8 = 6;
        let mut bytes = vec![FIELD];
        signatures::push_type(&mut bytes, &runtime().types, self, ty);
        self.writer.blob(&bytes)
    }

    /// StandAloneSig of a signature.
    pub fn stand_alone_signature(&mut self, signature: &[u8]) -> Token {
        let blob = self.writer.blob(signature);
        Token::new(TableId::StandAloneSig, self.writer.add_row(TableId::StandAloneSig, &[blob]))
    }

    /// MethodDef, MemberRef or MethodSpec of a method.
    pub fn method_token(&mut self, method: &MethodReference) -> Token {
        let open = self.open_method_token(method);
        if method.args.is_empty() {
            return open;
        }
        let types = &runtime().types;
        let mut instance = Vec::new();
        signatures::push_method_instance(&mut instance, types, self, &method.args);
        let blob = self.writer.blob(&instance);
        let (token, is_new) = self.member(TableId::MethodSpec, [open.0, blob, 0]);
        let is_closed = !method.args.iter().any(|&arg| types.contains_type_variables(arg));
        if let Some(known) = method.known.filter(|_| is_new && is_closed) {
            let instance = types.instantiate_method(known, types.method(known).owner, &method.args);
            self.bindings.method_instances.push((token.row(), instance));
        }
        token
    }

    /// MethodDef or MemberRef of a method without its own arguments.
    pub fn open_method_token(&mut self, method: &MethodReference) -> Token {
        let class = self.type_token(method.owner);
        let (name, signature) = (self.writer.string(&method.name), self.method_signature(&method.signature));
        if let Some(row) = class.row_in(TableId::TypeDef) {
            if let Some(&token) = self.own_methods.get(&[row, name, signature]) {
                return token;
            }
        }
        let (token, is_new) = self.member(TableId::MemberRef, [class.0, name, signature]);
        if let Some(known) = method.known.filter(|_| is_new) {
            self.bindings.methods.push((token.row(), known));
        }
        token
    }

    /// MemberRef of a method that is called with these variable arguments.
    pub fn call_token(&mut self, mut method: MethodReference, arguments: Vec<TypeId>) -> Token {
        let fixed = method.signature.params;
        method.signature.fixed_params = Some(fixed.len() as u32);
        method.signature.params = fixed.into_iter().chain(arguments).collect();
        self.open_method_token(&method)
    }

    /// Field or MemberRef of a field.
    pub fn field_token(&mut self, field: &FieldReference) -> Token {
        let class = self.type_token(field.owner);
        let (name, signature) = (self.writer.string(&field.name), self.field_signature(field.ty));
        if let Some(row) = class.row_in(TableId::TypeDef) {
            if let Some(&token) = self.own_fields.get(&[row, name, signature]) {
                return token;
            }
        }
        let (token, is_new) = self.member(TableId::MemberRef, [class.0, name, signature]);
        if let Some(known) = field.known.filter(|_| is_new) {
            self.bindings.fields.push((token.row(), known));
        }
        token
    }

    fn member(&mut self, table: TableId, cells: [u32; 3]) -> (Token, bool) {
        if let Some(&token) = self.members.get(&(table, cells)) {
            return (token, false);
        }
        let columns = if table == TableId::MethodSpec { 2 } else { 3 };
        let token = Token::new(table, self.writer.add_row(table, &cells[..columns]));
        self.members.insert((table, cells), token);
        (token, true)
    }

    /// The token of whatever an instruction refers to.
    pub fn token(&mut self, reference: &Reference) -> Token {
        match reference {
            Reference::Type(ty) => self.type_token(*ty),
            Reference::Method(method) => self.method_token(method),
            Reference::Field(field) => self.field_token(field),
            Reference::Signature(signature) => {
                let mut bytes = Vec::new();
                signatures::push_method(&mut bytes, &runtime().types, self, signature);
                self.stand_alone_signature(&bytes)
            }
        }
    }
}

impl TypeTokens for ModuleScope {
    fn class_token(&mut self, class: TypeId) -> Token {
        self.type_token(class)
    }

    fn is_value_type(&self, class: TypeId) -> bool {
        let types = &runtime().types;
        // A type that is not finished yet would remember that it could not be loaded.
        types.definition_of(class).is_some_and(|(assembly, _)| types.is_filled(assembly)) && types.is_value_type(class)
    }
}
