//! Finding types by the names that reflection writes: `N.Outer+Inner[[Arg, assembly],Arg]*[,]&, assembly`.

use crate::exceptions::{Exception, Result};
use crate::icalls::assembly_events;
use crate::runtime;
use il::AssemblyName;
use il::tables::{NestedClassRow, TypeDefRow};
use il::types::{AssemblyId, LoadContext, TypeId};

/// Deepest nesting of type arguments in a name.
const DEPTH_LIMIT: u32 = 64;

/// What stands behind the name of an element type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Modifier {
    ByRef,
    Pointer,
    SzArray,
    Array(u32),
}

/// A type's name, taken apart.
#[derive(Default, PartialEq, Eq, Debug)]
struct ParsedName {
    /// Names of the nested types, the outermost first with its namespace.
    path: Vec<String>,
    args: Vec<ParsedName>,
    modifiers: Vec<Modifier>,
    assembly: Option<AssemblyName>,
}

/// How a name is looked up.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    /// Where to look if the name says no assembly, in this order.
    pub assemblies: &'a [AssemblyId],
    /// Case of letters does not count.
    pub ignore_case: bool,
    /// What the assemblies that names give are loaded for.
    pub context: LoadContext,
    /// Asks the handlers of `AppDomain.TypeResolve` for what is not found.
    pub asks: bool,
    /// An assembly that cannot be loaded means that there is no such type; else that is an error.
    pub allows_missing: bool,
}

