//! The text syntax, read. See [`print`](crate::print) for what it looks like.
//!
//! Numbers of values and blocks are kept, so that text that was printed is printed again just so. The result is not
//! verified: types and dominance are the verifier's.

use crate::entity::{Block, Entity, Inst, Region, SigRef, StackSlot, Symbol, Value};
use crate::function::{
    BlockData, Function, Handler, HandlerKind, RegionData, StackSlotData, SymbolData, SymbolRef, ValueData, ValueDef,
};
use crate::inline_sites::InlineSite;
use crate::instruction::{
    Alias, Allocation, Aux, AuxKind, BlockCall, FloatCompare, Instruction, IntCompare, Memory, MemoryFlags, Opcode, Results,
    SourceOffset, TrapCode, Values, Window,
};
use crate::print::MEMORY_FLAGS;
use crate::signature::{CallConvention, Param, ParamKind, Signature};
use crate::types::{Access, Type};
use smallvec::SmallVec;
use std::fmt;

/// The largest number that a value, a block and so on may have in a text.
const MAX_INDEX: usize = 1 << 20;

/// Where and why a text could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was wrong.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads one function; only blank lines and comments may follow it.
pub fn parse_function(text: &str) -> Result<Function, ParseError> {
    let mut functions = parse_functions(text)?;
    if functions.len() != 1 {
        return Err(ParseError { line: 1, column: 1, message: format!("{} functions instead of one", functions.len()) });
    }
    Ok(functions.remove(0))
}

/// Reads all functions of a text.
pub fn parse_functions(text: &str) -> Result<Vec<Function>, ParseError> {
    let mut parser = Parser { function: Function::default(), defined: Vec::new(), block_seen: Vec::new(), current: None };
    let mut functions = Vec::new();
    let mut open = false;
    let mut last = 1;
    for (index, text) in text.lines().enumerate() {
        last = index + 1;
        let tokens = tokenize(text, last)?;
        if tokens.is_empty() {
            continue;
        }
        let mut line = Line { tokens: &tokens, next: 0, number: last, end: text.chars().count() + 1 };
        if !open {
            parser.header(&mut line)?;
            open = true;
        } else if line.take_punctuation('}') {
            functions.push(parser.finish(&line)?);
            open = false;
        } else {
            parser.line(&mut line)?;
        }
        line.expect_end()?;
    }
    if open {
        return Err(ParseError { line: last, column: 1, message: "the function does not end".into() });
    }
    Ok(functions)
}

#[derive(Clone, PartialEq, Debug)]
enum Token {
    /// Letters, digits and `_`, beginning with a letter.
    Word(String),
    Number(i128),
    Text(String),
    Punctuation(char),
}

fn tokenize(text: &str, line: usize) -> Result<Vec<(Token, usize)>, ParseError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() && chars[at] != ';' {
        let start = at;
        let error = |message: String| Err(ParseError { line, column: start + 1, message });
        let c = chars[at];
        if c.is_whitespace() {
            at += 1;
        } else if c.is_ascii_alphabetic() {
            while at < chars.len() && (chars[at].is_ascii_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            tokens.push((Token::Word(chars[start..at].iter().collect()), start + 1));
        } else if c.is_ascii_digit() || (matches!(c, '-' | '+') && chars.get(at + 1).is_some_and(char::is_ascii_digit)) {
            at += 1;
            while at < chars.len() && chars[at].is_ascii_alphanumeric() {
                at += 1;
            }
            let spelling: String = chars[start..at].iter().collect();
            match number(&spelling) {
                Some(number) => tokens.push((Token::Number(number), start + 1)),
                None => return error(format!("`{spelling}` is no number")),
            }
        } else if c == '"' {
            match quoted(&chars, at + 1) {
                Some((text, end)) => {
                    tokens.push((Token::Text(text), start + 1));
                    at = end;
                }
                None => return error("the quoted text does not end, or has a wrong escape".into()),
            }
        } else if c == '-' && chars.get(at + 1) == Some(&'>') {
            tokens.push((Token::Punctuation('>'), start + 1));
            at += 2;
        } else if "(),:=[]{}@.".contains(c) {
            tokens.push((Token::Punctuation(c), start + 1));
            at += 1;
        } else {
            return error(format!("unexpected `{c}`"));
        }
    }
    Ok(tokens)
}

