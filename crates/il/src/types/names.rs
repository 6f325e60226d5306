//! Names of types and methods, in Mono's form (as in traces and for binding internal calls) and in reflection's.

use super::assemblies::join_name;
use super::*;
use crate::tables::{TableId, Token, TypeDefRow};

/// How names are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `List`1<int>`, `Outer/Inner`, `intptr`
    Mono,
    /// `List`1[System.Int32]`, `Outer+Inner`, `System.IntPtr`
    Reflection,
}

/// Short names by type id: the built-in types, `typedbyref`, the stand-in, `object`, `string`.
const SHORT_NAMES: [&str; 19] = [
    "void",
    "bool",
    "char",
    "sbyte",
    "byte",
    "int16",
    "uint16",
    "int",
    "uint",
    "long",
    "ulong",
    "single",
    "double",
    "intptr",
    "uintptr",
    "typedbyref",
    "__Canon",
    "object",
    "string",
];

impl TypeSystem {
    /// A type's name as Mono writes it: `System.Collections.Generic.List`1<int>`, `Outer/Inner`, `byte[]&`.
    pub fn type_name(&self, t: TypeId) -> String {
        let mut name = String::new();
        self.write_type(t, None, Style::Mono, &mut name);
        name
    }

    /// A type's name as `Type.FullName` gives it, except that assemblies of arguments are left out:
    /// `System.Collections.Generic.List`1[System.Int32]`, `Outer+Inner`.
    pub fn reflection_name(&self, t: TypeId) -> String {
        let mut name = String::new();
        self.write_type(t, None, Style::Reflection, &mut name);
        name
    }

    /// Namespace and name of the definition of a class; empty for other types.
    pub fn simple_name(&self, t: TypeId) -> (&str, &str) {
        let Some((assembly, row)) = self.definition_of(t) else {
            return ("", "");
        };
        let metadata = self.metadata(assembly);
        let unknown = || if self.is_filled(assembly) { ("", "") } else { self.reserved_name(assembly) };
        metadata
            .row::<TypeDefRow>(row)
            .map_or_else(|_| unknown(), |row| (metadata.string(row.namespace), metadata.string(row.name)))
    }

    /// A method's name as Mono writes it, by which internal calls are bound: `System.Math:Sin (double)`,
    /// `System.Array:GetGenericValueImpl<T> (int,T&)`.
    pub fn method_full_name(&self, m: MethodId) -> String {
        let method = self.method(m);
        let mut name = String::new();
        self.write_type(method.owner, None, Style::Mono, &mut name);
        name.push(':');
        name.push_str(self.method_name(m));
        if method.generic_param_count > 0 {
            name.push('<');
            for index in 0..method.generic_param_count {
                if index > 0 {
                    name.push_str(", ");
                }
                match method.method_args.get(index as usize) {
                    Some(&arg) => self.write_type(arg, Some(m), Style::Mono, &mut name),
                    None => name.push_str(self.method_param_name(m, index)),
                }
            }
            name.push('>');
        }
        name.push_str(" (");
        match self.method_signature(m) {
            Ok(signature) => {
                for (index, &param) in signature.params.iter().enumerate() {
                    if index > 0 {
                        name.push(',');
                    }
                    self.write_type(param, Some(m), Style::Mono, &mut name);
                }
            }
            Err(_) => name.push('?'),
        }
        name.push(')');
        name
    }

    /// A method as messages about access name it: `Namespace.Outer+Inner.Method(int,string)`.
    pub fn member_name(&self, m: MethodId) -> String {
        let mut name = self.reflection_name(self.method(m).owner);
        name.push('.');
        name.push_str(self.method_name(m));
        name.push('(');
        for (index, &param) in self.method_signature(m).iter().flat_map(|signature| signature.params.iter()).enumerate() {
            if index > 0 {
                name.push(',');
            }
            self.write_type(param, Some(m), Style::Mono, &mut name);
        }
        name.push(')');
        name
    }