struct Parser<'a> {
    text: &'a [u8],
    position: usize,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.position += usize::from(found);
        found
    }

    fn skip_spaces(&mut self) {
        while self.take(b' ') {}
    }

    /// A name up to a character with a meaning; a backslash takes it from the next one.
    fn identifier(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'+' | b'&' | b',' | b'*' | b'[' | b']' => break,
                b'\\' => {
                    self.position += 1;
                    bytes.push(self.peek()?);
                }
                _ => bytes.push(byte),
            }
            self.position += 1;
        }
        String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
    }

    /// A type's name; `with_assembly`: an assembly may follow.
    fn name(&mut self, with_assembly: bool) -> Option<ParsedName> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return None;
        }
        let mut parsed = ParsedName::default();
        self.skip_spaces();
        // The first name may be nested in Mono's own spelling.
        parsed.path.extend(self.identifier()?.trim_end().split('/').map(str::to_owned));
        while self.take(b'+') {
            // An empty one is found nowhere.
            parsed.path.push(self.identifier().unwrap_or_default());
        }
        let mut may_have_arguments = true;
        loop {
            if parsed.modifiers.last() == Some(&Modifier::ByRef)
                && self.peek().is_some_and(|byte| matches!(byte, b'&' | b'*' | b'['))
            {
                return None;
            }
            if self.take(b'&') {
                parsed.modifiers.push(Modifier::ByRef);
            } else if self.take(b'*') {
                parsed.modifiers.push(Modifier::Pointer);
            } else if self.take(b'[') {
                self.skip_spaces();
                match self.peek()? {
                    b']' | b',' | b'*' => parsed.modifiers.push(self.array()?),
                    _ if may_have_arguments => parsed.args = self.arguments()?,
                    _ => return None,
                }
            } else {
                break;
            }
            may_have_arguments = false;
        }
        self.skip_spaces();
        if with_assembly && self.take(b',') {
            parsed.assembly = Some(self.assembly()?);
        }
        self.depth -= 1;
        Some(parsed)
    }

    fn array(&mut self) -> Option<Modifier> {
        let (mut rank, mut is_bounded) = (1, false);
        loop {
            match self.peek()? {
                b']' => break,
                b',' => rank += 1,
                b'*' => is_bounded = true,
                b' ' => {}
                _ => return None,
            }
            self.position += 1;
        }
        self.position += 1;
        Some(if rank == 1 && !is_bounded { Modifier::SzArray } else { Modifier::Array(rank) })
    }

    fn arguments(&mut self) -> Option<Vec<ParsedName>> {
        let mut args = Vec::new();
        loop {
            self.skip_spaces();
            let is_qualified = self.take(b'[');
            args.push(self.name(is_qualified)?);
            if is_qualified && !self.take(b']') {
                return None;
            }
            self.skip_spaces();
            if self.take(b']') {
                return Some(args);
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// The assembly's name: the rest, or up to the bracket that closes an argument.
    fn assembly(&mut self) -> Option<AssemblyName> {
        let rest = &self.text[self.position..];
        let length = rest.iter().position(|&byte| byte == b']').unwrap_or(rest.len());
        self.position += length;
        let name = std::str::from_utf8(&rest[..length]).ok()?.trim_start();
        if name.is_empty() { None } else { AssemblyName::parse_behind_type(name) }
    }
}

fn parse(text: &str) -> Option<ParsedName> {
    let mut parser = Parser { text: text.as_bytes(), position: 0, depth: 0 };
    let parsed = parser.name(true)?;
    (parser.position == text.len()).then_some(parsed)
}

/// The type of a name, or `None` if there is none.
pub fn find_type(name: &str, lookup: &Lookup<'_>) -> Result<Option<TypeId>> {
    match parse(name) {
        Some(parsed) => find_parsed(&parsed, lookup),
        None => Ok(None),
    }
}

/// What a type's name says before it is looked up.
pub(super) enum Meaning {
    /// It cannot be parsed. Up to where it was understood, as Mono's message tells it.
    Broken(String),
    /// The outermost type, and the assembly that the name gives.
    Type(String, Option<AssemblyName>),
}

/// What a type's name says.
pub(super) fn meaning_of(name: &str) -> Meaning {
    match parse(name) {
        Some(parsed) => Meaning::Type(parsed.path.into_iter().next().unwrap_or_default(), parsed.assembly),
        None => {
            let end = name.find(['+', '&', '*', '[', ']', ',']).unwrap_or(name.len());
            let outermost = &name[..end];
            Meaning::Broken(outermost.rsplit_once('.').map_or(outermost, |(namespace, _)| namespace).to_owned())
        }
    }
}

/// The assembly that a type's name gives.
fn named_assembly(name: &AssemblyName, lookup: &Lookup<'_>) -> Result<AssemblyId> {
    let types = &runtime().types;
    let requesting = lookup.assemblies.first().copied();
    match lookup.context {
        LoadContext::Execution => Ok(types.load_by_name(name, requesting)?),
        LoadContext::Reflection => {
            let name = name.to_string();
            // The class makes its message of the name.
            let not_found = || Exception::with_arguments("System.IO", "FileNotFoundException", vec![None, Some(name.clone())]);
            assembly_events::load(&name, requesting, lookup.context)?.ok_or_else(not_found)
        }
    }
}

fn find_parsed(parsed: &ParsedName, lookup: &Lookup<'_>) -> Result<Option<TypeId>> {
    let own;
    let assemblies = match &parsed.assembly {
        None => lookup.assemblies,
        Some(name) => {
            own = match named_assembly(name, lookup) {
                Ok(assembly) => [assembly],
                Err(_) if lookup.allows_missing => return Ok(None),
                Err(error) => return Err(error),
            };
            &own
        }
    };
    let found = find_in(assemblies, parsed, lookup)?;
    if found.is_some() || !lookup.asks {
        return Ok(found);
    }
    match assembly_events::ask_for_type(&parsed.path.join("+"))? {
        Some(assembly) => find_in(&[assembly], parsed, lookup),
        None => Ok(None),
    }
}

/// The type in the first of some assemblies that has it.
fn find_in(assemblies: &[AssemblyId], parsed: &ParsedName, lookup: &Lookup<'_>) -> Result<Option<TypeId>> {
    let types = &runtime().types;
    let mut found = None;
    for &assembly in assemblies {
        found = find_path(assembly, &parsed.path, lookup.ignore_case)?;
        if found.is_some() {
            break;
        }
    }
    let Some(mut ty) = found else { return Ok(None) };
    types.header(ty)?;
    if !parsed.args.is_empty() {
        let mut args = Vec::with_capacity(parsed.args.len());
        for arg in &parsed.args {
            match find_parsed(arg, lookup)? {
                Some(arg) => args.push(arg),
                None => return Ok(None),
            }
        }
        match types.generic_params(ty)?.len() {
            0 => {
                let message = "Cannot bind generic parameters of a non-generic type";
                return Err(Exception::new("System", "TypeLoadException", message));
            }
            wanted if wanted != args.len() => {
                let message = format!(
                    "The generic type definition needs {wanted} type arguments, but was instantiated with {} ",
                    args.len()
                );
                return Err(Exception::argument("types", &message));
            }
            _ => ty = types.instance(ty, &args),
        }
    }
    for modifier in &parsed.modifiers {
        ty = match *modifier {
            Modifier::ByRef => types.by_ref(ty),
            Modifier::Pointer => types.pointer(ty),
            Modifier::SzArray => types.sz_array(ty),
            Modifier::Array(rank) => types.array(ty, rank),
        };
    }
    Ok(Some(ty))
}

fn find_path(assembly: AssemblyId, path: &[String], ignore_case: bool) -> Result<Option<TypeId>> {
    let types = &runtime().types;
    let Some((outermost, nested)) = path.split_first() else { return Ok(None) };
    let (namespace, name) = outermost.rsplit_once('.').unwrap_or(("", outermost));
    let mut found = types.find_type(assembly, namespace, name)?;
    if found.is_none() && ignore_case {
        found =
            find_ignoring_case(assembly, 0, namespace, name).or_else(|| types.find_made_ignoring_case(assembly, namespace, name));
    }
    if found.is_none() {
        // Types of other modules that are not exported.
        let modules = types.modules_of(assembly).unwrap_or_default();
        for &module in modules.iter().skip(1) {
            found = found.or(types.find_type(module, namespace, name)?);
        }
    }
    for name in nested {
        let Some(outer) = found else { return Ok(None) };
        found = types.nested_type(outer, name);
        if let (None, true, Some((assembly, row))) = (found, ignore_case, types.definition_of(outer)) {
            found = find_ignoring_case(assembly, row, "", name);
        }
    }
    Ok(found)
}

/// The type of this name within the type of row `outer`, or not nested if that is 0.
fn find_ignoring_case(assembly: AssemblyId, outer: u32, namespace: &str, name: &str) -> Option<TypeId> {
    let types = &runtime().types;
    let metadata = types.metadata(assembly);
    let nested: rustc_hash::FxHashMap<u32, u32> =
        metadata.rows::<NestedClassRow>().map(|(_, row)| (row.nested, row.enclosing)).collect();
    let same = |index, text: &str| metadata.string(index).to_lowercase() == text.to_lowercase();
    let mut rows = metadata.rows::<TypeDefRow>();
    let row = rows.find(|(row, columns)| {
        nested.get(row).copied().unwrap_or(0) == outer
            && same(columns.name, name)
            && (outer != 0 || same(columns.namespace, namespace))
    });
    row.map(|(row, _)| types.type_definition(assembly, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let parsed = parse("N.Outer+In\\+ner[[A.B, asm, Version=1.0.0.0],C[]]*[,]&, other").unwrap();
        assert_eq!(parsed.path, ["N.Outer", "In+ner"]);
        assert_eq!(parsed.modifiers, [Modifier::Pointer, Modifier::Array(2), Modifier::ByRef]);
        assert_eq!(parsed.assembly, Some(AssemblyName::simple("other")));
        assert_eq!(parsed.args[0].assembly.as_ref().map(|name| name.version.major), Some(1));
        assert_eq!(parsed.args[1].modifiers, [Modifier::SzArray]);
        assert_eq!(parse("N.A/B+C").unwrap().path, ["N.A", "B", "C"]);
    }

    #[test]
    fn broken_names_are_refused() {
        for text in ["", "A[", "A[[B]", "A&*", "A]", "A[B", "A, "] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