fn number(spelling: &str) -> Option<i128> {
    match spelling.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => spelling.parse().ok(),
    }
}

/// The text from `at` to the closing quote, with Rust's escapes undone, and where it ends.
fn quoted(chars: &[char], mut at: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    loop {
        let c = *chars.get(at)?;
        at += 1;
        match c {
            '"' => return Some((text, at)),
            '\\' => {
                let escape = *chars.get(at)?;
                at += 1;
                text.push(match escape {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    '0' => '\0',
                    '\\' | '"' | '\'' => escape,
                    'u' => {
                        let length = chars[at..].iter().position(|&c| c == '}')?;
                        let digits: String = chars[at..at + length].iter().skip(1).collect();
                        at += length + 1;
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                    }
                    _ => return None,
                });
            }
            _ => text.push(c),
        }
    }
}

/// A cursor over the tokens of a line.
struct Line<'a> {
    tokens: &'a [(Token, usize)],
    next: usize,
    number: usize,
    /// Column after the last character.
    end: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl Line<'_> {
    /// An error at the next token.
    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let column = self.tokens.get(self.next).map_or(self.end, |token| token.1);
        Err(ParseError { line: self.number, column, message: message.into() })
    }
    /// An error at the token just taken.
    fn error_before<T>(&mut self, message: impl Into<String>) -> Parsed<T> {
        self.next = self.next.saturating_sub(1);
        self.error(message)
    }
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|token| &token.0)
    }
    fn peek_word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }
    fn take_punctuation(&mut self, c: char) -> bool {
        let found = self.peek() == Some(&Token::Punctuation(c));
        self.next += usize::from(found);
        found
    }
    fn expect_punctuation(&mut self, c: char) -> Parsed<()> {
        if self.take_punctuation(c) { Ok(()) } else { self.error(format!("expected `{c}`")) }
    }
    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == Some(word);
        self.next += usize::from(found);
        found
    }
    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) { Ok(()) } else { self.error(format!("expected `{word}`")) }
    }
    fn word(&mut self, what: &str) -> Parsed<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.next += 1;
                Ok(word)
            }
            _ => self.error(format!("expected {what}")),
        }
    }
    fn text(&mut self) -> Parsed<String> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => self.error("expected a quoted name"),
        }
    }
    fn integer<T: TryFrom<i128>>(&mut self) -> Parsed<T> {
        let Some(&Token::Number(number)) = self.peek() else { return self.error("expected a number") };
        match T::try_from(number) {
            Ok(number) => {
                self.next += 1;
                Ok(number)
            }
            Err(_) => self.error(format!("{number} is out of range")),
        }
    }
    /// A word that one of `items` is named.
    fn named<T: Copy>(&mut self, items: &[T], name: impl Fn(T) -> &'static str, what: &str) -> Parsed<T> {
        let found = self.peek_word().and_then(|word| items.iter().copied().find(|&item| name(item) == word));
        match found {
            Some(item) => {
                self.next += 1;
                Ok(item)
            }
            None => self.error(format!("expected {what}")),
        }
    }
    fn ty(&mut self) -> Parsed<Type> {
        self.named(&Type::ALL, Type::name, "a type")
    }
    fn access(&mut self) -> Parsed<Access> {
        let mut all = vec![Access::I8, Access::U8, Access::I16, Access::U16];
        all.extend(Type::ALL.map(Access::Full));
        self.named(&all, Access::name, "an access width")
    }
    /// The number behind `prefix` in the next word, if it has that form.
    fn peek_index(&self, prefix: &str) -> Option<usize> {
        let digits = self.peek_word()?.strip_prefix(prefix)?;
        let index: usize = digits.parse().ok()?;
        (index < MAX_INDEX).then_some(index)
    }
    fn entity<E: Entity>(&mut self, prefix: &str) -> Parsed<E> {
        match self.peek_index(prefix) {
            Some(index) => {
                self.next += 1;
                Ok(E::from_index(index))
            }
            None => self.error(format!("expected `{prefix}` with a number")),
        }
    }
    fn value(&mut self) -> Parsed<Value> {
        self.entity("v")
    }
    fn block(&mut self) -> Parsed<Block> {
        self.entity("block")
    }
    fn expect_end(&self) -> Parsed<()> {
        if self.next == self.tokens.len() { Ok(()) } else { self.error("expected the end of the line") }
    }

    fn signature(&mut self) -> Parsed<Signature> {
        let convention = self.named(&CallConvention::ALL, CallConvention::name, "a call convention")?;
        let mut signature = Signature::new(convention);
        self.expect_punctuation('(')?;
        while !self.take_punctuation(')') {
            if !signature.params.is_empty() {
                self.expect_punctuation(',')?;
            }
            let kind = self.param_kind()?;
            signature.params.push(Param { ty: self.ty()?, kind });
        }
        if self.take_punctuation('>') {
            signature.results.push(self.ty()?);
            while self.take_punctuation(',') {
                signature.results.push(self.ty()?);
            }
        }
        Ok(signature)
    }
    fn param_kind(&mut self) -> Parsed<ParamKind> {
        if self.take_word("byval") {
            let (size, align) = self.pair()?;
            return Ok(ParamKind::StructByValue { size, align });
        }
        if self.take_word("struct") {
            let (pieces, align) = self.pair()?;
            return Ok(ParamKind::FirstPiece { pieces, align });
        }
        let kinds = [
            ("sret", ParamKind::StructReturn),
            ("low", ParamKind::PairLow),
            ("key", ParamKind::InterfaceKey),
            ("context", ParamKind::GenericContext),
        ];
        for (name, kind) in kinds {
            if self.take_word(name) {
                return Ok(kind);
            }
        }
        Ok(ParamKind::Normal)
    }
    /// `(FIRST, SECOND)`
    fn pair<T: TryFrom<i128>>(&mut self) -> Parsed<(T, T)> {
        self.expect_punctuation('(')?;
        let first = self.integer()?;
        self.expect_punctuation(',')?;
        let second = self.integer()?;
        self.expect_punctuation(')')?;
        Ok((first, second))
    }
    fn memory(&mut self) -> Parsed<Memory> {
        self.expect_punctuation('[')?;
        let access = self.access()?;
        let offset = if matches!(self.peek(), Some(Token::Number(_))) { self.integer()? } else { 0 };
        let mut memory = Memory { access, offset, flags: MemoryFlags::empty(), alias: Alias::Any };
        while !self.take_punctuation(']') {
            let word = self.word("a flag, an alias class or `]`")?;
            if let Some((flag, _)) = MEMORY_FLAGS.iter().find(|(_, name)| *name == word) {
                memory.flags |= *flag;
                continue;
            }
            memory.alias = match word.as_str() {
                "header" => Alias::Header,
                "runtime" => Alias::Runtime,
                "stack" => Alias::Stack,
                "field" => {
                    self.expect_punctuation('(')?;
                    let number = self.integer()?;
                    self.expect_punctuation(')')?;
                    Alias::Field(number)
                }
                "element" => {
                    self.expect_punctuation('(')?;
                    let access = self.access()?;
                    self.expect_punctuation(')')?;
                    Alias::Element(access)
                }
                _ => return self.error_before(format!("unknown flag or alias class `{word}`")),
            };
        }
        Ok(memory)
    }
    fn allocation(&mut self) -> Parsed<Allocation> {
        self.expect_punctuation('[')?;
        self.expect_word("base")?;
        let base_size = self.integer()?;
        self.expect_word("element")?;
        let element_size = self.integer()?;
        let fast = self.take_word("fast");
        self.expect_punctuation(']')?;
        Ok(Allocation { base_size, element_size, fast })
    }
    fn window(&mut self) -> Parsed<Window> {
        let mut offsets = [0; 4];
        self.expect_punctuation('[')?;
        for (name, offset) in ["cursor", "limit", "method_table", "length"].into_iter().zip(&mut offsets) {
            self.expect_word(name)?;
            *offset = self.integer()?;
        }
        self.expect_punctuation(']')?;
        let [cursor, limit, method_table, length] = offsets;
        Ok(Window { cursor, limit, method_table, length })
    }
    fn block_call(&mut self) -> Parsed<BlockCall> {
        let block = self.block()?;
        let mut args = SmallVec::new();
        if self.take_punctuation('(') {
            args.push(self.value()?);
            while self.take_punctuation(',') {
                args.push(self.value()?);
            }
            self.expect_punctuation(')')?;
        }
        Ok(BlockCall { block, args })
    }
}