    /// A type's name as traces have it, in which classes stand for all their instances and variables have their names:
    /// `System.Collections.Generic.List`1[T]`. The variables are those of `scope` and its class.
    pub fn trace_name(&self, t: TypeId, scope: MethodId) -> String {
        let mut name = String::new();
        match self.definition_of(t) {
            Some((assembly, row)) => {
                self.write_definition(self.generic_definition_type(t), Style::Reflection, &mut name);
                name.push_str(&self.param_list(assembly, Token::new(TableId::TypeDef, row)));
            }
            None => self.write_type(t, Some(scope), Style::Reflection, &mut name),
        }
        name
    }

    /// Names of a method's own type parameters in brackets, or nothing.
    pub fn trace_type_params(&self, m: MethodId) -> String {
        let method = self.method(m);
        self.param_list(method.assembly, Token::new(TableId::MethodDef, method.row().unwrap_or(0)))
    }

    fn param_list(&self, assembly: AssemblyId, owner: Token) -> String {
        let metadata = self.metadata(assembly);
        let names: Vec<&str> = metadata.generic_params_of(owner).map(|(_, param)| metadata.string(param.name)).collect();
        if names.is_empty() { String::new() } else { format!("[{}]", names.join(",")) }
    }

    fn method_param_name(&self, m: MethodId, index: u32) -> &str {
        let method = self.method(m);
        self.param_name(method.assembly, Token::new(TableId::MethodDef, method.row().unwrap_or(0)), index)
    }

    fn param_name(&self, assembly: AssemblyId, owner: Token, index: u32) -> &str {
        let metadata = self.metadata(assembly);
        let mut params = metadata.generic_params_of(owner);
        params.find(|(_, param)| u32::from(param.number) == index).map_or("?", |(_, param)| metadata.string(param.name))
    }

    fn write_type(&self, t: TypeId, scope: Option<MethodId>, style: Style, name: &mut String) {
        if style == Style::Mono {
            if let Some(short) = SHORT_NAMES.get(t.index()) {
                name.push_str(short);
                return;
            }
        }
        match self.kind(t) {
            TypeKind::Primitive(_) | TypeKind::TypedReference | TypeKind::Class { .. } => self.write_definition(t, style, name),
            TypeKind::Canon => name.push_str("System.__Canon"),
            TypeKind::Instance { definition, args } => {
                self.write_definition(*definition, style, name);
                let (open, separator, close) = if style == Style::Mono { ('<', ", ", '>') } else { ('[', ",", ']') };
                name.push(open);
                for (index, &arg) in args.iter().enumerate() {
                    if index > 0 {
                        name.push_str(separator);
                    }
                    self.write_type(arg, scope, style, name);
                }
                name.push(close);
            }
            TypeKind::SzArray(element) => {
                self.write_type(*element, scope, style, name);
                name.push_str("[]");
            }
            TypeKind::Array { element, rank } => {
                self.write_type(*element, scope, style, name);
                name.push('[');
                if *rank == 1 {
                    name.push('*');
                }
                name.extend((1..*rank).map(|_| ','));
                name.push(']');
            }
            TypeKind::Pointer(target) => {
                self.write_type(*target, scope, style, name);
                name.push('*');
            }
            TypeKind::ByRef(target) => {
                self.write_type(*target, scope, style, name);
                name.push('&');
            }
            TypeKind::FunctionPointer(_) => name.push_str(if style == Style::Mono { "*()" } else { "System.IntPtr" }),
            TypeKind::Var(number) => match scope.and_then(|m| self.definition_of(self.method(m).owner)) {
                Some((assembly, row)) => name.push_str(self.param_name(assembly, Token::new(TableId::TypeDef, row), *number)),
                None => name.push_str(&format!("!{number}")),
            },
            TypeKind::MVar(number) => match scope {
                Some(m) => name.push_str(self.method_param_name(m, *number)),
                None => name.push_str(&format!("!!{number}")),
            },
        }
    }

    fn write_definition(&self, t: TypeId, style: Style, name: &mut String) {
        if let Some(outer) = self.declaring_type(t).filter(|&outer| outer != t) {
            self.write_definition(outer, style, name);
            name.push(if style == Style::Mono { '/' } else { '+' });
        }
        let (namespace, simple) = self.simple_name(t);
        name.push_str(&join_name(namespace, simple));
    }
}