struct Parser {
    function: Function,
    /// By value number: whether its definition has been read.
    defined: Vec<bool>,
    /// By block number: whether its head has been read.
    block_seen: Vec<bool>,
    current: Option<Block>,
}

impl Parser {
    /// `function "name" pointer 8 managed () {`
    fn header(&mut self, line: &mut Line<'_>) -> Parsed<()> {
        line.expect_word("function")?;
        let name = line.text()?;
        line.expect_word("pointer")?;
        let pointer_bytes = line.integer()?;
        let signature = line.signature()?;
        line.expect_punctuation('{')?;
        self.function = Function::new(name, pointer_bytes, signature);
        self.defined.clear();
        self.block_seen.clear();
        self.current = None;
        Ok(())
    }

    fn line(&mut self, line: &mut Line<'_>) -> Parsed<()> {
        if line.peek_index("block").is_some() {
            return self.block_head(line);
        }
        if let Some(block) = self.current {
            return self.instruction(line, block);
        }
        self.declaration(line)
    }

    /// Slots, signatures, symbols, regions and inline sites, each numbered from 0.
    fn declaration(&mut self, line: &mut Line<'_>) -> Parsed<()> {
        if line.peek_index("ss").is_some() {
            expect_next(line, "ss", self.function.slots.len())?;
            line.expect_word("slot")?;
            let size = line.integer()?;
            line.expect_word("align")?;
            let align = line.integer()?;
            let in_handler = line.take_word("in_handler");
            self.function.slots.push(StackSlotData { size, align, in_handler });
        } else if line.peek_index("sig").is_some() {
            expect_next(line, "sig", self.function.signatures.len())?;
            let signature = line.signature()?;
            self.function.signatures.push(signature);
        } else if line.peek_index("sym").is_some() {
            expect_next(line, "sym", self.function.symbols.len())?;
            let kind = line.word("a kind of symbol")?;
            let target = match kind.as_str() {
                "method" => SymbolRef::Method(line.integer()?),
                "helper" => SymbolRef::Helper(line.integer()?),
                "cell" => SymbolRef::Cell(line.integer()?),
                "rodata" => SymbolRef::RoData(line.integer()?),
                "publisher" => SymbolRef::Publisher(line.integer()?),
                "preserver" => SymbolRef::Preserver(line.integer()?),
                "resolver" => SymbolRef::Resolver(line.integer()?),
                _ => return line.error_before(format!("unknown kind of symbol `{kind}`")),
            };
            let name = line.text()?;
            self.function.symbols.push(SymbolData { target, name });
        } else if line.peek_index("eh").is_some() {
            expect_next(line, "eh", self.function.regions.len())?;
            line.expect_word("region")?;
            let region = region(line)?;
            for handler in &region.handlers {
                self.reserve_block(handler.entry);
                if let HandlerKind::Filter(filter) = handler.kind {
                    self.reserve_block(filter);
                }
            }
            self.function.regions.push(region);
        } else if line.peek_index("inline").is_some() {
            expect_next(line, "inline", self.function.inline_sites.len())?;
            let callee: Symbol = line.entity("sym")?;
            if self.function.symbols.get(callee).is_none() {
                return line.error_before(format!("there is no {callee}"));
            }
            line.expect_word("from")?;
            let first = line.integer()?;
            let call = self.position(line)?;
            self.function.inline_sites.push(InlineSite { callee, first, call });
        } else {
            return line.error("expected a declaration or a block");
        }
        Ok(())
    }

    /// Makes sure that the arena of blocks has `block`.
    fn reserve_block(&mut self, block: Block) {
        while self.function.blocks.len() <= block.index() {
            self.function.blocks.push(BlockData::default());
        }
    }

    /// Makes `value` with its definition.
    fn define(&mut self, line: &mut Line<'_>, value: Value, ty: Type, def: ValueDef) -> Parsed<()> {
        while self.function.values.len() <= value.index() {
            self.function.values.push(ValueData { ty: Type::I32, def });
            self.defined.push(false);
        }
        if std::mem::replace(&mut self.defined[value.index()], true) {
            return line.error(format!("{value} is defined twice"));
        }
        self.function.values[value] = ValueData { ty, def };
        Ok(())
    }

    fn block_head(&mut self, line: &mut Line<'_>) -> Parsed<()> {
        let block = line.block()?;
        self.reserve_block(block);
        if self.block_seen.len() <= block.index() {
            self.block_seen.resize(block.index() + 1, false);
        }
        if std::mem::replace(&mut self.block_seen[block.index()], true) {
            return line.error_before(format!("{block} is there twice"));
        }
        if line.take_punctuation('(') {
            loop {
                let param = line.value()?;
                line.expect_punctuation(':')?;
                let ty = line.ty()?;
                let index = self.function.blocks[block].params.len() as u32;
                self.define(line, param, ty, ValueDef::Param(block, index))?;
                self.function.blocks[block].params.push(param);
                if !line.take_punctuation(',') {
                    break;
                }
            }
            line.expect_punctuation(')')?;
        }
        if line.take_word("region") {
            let region: Region = line.entity("eh")?;
            if self.function.regions.get(region).is_none() {
                return line.error_before(format!("there is no {region}"));
            }
            self.function.blocks[block].region = Some(region);
        }
        self.function.blocks[block].cold = line.take_word("cold");
        line.expect_punctuation(':')?;
        self.function.layout.push(block);
        self.current = Some(block);
        Ok(())
    }

    fn instruction(&mut self, line: &mut Line<'_>, block: Block) -> Parsed<()> {
        let mut results: SmallVec<[Value; 2]> = SmallVec::new();
        if line.peek_index("v").is_some() {
            results.push(line.value()?);
            while line.take_punctuation(',') {
                results.push(line.value()?);
            }
            line.expect_punctuation('=')?;
        }
        let opcode = line.named(Opcode::ALL, Opcode::name, "an opcode")?;
        let info = opcode.info();
        let mut ty = Type::I32;
        if info.results == Results::One {
            line.expect_punctuation('.')?;
            ty = line.ty()?;
        }
        let mut aux = self.leading_aux(line, info.aux)?;
        let mut args = Values::new();
        if line.peek_index("v").is_some() {
            args.push(line.value()?);
            while line.take_punctuation(',') {
                args.push(line.value()?);
            }
        }
        match info.aux {
            AuxKind::Memory => {
                let memory = line.memory()?;
                if info.results == Results::None {
                    ty = memory.access.value_type();
                }
                aux = Aux::Memory(memory);
            }
            AuxKind::Allocation => aux = Aux::Allocation(line.allocation()?),
            AuxKind::Window => aux = Aux::Window(line.window()?),
            AuxKind::Targets => {
                let mut targets = vec![line.block_call()?];
                while line.take_punctuation(',') {
                    targets.push(line.block_call()?);
                }
                for target in &targets {
                    self.reserve_block(target.block);
                }
                aux = Aux::Targets(targets);
            }
            _ => {}
        }
        let source = self.position(line)?;
        let types = self.result_types(info.results, ty, &aux);
        if results.len() != types.len() {
            return line.error(format!("{} has {} results, not {}", opcode.name(), types.len(), results.len()));
        }
        let inst: Inst = self.function.insts.push(Instruction { opcode, ty, args, aux, source });
        for (index, (&result, ty)) in results.iter().zip(types).enumerate() {
            self.define(line, result, ty, ValueDef::Result(inst, index as u32))?;
        }
        self.function.results[inst] = results;
        self.function.blocks[block].insts.push(inst);
        Ok(())
    }

    /// A source position, if one follows.
    fn position(&self, line: &mut Line<'_>) -> Parsed<SourceOffset> {
        if !line.take_punctuation('@') {
            return Ok(SourceOffset::UNKNOWN);
        }
        let offset: u32 = line.integer()?;
        let Some(number) = line.peek_index("inline") else { return Ok(SourceOffset(offset)) };
        let Some(site) = self.function.inline_sites.get(number) else { return line.error("there is no such inline site") };
        line.next += 1;
        match site.first.checked_add(offset) {
            Some(position) => Ok(SourceOffset(position)),
            None => line.error_before("the position is out of range"),
        }
    }

    fn result_types(&self, results: Results, ty: Type, aux: &Aux) -> SmallVec<[Type; 2]> {
        match (results, aux) {
            (Results::One, _) => SmallVec::from_slice(&[ty]),
            (Results::Signature, &(Aux::Call { signature, .. } | Aux::CallIndirect(signature))) => {
                self.function.signatures[signature].results.clone()
            }
            _ => SmallVec::new(),
        }
    }

    /// What stands before the arguments.
    fn leading_aux(&self, line: &mut Line<'_>, kind: AuxKind) -> Parsed<Aux> {
        Ok(match kind {
            AuxKind::Int => {
                let Some(&Token::Number(number)) = line.peek() else { return line.error("expected a number") };
                // Hexadecimal numbers are bits, which may fill all 64.
                let Some(value) = i64::try_from(number).ok().or_else(|| u64::try_from(number).ok().map(|bits| bits as i64))
                else {
                    return line.error(format!("{number} is out of range"));
                };
                line.next += 1;
                Aux::Int(value)
            }
            AuxKind::IntCompare => Aux::IntCompare(line.named(&IntCompare::ALL, IntCompare::name, "a comparison")?),
            AuxKind::FloatCompare => Aux::FloatCompare(line.named(&FloatCompare::ALL, FloatCompare::name, "a comparison")?),
            AuxKind::Slot => {
                let slot: StackSlot = line.entity("ss")?;
                if self.function.slots.get(slot).is_none() {
                    return line.error_before(format!("there is no {slot}"));
                }
                let offset = if matches!(line.peek(), Some(Token::Number(_))) { line.integer()? } else { 0 };
                Aux::Slot(slot, offset)
            }
            AuxKind::Symbol => Aux::Symbol(self.symbol(line)?),
            AuxKind::Call => {
                let callee = self.symbol(line)?;
                Aux::Call { signature: self.signature(line)?, callee }
            }
            AuxKind::CallIndirect => Aux::CallIndirect(self.signature(line)?),
            AuxKind::Trap => Aux::Trap(line.named(&TrapCode::ALL, TrapCode::name, "a trap code")?),
            AuxKind::None | AuxKind::Memory | AuxKind::Targets | AuxKind::Allocation | AuxKind::Window => Aux::None,
        })
    }

    fn symbol(&self, line: &mut Line<'_>) -> Parsed<Symbol> {
        let symbol = line.entity("sym")?;
        match self.function.symbols.get(symbol) {
            Some(_) => Ok(symbol),
            None => line.error_before(format!("there is no {symbol}")),
        }
    }

    fn signature(&self, line: &mut Line<'_>) -> Parsed<SigRef> {
        let signature = line.entity("sig")?;
        match self.function.signatures.get(signature) {
            Some(_) => Ok(signature),
            None => line.error_before(format!("there is no {signature}")),
        }
    }

    /// Checks that all that is named exists, and hands the function over.
    fn finish(&mut self, line: &Line<'_>) -> Parsed<Function> {
        let mut function = std::mem::take(&mut self.function);
        let is_defined = |value: &Value| self.defined.get(value.index()) == Some(&true);
        for instruction in function.insts.values() {
            let used = instruction.args.iter().chain(instruction.targets().iter().flat_map(|target| &target.args));
            if let Some(missing) = used.copied().find(|value| !is_defined(value)) {
                return line.error(format!("{missing} is used but not defined"));
            }
            let seen = |block: Block| self.block_seen.get(block.index()) == Some(&true);
            if let Some(target) = instruction.targets().iter().find(|target| !seen(target.block)) {
                return line.error(format!("{} is branched to but not there", target.block));
            }
        }
        for region in function.regions.values() {
            if region.parent.is_some_and(|parent| function.regions.get(parent).is_none()) {
                return line.error("the parent of a region is not there");
            }
        }
        // Numbers that the text leaves out belong to no value; they become names of one that exists.
        if let Some(last) = function.values.keys().next_back() {
            for value in function.values.keys().filter(|value| !is_defined(value)) {
                function.values[value] = ValueData { ty: function.values[last].ty, def: ValueDef::Alias(last) };
                function.has_aliases = true;
            }
        }
        // Instructions without results take the type that they work on.
        for inst in function.insts.keys() {
            if matches!(function.insts[inst].opcode, Opcode::NullCheck | Opcode::BoundsCheck) {
                if let Some(&arg) = function.insts[inst].args.first() {
                    function.insts[inst].ty = function.value_type(arg);
                }
            }
        }
        Ok(function)
    }
}

/// Takes the word of a declaration, which must carry the next free number, and `=`.
fn expect_next(line: &mut Line<'_>, prefix: &str, next: usize) -> Parsed<()> {
    if line.peek_index(prefix) != Some(next) {
        return line.error(format!("expected `{prefix}{next}`"));
    }
    line.next += 1;
    line.expect_punctuation('=')
}

/// `[in eh0] catch(0) block5 filter(block6) block7 finally block8`
fn region(line: &mut Line<'_>) -> Parsed<RegionData> {
    let mut region = RegionData { parent: None, handlers: Vec::new() };
    if line.take_word("in") {
        region.parent = Some(line.entity("eh")?);
    }
    while line.peek().is_some() {
        let kind = line.word("a kind of handler")?;
        let kind = match kind.as_str() {
            "catch" => {
                line.expect_punctuation('(')?;
                let clause = line.integer()?;
                line.expect_punctuation(')')?;
                HandlerKind::Catch(clause)
            }
            "filter" => {
                line.expect_punctuation('(')?;
                let filter = line.block()?;
                line.expect_punctuation(')')?;
                HandlerKind::Filter(filter)
            }
            "finally" => HandlerKind::Finally,
            "fault" => HandlerKind::Fault,
            _ => return line.error_before(format!("unknown kind of handler `{kind}`")),
        };
        region.handlers.push(Handler { kind, entry: line.block()? });
    }
    Ok(region)
}
